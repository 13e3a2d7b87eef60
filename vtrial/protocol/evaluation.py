"""A look's rules against what was seen: the same tables of bounds for a simulated trial and for a real one. Host."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vtrial.boundaries.binomial import tail
from vtrial.boundaries.conditional import conditional_power
from vtrial.boundaries.posterior import posterior_probability
from vtrial.boundaries.predictive import predictive_probability
from vtrial.model.parameters import DAYS
from vtrial.model.side import Side
from vtrial.model.vocabulary import in_figures
from vtrial.protocol.build import Protocol
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


@dataclass(frozen=True)
class Judged:
    """One rule at one look.

    count, n: of what it counts (None for a rule on a time). bound: the count at which it fires, None where none of n
    does; side: that of the bound. value, limit: what the rule itself speaks of (a probability, a normal
    quantile, months), and its bound. fires: whether.
    """

    look: str
    rule: str
    kind: str
    endpoint: str
    then: str
    count: int | None
    n: int | None
    bound: int | None
    side: Side
    value: float
    limit: float
    fires: bool

    @property
    def in_words(self) -> str:
        """What was seen against the bound: "40 of 64, fires from 44 on"."""
        if self.count is None:
            if self.kind == "median":
                if not np.isfinite(self.limit):
                    return f"median {_months(self.value)}, cannot fire at this look"
                way = "from" if self.side.upper else "up to"
                return f"median {_months(self.value)}, fires {way} {self.limit:g} months"
            if not np.isfinite(self.limit):
                return f"z = {in_figures(self.value, '.3f')}, cannot fire at this look"
            way = "from" if self.side.upper else "up to"
            return f"z = {in_figures(self.value, '.3f')}, fires {way} {self.limit:.3f}"
        if self.bound is None:
            return f"{self.count} of {self.n}, cannot fire at this look (no count of {self.n} does)"
        return f"{self.count} of {self.n}, fires {self.side.in_words(self.bound)}"


def _months(value: float) -> str:
    return f"{value:.2f} months" if np.isfinite(value) else "not reached" if np.isinf(value) else "not estimable yet"


def judge(
    protocol: Protocol,
    place: int,
    count: int | None,
    n: int | None,
    value: float = np.nan,
    *,
    enrolled: int | None = None,
) -> Judged:
    """The rule at `place` among the plan's rules, given what was seen.

    count, n: patients with what it counts, of how many. value: of a rule on a time, days or a normal quantile.
    enrolled: patients enrolled by the look, for forecasts of them in the calendar. Tests under a graph are judged at
    the level that they begin with.
    """
    plan, numbers = protocol.plan.rules[place], protocol.numbers.looks
    assert protocol.looks is not None
    assert numbers is not None
    section = protocol.looks.sections[plan.look]
    rule = section.rule_named(plan.name)
    if plan.time is not None:
        timed = [r for r, other in enumerate(protocol.plan.rules) if other.time is not None]
        scale = DAYS if isinstance(rule, MedianRule) else 1.0
        limit = float(numbers.limits[timed.index(place), 0])
        fires = plan.side.reached(value, limit)
        what = (None, None, None, value / scale, limit / scale)
    else:
        assert count is not None
        assert n is not None
        if plan.enrolled:
            assert enrolled is not None
            ahead = [r for r, other in enumerate(protocol.plan.rules) if other.enrolled]
            bound = int(numbers.by_enrolled[ahead.index(place), n, enrolled])
        else:
            bound = int(numbers.bounds[place, n])
        fires = plan.side.reached(count, bound)
        there = plan.side.attainable(bound, n)
        what = (count, n, bound if there else None, *_value(rule, plan, protocol, count, n, enrolled))
    return Judged(
        look=section.name,
        rule=plan.name,
        kind=rule.kind,
        endpoint=plan.time[0] if plan.time is not None else protocol.plan.watched[plan.watched].name,
        then=plan.then,
        count=what[0],
        n=what[1],
        bound=what[2],
        side=plan.side,
        value=what[3],
        limit=what[4],
        fires=bool(fires),
    )


def _value(
    rule: Rule, plan: RulePlan, protocol: Protocol, count: int, n: int, enrolled: int | None
) -> tuple[float, float]:
    """What a rule on a count speaks of, and its bound: a probability, a rate, a normal statistic."""
    if isinstance(rule, CountRule):
        return float(count), float(rule.at_least if rule.at_least is not None else rule.at_most or 0)
    if n == 0:
        return np.nan, np.nan
    if isinstance(rule, PosteriorRule):
        prior: Any = rule.prior
        below = rule.below is not None
        edge = rule.below if rule.below is not None else rule.above
        limit = rule.probability_at_least if rule.probability_at_least is not None else rule.probability_at_most
        assert edge is not None
        assert limit is not None
        return float(posterior_probability(count, n, prior, edge, below=below)), limit
    if isinstance(rule, ToxicityRule):
        return float(tail(count, n, rule.null)), np.nan
    test = next(test for test in protocol.tests if test.name == plan.of)
    if isinstance(rule, SpendingRule):
        z = (count - n * test.null) / np.sqrt(n * test.null * (1.0 - test.null))
        z = z if test.alternative == "greater" else -z
        exact = test.method == "exact"
        limit = (
            np.nan if exact else protocol.levels.z_at_look(plan.of, protocol.plan.looks[plan.look].name, plan.then, 0)
        )
        return float(z), float(limit)
    assert isinstance(rule, PredictiveRule | ConditionalRule)
    total = rule.final or protocol.levels.planned
    if forecast_of(rule) == "enrolled":
        total = enrolled if plan.enrolled else n
    assert total is not None
    if n > total:
        return np.nan, np.nan
    critical = int(protocol.levels.final(plan.of, np.array([total]), 0)[0])
    limit = rule.at_least if rule.at_least is not None else rule.at_most
    assert limit is not None
    if isinstance(rule, PredictiveRule):
        prior = rule.prior
        found = predictive_probability(count, n, total, critical, prior, alternative=test.alternative)
    else:
        found = conditional_power(count, n, total, critical, rule.rate, alternative=test.alternative)
    return float(found), limit
