"""A rule of a look -> its table: the count at which it fires, for every number of patients. Host, float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtrial.curves import DAYS
from vtrial.decisions import RulePlan
from vtrial.design.conditional import conditional_bounds
from vtrial.design.counts import direction
from vtrial.design.posterior import posterior_bounds
from vtrial.design.predictive import predictive_bounds
from vtrial.design.toxicity import toxicity_bounds
from vtrial.errors import InputError
from vtrial.plan import Plan
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
)
from vtrial.sequential import Levels

Table = NDArray[np.int64]

FORECASTS = (PredictiveRule, ConditionalRule)  # they say what a test will show, and show nothing themselves


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
) -> tuple[bool, Table]:
    """Whether a rule fires from its bound on (else up to it), and the bound for n = 0 .. capacity.

    here: the patients that the look analyses, where that is known; a bound for others is not looked for.
    """
    n = np.arange(plan.capacity + 1) if here is None else np.array([here])
    if isinstance(rule, MedianRule):
        return rule.at_least is not None, n[:0]
    if isinstance(rule, CountRule):
        at_least = rule.at_least is not None
        bound = rule.at_least if rule.at_least is not None else rule.at_most
        assert bound is not None
        if here is not None and (bound == 0 if at_least else bound >= here):
            way = "at_least" if at_least else "at_most"
            raise InputError(f"{place}: {way} = {bound} of the {here} patients of this look is always so")
        return at_least, _whole(np.full(n.shape, bound), n, plan.capacity, at_least)
    if isinstance(rule, PosteriorRule):
        counts, way = posterior_bounds(
            n,
            rule.prior,  # type: ignore[arg-type]
            above=rule.above,
            below=rule.below,
            probability_at_least=rule.probability_at_least,
            probability_at_most=rule.probability_at_most,
        )
        return way == "at_least", _whole(counts, n, plan.capacity, way == "at_least")
    if isinstance(rule, ToxicityRule):
        return True, _toxicity(rule, section, design, plan, planned, place)
    test = next(test for test in design.test if test.name == rule.test)
    if isinstance(rule, SpendingRule):
        if test.timed:
            return rule.then == "success", n[:0]
        at_least = (test.alternative == "greater") == (rule.then == "success")
        counts = levels.at_look(rule.test, section.name, n, rule.then, 0)
        return at_least, _whole(counts, n, plan.capacity, at_least)
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
    upward = rule.at_least is not None
    n = n[n <= total]
    how: dict[str, Any] = {"at_least": rule.at_least, "at_most": rule.at_most, "alternative": test.alternative}
    if isinstance(rule, PredictiveRule):
        counts = predictive_bounds(n, total, critical, rule.prior, **how)  # type: ignore[arg-type]
    else:
        counts = conditional_bounds(n, total, critical, rule.rate, **how)
    at_least = direction(rises=test.alternative == "greater", upward=upward) == "at_least"
    return at_least, _whole(counts, n, plan.capacity, at_least)


def _whole(counts: Table, n: Table, capacity: int, at_least: bool) -> Table:
    """A table for n = 0 .. capacity from its rows at `n`; elsewhere the rule never fires."""
    every = np.arange(capacity + 1)
    table = every + 1 if at_least else np.full(capacity + 1, -1)
    inside = n <= capacity
    table[n[inside]] = counts[inside]
    return table


def _toxicity(
    rule: ToxicityRule, section: LookSection, design: Design, plan: Plan, planned: int | None, place: str
) -> Table:
    """The bound of a look among those that carry the same rule."""
    alike = [s for s in design.looks if any(r == rule for r in s.rule)]
    numbers = [patients_at(look, planned) for look in alike]
    if None in numbers or sorted(set(numbers)) != numbers:  # type: ignore[type-var]
        raise InputError(
            f'{place}: kind = "toxicity" needs looks at ascending numbers infused (analyse = "called"): {numbers}'
        )
    bounds = toxicity_bounds(np.array(numbers), null=rule.null, alpha=rule.alpha).at_least
    mine = [look.name for look in alike].index(section.name)
    return _whole(bounds[[mine]], np.array([numbers[mine]]), plan.capacity, True)


def by_set(
    rule: RulePlan,
    section: LookSection,
    levels: Levels,
    plan: Plan,
    table: Table,
) -> Table:
    """A rule's table for each set of rejected tests: alpha of a spending rule moves under a graph, others stay."""
    written = section.rule_named(rule.name)
    sets = 2 ** len(plan.tests) if plan.graph else 1
    if rule.time is not None:
        return np.zeros((sets, plan.capacity + 1), np.int64)
    if not isinstance(written, SpendingRule) or sets == 1:
        return np.broadcast_to(table, (sets, plan.capacity + 1))
    n = np.arange(plan.capacity + 1)
    return np.stack(
        [
            _whole(levels.at_look(rule.of, section.name, n, rule.then, code), n, plan.capacity, rule.at_least)
            for code in range(sets)
        ]
    )


def limits(rule: RulePlan, section: LookSection, levels: Levels, sets: int) -> list[float]:
    """The limit of a rule on a time, for each set of rejected tests: days, or a normal quantile."""
    written = section.rule_named(rule.name)
    if isinstance(written, MedianRule):
        months = written.at_least if written.at_least is not None else written.at_most
        assert months is not None
        return [months * DAYS] * sets
    return [levels.z_at_look(rule.of, section.name, rule.then, code) for code in range(sets)]


def refuse_crossing(
    section: LookSection, rules: list[RulePlan], tables: list[Table], look: int, capacity: int, where: str
) -> None:
    """Refuse rules of one look that would stop for success and for futility at the same count."""
    mine = [(rule, table) for rule, table in zip(rules, tables, strict=True) if rule.look == look and rule.time is None]
    n = np.arange(capacity + 1)
    for up, bound in mine:
        for down, limit in mine:
            if {up.then, down.then} != {"success", "futility"} or up.watched != down.watched:
                continue
            if up.at_least and not down.at_least:
                both = (bound <= limit) & (bound <= n) & (limit >= 0)
                if both.any():
                    at = int(np.flatnonzero(both)[0])
                    raise InputError(
                        f"{where}: [[look]] '{section.name}': bounds cross: with {at} patients '{up.name}' fires from "
                        f"{bound[at]} on and '{down.name}' up to {limit[at]}"
                    )
