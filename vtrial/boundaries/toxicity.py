"""Sequential bound for toxicity: stop at any look where as many with it would be too rare at an acceptable rate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtrial.boundaries.binomial import at_bound, inside, looks_of, tail
from vtrial.boundaries.multistage import multistage


@dataclass(frozen=True)
class ToxicityBounds:
    """looks, at_least: (looks,) patients evaluated, and the count that stops the trial (n + 1: none does). level: the
    pointwise level, the largest P(count at least as high | null) at which any look stops. alpha: P(ever stopping) at
    the null."""

    looks: NDArray[np.int64]
    at_least: NDArray[np.int64]
    level: float
    alpha: float


def toxicity_bounds(looks: ArrayLike, *, null: float, alpha: float) -> ToxicityBounds:
    """Stop where P(X >= count | n, null) is at most one level, the same at all looks: the largest such that the
    probability of ever stopping at the acceptable rate `null` is at most `alpha`, exactly.

    looks: (looks,) increasing numbers of patients evaluated. Pocock's bound for continuous monitoring (Ivanova, Qaqish
    & Schell 2005, doi 10.1111/j.1541-0420.2005.00311.x). Where even the rarest count would stop too often, none stops:
    level and alpha are 0.

    Raises `InputError` for looks that do not increase, and for null or alpha outside 0 to 1.
    """
    n = looks_of(looks)
    inside("null", null)
    inside("alpha", alpha)
    counts = np.arange(1, n[-1] + 1)
    tails = tail(counts, n[:, None], null)[counts <= n[:, None]]
    levels = np.unique(tails[tails <= alpha])  # only at these does any bound change

    def at(level: float) -> tuple[NDArray[np.int64], float]:
        bounds = at_bound(lambda x: tail(x, n, null), n, rises=False, at_most=level)
        return bounds, float(multistage(n, null, at_least=bounds).success.sum())

    low, high = -1, len(levels)  # levels[low] keeps within alpha, levels[high] does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(levels[middle])[1] <= alpha else (low, middle)
    if low < 0:
        return ToxicityBounds(n, n + 1, 0.0, 0.0)
    bounds, spent = at(levels[low])
    return ToxicityBounds(n, bounds, float(levels[low]), spent)
