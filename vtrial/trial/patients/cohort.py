"""The patients of one trial. Pure JAX."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from vtrial.model.descriptors import Drawn
from vtrial.model.dose_response import Step, System
from vtrial.model.vocabulary import Allocation, Target
from vtrial.model.world import World
from vtrial.trial.patients import course, covariates, flags, response, toxicity
from vtrial.trial.patients.calendar import months
from vtrial.trial.patients.course import Path
from vtrial.trial.patients.disposition import enrol
from vtrial.trial.patients.draws import Process, at_doses, streams

FATAL = 4  # index of grade 5 among worst grades
TOXICITIES: tuple[Literal["crs", "neurotoxicity"], ...] = ("crs", "neurotoxicity")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Calendar:
    """The numbers of a calendar, float32: patients enrolled a month, the delay to infusion, visits and the data cut.

    schedule: months since infusion, (visits,). window, missed, new_therapy: see `course.visits` and
    `course.course`. cut: month since the first enrolment, or months after the last infusion.
    """

    accrual: Any
    delay_low: Any
    delay_high: Any
    schedule: Any
    window: Any
    missed: Any
    new_therapy: Any
    cut: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cohort:
    """What is true of every patient, arrays (patients,); a system that was not asked for is None.

    enrolled, infused: masks. dose: index of the dose. response: best response if infused, index. mrd_evaluable,
    mrd_negative: if CR. crs, neurotoxicity: worst grade if infused, index. enrolment_month, infusion_month: calendar,
    float32. path: what happens after infusion.

    A death of toxicity takes nothing from the best response. The published rates of response are net of early death
    already, so response is drawn first; who responds and dies of toxicity has the response documented before the death.
    """

    enrolled: Any
    infused: Any
    dose: Any
    response: Any
    mrd_evaluable: Any
    mrd_negative: Any
    crs: Any
    neurotoxicity: Any
    enrolment_month: Any = None
    infusion_month: Any = None
    path: Path | None = None

    @property
    def fatal(self) -> Any:
        """Whether toxicity would be fatal (grade 5 of CRS or neurotoxicity), were they infused, bool (patients,).

        None where neither was simulated.
        """
        return fatal_of(self.crs, self.neurotoxicity)


def fatal_of(crs: Any, neurotoxicity: Any) -> Any:
    """Whether a worst grade is 5, bool (patients,); None where neither is given. Arrays of JAX or NumPy."""
    fatal = [grade >= FATAL for grade in (crs, neurotoxicity) if grade is not None]
    return fatal[0] | fatal[-1] if fatal else None


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
    calendar: "Calendar | None" = None,
    even: bool = False,
    mix: tuple[Drawn, ...] = (),
    columns: Any = None,
) -> Cohort:
    """One trial's patients.

    Arguments are those of `vtrial.trial.spec.Plan` and `Numbers`; mix: the flags that are shifted.
    """
    steps = world.probabilities(log2_doses)
    drawn_dose = allocation == "random" and log2_doses.shape[0] > 1
    u = streams(key, processes(systems, attrition=attrition, dose=drawn_dose), capacity)
    # Attrition does not depend on dose: any column of the table is the same.
    enrolled, infused, dose = enrol(u, capacity, target, allocation, size, steps[Step.INFUSED][0], fills)
    evaluable, negative = response.mrd(u, dose, steps) if "mrd" in systems else (None, None)
    own, log_hazard = None, 0.0
    if mix:  # the flags whose logits stand first among the world's
        found = flags.hits(key, mix, world.flags[: len(mix)], columns, dose)
        has = tuple(found[flag.name] for flag in mix)
        own = covariates.response(has, dose, steps[Step.RESPONSE], world.covariates, columns)
        log_hazard = covariates.log_hazard(has, dose, world.covariates, columns)
    best = response.best_response(u, dose, steps, factor, own) if "response" in systems else None
    crs, neurotoxicity = (
        toxicity.worst_grade(u, dose, steps, factor, system) if system in systems else None for system in TOXICITIES
    )
    enrolment = month = path = None
    if "survival" in systems and calendar is not None:
        enrolment, month = months(key, capacity, calendar.accrual, calendar.delay_low, calendar.delay_high, even=even)
        path = course.path(
            key,
            world.survival,
            capacity=capacity,
            x=at_doses(log2_doses, dose) + jnp.zeros(capacity, jnp.float32),
            response=best,
            fatal=fatal_of(crs, neurotoxicity),
            visits=course.visits(key, capacity, calendar.schedule, calendar.window, calendar.missed),
            new_therapy=calendar.new_therapy,
            log_hazard=log_hazard,
        )
    return Cohort(
        enrolled=enrolled,
        infused=infused,
        dose=dose,
        response=best,
        mrd_evaluable=evaluable,
        mrd_negative=negative,
        crs=crs,
        neurotoxicity=neurotoxicity,
        enrolment_month=enrolment,
        infusion_month=month,
        path=path,
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
