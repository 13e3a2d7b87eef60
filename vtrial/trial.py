"""One trial, end to end. Pure JAX; no batch axis.

    world --cohort--> patients --conduct--> what was seen --estimate--> counts --decisions--> rejections

`Plan` is what is compiled, `Numbers` what may change without compiling again.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from vtrial import conduct
from vtrial.cohort import Process, at_doses, flags, kinetics, patients, survival
from vtrial.cohort.disposition import Allocation, Target
from vtrial.conduct import visits
from vtrial.conduct.record import Record, record
from vtrial.conduct.visits import Seen, cut_month
from vtrial.curves import Step, System
from vtrial.decisions import Population, TestPlan, decide
from vtrial.estimate import proportions, times
from vtrial.estimate.proportions import Endpoint
from vtrial.estimate.times import Benchmark, Curve, Estimate
from vtrial.flags import CORE, DELIVERED, EXPANSION, Flags
from vtrial.world import World, shifted


@dataclass(frozen=True)
class Plan:
    """The structure of a trial.

    capacity: most patients that can be enrolled. target: what `Numbers.size` counts. endpoints: what is counted. tests:
    in an order in which none waits for a later one. attrition: whether anybody enrolled may stay without infusion;
    shifted: whether trials move their world. curves: the Kaplan-Meier curves that are estimated; even, cut_after_last,
    censor_missed, censor_new_therapy: how patients come, what the data cut counts from, what is censored. described:
    the flags and measures that are drawn and derived; flags: those that are counted, of the core too. mix: so many of
    the first of described whose share is shifted. What is not needed is not drawn.
    """

    capacity: int
    target: Target
    allocation: Allocation
    endpoints: tuple[Endpoint, ...]
    tests: tuple[TestPlan, ...]
    attrition: bool = True
    shifted: bool = True
    with_crs: tuple[System, ...] = ("crs",)
    curves: tuple[Curve, ...] = ()
    even: bool = False
    cut_after_last: bool = True
    censor_missed: bool = True
    censor_new_therapy: bool = True
    described: Flags = field(default_factory=Flags)
    flags: tuple[str, ...] = ()
    mix: int = 0

    @property
    def systems(self) -> frozenset[System]:
        """What must be simulated for the endpoints and flags."""
        found: set[System] = {system for endpoint in self.endpoints for system in proportions.systems_of(endpoint)}
        found |= {CORE[name] for asked in self.flags for name in self.described.needs(asked)}  # type: ignore[misc]
        if self.curves or "survival" in found:
            found |= {"survival", "response", *self.with_crs}
        return frozenset(found - {"disposition"})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Numbers:
    """The numbers of a trial.

    size: patients enrolled, or infused (int32). log2_doses: float32 (doses,). fills: cumulative shares or counts by
    dose (doses,), see `cohort.disposition.enrol`. factor: Cholesky factor of the latents' correlations, float32
    (latents, latents). between_trial_sd: logit scale. bounds: by test of a rate, int32 (capacity + 1,). calendar: where
    times are simulated. benchmarks: by test of a time. columns: of each dose in the world's flags and measures, int32
    (doses,). dose_window: how far a delivered dose may lie from its target, a share; None where the study does not say.
    """

    size: Any
    log2_doses: Any
    fills: Any
    factor: Any
    between_trial_sd: Any
    bounds: dict[str, Any]
    calendar: patients.Calendar | None = None
    benchmarks: dict[str, Benchmark] = field(default_factory=dict[str, Benchmark])
    columns: Any = None
    dose_window: Any = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Outcome:
    """What a trial ended with: numbers of patients, patients with each endpoint, tests that rejected, curves.

    follow_up: median months from infusion to death or last contact. retreated, responding_again: patients retreated for
    a documented progression by the cut, and those of them who respond to it. flags: patients with each of
    `Plan.flags`, int32 (flags,), or None.
    """

    enrolled: Any
    infused: Any
    counts: dict[Endpoint, Any]
    rejected: dict[str, Any]
    curves: dict[Curve, Estimate] = field(default_factory=dict[Curve, Estimate])
    follow_up: Any = None
    retreated: Any = None
    responding_again: Any = None
    flags: Any = None


def world_of(key: Any, world: World, numbers: Numbers, plan: Plan) -> World:
    """The trial's own world: the given one, moved by the trial-level shift."""
    if not plan.shifted:
        return world
    normals = jax.random.normal(jax.random.fold_in(key, Process.BETWEEN_TRIAL), (len(Step),), dtype=jnp.float32)
    moved, sd = shifted(world, normals, numbers.between_trial_sd), numbers.between_trial_sd
    if moved.survival is not None:
        moved = replace(moved, survival=survival.moved(key, moved.survival, sd))
    if moved.flags is not None:
        moved = replace(moved, flags=flags.moved(key, plan.described.drawn, moved.flags, sd))
    return moved


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
        calendar=numbers.calendar,
        even=plan.even,
        mix=plan.described.drawn[: plan.mix],
        columns=numbers.columns,
    )


def seen_at_cut(cohort: patients.Cohort, numbers: Numbers, plan: Plan) -> Seen:
    """What the data cut shows of the patients' times."""
    assert numbers.calendar is not None
    cut = numbers.calendar.cut
    if plan.cut_after_last:
        cut = cut_month(cut, cohort.infused, cohort.infusion_month)
    return visits.seen(
        cohort.path,  # type: ignore[arg-type]
        cohort.infused,
        cohort.response,
        cohort.infusion_month,
        cut,
        censor_missed=plan.censor_missed,
        censor_new_therapy=plan.censor_new_therapy,
    )


def recorded(
    key: Any, cohort: patients.Cohort, seen: Seen | None, world: World, numbers: Numbers, plan: Plan
) -> Record:
    """What the records say of each patient at the cut. seen: None where times are not simulated."""
    world, drawn = world_of(key, world, numbers, plan), plan.described
    hits = flags.hits(key, drawn.drawn, world.flags, numbers.columns, cohort.dose)
    values = flags.values(key, drawn.measures, world.measures, numbers.columns, cohort.dose)
    if numbers.dose_window is not None:
        values[DELIVERED] = kinetics.delivered(key, plan.capacity, numbers.dose_window)
    if world.expansion is not None and cohort.response is not None:
        x = at_doses(numbers.log2_doses, cohort.dose) + jnp.zeros(plan.capacity, jnp.float32)
        values[EXPANSION] = kinetics.expansion(key, world.expansion, x, cohort.response)
    return record(cohort, seen, drawn, hits, values)


def at_cut(key: Any, world: World, numbers: Numbers, plan: Plan) -> tuple[patients.Cohort, Seen | None, Record]:
    """A trial's patients, what the cut shows of their times (None where not simulated), and its records."""
    cohort = enrol(key, world, numbers, plan)
    seen = seen_at_cut(cohort, numbers, plan) if cohort.path is not None else None
    return cohort, seen, recorded(key, cohort, seen, world, numbers, plan)


def run(key: Any, world: World, numbers: Numbers, plan: Plan) -> Outcome:
    """One trial, from its key to its decisions."""
    cohort = enrol(key, world, numbers, plan)
    finally_seen = conduct.at_full_follow_up(cohort)
    counts: dict[Endpoint, Any] = {endpoint: proportions.count(finally_seen, endpoint) for endpoint in plan.endpoints}
    curves, shown, follow_up, retreated, again, counted = {}, {}, None, None, None, None
    seen = seen_at_cut(cohort, numbers, plan) if cohort.path is not None else None
    if plan.flags:
        told = recorded(key, cohort, seen, world, numbers, plan).flags
        counted = jnp.sum(jnp.stack([told[name] for name in plan.flags]), axis=1, dtype=jnp.int32)
    if plan.curves:
        assert seen is not None
        ordered = times.prepared(seen, cohort.dose, {endpoint for endpoint, _ in plan.curves})
        curves = {curve: times.estimate(ordered, curve) for curve in plan.curves}
        timed = [test for test in plan.tests if test.timed]
        shown = {test.name: times.shown(ordered, test, numbers.benchmarks[test.name]) for test in timed}
        follow_up = times.median_follow_up(seen)
        retreated, again = (
            jnp.sum(seen.infused_by_cut & mask, dtype=jnp.int32)
            for mask in (seen.retreated_seen, seen.retreated_seen & cohort.path.retreatment_response)  # type: ignore[union-attr]
        )
    sizes: dict[Population, Any] = {
        "enrolled": jnp.sum(finally_seen.enrolled, dtype=jnp.int32),
        "infused": jnp.sum(finally_seen.infused, dtype=jnp.int32),
    }
    return Outcome(
        enrolled=sizes["enrolled"],
        infused=sizes["infused"],
        counts=counts,
        rejected=decide(plan.tests, numbers.bounds, counts, sizes, shown),
        curves=curves,
        follow_up=follow_up,
        retreated=retreated,
        responding_again=again,
        flags=counted,
    )
