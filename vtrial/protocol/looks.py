"""Looks and rules of a design -> what the engine runs: their structure, and tables of bounds. Host, float64.

A rule becomes the count at which it fires for every number of patients; simulation, exact answers and decisions on
real data (`vtrial.decide`) read the same table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtrial._support.errors import InputError
from vtrial.model.endpoints import Watched, watched
from vtrial.model.parameters import DAYS
from vtrial.protocol.rule_bounds import FORECASTS, bounds, by_set, enrolled_bounds, limits, patients_at, refuse_crossing
from vtrial.protocol.tests import Levels
from vtrial.scenario import Design
from vtrial.scenario.looks import LookSection, When
from vtrial.scenario.rules import ConditionalRule, MedianRule, PredictiveRule, Rule, SpendingRule, forecast_of, test_of
from vtrial.trial.decisions import RulePlan, entries_of
from vtrial.trial.observation.looks import LookNumbers, LookPlan
from vtrial.trial.spec import Plan

# Months of accrual: days and patients' numbers share a key of 31 bits, see `vtrial.trial.observation.looks`.
_LONGEST = 3600.0


@dataclass(frozen=True)
class Looks:
    """The looks of a design, in their order. sections: one a look. plans, rules, watched: structure. numbers: what may
    change without compiling. in_calendar: whether looks have a place in the calendar."""

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
    rate = design.calendar.accrual_per_month
    if design.in_calendar and rate is not None and plan.capacity + 6.0 * np.sqrt(plan.capacity) > _LONGEST * rate:
        raise InputError(
            f"{where}: [calendar] accrual_per_month = {rate:g}: {plan.capacity} patients take more than "
            f"{_LONGEST / 12:g} years, too long for looks in the calendar"
        )
    count, follow_up, plans = _conditions(sections)
    for section in sections:
        if section.when.kind == "infused" and section.when.infused > plan.capacity:
            raise InputError(
                f"{where}: [[look]] '{section.name}': looks at {section.when.infused} infused, beyond the last of "
                f"{plan.capacity} patients"
            )
    rules, tables, by_enrolled = [], [], []
    for number, section in enumerate(sections):
        for name, rule in zip(section.names, section.rule, strict=True):
            place = f"{where}: [[look]] '{section.name}' rule '{name}'"
            here = None if any_n else patients_at(section, planned)
            side, table = bounds(rule, section, here, design, levels, plan, planned, place)
            what = _watched(rule, design)
            claims = test_of(rule) if rule.then == "success" else None
            ahead = isinstance(rule, FORECASTS) and forecast_of(rule) == "enrolled" and design.in_calendar
            order = section.precedence
            rules.append(
                RulePlan(
                    look=number,
                    name=name,
                    watched=-1 if what is None else asked.index(what),
                    side=side,
                    then=rule.then,
                    test=claims or "",
                    tests=tuple(rule.tests),
                    rank=order.index(rule.then),
                    time=_time_of(rule, design),
                    of=test_of(rule) or "",
                    void=rule.then == "harm" and order.index("harm") < order.index("success"),
                    enrolled=ahead,
                )
            )
            tables.append(table)
            if ahead:
                assert isinstance(rule, PredictiveRule | ConditionalRule)
                by_enrolled.append(enrolled_bounds(rule, here, levels, plan, place))
        refuse_crossing(section, rules, tables, number, plan.capacity, where, planned=patients_at(section, planned))
    entries = entries_of(plan.tests, tuple(rules), len(sections))
    sets = 2 ** len(plan.tests) if plan.graph else 1
    from_rules = [int(r) for r in entries.rule if r >= 0]
    shown = [by_set(rules[r], sections[rules[r].look], levels, plan, tables[r], planned) for r in from_rules]
    timed = [r for r, rule in enumerate(rules) if rule.time is not None]
    edges = [limits(rules[r], sections[rules[r].look], levels, sets) for r in timed]
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
            limits=np.array(edges, np.float32).reshape(len(timed), sets),
            by_enrolled=np.array(by_enrolled, np.int32).reshape(-1, *[plan.capacity + 1] * 2),
        ),
        in_calendar=design.in_calendar,
    )


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
        LookPlan(
            section.name,
            add(section.when),
            every=section.analyse == "all" or section.when.kind in ("events", "calendar_month"),
        )
        for section in sections
    )
    return np.array(count, np.int32), np.array(follow_up, np.int32), plans
