"""A rule of a look -> its table: the count at which it fires, for every number of patients. Host, float64."""

from typing import Any

import numpy as np

from vtrial._support.arrays import Counts
from vtrial._support.errors import InputError
from vtrial.boundaries.conditional import conditional_bounds
from vtrial.boundaries.posterior import posterior_bounds
from vtrial.boundaries.predictive import predictive_bounds
from vtrial.boundaries.toxicity import toxicity_bounds
from vtrial.model.parameters import DAYS
from vtrial.model.side import Side
from vtrial.protocol.tests import Levels
from vtrial.scenario import Design
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import (
    ConditionalRule,
    CountRule,
    MedianRule,
    PosteriorRule,
    PredictiveRule,
    Rule,
    SpendingRule,
    ToxicityRule,
    forecast_of,
)
from vtrial.trial.decisions import RulePlan
from vtrial.trial.spec import Plan

FORECASTS = (PredictiveRule, ConditionalRule)  # they say what a test will show at the final analysis
MOST_ENROLLED = 1000  # patients of a trial whose bounds are kept by patients enrolled too


def patients_at(section: LookSection, planned: int | None) -> int | None:
    """How many patients a look analyses, where its design says so."""
    if section.when.final:
        return planned
    return section.when.infused if section.when.kind == "infused" and section.analyse == "called" else None


def bounds(
    rule: Rule,
    section: LookSection,
    here: int | None,
    design: Design,
    levels: Levels,
    plan: Plan,
    planned: int | None,
    place: str,
) -> tuple[Side, Counts]:
    """The side of a rule's bound, and the bound for n = 0 .. capacity.

    here: the patients that the look analyses, where that is known; a bound for others is not looked for.
    """
    n = np.arange(plan.capacity + 1) if here is None else np.array([here])
    if isinstance(rule, MedianRule):
        return _side(rule.at_least is not None), n[:0]
    if isinstance(rule, CountRule):
        side = _side(rule.at_least is not None)
        bound = rule.at_least if rule.at_least is not None else rule.at_most
        assert bound is not None
        if here is not None and side.inescapable(bound, here):
            way = "at_least" if side.upper else "at_most"
            raise InputError(f"{place}: {way} = {bound} of the {here} patients of this look is always so")
        return side, _whole(np.full(n.shape, bound), n, plan.capacity, side)
    if isinstance(rule, PosteriorRule):
        counts, way = posterior_bounds(
            n,
            rule.prior,  # type: ignore[arg-type]
            above=rule.above,
            below=rule.below,
            probability_at_least=rule.probability_at_least,
            probability_at_most=rule.probability_at_most,
        )
        side = _side(way == "at_least")
        return side, _whole(counts, n, plan.capacity, side)
    if isinstance(rule, ToxicityRule):
        return Side.UPPER, _toxicity(rule, section, design, plan, planned, place)
    test = next(test for test in design.test if test.name == rule.test)
    if isinstance(rule, SpendingRule):
        if test.timed:
            return _side(rule.then == "success"), n[:0]
        side = test.side if rule.then == "success" else test.side.other
        counts = levels.at_look(rule.test, section.name, n, rule.then, 0)
        return side, _whole(counts, n, plan.capacity, side)
    if forecast_of(rule) == "enrolled":
        side = test.side
        if design.in_calendar:  # it is by patients enrolled too, see `enrolled_bounds`
            return side, _whole(n[:0], n[:0], plan.capacity, side)
        counts = _forecast(rule, n, n, levels.final(rule.test, n, 0), test.alternative)
        return side, _whole(counts, n, plan.capacity, side)
    total = rule.final or planned
    if total is None:
        raise InputError(
            f"{place}: how many patients the final test will have varies; say how many it is to reckon with (final)"
        )
    if total > plan.capacity:
        raise InputError(f"{place}: final = {total} is more than the trial can have ({plan.capacity})")
    if here is not None and here > total:
        raise InputError(f"{place}: final = {total} is fewer than the {here} patients of this look")
    critical = levels.final(rule.test, np.array([total]), 0)[0]
    n = n[n <= total]
    counts = _forecast(rule, n, total, critical, test.alternative)
    side = test.side if rule.at_least is not None else test.side.other
    return side, _whole(counts, n, plan.capacity, side)


def _forecast(rule: PredictiveRule | ConditionalRule, n: Counts, total: Any, critical: Any, alternative: Any) -> Counts:
    """The counts at which a forecast of a final test fires. n, total, critical: broadcast."""
    how: dict[str, Any] = {"at_least": rule.at_least, "at_most": rule.at_most, "alternative": alternative}
    if isinstance(rule, PredictiveRule):
        return predictive_bounds(n, total, critical, rule.prior, **how)  # type: ignore[arg-type]
    return conditional_bounds(n, total, critical, rule.rate, **how)


def enrolled_bounds(
    rule: PredictiveRule | ConditionalRule, here: int | None, levels: Levels, plan: Plan, place: str
) -> Counts:
    """The counts at which a forecast of the patients enrolled by its look fires, by patients of the look and patients
    enrolled, (capacity + 1, capacity + 1). here: the patients that the look analyses, where that is known.

    Raises `InputError` where the table would be too large.
    """
    if plan.capacity > MOST_ENROLLED:
        raise InputError(
            f'{place}: forecast = "enrolled" in the calendar is for trials of at most {MOST_ENROLLED} patients, not '
            f"{plan.capacity}"
        )
    every = np.arange(plan.capacity + 1)
    critical = levels.final(rule.test, every, 0)
    test = next(test for test in plan.tests if test.name == rule.test)
    never = test.side.never(every)
    table = np.repeat(never[:, None], plan.capacity + 1, axis=1)
    for n in every[1:] if here is None else [here]:
        table[n, n:] = _forecast(rule, np.full(len(every) - n, n), every[n:], critical[n:], test.alternative)
    return table


def _side(upper: bool) -> Side:
    return Side.UPPER if upper else Side.LOWER


def _whole(counts: Counts, n: Counts, capacity: int, side: Side) -> Counts:
    """A table for n = 0 .. capacity from its rows at `n`; elsewhere the rule never fires."""
    every = np.arange(capacity + 1)
    table = side.never(every)
    inside = n <= capacity
    table[n[inside]] = counts[inside]
    return table


def _toxicity(
    rule: ToxicityRule, section: LookSection, design: Design, plan: Plan, planned: int | None, place: str
) -> Counts:
    """The bound of a look among those that carry the same rule."""
    nameless = rule.model_copy(update={"name": None})
    alike = [s for s in design.looks if any(r.model_copy(update={"name": None}) == nameless for r in s.rule)]
    numbers = [patients_at(look, planned) for look in alike]
    if None in numbers or sorted(set(numbers)) != numbers:  # type: ignore[type-var]
        raise InputError(
            f'{place}: kind = "toxicity" needs looks at ascending numbers infused (analyse = "called"): {numbers}'
        )
    bounds = toxicity_bounds(np.array(numbers), null=rule.null, alpha=rule.alpha).at_least
    mine = [look.name for look in alike].index(section.name)
    return _whole(bounds[[mine]], np.array([numbers[mine]]), plan.capacity, Side.UPPER)


def by_set(
    rule: RulePlan,
    section: LookSection,
    levels: Levels,
    plan: Plan,
    table: Counts,
    planned: int | None,
) -> Counts:
    """A rule's table for each set of rejected tests. Under a graph alpha moves: the bounds of a spending rule and of a
    forecast follow it, and no rule claims a test that has no alpha yet."""
    written = section.rule_named(rule.name)
    sets = 2 ** len(plan.tests) if plan.graph else 1
    if rule.time is not None:
        return np.zeros((sets, plan.capacity + 1), np.int64)
    if sets == 1:
        return np.broadcast_to(table, (sets, plan.capacity + 1))
    n = np.arange(plan.capacity + 1)
    alternative = next(test.alternative for test in plan.tests if test.name == rule.of)

    def at(code: int) -> Counts:
        if levels.alpha(rule.of, code) == 0.0:
            return _whole(n[:0], n[:0], plan.capacity, rule.side)
        if isinstance(written, SpendingRule):
            return _whole(levels.at_look(rule.of, section.name, n, rule.then, code), n, plan.capacity, rule.side)
        if not isinstance(written, FORECASTS):
            return table
        here, total = patients_at(section, planned), written.final or planned
        assert total is not None
        some = n[n <= total] if here is None else np.array([here])
        critical = levels.final(rule.of, np.array([total]), code)[0]
        return _whole(_forecast(written, some, total, critical, alternative), some, plan.capacity, rule.side)

    return np.stack([at(code) for code in range(sets)])


def limits(rule: RulePlan, section: LookSection, levels: Levels, sets: int) -> list[float]:
    """The limit of a rule on a time, for each set of rejected tests: days, or a normal quantile."""
    written = section.rule_named(rule.name)
    if isinstance(written, MedianRule):
        months = written.at_least if written.at_least is not None else written.at_most
        assert months is not None
        never = rule.side.beyond
        free = [not rule.test or levels.alpha(rule.test, code) > 0.0 for code in range(sets)]
        return [months * DAYS if one else never for one in free]
    return [levels.z_at_look(rule.of, section.name, rule.then, code) for code in range(sets)]


def refuse_crossing(
    section: LookSection,
    rules: list[RulePlan],
    tables: list[Counts],
    look: int,
    capacity: int,
    where: str,
    *,
    planned: int | None = None,
) -> None:
    """Refuse rules of one look that would stop for success and for futility at the same count.

    planned: the patients that the look has by design; None: it may have any number.
    """
    mine = [(rule, table) for rule, table in zip(rules, tables, strict=True) if rule.look == look and rule.time is None]
    n = np.arange(capacity + 1)
    for up, bound in mine:
        for down, limit in mine:
            if {up.then, down.then} != {"success", "futility"} or up.watched != down.watched:
                continue
            if up.side.upper and not down.side.upper:
                both = (bound <= limit) & (bound <= n) & (limit >= 0) & ((n == planned) | (planned is None))
                if both.any():
                    at = int(np.flatnonzero(both)[0])
                    raise InputError(
                        f"{where}: [[look]] '{section.name}': bounds cross: with {at} patients '{up.name}' fires from "
                        f"{bound[at]} on and '{down.name}' up to {limit[at]}"
                    )
