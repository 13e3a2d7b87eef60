"""The exact size of a test over its looks and the end, every patient having the endpoint at the null's rate. Host."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from vtrial.conduct.windows import watched
from vtrial.curves import Step
from vtrial.design.multistage import multistage
from vtrial.design.one_sample import size_and_power
from vtrial.protocol import Protocol
from vtrial.reachable import written
from vtrial.rule_bounds import patients_at
from vtrial.scenario import TestSection
from vtrial.scenario.rules import SpendingRule

_TAIL = 0.005  # probability on either side of the numbers infused that are considered, where they vary


@dataclass(frozen=True)
class Size:
    """P(a test rejects) where its null is exactly true.

    alpha: its one-sided level. size: mean over the numbers that may be infused; most: the largest of them. looks: how
    many looks it can reject at. bounded: whether it is an upper bound, since a look counts what is documented by then.
    """

    alpha: float
    size: float
    most: float
    looks: int
    bounded: bool

    @property
    def exceeds(self) -> bool:
        """Whether it is above alpha by more than rounding."""
        return self.size > self.alpha * (1.0 + 1e-9)


def size_of(protocol: Protocol, test: TestSection, rejected: int = 0) -> Size | None:
    """The size of a test of a rate by itself, were no look to stop for anything but its own binding futility bound.

    Every rule for success that claims the test counts, whatever its kind. rejected: under a graph, the set of tests
    rejected before (their alpha is the test's then). None where it has no alpha, where its looks have numbers that
    vary or count another endpoint, for a test of a time, and for one in the enrolled that has looks.
    """
    if test.timed or test.method in ("posterior", "count"):
        return None
    alpha = protocol.levels.alpha(test.name, rejected)
    stages = _stages(protocol, test, rejected)
    if stages is None or alpha == 0.0:
        return None
    high, low, bounded = stages
    n, weight = _finals(protocol, test)
    n, weight = n[n > max([0, *high, *low])], weight[n > max([0, *high, *low])]
    if n.size == 0:
        return None
    table = protocol.numbers.bounds[test.name]
    final = table if table.ndim == 1 else table[rejected]
    if not high and not low:
        sizes = np.asarray(size_and_power(final[n], n, test.null, test.alternative))
        return Size(alpha, float(sizes @ weight / weight.sum()), float(sizes.max()), 0, bounded)
    sizes = np.array([_one(test, high | {int(last): int(final[last])}, low, int(last)) for last in n])
    return Size(alpha, float(sizes @ weight / weight.sum()), float(sizes.max()), len(high), bounded)


def _one(test: TestSection, high: dict[int, int], low: dict[int, int], last: int) -> float:
    """The size with bounds for success and futility by number of patients, the last of them at the end."""
    less = test.alternative == "less"
    looks = np.array(sorted({*high, *low}))
    at_least = np.array([(n - high[n] if less else high[n]) if n in high else n + 1 for n in looks.tolist()])
    at_most = np.array([(n - low[n] if less else low[n]) if n in low else -1 for n in looks.tolist()])
    at_most[looks == last] = -1
    null = 1.0 - test.null if less else test.null
    return float(multistage(looks, null, at_most=at_most, at_least=at_least).success.sum())


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


def _stages(protocol: Protocol, test: TestSection, rejected: int) -> tuple[dict[int, int], dict[int, int], bool] | None:
    """The counts at which looks claim a test, and at which its binding futility bound stops, by number of patients; and
    whether something may be documented later. None where it cannot be said."""
    plan, numbers, greater = protocol.plan, protocol.numbers.looks, test.alternative == "greater"
    high: dict[int, int] = {}
    low: dict[int, int] = {}
    bounded = False
    claims = [r for r, rule in enumerate(plan.rules) if rule.test]  # as `numbers.shown` has them
    for r, section, rule in written(protocol.looks):
        planned = plan.rules[r]
        stops = test.binding and isinstance(rule, SpendingRule) and rule.then == "futility" and rule.test == test.name
        if planned.test != test.name and not stops:
            continue
        n = patients_at(section, protocol.levels.planned)
        counted = plan.watched[planned.watched] if planned.watched >= 0 else None
        if n is None or counted is None or numbers is None or counted.endpoint != test.endpoint:
            return None
        upward = greater != stops
        if test.population != "infused" or planned.at_least != upward:
            return None
        if counted != watched(test.endpoint) and not counted.toxic:
            bounded = True
            if not greater:
                return None
        if stops:
            low[n] = int(numbers.bounds[r, n])
        else:
            bound = int(numbers.shown[claims.index(r), rejected, n])
            high[n] = bound if n not in high else min(high[n], bound) if greater else max(high[n], bound)
    return high, low, bounded
