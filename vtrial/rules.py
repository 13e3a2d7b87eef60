"""Looks and rules of a design -> what the engine runs: their structure, and tables of bounds. Host, float64.

A rule becomes the count at which it fires for every number of patients; simulation, exact answers and decisions on
real data (`vtrial.decide`) read the same table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtrial.conduct.looks import LookNumbers, LookPlan
from vtrial.conduct.windows import Watched, watched
from vtrial.curves import DAYS
from vtrial.decisions import RulePlan, entries_of
from vtrial.design.conditional import conditional_bounds
from vtrial.design.counts import direction
from vtrial.design.posterior import posterior_bounds
from vtrial.design.predictive import predictive_bounds
from vtrial.design.toxicity import toxicity_bounds
from vtrial.errors import InputError
from vtrial.plan import Plan
from vtrial.scenario import Design
from vtrial.scenario.looks import LookSection, When
from vtrial.scenario.rules import (
    ConditionalRule,
    CountRule,
    MedianRule,
    PosteriorRule,
    PredictiveRule,
    Rule,
    SpendingRule,
    ToxicityRule,
    name_of,
    test_of,
)
from vtrial.sequential import Levels

Table = NDArray[np.int64]


@dataclass(frozen=True)
class Looks:
    """The looks of a design, in their order. sections: one a look. plans, rules, watched: structure. numbers: what may
    change without compiling. levels: what looks make of the tests' bounds. bounds: of the final tests, by name."""

    sections: tuple[LookSection, ...]
    plans: tuple[LookPlan, ...]
    rules: tuple[RulePlan, ...]
    watched: tuple[Watched, ...]
    numbers: LookNumbers
    in_calendar: bool


def watches(design: Design) -> tuple[Watched, ...]:
    """All that the looks of a design count, each once."""
    found = [_watched(rule, design) for look in design.looks for rule in look.rule]
    return tuple(dict.fromkeys(asked for asked in found if asked is not None))


def looks(
    design: Design, levels: Levels, plan: Plan, planned: int | None, where: str, *, any_n: bool = False
) -> Looks | None:
    """The looks of a design; None where it has none.

    plan: what is known of it so far (capacity, tests). planned: patients at the final analysis, where the design says
    how many. any_n: whether rules have bounds for other numbers than the planned ones too.

    Raises `InputError` for a look that cannot come, or rules that contradict each other.
    """
    sections = design.looks
    if not sections:
        return None
    asked = watches(design)
    count, follow_up, plans = _conditions(sections)
    for section in sections:
        if section.when.kind == "infused" and section.when.infused > plan.capacity:
            raise InputError(
                f"{where}: [[look]] '{section.name}': looks at {section.when.infused} infused, beyond the last of "
                f"{plan.capacity} patients"
            )
    rules, tables = [], []
    for number, section in enumerate(sections):
        for rule in section.rule:
            place = f"{where}: [[look]] '{section.name}' rule '{name_of(rule)}'"
            here = None if any_n else patients_at(section, planned)
            at_least, table = _bounds(rule, section, here, design, levels, plan, planned, place)
            what = _watched(rule, design)
            shows = test_of(rule) if rule.then == "success" and not isinstance(rule, _FORECASTS) else None
            rules.append(
                RulePlan(
                    look=number,
                    name=name_of(rule),
                    watched=-1 if what is None else asked.index(what),
                    at_least=at_least,
                    then=rule.then,
                    test=shows or "",
                    tests=tuple(rule.tests),
                    rank=section.order.index(rule.then),
                    time=_time_of(rule, design),
                    of=test_of(rule) or "",
                )
            )
            tables.append(table)
        _cross(section, rules, tables, number, plan.capacity, where)
    entries = entries_of(plan.tests, tuple(rules), len(sections))
    sets = 2 ** len(plan.tests) if plan.graph else 1
    from_rules = [int(r) for r in entries.rule if r >= 0]
    shown = [_by_set(rules[r], sections[rules[r].look], levels, plan, tables[r]) for r in from_rules]
    timed = [r for r, rule in enumerate(rules) if rule.time is not None]
    limits = [_limits(rules[r], sections[rules[r].look], levels, sets) for r in timed]
    empty = np.zeros((len(rules), plan.capacity + 1), np.int32)
    for r, table in enumerate(tables):
        empty[r] = 0 if rules[r].time is not None else table
    needed = [max((w.days for w in _of_look(section, design)), default=0) for section in sections]
    return Looks(
        sections=tuple(sections),
        plans=plans,
        rules=tuple(rules),
        watched=asked,
        numbers=LookNumbers(
            count=count,
            follow_up=follow_up,
            needed=np.array(needed, np.int32),
            bounds=empty,
            shown=np.array(shown, np.int32).reshape(len(from_rules), sets, plan.capacity + 1),
            limits=np.array(limits, np.float32).reshape(len(timed), sets),
        ),
        in_calendar=design.in_calendar,
    )


_FORECASTS = (PredictiveRule, ConditionalRule)  # they say what a test will show, and show nothing themselves


def _watched(rule: Rule, design: Design) -> Watched | None:
    if _time_of(rule, design) is not None:
        return None
    if rule.watches is not None:
        return rule.watches
    return watched(next(test.endpoint for test in design.test if test.name == test_of(rule)))


def _of_look(section: LookSection, design: Design) -> list[Watched]:
    return [asked for asked in (_watched(rule, design) for rule in section.rule) if asked is not None]


def _time_of(rule: Rule, design: Design) -> Any:
    if isinstance(rule, MedianRule):
        return rule.endpoint, "median"
    if isinstance(rule, SpendingRule):
        test = next(test for test in design.test if test.name == rule.test)
        return (test.endpoint, "log-rank") if test.timed else None
    return None


def _conditions(sections: Sequence[LookSection]) -> tuple[Any, Any, tuple[LookPlan, ...]]:
    """Numbers of all that calls a look, and the looks, whose structure refers to them by place."""
    count: list[int] = []
    follow_up: list[int] = []

    def add(when: When) -> tuple[Any, ...]:
        if when.final:
            return ("final",)
        if when.any or when.all:
            return (when.kind, tuple(add(one) for one in when.any or when.all or []))
        if when.infused:
            count.append(int(when.infused))
        elif when.events:
            count.append(next(iter(when.events.values())))
        else:
            assert when.calendar_month is not None
            count.append(int(when.calendar_month * DAYS))
        follow_up.append(round((when.follow_up_months or 0.0) * DAYS))
        place = len(count) - 1
        if when.events:
            return ("events", place, next(iter(when.events)))
        return ("infused" if when.infused else "month", place)

    plans = tuple(
        LookPlan(section.name, add(section.when), every=section.analyse == "all" or section.when.kind != "infused")
        for section in sections
    )
    plans = tuple(
        LookPlan(p.name, p.when, every=s.analyse == "all" or s.when.kind in ("events", "calendar_month"))
        for p, s in zip(plans, sections, strict=True)
    )
    return np.array(count, np.int32), np.array(follow_up, np.int32), plans


def patients_at(section: LookSection, planned: int | None) -> int | None:
    """How many patients a look analyses, where its design says so."""
    if section.when.final:
        return planned
    return section.when.infused if section.when.kind == "infused" and section.analyse == "called" else None


def _bounds(
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
    if test.timed:
        raise InputError(f"{place}: kind = \"{rule.kind}\" is for tests of a rate, and '{test.name}' is of a time")
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


def _by_set(
    rule: RulePlan,
    section: LookSection,
    levels: Levels,
    plan: Plan,
    table: Table,
) -> Table:
    """A rule's table for each set of rejected tests: alpha of a spending rule moves under a graph, others stay."""
    written = section.rule[[name_of(one) for one in section.rule].index(rule.name)]
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


def _limits(rule: RulePlan, section: LookSection, levels: Levels, sets: int) -> list[float]:
    """The limit of a rule on a time, for each set of rejected tests: days, or a normal quantile."""
    written = section.rule[[name_of(one) for one in section.rule].index(rule.name)]
    if isinstance(written, MedianRule):
        months = written.at_least if written.at_least is not None else written.at_most
        assert months is not None
        return [months * DAYS] * sets
    return [levels.z_at_look(rule.of, section.name, rule.then, code) for code in range(sets)]


def _cross(
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
