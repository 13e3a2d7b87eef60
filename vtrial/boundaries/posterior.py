"""Posterior probability of a rate under a beta prior or a mixture of betas, and its bounds by number of patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import Direction, at_bound, direction, inside, one_bound, whole

Prior = tuple[float, float] | Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Mixture:
    """A mixture of beta distributions: weights that sum to 1, and each component's a and b; (components,) each."""

    weight: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]


def mixture(prior: Prior) -> Mixture:
    """A prior as a mixture: one beta (a, b), or (weight, a, b) for each component; `InputError` otherwise."""
    rows: NDArray[np.float64]
    try:
        rows = np.array(prior, dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.empty((0, 0))
    if rows.shape == (2,):
        rows = np.concatenate([[1.0], rows])[None]
    if rows.ndim != 2 or rows.shape[1] != 3 or not np.all(np.isfinite(rows)) or np.any(rows <= 0):
        raise InputError(f"prior is {prior}; (a, b) of a beta, or a list of (weight, a, b), all positive")
    if abs(rows[:, 0].sum() - 1.0) > 1e-9:
        raise InputError(f"prior's weights sum to {rows[:, 0].sum():g}; they must sum to 1")
    return Mixture(rows[:, 0] / rows[:, 0].sum(), rows[:, 1], rows[:, 2])


def posterior_weights(count: ArrayLike, n: ArrayLike, prior: Mixture) -> NDArray[np.float64]:
    """(components, ...) the components' weights once `count` of `n` have the endpoint: prior weight times the
    beta-binomial probability of the count, normalised (Schmidli 2014, doi 10.1111/biom.12242)."""
    x, size = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(n, np.float64))
    weight, a, b = (column.reshape(-1, *[1] * x.ndim) for column in (prior.weight, prior.a, prior.b))
    if len(prior.weight) == 1:
        return np.ones((1, *x.shape))
    log = np.log(weight) + special.betaln(a + x, b + size - x) - special.betaln(a, b)
    return special.softmax(log, axis=0)


def posterior_probability(
    count: ArrayLike, n: ArrayLike, prior: Prior, above: ArrayLike, *, below: bool = False
) -> NDArray[np.float64]:
    """P(rate > `above` | `count` of `n` have the endpoint); with `below`, P(rate < `above`), as exact in its tail.

    count, n: whole numbers, 0 <= count <= n; above: 0 to 1; all broadcast. prior: a beta (a, b), or a mixture of
    betas [(weight, a, b), ...], which stays one: each component is updated, and the weights by how well each foretold
    the count (Schmidli 2014, doi 10.1111/biom.12242).

    Raises `InputError` for a bad prior or numbers out of range.
    """
    components = mixture(prior)
    x, size, rate = np.broadcast_arrays(whole("count", count), whole("n", n), np.asarray(above, np.float64))
    if np.any(x > size):
        raise InputError("count is above n")
    if not np.all((rate >= 0) & (rate <= 1)):
        raise InputError(f"above is {above}; a rate, 0 to 1")
    return _tail(x, size, components, rate, below)


def posterior_bounds(
    n: ArrayLike,
    prior: Prior,
    *,
    above: float | None = None,
    below: float | None = None,
    probability_at_least: float | None = None,
    probability_at_most: float | None = None,
) -> tuple[NDArray[np.int64], Direction]:
    """The count at which each n fires, and whether counts fire from it upwards ("at_least") or downwards ("at_most").

    n: whole numbers from 0. The rule fires where P(rate > `above` | count), or P(rate < `below` | count), is at least
    `probability_at_least`, or at most `probability_at_most`: one of each pair. For any prior the probability is
    monotone in the count. "at_least": the smallest count that fires, n + 1 where none does; "at_most": the largest,
    -1 where none does; in the shape of n. n = 0 never fires.

    Raises `InputError` for a bad prior, for both or neither of a pair, and for numbers out of range.
    """
    components, size = mixture(prior), whole("n", n)
    if above is not None and below is None:
        rate = inside("above", above)
    elif below is not None and above is None:
        rate = inside("below", below)
    else:
        raise InputError("give exactly one of above and below")
    one_bound(probability_at_least, probability_at_most, ("probability_at_least", "probability_at_most"))

    def probability(x: NDArray[np.int64]) -> NDArray[np.float64]:
        return _tail(x, size, components, np.float64(rate), below is not None)

    rises = below is None
    counts = at_bound(probability, size, rises=rises, at_least=probability_at_least, at_most=probability_at_most)
    return counts, direction(rises=rises, upward=probability_at_least is not None)


def _tail(
    x: NDArray[np.int64], n: NDArray[np.int64], prior: Mixture, rate: NDArray[np.float64] | np.float64, below: bool
) -> NDArray[np.float64]:
    weights = posterior_weights(x, n, prior)
    side = special.betainc if below else special.betaincc
    shares = (w * side(a + x, b + n - x, rate) for w, a, b in zip(weights, prior.a, prior.b, strict=True))
    return np.sum(list(shares), axis=0)
