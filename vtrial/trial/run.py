"""One trial, end to end. Pure JAX; no batch axis.

    world --cohort--> patients --conduct--> what was seen --estimate--> counts --decisions--> what is decided

Where looks of a calendar end it, only those enrolled by then stay (`conducted`). What it is told: `vtrial.trial.spec`.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from vtrial.model.descriptors import DELIVERED, EXPANSION
from vtrial.model.dose_response import Step
from vtrial.model.endpoints import Endpoint
from vtrial.model.parameters import DAYS
from vtrial.model.vocabulary import CLOSES, OUTCOMES, Population
from vtrial.model.world import World, shifted
from vtrial.trial import interim
from vtrial.trial.analysis import proportions, times
from vtrial.trial.decisions import Decision, finally_shown
from vtrial.trial.interim import Looked
from vtrial.trial.observation import observed, visits
from vtrial.trial.observation.looks import Held
from vtrial.trial.observation.record import Record, record
from vtrial.trial.observation.visits import Seen, cut_month
from vtrial.trial.patients import cohort as patients
from vtrial.trial.patients import course, flags, kinetics
from vtrial.trial.patients.draws import Process, at_doses
from vtrial.trial.spec import Numbers, Outcome, Plan


def world_of(key: Any, world: World, numbers: Numbers, plan: Plan) -> World:
    """The trial's own world: the given one, moved by the trial-level shift."""
    if not plan.shifted:
        return world
    normals = jax.random.normal(jax.random.fold_in(key, Process.BETWEEN_TRIAL), (len(Step),), dtype=jnp.float32)
    moved, sd = shifted(world, normals, numbers.between_trial_sd), numbers.between_trial_sd
    if moved.survival is not None:
        moved = replace(moved, survival=course.moved(key, moved.survival, sd))
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


def conducted(key: Any, world: World, numbers: Numbers, plan: Plan) -> tuple[patients.Cohort, Looked | None]:
    """A trial's patients, those enrolled and infused before a look of its calendar ended it; and these looks."""
    cohort = enrol(key, world, numbers, plan)
    if not plan.in_calendar:
        return cohort, None
    found = interim.looked(cohort, numbers, plan)
    assert found.days is not None
    early = found.decision(plan, None)
    stop = jnp.append(found.held.day, course.NEVER)[early.end]
    # Where enrolment alone is closed, who is enrolled by then is still infused.
    closed = early.outcome == 1 + OUTCOMES.index(CLOSES)
    return replace(
        cohort,
        enrolled=cohort.enrolled & (found.days.enrolment <= stop),
        infused=cohort.infused & (jnp.where(closed, found.days.enrolment, found.days.infusion) <= stop),
    ), found


def at_cut(key: Any, world: World, numbers: Numbers, plan: Plan) -> tuple[patients.Cohort, Seen | None, Record]:
    """A trial's patients, what the cut shows of their times (None where not simulated), and its records."""
    cohort, _ = conducted(key, world, numbers, plan)
    seen = seen_at_cut(cohort, numbers, plan) if cohort.path is not None else None
    return cohort, seen, recorded(key, cohort, seen, world, numbers, plan)


def run(key: Any, world: World, numbers: Numbers, plan: Plan) -> Outcome:
    """One trial, from its key to its decisions."""
    return _run(key, world, numbers, plan)[0]


def story(key: Any, world: World, numbers: Numbers, plan: Plan) -> tuple[Outcome, Held, dict[int, Any]]:
    """A trial, what was seen at each of its looks, and the values of rules on times, by place among the rules."""
    outcome, found = _run(key, world, numbers, plan)
    assert found is not None
    return outcome, found.held, found.values


def _run(key: Any, world: World, numbers: Numbers, plan: Plan) -> tuple[Outcome, Looked | None]:
    cohort, found = conducted(key, world, numbers, plan)
    if plan.looks and found is None:
        return interim.concluded(interim.prefixes(cohort, plan), numbers, plan)
    finally_seen = observed.at_full_follow_up(cohort)
    counts: dict[Endpoint, Any] = {endpoint: proportions.count(finally_seen, endpoint) for endpoint in plan.endpoints}
    curves, shown, follow_up, retreated, again, counted = {}, {}, None, None, None, None
    seen = seen_at_cut(cohort, numbers, plan) if cohort.path is not None else None
    if plan.flags:
        told = recorded(key, cohort, seen, world, numbers, plan).flags
        counted = jnp.sum(jnp.stack([told[name] for name in plan.flags]), axis=1, dtype=jnp.int32)
    if plan.curves:
        assert seen is not None
        ordered = times.prepared(seen, cohort.dose, {endpoint for endpoint, _ in plan.curves})
        curves = times.estimates(ordered, plan.curves)
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
    at_end = finally_shown(plan.tests, numbers.bounds, counts, sizes, shown)
    decision = found.decision(plan, at_end) if found is not None else None
    evaluated, day = _ended(found, decision, cohort, sizes["infused"], numbers, plan)
    outcome = Outcome(
        enrolled=sizes["enrolled"],
        infused=sizes["infused"],
        counts=counts,
        rejected=interim.rejected(numbers, plan, at_end) if decision is None else decision.rejected,
        curves=curves,
        follow_up=follow_up,
        retreated=retreated,
        responding_again=again,
        flags=counted,
        decision=decision,
        evaluated=evaluated,
        months=None if day is None else day.astype(jnp.float32) / jnp.float32(DAYS),
    )
    return outcome, found


def _ended(
    found: Looked | None, decision: Decision | None, cohort: patients.Cohort, infused: Any, numbers: Numbers, plan: Plan
) -> tuple[Any, Any]:
    """Patients in the analysis that ended a trial with looks in the calendar, and its day; None without.

    Where a look closed enrolment that is the final analysis, of the patients of `cohort`.
    """
    if found is None or decision is None:
        return None, None
    evaluated = jnp.append(found.held.evaluated, infused)[decision.end]
    day = jnp.append(found.held.day, found.final_day)[decision.end]
    if plan.closes:
        closed = decision.outcome == 1 + OUTCOMES.index(CLOSES)
        last = interim.final_day(cohort, numbers, plan)
        evaluated, day = jnp.where(closed, infused, evaluated), jnp.where(closed, last, day)
    return evaluated, day


def run_each(key: Any, world: World, numbers: Numbers, plan: Plan, each: dict[str, Any]) -> Outcome:
    """One trial as many: `each` has a leading axis of sizes, bounds and looks, and so has the outcome.

    `numbers.size` is the largest. For plans whose patients do not depend on the size, without times. Numbers of
    patients that only the size decides are left out (None).
    """
    seen = interim.prefixes(enrol(key, world, numbers, plan), plan)

    def one(own: dict[str, Any]) -> Outcome:
        outcome, _ = interim.concluded(seen, replace(numbers, **own), plan)
        return outcome if plan.attrition or plan.looks else replace(outcome, enrolled=None, infused=None)

    return jax.vmap(one)(each)
