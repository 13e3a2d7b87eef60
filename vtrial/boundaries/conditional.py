"""Conditional power of a final test of a count, and its bounds by number of patients."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import at_bound, inside, one_bound, tail, whole
from vtrial.boundaries.predictive import side_of
from vtrial.model.vocabulary import Alternative


def conditional_power(
    count: ArrayLike,
    n: ArrayLike,
    total: ArrayLike,
    critical: ArrayLike,
    rate: float | Literal["observed"],
    *,
    alternative: Alternative = "greater",
) -> NDArray[np.float64]:
    """P(the final test succeeds | `count` of `n`) where the patients to come have the endpoint with `rate`.

    The final test succeeds where the count among `total` is at least `critical` ("greater"), or at most it ("less").
    rate: 0 to 1, or "observed": count / n. count, n, total, critical: whole numbers, 0 <= count <= n <= total,
    broadcast (Lan, Simon & Halperin 1982, Sequential Analysis 1:207).

    Raises `InputError` for numbers out of range, and for the observed rate of nobody (n = 0).
    """
    side_of(alternative)
    _check(rate)
    x, size, end, bound = np.broadcast_arrays(
        whole("count", count), whole("n", n), whole("total", total), whole("critical", critical, least=-1)
    )
    if np.any(x > size) or np.any(size > end):
        raise InputError("conditional power needs count <= n <= total")
    if rate == "observed" and np.any(size == 0):
        raise InputError("n is 0: no rate has been observed; give a rate")
    return _power(x, size, end, bound, rate, alternative)


def conditional_bounds(
    n: ArrayLike,
    total: ArrayLike,
    critical: ArrayLike,
    rate: float | Literal["observed"],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    alternative: Alternative = "greater",
) -> NDArray[np.int64]:
    """The count at which each n fires: where conditional power is at most `at_most`, or at least `at_least`.

    n, total, critical: whole numbers, broadcast; the result has their common shape. With "greater" conditional power
    rises with the count: `at_most` gives the largest count that fires (-1 where none does), `at_least` the smallest
    (n + 1 where none does). With "less" it falls, and the two change places. n = 0, and n above total, never fire.

    Raises `InputError` for both or neither bound, and for numbers out of range.
    """
    side_of(alternative)
    _check(rate)
    one_bound(at_least, at_most)
    size, end, bound = np.broadcast_arrays(whole("n", n), whole("total", total), whole("critical", critical, least=-1))
    rises = alternative == "greater"
    counts = at_bound(
        lambda x: _power(x, size, np.maximum(end, size), bound, rate, alternative),
        size,
        rises=rises,
        at_least=at_least,
        at_most=at_most,
    )
    never = size + 1 if rises == (at_least is not None) else np.full_like(size, -1)
    return np.where(size <= end, counts, never)


def _check(rate: float | Literal["observed"]) -> None:
    if isinstance(rate, str):
        if rate != "observed":
            raise InputError(f"rate is {rate!r} (allowed: a number between 0 and 1, or 'observed')")
    else:
        inside("rate", rate)


def _power(
    x: NDArray[np.int64],
    n: NDArray[np.int64],
    total: NDArray[np.int64],
    critical: NDArray[np.int64],
    rate: float | Literal["observed"],
    alternative: Alternative,
) -> NDArray[np.float64]:
    p = x / np.maximum(n, 1) if isinstance(rate, str) else np.float64(rate)
    left = total - n
    if alternative == "less":  # at most critical - x more with the endpoint: at least left - that without
        return tail(left - (critical - x), left, 1.0 - p)
    return tail(critical - x, left, p)
