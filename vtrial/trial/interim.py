"""The looks of one trial before its end, and what they and its final analysis decide. Pure JAX; no batch axis."""

from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp

from vtrial.model.endpoints import Endpoint, TimeEndpoint
from vtrial.model.parameters import DAYS
from vtrial.model.vocabulary import Population
from vtrial.trial.analysis import proportions, times
from vtrial.trial.decisions import Decision, decide, entries_of, finally_shown, fires, in_order
from vtrial.trial.observation import looks, observed, visits
from vtrial.trial.observation.looks import Held
from vtrial.trial.observation.visits import Seen
from vtrial.trial.patients import cohort as patients
from vtrial.trial.patients import course
from vtrial.trial.spec import Numbers, Outcome, Plan


@dataclass(frozen=True)
class Looked:
    """The looks of one trial: what they saw, whether rules fire and entries of tests by rules show theirs; its days;
    values: what rules on times compare with their limits, by place among the rules."""

    held: Held
    fired: Any
    shown: Any
    days: looks.Days | None = None
    final_day: Any = None
    values: dict[int, Any] = field(default_factory=dict[int, Any])

    def decision(self, plan: Plan, at_end: dict[str, Any] | None) -> Decision:
        """What the looks decide, and the final analysis where it is given what each test shows then."""
        sets = self.shown.shape[1]
        ends = [jnp.zeros((), bool) if at_end is None else at_end[test.name] for test in plan.tests]
        shown = jnp.concatenate([self.shown, *(jnp.broadcast_to(value, (1, sets)) for value in ends)])
        return decide(plan.looks, plan.rules, plan.tests, self.held, self.fired, shown)


def looked(cohort: patients.Cohort, numbers: Numbers, plan: Plan) -> Looked:
    """The looks of a trial with a calendar."""
    assert numbers.looks is not None
    days, last = looks.days_of(cohort), final_day(cohort, numbers, plan)
    documented = _followed(cohort, jnp.full_like(days.infusion, course.NEVER - 1), plan)
    found = looks.hold(plan.looks, plan.watched, numbers.looks, cohort, days, documented, last)
    values: dict[int, Any] = {}
    asked = [r for r, rule in enumerate(plan.rules) if rule.time is not None]
    limits = {r: limit[0] for r, limit in zip(asked, numbers.looks.limits, strict=True)}
    for look in sorted({plan.rules[r].look for r in asked}):
        # Where a look never comes its day is beyond every follow-up, and nobody asks what it shows.
        follow_up = jnp.minimum(found.day[look], course.NEVER - 1) - days.infusion
        follow_up = jnp.where(found.mine[look], follow_up, -1)
        mine = [r for r in asked if plan.rules[r].look == look]
        wanted: set[TimeEndpoint] = {plan.rules[r].time[0] for r in mine}  # type: ignore[index]
        ordered = times.prepared(_followed(cohort, follow_up, plan), cohort.dose, wanted)
        for r in mine:
            values[r] = times.at_look(ordered, plan.rules[r], numbers.benchmarks, limits[r])
    return replace(compared(found, values, numbers, plan), days=days, final_day=last)


def final_day(cohort: patients.Cohort, numbers: Numbers, plan: Plan) -> Any:
    """The day of the final analysis of a cohort, int32."""
    assert numbers.calendar is not None
    day = jnp.floor(numbers.calendar.cut * DAYS).astype(jnp.int32)
    if plan.cut_after_last:
        day = day + jnp.max(jnp.where(cohort.infused, looks.days_of(cohort).infusion, 0))
    return day


def _followed(cohort: patients.Cohort, follow_up: Any, plan: Plan) -> Seen:
    return visits.seen_after(
        cohort.path,  # type: ignore[arg-type]
        cohort.infused,
        cohort.response,
        follow_up,
        censor_missed=plan.censor_missed,
        censor_new_therapy=plan.censor_new_therapy,
    )


def compared(found: Held, values: dict[int, Any], numbers: Numbers, plan: Plan) -> Looked:
    """Every rule against its bound; values: what rules on times compare, by place."""
    sets = 2 ** len(plan.tests) if plan.graph else 1
    if numbers.looks is None:
        return Looked(found, jnp.zeros(0, bool), jnp.zeros((0, sets), bool))
    timed: dict[int, Any] = {}
    for limit, r in zip(numbers.looks.limits, (r for r, rule in enumerate(plan.rules) if rule.time), strict=True):
        value = values[r]
        timed[r] = plan.rules[r].side.reached(value, limit)
    at_first_level = {r: value[0] for r, value in timed.items()}
    fired = fires(plan.rules, numbers.looks.bounds, found, at_first_level, numbers.looks.by_enrolled)
    rows: list[Any] = []
    for k, r in enumerate(entries_of(plan.tests, plan.rules, len(plan.looks)).rule):
        if r >= 0 and r in timed:
            rows.append(jnp.broadcast_to(timed[r], (sets,)))
        elif r >= 0:
            rule = plan.rules[r]
            x, n = (table[rule.look, rule.watched] for table in (found.counts, found.sizes))
            bound = numbers.looks.shown[k, :, n]
            rows.append(rule.side.reached(x, bound))
    shown = jnp.stack(rows) if rows else jnp.zeros((0, sets), bool)
    return Looked(found, fired, shown, values=values)


def rejected(numbers: Numbers, plan: Plan, at_end: dict[str, Any]) -> dict[str, Any]:
    """Which tests reject at the final analysis of a trial without looks."""
    if not plan.graph:
        return in_order(plan.tests, at_end)
    none = Held(jnp.zeros(0, jnp.int32), jnp.zeros(0, bool), *(jnp.zeros(0, jnp.int32),) * 3)
    return compared(none, {}, numbers, plan).decision(plan, at_end).rejected


# --- looks at full follow-up, and one trial as many: its first n patients are the trial of n


def prefixes(cohort: patients.Cohort, plan: Plan) -> looks.Running:
    """Running numbers of all that the plan counts."""
    seen = observed.at_full_follow_up(cohort)
    masks = {endpoint: proportions.reached(seen, endpoint) for endpoint in plan.endpoints}
    masks |= {asked.name: looks.reached(cohort, asked) for asked in plan.watched if asked.name not in masks}
    return looks.running(cohort, masks, all_infused=not plan.attrition)


def concluded(seen: looks.Running, numbers: Numbers, plan: Plan) -> tuple[Outcome, Looked | None]:
    """The trial of `numbers.size` patients, its looks and its final analysis, from running numbers. Counts alone."""
    everybody = not plan.attrition
    last = numbers.size
    if plan.target == "infused":
        last = looks.place_of(seen, numbers.size, all_infused=everybody)
    last = jnp.minimum(last, seen.infused.shape[0] - 1)

    def at(place: Any) -> tuple[dict[Endpoint, Any], dict[Population, Any]]:
        return {e: seen.counts[e][place] for e in plan.endpoints}, {"enrolled": place, "infused": seen.infused[place]}

    counts, sizes = at(last)
    at_end = finally_shown(plan.tests, numbers.bounds, counts, sizes, {})
    if not plan.looks:
        return Outcome(last, sizes["infused"], counts, rejected(numbers, plan, at_end)), None
    assert numbers.looks is not None
    found = looks.hold_in_turn(plan.looks, plan.watched, numbers.looks, seen, last, all_infused=everybody)
    told = compared(found, {}, numbers, plan)
    if plan.closes:  # the final analysis is of those enrolled by the look that ends the trial, or its enrolment
        counts, sizes = at(jnp.append(found.day, last)[told.decision(plan, None).end])
        at_end = finally_shown(plan.tests, numbers.bounds, counts, sizes, {})
    decision = told.decision(plan, at_end)
    counts, sizes = at(jnp.append(found.day, last)[decision.end])
    outcome = Outcome(
        sizes["enrolled"],
        sizes["infused"],
        counts,
        decision.rejected,
        decision=decision,
        evaluated=sizes["infused"],
    )
    return outcome, told
