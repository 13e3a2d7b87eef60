"""The exact size of a test over its looks and the end, every patient having the endpoint at the null's rate. Host."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from vtrial.boundaries.one_sample import size_and_power
from vtrial.model.dose_response import Step
from vtrial.model.endpoints import watched
from vtrial.model.vocabulary import CLOSES
from vtrial.protocol.build import Protocol
from vtrial.protocol.reachable import written
from vtrial.protocol.rule_bounds import patients_at
from vtrial.scenario import TestSection
from vtrial.scenario.rules import SpendingRule

_TAIL = 0.005  # probability on either side of the numbers infused that are considered, where they vary


@dataclass(frozen=True)
class Size:
    """P(a test rejects) where its null is exactly true.

    alpha: its one-sided level, NaN where it states none ("posterior", "count"). size: mean over the numbers that may be
    infused; most: the largest of them. alone: mean of the final analysis alone. looks: how many looks it can reject at,
    or that can end enrolment for it. bounded: whether it is an upper bound, since a look counts what is documented by
    then.
    """

    alpha: float
    size: float
    most: float
    alone: float
    looks: int
    bounded: bool

    @property
    def exceeds(self) -> bool:
        """Whether it is above alpha by more than rounding; without an alpha, above that of the final analysis alone."""
        return self.size > (self.alone if math.isnan(self.alpha) else self.alpha) * (1.0 + 1e-9)


@dataclass
class _Stages:
    """Counts by number of patients: at which looks claim a test, end enrolment for its final analysis, and stop at its
    binding futility bound. bounded: see `Size`."""

    claims: dict[int, int] = field(default_factory=dict[int, int])
    closes: dict[int, int] = field(default_factory=dict[int, int])
    stops: dict[int, int] = field(default_factory=dict[int, int])
    bounded: bool = False

    @property
    def numbers(self) -> list[int]:
        """The numbers of patients of the looks, ascending."""
        return sorted({*self.claims, *self.closes, *self.stops})


def size_of(protocol: Protocol, test: TestSection, rejected: int = 0) -> Size | None:
    """The size of a test of a rate by itself, were no look to stop for anything but its own binding futility bound.

    Every rule for success that claims the test counts, whatever its kind. rejected: under a graph, the set of tests
    rejected before (their alpha is the test's then). None where its alpha is 0, where its looks have numbers that
    vary or count another endpoint, for a test of a time, and for one in the enrolled that has looks.
    """
    if test.timed:
        return None
    stated = test.method not in ("posterior", "count")
    alpha = protocol.levels.alpha(test.name, rejected) if stated else math.nan
    stages = _stages(protocol, test, rejected)
    if stages is None or alpha == 0.0:
        return None
    n, weight = _finals(protocol, test)
    reached = n >= max([1, *stages.numbers])
    n, weight = n[reached], weight[reached]
    if n.size == 0:
        return None
    table = protocol.numbers.bounds[test.name]
    final = table if table.ndim == 1 else table[rejected]
    alone = np.asarray(size_and_power(final[n], n, test.null, test.alternative))
    sizes = alone if not stages.numbers else np.array([_one(test, stages, final, int(last)) for last in n])
    mean, by_itself = (float(of @ weight / weight.sum()) for of in (sizes, alone))
    looks = len({*stages.claims, *stages.closes})
    return Size(alpha, mean, float(sizes.max()), by_itself, looks, stages.bounded)


def _one(test: TestSection, stages: _Stages, final: NDArray[np.int32], last: int) -> float:
    """The size where the end is of `last` patients, summed over counts look by look."""
    side = test.side

    def beyond(bounds: Mapping[int, int] | NDArray[np.int32], n: int, x: NDArray[np.int64]) -> NDArray[np.bool_]:
        if isinstance(bounds, Mapping) and n not in bounds:
            return np.zeros(x.shape, bool)
        return side.reached(x, bounds[n])

    going, before, total = np.ones(1), 0, 0.0
    for n in sorted({*stages.numbers, last}):
        going = np.convolve(going, binom.pmf(np.arange(n - before + 1), n - before, test.null))
        before, x = n, np.arange(n + 1)
        if n in stages.stops:
            going = np.where(side.other.reached(x, stages.stops[n]), 0.0, going)
        closed = beyond(stages.closes, n, x) | (n == last)
        rejects = beyond(stages.claims, n, x) | (closed & beyond(final, n, x))
        total += float(going[rejects].sum())
        going = np.where(rejects | closed, 0.0, going)
    return total


def _finals(protocol: Protocol, test: TestSection) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The numbers of patients at the end, and their probabilities."""
    planned = protocol.levels.planned if test.population == "infused" else None
    if test.population == "enrolled" and protocol.plan.target == "enrolled":
        planned = protocol.size
    if planned is not None:
        return np.array([planned]), np.ones(1)
    if test.population == "enrolled":
        return np.empty(0, np.int64), np.empty(0)
    with np.errstate(over="ignore"):
        chance = protocol.worlds.probabilities(protocol.log2_doses, np)[Step.INFUSED][:, 0]
    p = float(np.mean(chance))
    n = np.arange(int(binom.ppf(_TAIL, protocol.size, p)), int(binom.ppf(1.0 - _TAIL, protocol.size, p)) + 1)
    return n, binom.pmf(n, protocol.size, p)


def _stages(protocol: Protocol, test: TestSection, rejected: int) -> _Stages | None:
    """What looks do with a test. None where it cannot be said."""
    plan, numbers, side = protocol.plan, protocol.numbers.looks, test.side
    found = _Stages()
    claims = [r for r, rule in enumerate(plan.rules) if rule.test]  # as `numbers.shown` has them
    for r, section, rule in written(protocol.looks):
        planned = plan.rules[r]
        stops = test.binding and isinstance(rule, SpendingRule) and rule.then == "futility" and rule.test == test.name
        closes = planned.then == CLOSES
        if planned.test != test.name and not stops and not closes:
            continue
        n = patients_at(section, protocol.levels.planned)
        counted = plan.watched[planned.watched] if planned.watched >= 0 else None
        if n is None or counted is None or numbers is None or counted.endpoint != test.endpoint:
            return None
        if test.population != "infused" or planned.side is not (side.other if stops else side):
            return None
        if closes and (plan.in_calendar or plan.graph or counted != watched(test.endpoint)):
            return None  # who else is enrolled by then depends on the calendar
        if counted != watched(test.endpoint) and not counted.toxic:
            found.bounded = True
            if not side.upper:
                return None
        if stops:
            found.stops[n] = int(numbers.bounds[r, n])
            continue
        bounds = found.closes if closes else found.claims
        bound = int(numbers.bounds[r, n] if closes else numbers.shown[claims.index(r), rejected, n])
        bounds[n] = side.sooner(bounds.get(n, bound), bound)
    return found
