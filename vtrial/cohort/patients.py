"""The patients of one trial. Pure JAX."""

from dataclasses import dataclass
from typing import Any

import jax

from vtrial.cohort import Process, response, streams, toxicity
from vtrial.cohort.disposition import Allocation, Target, enrol
from vtrial.curves import Step, System
from vtrial.world import World


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cohort:
    """What is true of every patient, arrays (patients,); a system that was not asked for is None.

    enrolled, infused: masks. dose: index of the dose. response: best response if infused, index. mrd_evaluable,
    mrd_negative: if CR. crs, neurotoxicity: worst grade if infused, index.
    """

    enrolled: Any
    infused: Any
    dose: Any
    response: Any
    mrd_evaluable: Any
    mrd_negative: Any
    crs: Any
    neurotoxicity: Any


def draw(
    key: Any,
    world: World,
    *,
    capacity: int,
    target: Target,
    allocation: Allocation,
    systems: frozenset[System],
    attrition: bool,
    size: Any,
    log2_doses: Any,
    fills: Any,
    factor: Any,
) -> Cohort:
    """One trial's patients. Arguments are those of `vtrial.trial.Plan` and `Numbers`."""
    steps = world.probabilities(log2_doses)
    drawn_dose = allocation == "random" and log2_doses.shape[0] > 1
    u = streams(key, processes(systems, attrition=attrition, dose=drawn_dose), capacity)
    # Attrition does not depend on dose: any column of the table is the same.
    enrolled, infused, dose = enrol(u, capacity, target, allocation, size, steps[Step.INFUSED][0], fills)
    evaluable, negative = response.mrd(u, dose, steps) if "mrd" in systems else (None, None)
    return Cohort(
        enrolled=enrolled,
        infused=infused,
        dose=dose,
        response=response.best_response(u, dose, steps, factor) if "response" in systems else None,
        mrd_evaluable=evaluable,
        mrd_negative=negative,
        crs=toxicity.worst_grade(u, dose, steps, factor, "crs") if "crs" in systems else None,
        neurotoxicity=toxicity.worst_grade(u, dose, steps, factor, "neurotoxicity")
        if "neurotoxicity" in systems
        else None,
    )


def processes(systems: frozenset[System], *, attrition: bool, dose: bool) -> tuple[Process, ...]:
    """The processes to draw: what is certain is not, and toxicity needs the latents that it is correlated with."""
    wanted = {Process.RESPONSE}
    if attrition:
        wanted |= {Process.INFUSED}
    if dose:
        wanted |= {Process.DOSE}
    if "mrd" in systems:
        wanted |= {Process.MRD_EVALUABLE, Process.MRD_NEGATIVE}
    if "crs" in systems or "neurotoxicity" in systems:
        wanted |= {Process.CRS}
    if "neurotoxicity" in systems:
        wanted |= {Process.NEUROTOXICITY}
    return tuple(sorted(wanted))
