"""Exact characteristics of a trial that looks at one count in stages, by dynamic programming over the count."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import looks_of, whole

First = Literal["futility", "success"]

_CELLS = 1 << 16  # counts x worlds carried at once: what fits a core's cache


@dataclass(frozen=True)
class Multistage:
    """What a multi-stage trial does in each world.

    looks: (looks,) patients. futility, success: (worlds, looks) probability of stopping so at each look; at the last
    look a stop is the trial's end. undecided: (worlds,) probability of neither until the end. expected_n: (worlds,).
    """

    looks: NDArray[np.int64]
    futility: NDArray[np.float64]
    success: NDArray[np.float64]
    undecided: NDArray[np.float64]
    expected_n: NDArray[np.float64]


def multistage(
    looks: ArrayLike,
    rates: ArrayLike,
    *,
    at_most: ArrayLike | None = None,
    at_least: ArrayLike | None = None,
    first: First = "futility",
) -> Multistage:
    """P(stop for futility) and P(stop for success) at each look, and the expected number of patients, in each world.

    looks: (looks,) increasing numbers of patients. rates: (worlds,) or a number, 0 to 1: the endpoint's rate, the
    same for all patients of a world. at_most: (looks,) futility where the count is at most this (-1 never);
    at_least: (looks,) success where it is at least this (n + 1 never); None is never at all. Where a count is in both,
    `first` wins. Exact but for rounding.

    Raises `InputError` for looks that do not increase, bounds of another length, and rates outside 0 to 1.
    """
    n = looks_of(looks)
    p = np.atleast_1d(np.asarray(rates, np.float64))
    if p.ndim != 1 or not np.all((p >= 0) & (p <= 1)):
        raise InputError("rates are numbers from 0 to 1, one for each world")
    if first not in get_args(First):
        raise InputError(f"first is {first!r} (allowed: {', '.join(get_args(First))})")
    low = np.full_like(n, -1) if at_most is None else np.atleast_1d(whole("at_most", at_most, least=-1))
    high = n + 1 if at_least is None else np.atleast_1d(whole("at_least", at_least))
    if low.shape != n.shape or high.shape != n.shape:
        raise InputError(f"{n.size} looks need as many bounds: at_most has {low.size}, at_least {high.size}")
    low, high = np.clip(low, -1, n), np.clip(high, 0, n + 1)
    high, low = (np.maximum(high, low + 1), low) if first == "futility" else (high, np.minimum(low, high - 1))
    chunk = max(1, _CELLS // int(n[-1] + 1))
    parts = [_stages(n, low, high, p[start : start + chunk]) for start in range(0, p.size, chunk)]
    futility, success, undecided = (np.concatenate(part) for part in zip(*parts, strict=True))
    expected = (futility + success) @ n.astype(np.float64) + undecided * n[-1]
    return Multistage(n, futility, success, undecided, expected)


def _stages(
    n: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64], rate: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Futility and success (worlds, looks), and undecided (worlds,): `alive[i]` is P(count = start + i, going on)."""
    futility, success = np.zeros((n.size, rate.size)), np.zeros((n.size, rate.size))
    start, alive, before = 0, np.ones((1, rate.size)), 0
    for k, (size, fail, show) in enumerate(zip(n, low, high, strict=True)):
        alive = after(alive, int(size) - before, rate)
        below, above = (int(np.clip(bound - start, 0, len(alive))) for bound in (fail + 1, show))
        futility[k], success[k] = alive[:below].sum(axis=0), alive[above:].sum(axis=0)
        start, alive, before = start + below, alive[below:above], int(size)
        if not len(alive):
            break
    return futility.T, success.T, alive.sum(axis=0)


def after(alive: NDArray[np.float64], patients: int, rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """(counts + patients, worlds): the probabilities `alive` of each count (counts, worlds), `patients` later."""
    if len(alive) == 1:
        return alive * _binomial(patients, rate)
    grown = np.zeros((len(alive) + patients, rate.size))
    grown[: len(alive)] = alive
    gain, without = np.empty_like(grown), 1.0 - rate
    for top in range(len(alive), len(grown)):
        np.multiply(grown[:top], rate, out=gain[:top])
        grown[:top] *= without
        grown[1 : top + 1] += gain[:top]
    return grown


def _binomial(n: int, rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n + 1, worlds) binomial probabilities."""
    x = np.arange(n + 1, dtype=np.float64)[:, None]
    choose = special.gammaln(n + 1.0) - special.gammaln(x + 1.0) - special.gammaln(n - x + 1.0)
    return np.exp(choose + special.xlogy(x, rate) + special.xlog1py(n - x, -rate))
