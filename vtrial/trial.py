"""One trial, end to end. Pure JAX; no batch axis.

    world --cohort--> patients --conduct--> what was seen --estimate--> counts --decisions--> rejections

`Plan` is what is compiled, `Numbers` what may change without compiling again.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtrial import conduct
from vtrial.cohort import Process, patients
from vtrial.cohort.disposition import Allocation, Target
from vtrial.curves import Step, System
from vtrial.decisions import Population, TestPlan, decide
from vtrial.estimate import proportions
from vtrial.estimate.proportions import Endpoint
from vtrial.world import World, shifted


@dataclass(frozen=True)
class Plan:
    """The structure of a trial.

    capacity: most patients that can be enrolled. target: what `Numbers.size` counts. endpoints: what is
    counted. tests: in an order in which none waits for a later one. attrition: whether anybody enrolled may stay
    without infusion; shifted: whether trials move their world. What is not needed is not drawn.
    """

    capacity: int
    target: Target
    allocation: Allocation
    endpoints: tuple[Endpoint, ...]
    tests: tuple[TestPlan, ...]
    attrition: bool = True
    shifted: bool = True

    @property
    def systems(self) -> frozenset[System]:
        """What must be simulated for the endpoints."""
        return frozenset(system for endpoint in self.endpoints for system in proportions.systems_of(endpoint))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Numbers:
    """The numbers of a trial.

    size: patients enrolled, or infused (int32). log2_doses: float32 (doses,). fills: cumulative shares or
    counts by dose (doses,), see `cohort.disposition.enrol`. factor: Cholesky factor of the latents'
    correlations, float32 (latents, latents). between_trial_sd: logit scale. bounds: by test, int32 (capacity + 1,).
    """

    size: Any
    log2_doses: Any
    fills: Any
    factor: Any
    between_trial_sd: Any
    bounds: dict[str, Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Outcome:
    """What a trial ended with: numbers of patients, patients with each endpoint, tests that rejected."""

    enrolled: Any
    infused: Any
    counts: dict[Endpoint, Any]
    rejected: dict[str, Any]


def world_of(key: Any, world: World, numbers: Numbers, plan: Plan) -> World:
    """The trial's own world: the given one, moved by the trial-level shift."""
    if not plan.shifted:
        return world
    normals = jax.random.normal(jax.random.fold_in(key, Process.BETWEEN_TRIAL), (len(Step),), dtype=jnp.float32)
    return shifted(world, normals, numbers.between_trial_sd)


def enrol(key: Any, world: World, numbers: Numbers, plan: Plan) -> patients.Cohort:
    """The trial's patients, as they truly are. key: the trial's."""
    return patients.draw(
        key,
        world_of(key, world, numbers, plan),
        capacity=plan.capacity,
        target=plan.target,
        allocation=plan.allocation,
        systems=plan.systems,
        attrition=plan.attrition,
        size=numbers.size,
        log2_doses=numbers.log2_doses,
        fills=numbers.fills,
        factor=numbers.factor,
    )


def run(key: Any, world: World, numbers: Numbers, plan: Plan) -> Outcome:
    """One trial, from its key to its decisions."""
    seen = conduct.at_full_follow_up(enrol(key, world, numbers, plan))
    counts: dict[Endpoint, Any] = {endpoint: proportions.count(seen, endpoint) for endpoint in plan.endpoints}
    sizes: dict[Population, Any] = {
        "enrolled": jnp.sum(seen.enrolled, dtype=jnp.int32),
        "infused": jnp.sum(seen.infused, dtype=jnp.int32),
    }
    return Outcome(
        enrolled=sizes["enrolled"],
        infused=sizes["infused"],
        counts=counts,
        rejected=decide(plan.tests, numbers.bounds, counts, sizes),
    )
