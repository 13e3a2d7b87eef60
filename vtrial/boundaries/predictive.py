"""Predictive probability that a final test of a count will succeed, and its bounds by number of patients."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import holds, inside, looks_of, one_bound, whole
from vtrial.boundaries.multistage import multistage
from vtrial.boundaries.posterior import Mixture, Prior, mixture, posterior_bounds, posterior_weights
from vtrial.model.side import Side
from vtrial.model.vocabulary import Alternative


def predictive_probability(
    count: ArrayLike,
    n: ArrayLike,
    total: ArrayLike,
    critical: ArrayLike,
    prior: Prior,
    *,
    alternative: Alternative = "greater",
) -> NDArray[np.float64]:
    """P(the final test will succeed | `count` of `n`), the patients to come drawn from the posterior.

    The final test succeeds where the count among `total` is at least `critical` ("greater"), or at most it ("less").
    count, n, total, critical: whole numbers, 0 <= count <= n <= total, broadcast. prior: a beta (a, b), or a mixture
    of betas [(weight, a, b), ...]. The number to come is (a mixture of) beta-binomial (Lee & Liu 2008,
    doi 10.1177/1740774508089279; mixtures: Schmidli 2014, doi 10.1111/biom.12242).

    Raises `InputError` for a bad prior or numbers out of range.
    """
    side_of(alternative)
    x, size, end, bound = np.broadcast_arrays(
        whole("count", count), whole("n", n), whole("total", total), whole("critical", critical, least=-1)
    )
    if np.any(x > size) or np.any(size > end):
        raise InputError("a predictive probability needs count <= n <= total")
    finals, which = _finals(end, bound)
    result = np.empty(size.size)
    wanted, least = _by_n(size), int(size.min(initial=0))
    for at, table in _backward(finals, mixture(prior), alternative, least=least):
        if (here := wanted.get(at)) is not None:
            result[here] = table[which[here], x.ravel()[here]]
    return result.reshape(size.shape)


def predictive_bounds(
    n: ArrayLike,
    total: ArrayLike,
    critical: ArrayLike,
    prior: Prior,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    alternative: Alternative = "greater",
) -> NDArray[np.int64]:
    """The count at which each n fires: predictive probability at most `at_most` (futility), or at least `at_least`.

    n, total, critical: whole numbers, broadcast; the result has their common shape (n as a column and total as a row
    give the table of all). With "greater" the probability rises with the count: `at_most` gives the largest count
    that fires (-1 where none does), `at_least` the smallest (n + 1 where none does). With "less" it falls, and the
    two change places. n = 0, and n above total, never fire.

    Raises `InputError` for both or neither bound, a bad prior, or numbers out of range.
    """
    side_of(alternative)
    one_bound(at_least, at_most)
    size, end, bound = np.broadcast_arrays(whole("n", n), whole("total", total), whole("critical", critical, least=-1))
    upward = (alternative == "greater") == (at_least is not None)
    result = (size + 1 if upward else np.full_like(size, -1)).ravel()
    finals, which = _finals(end, bound)
    wanted = _by_n(np.where(size <= end, size, 0))
    for at, table in _backward(finals, mixture(prior), alternative, least=1):
        if (here := wanted.get(at)) is not None:
            firing = np.count_nonzero(holds(table, at_least=at_least, at_most=at_most), axis=1)[which[here]]
            result[here] = at + 1 - firing if upward else firing - 1
    return result.reshape(size.shape)


@dataclass(frozen=True)
class Monitoring:
    """A trial with a futility rule by predictive probability: bounds by number of patients, and what they do.

    looks, futility: (looks,) patients and the count at which, or below which, the trial ends; at the last look that is
    the count at which the final test fails. critical: the final test's count. alpha, power: P(the final test succeeds)
    at the null and at the alternative rate; expected_n and pet: (null, alternative), mean number of patients and
    probability of stopping before the last look.
    """

    looks: NDArray[np.int64]
    futility: NDArray[np.int64]
    critical: int
    alpha: float
    power: float
    expected_n: tuple[float, float]
    pet: tuple[float, float]


def monitoring(
    *,
    null: float,
    alternative: float,
    prior: Prior,
    n: int,
    first: int,
    futility: float,
    final: float,
    step: int = 1,
) -> Monitoring:
    """The phase II design of Lee & Liu 2008 (doi 10.1177/1740774508089279) at given thresholds.

    The drug is promising where, among `n` patients, P(rate > null) is at least `final` (theta_T). From `first`
    patients on, after every `step` of them, the trial ends where the predictive probability of that is at most
    `futility` (theta_L). There is no early success.

    Raises `InputError` for rates not in order, a first look after the last, or numbers out of range.
    """
    if not inside("null", null) < inside("alternative", alternative):
        raise InputError(f"null is {null} and alternative {alternative}; the alternative must be above the null")
    end, begin, by = (int(whole(name, value, least=1)) for name, value in (("n", n), ("first", first), ("step", step)))
    if begin > end:
        raise InputError(f"first is {begin}; the first look must come by the last, at n = {end}")
    counts, _ = posterior_bounds(end, prior, above=null, probability_at_least=inside("final", final))
    critical = int(counts)
    looks = looks_of(np.union1d(np.arange(begin, end, by), [end]))
    bounds = predictive_bounds(looks, end, critical, prior, at_most=futility)
    bounds[-1] = critical - 1
    success = looks + 1
    success[-1] = critical
    runs = multistage(looks, [null, alternative], at_most=bounds, at_least=success)
    shown, early = runs.success[:, -1], runs.futility[:, :-1].sum(axis=1)
    return Monitoring(
        looks=looks,
        futility=bounds,
        critical=critical,
        alpha=float(shown[0]),
        power=float(shown[1]),
        expected_n=(float(runs.expected_n[0]), float(runs.expected_n[1])),
        pet=(float(early[0]), float(early[1])),
    )


def side_of(alternative: str) -> None:
    """`InputError` unless the alternative is one of "greater" and "less"."""
    if alternative not in get_args(Alternative):
        raise InputError(f"alternative is {alternative!r} (allowed: {', '.join(get_args(Alternative))})")


def _finals(total: NDArray[np.int64], critical: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct final tests (total, critical), largest total first, and which of them each (flat) element awaits."""
    pairs = np.stack([-total.ravel(), critical.ravel()])
    finals, which = np.unique(pairs, axis=1, return_inverse=True)
    return finals * np.array([[-1], [1]]), which.ravel()


def _by_n(n: NDArray[np.int64]) -> dict[int, NDArray[np.intp]]:
    """The (flat) places of each n."""
    order = np.argsort(n, axis=None, kind="stable")
    values, starts = np.unique(n.ravel()[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True)) if n.size else {}


def _backward(
    finals: NDArray[np.int64], prior: Mixture, alternative: Alternative, least: int
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """(n, table) from the largest total down to n = `least`; table[f, x] is final f's probability at x of n.

    A patient more has the endpoint with the posterior mean rate: P(x, n) = m P(x + 1, n + 1) + (1 - m) P(x, n + 1),
    where m is the mean at x of n. The table has a row for each of the finals whose total is at least n.
    """
    totals, critical = finals
    top = int(totals.max(initial=0))
    table = np.empty((totals.size, top + 1))
    rows = 0
    for n in range(top, least - 1, -1):
        x = np.arange(n + 1)
        if rows:
            mean = _mean(x, n, prior)
            ahead = table[:rows, : n + 2]
            table[:rows, : n + 1] = (1.0 - mean) * ahead[:, :-1] + mean * ahead[:, 1:]
        new = slice(rows, int(np.searchsorted(-totals, -n, side="right")))
        if new.stop > new.start:
            ends = critical[new, None]
            table[new, : n + 1] = Side.of(alternative).reached(x, ends)
            rows = new.stop
        yield n, table[:rows, : n + 1]


def _mean(x: NDArray[np.int64], n: int, prior: Mixture) -> NDArray[np.float64]:
    """Posterior mean of the rate at each x of n."""
    means = (prior.a[:, None] + x) / (prior.a + prior.b + n)[:, None]
    return np.sum(posterior_weights(x, n, prior) * means, axis=0)
