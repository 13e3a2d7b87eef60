"""worlds + bounds -> the probability that tests reject, without simulating. On the host, float64.

Given a world, the number with an endpoint is binomial where every patient has the same chance (one dose, or
each patient's dose drawn at random), and a sum of binomials where the numbers at each dose are fixed. A chain
of tests on nested endpoints (CR after ORR) needs their joint distribution, and gets it.
"""

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from vtrial._support.arrays import Array
from vtrial.boundaries.one_sample import size_and_power
from vtrial.model.dose_response import Step, at_least
from vtrial.model.endpoints import Endpoint, level_of
from vtrial.model.world import World
from vtrial.protocol.build import Protocol
from vtrial.protocol.case_mix import CaseMix
from vtrial.protocol.planned import rate_among
from vtrial.trial.decisions import TestPlan

_BLOCK = 256
_TAIL = 1e-13  # probability of infused numbers that may be left out


def reject_probabilities(protocol: Protocol, worlds: World) -> dict[str, Array]:
    """P(the test rejects) in each world, float64 (worlds,), by test; "familywise" where all tests form a chain.

    worlds: (worlds, steps), float64. A test is absent where no exact path exists: a chain of endpoints of different
    systems, or of more than two; MRD; times; a shifted mix of patients; several doses filled in sequence with
    attrition; an enrolled population of random size.
    "familywise": P(a test rejects whose null is true).
    """
    if protocol.plan.mix:
        return {}
    chains = {test.name: _chain(test, protocol.plan.tests) for test in protocol.plan.tests}
    chains = {name: chain for name, chain in chains.items() if not any(test.timed for test in chain)}

    def block(first: int) -> dict[str, Array]:
        some = World(worlds.intercept[first : first + _BLOCK], worlds.slope[first : first + _BLOCK])
        with np.errstate(over="ignore"):
            steps = some.probabilities(protocol.log2_doses, np)
        answers = {name: _reject(protocol, chain, steps) for name, chain in chains.items()}
        return {name: answer for name, answer in answers.items() if answer is not None}

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(pool.map(block, range(0, worlds.size, _BLOCK)))
    # Sums of thousands of terms may leave 0..1 by rounding.
    exact = {name: np.clip(np.concatenate([a[name] for a in blocks]), 0.0, 1.0) for name in blocks[0]}
    if exact and is_chain(protocol.plan.tests) and len(exact) == len(protocol.plan.tests):
        exact["familywise"] = _familywise(protocol, protocol.plan.tests, worlds, exact)
    return exact


def is_chain(tests: tuple[TestPlan, ...]) -> bool:
    """Whether each test waits for the one before it, so that every test rejects exactly when the last does."""
    return all(later.after == earlier.name for earlier, later in itertools.pairwise(tests)) and not tests[0].after


def true_rates(protocol: Protocol, endpoint: Endpoint, worlds: World) -> Array:
    """The true rate of an endpoint among all patients that the design plans to infuse, float64 (worlds,)."""
    with np.errstate(over="ignore"):
        steps = worlds.probabilities(protocol.log2_doses, np)
    case_mix = CaseMix.of(worlds, protocol.numbers.columns) if protocol.plan.mix else None
    return rate_among(endpoint, steps, protocol.dose_mix, case_mix)


def infused_share(protocol: Protocol, worlds: World) -> Array:
    """P(infused | enrolled) in each world, float64 (worlds,); the planned share where that is fixed."""
    if protocol.plan.allocation == "fixed" and protocol.plan.target == "enrolled":
        return np.full(worlds.size, int(protocol.numbers.fills[-1]) / protocol.size)
    with np.errstate(over="ignore"):
        return worlds.probabilities(protocol.log2_doses, np)[Step.INFUSED][:, 0]


def null_is_true(protocol: Protocol, test: TestPlan, worlds: World) -> NDArray[np.bool_]:
    """Whether the null of a test of a rate holds in each world, bool (worlds,); a rate that equals it makes it true."""
    null = next(t.null for t in protocol.tests if t.name == test.name)
    rate = true_rates(protocol, test.endpoint, worlds)  # type: ignore[arg-type]
    if test.population == "enrolled":
        rate = rate * infused_share(protocol, worlds)
    slack = 1e-6  # worlds are float32 in the simulation
    return rate <= null + slack if test.alternative == "greater" else rate >= null - slack


def _chain(test: TestPlan, tests: tuple[TestPlan, ...]) -> tuple[TestPlan, ...]:
    """The test and those it waits for, first to last."""
    by_name = {t.name: t for t in tests}
    chain = [test]
    while chain[0].after:
        chain.insert(0, by_name[chain[0].after])
    return tuple(chain)


def _familywise(protocol: Protocol, chain: tuple[TestPlan, ...], worlds: World, exact: dict[str, Array]) -> Array:
    """In a chain rejections are nested: some true null is rejected exactly when the first of them is."""
    error = np.zeros(worlds.size)
    found = np.zeros(worlds.size, bool)
    for test in chain:
        first = null_is_true(protocol, test, worlds) & ~found
        error[first] = exact[test.name][first]
        found |= first
    return error


def _reject(protocol: Protocol, chain: tuple[TestPlan, ...], steps: dict[Step, Array]) -> Array | None:
    """P(every test of the chain rejects) in each world, or None where there is no exact path."""
    distinct: set[Endpoint] = {test.endpoint for test in chain}  # type: ignore[misc]
    endpoints = sorted(distinct, key=lambda e: level_of(e)[1])
    systems = {level_of(endpoint)[0] for endpoint in endpoints}
    if len(endpoints) > 2 or len(systems) > 1 or "mrd" in systems:
        return None
    (system,) = systems
    levels = at_least(steps, system)  # type: ignore[arg-type]
    outer = levels[level_of(endpoints[0])[1] - 1]
    inner = levels[level_of(endpoints[-1])[1] - 1]
    fixed = _fixed_numbers(protocol, steps)
    if fixed is None and protocol.plan.allocation == "sequential" and len(protocol.doses) > 1:
        return None
    counts_enrolled = any(test.population == "enrolled" for test in chain)
    if counts_enrolled and protocol.plan.target == "infused" and not np.all(steps[Step.INFUSED] == 1.0):
        return None
    if fixed is not None:
        n = int(sum(fixed))
        r_low, r_high = _passing(protocol, chain, endpoints[0], n)
        c_low, c_high = _passing(protocol, chain, endpoints[-1], n)
        return _sum_of_trinomials(outer, inner, fixed, (r_low, r_high), (c_low, c_high))
    share = np.array(protocol.shares) / sum(protocol.shares)
    p_outer, p_inner = outer @ share, inner @ share
    nested = _Nested(p_outer, p_inner, protocol.size)
    answer = np.zeros(len(p_outer))
    for n, weight in infused_numbers(protocol, steps):
        r = _passing(protocol, chain, endpoints[0], n)
        if len(endpoints) == 1:
            below, above = (size_and_power(bound, n, p_outer) for bound in (r[0], max(r[1] + 1, r[0])))
            answer += weight * (below - above)
        else:
            answer += weight * nested.between(n, r, _passing(protocol, chain, endpoints[-1], n))
    return answer


def _fixed_numbers(protocol: Protocol, steps: dict[Step, Array]) -> tuple[int, ...] | None:
    """Infused at each dose, where the design fixes them."""
    plan = protocol.plan
    if plan.allocation == "fixed" or (plan.allocation == "sequential" and plan.target == "infused"):
        return tuple(np.diff(protocol.numbers.fills, prepend=0))
    if plan.allocation == "sequential" and np.all(steps[Step.INFUSED] == 1.0):
        return tuple(np.diff(protocol.numbers.fills, prepend=0))
    return (protocol.size,) if len(protocol.doses) == 1 and plan.target == "infused" else None


def infused_numbers(protocol: Protocol, steps: dict[Step, Array]) -> Iterator[tuple[int, Array | float]]:
    """The numbers of infused patients that can happen, with their probability in each world."""
    size = protocol.size
    if protocol.plan.target == "infused":
        yield size, 1.0
        return
    numbers = np.arange(size + 1)
    weights = np.exp(_log_binomial(numbers, size, steps[Step.INFUSED][:, :1]))
    for n in numbers:
        if weights[:, n].max() > _TAIL:
            yield int(n), weights[:, n]


def _passing(protocol: Protocol, chain: tuple[TestPlan, ...], endpoint: Endpoint, infused: int) -> tuple[int, int]:
    """The lowest and highest count of an endpoint with which all of the chain's tests of it reject."""
    low, high = 0, infused
    for test in chain:
        if test.endpoint == endpoint:
            n = infused if test.population == "infused" or protocol.plan.target == "infused" else protocol.size
            bound = int(protocol.numbers.bounds[test.name][n])
            low, high = (max(low, bound), high) if test.alternative == "greater" else (low, min(high, bound))
    return low, high


class _Nested:
    """R ~ Bin(n, p_outer), of whom C have the inner endpoint too, in each of many worlds."""

    def __init__(self, p_outer: Array, p_inner: Array, most: int) -> None:
        self.p = p_outer[:, None]
        self.q = np.divide(p_inner, p_outer, out=np.zeros_like(p_inner), where=p_outer > 0)[:, None]
        self.most = most
        self._tails: dict[int, Array] = {}

    def between(self, n: int, r: tuple[int, int], c: tuple[int, int]) -> Array:
        """P(r low <= R <= r high, c low <= C <= c high), float64 (worlds,)."""
        responders = np.arange(max(r[0], 0), min(r[1], n) + 1)
        if responders.size == 0 or c[0] > c[1]:
            return np.zeros(len(self.p))
        weight = np.exp(_log_binomial(responders, n, self.p))
        passing = self._tail(c[0])[:, responders]
        if c[1] < n:
            passing = passing - self._tail(c[1] + 1)[:, responders]
        return np.sum(weight * passing, axis=1)

    def _tail(self, c: int) -> Array:
        """P(Bin(r, q) >= c) for r = 0 .. most, (worlds, most + 1): one more patient adds q P(Bin(r, q) = c - 1)."""
        if c not in self._tails:
            if c <= 0:
                self._tails[c] = np.ones((len(self.q), self.most + 1))
            else:
                added = self.q * np.exp(_log_binomial(c - 1, np.arange(self.most), self.q))
                self._tails[c] = np.pad(np.cumsum(added, axis=1), ((0, 0), (1, 0)))
        return self._tails[c]


def _log_binomial(k: NDArray[np.int64] | int, n: NDArray[np.int64] | int, p: Array) -> Array:
    """log P(Bin(n, p) = k), -inf outside 0..n; p (worlds, 1) against k and n broadcast (numbers,)."""
    k, n = np.broadcast_arrays(k, n)
    inside = (k >= 0) & (k <= n)
    k, left = np.where(inside, k, 0), np.where(inside, n - k, 0)
    ways = np.where(inside, gammaln(k + left + 1.0) - gammaln(k + 1.0) - gammaln(left + 1.0), -np.inf)
    log_p, log_rest = _logs(p)
    return ways + k * log_p + left * log_rest


def _logs(p: Array) -> tuple[Array, Array]:
    """log p and log (1 - p), kept finite: a certain event is wrong by 1e-16."""
    p = np.clip(p, 1e-300, 1.0 - 2.0**-53)
    return np.log(p), np.log1p(-p)


def _sum_of_trinomials(
    outer: Array, inner: Array, numbers: tuple[int, ...], r: tuple[int, int], c: tuple[int, int]
) -> Array:
    """P(r low <= R <= r high, c low <= C <= c high), R and C summed over doses with fixed `numbers`.

    outer, inner: (worlds, doses). In terms of non-responders A = n - R and of C this is four corners of the joint
    distribution function, whose tables are small where A or C is.
    """
    n = int(sum(numbers))
    if r[0] > r[1] or c[0] > c[1] or r[0] > n or c[0] > n or r[1] < 0 or c[1] < 0:
        return np.zeros(outer.shape[0])
    a_high, a_below = n - max(r[0], 0), n - min(r[1], n) - 1
    c_high, c_below = min(c[1], n), max(c[0], 0) - 1

    def corner(a: int, b: int) -> Array | float:
        return _below(outer, inner, numbers, a, b) if a >= 0 and b >= 0 else 0.0

    return np.clip(
        corner(a_high, c_high) - corner(a_below, c_high) - corner(a_high, c_below) + corner(a_below, c_below), 0.0, 1.0
    )


def _below(outer: Array, inner: Array, numbers: tuple[int, ...], a: int, b: int) -> Array:
    """P(non-responders <= a, C <= b), (worlds,).

    Tables of joint probabilities are (a + 1, b + 1, worlds): worlds last, so that every operation runs along them.
    """
    n = int(sum(numbers))
    a, b = min(a, n), min(b, n)
    *others, largest = np.argsort(numbers, kind="stable")
    table = np.ones((1, 1, outer.shape[0]))
    for k in others:
        size = int(numbers[k])
        table = _convolve(
            table, _trinomial(min(size, a), min(size, b), size, outer[:, k], inner[:, k], a >= n, b >= n), a, b
        )
    # The largest dose is not convolved: it must stay below what the others leave of a and b.
    last = _trinomial(a, b, int(numbers[largest]), outer[:, largest], inner[:, largest], a >= n, b >= n)
    for i in range(1, last.shape[0]):
        last[i] += last[i - 1]
    for j in range(1, last.shape[1]):
        last[:, j] += last[:, j - 1]
    return np.sum(table * last[::-1, ::-1][: table.shape[0], : table.shape[1]], axis=(0, 1))


def _trinomial(a: int, b: int, n: int, outer: Array, inner: Array, any_a: bool, any_b: bool) -> Array:
    """P(i without response, j inner, the rest between) for i <= a, j <= b, (a + 1, b + 1, worlds).

    A count that is not bounded (`any_a`, `any_b`) is not tracked: it joins those between, and its axis is 1 long.
    """
    log_none, log_inner, log_between = (_logs(p)[0] for p in (1.0 - outer, inner, outer - inner))
    if any_a:
        a, log_between = 0, _logs(1.0 - inner)[0]
    if any_b:
        b, log_between = 0, (np.zeros_like(outer) if any_a else _logs(outer)[0])
    i, j = np.arange(a + 1.0)[:, None, None], np.arange(b + 1.0)[None, :, None]
    inside = i + j <= n
    rest = np.where(inside, n - i - j, 0.0)
    ways = np.where(inside, gammaln(n + 1.0) - gammaln(i + 1.0) - gammaln(j + 1.0) - gammaln(rest + 1.0), -np.inf)
    log = rest * log_between
    log += i * log_none + ways
    log += j * log_inner
    return np.exp(log, out=log)


def _convolve(table: Array, one: Array, a: int, b: int) -> Array:
    """Sum of two independent pairs of counts, (., ., worlds), cut at a and b. Loops over the smaller table."""
    if table.shape[0] * table.shape[1] > one.shape[0] * one.shape[1]:
        table, one = one, table
    rows = min(table.shape[0] + one.shape[0] - 1, a + 1)
    columns = min(table.shape[1] + one.shape[1] - 1, b + 1)
    total = np.zeros((rows, columns, table.shape[2]))
    for i in range(min(table.shape[0], rows)):
        for j in range(min(table.shape[1], columns)):
            if not table[i, j].any():
                continue
            height, width = min(one.shape[0], rows - i), min(one.shape[1], columns - j)
            total[i : i + height, j : j + width] += table[i, j] * one[:height, :width]
    return total
