"""One-sample tests of a rate against a null, as tables of critical counts by number of patients."""

from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import ROUNDING, smallest, tail
from vtrial.model.vocabulary import Alternative, Method


def critical_counts(
    n: ArrayLike,
    *,
    null: float,
    method: Method,
    alternative: Alternative = "greater",
    alpha: float | None = None,
    prior: tuple[float, float] = (1.0, 1.0),
    probability: float | None = None,
) -> NDArray[np.int64]:
    """The count at which each n rejects `rate <= null` ("greater"), or `rate >= null` ("less").

    n: whole numbers from 0. Returns, in the shape of n, the smallest rejecting count ("greater"; n + 1 where
    none rejects), or the largest ("less"; -1 where none rejects). n = 0 never rejects.

    method "normal": z = (x/n - p0) / sqrt(p0 (1 - p0) / n) without continuity correction, reject where the one-sided
    p is at most `alpha`. "exact": reject where P(X at least as extreme | n, p0) is at most `alpha`.
    "posterior": reject where P(rate on the alternative's side of the null | x) under a Beta(`prior`) is at least
    `probability`.

    Raises `InputError` for an unknown method or alternative, or numbers out of range.
    """
    size = np.asarray(n, dtype=np.int64)
    _check(size, null, method, alternative, alpha, prior, probability)
    if alternative == "less":
        # x patients with the endpoint out of n are n - x without it, tested against 1 - null.
        without = critical_counts(
            size, null=1.0 - null, method=method, alpha=alpha, prior=(prior[1], prior[0]), probability=probability
        )
        return size - without

    def rejects(x: NDArray[np.int64]) -> NDArray[np.bool_]:
        positive = np.maximum(size, 1)
        if method == "posterior":
            assert probability is not None
            return special.betaincc(prior[0] + x, prior[1] + size - x, null) >= probability * (1.0 - ROUNDING)
        assert alpha is not None
        if method == "normal":
            z = (x / positive - null) / np.sqrt(null * (1.0 - null) / positive)
            return special.ndtr(-z) <= alpha * (1.0 + ROUNDING)
        return tail(x, size, null) <= alpha * (1.0 + ROUNDING)

    return np.where(size > 0, smallest(rejects, size), size + 1)


def _check(
    n: NDArray[np.int64],
    null: float,
    method: str,
    alternative: str,
    alpha: float | None,
    prior: tuple[float, float],
    probability: float | None,
) -> None:
    level, name = (probability, "probability") if method == "posterior" else (alpha, "alpha")
    if method not in get_args(Method):
        raise InputError(f"method is {method!r} (allowed: {', '.join(get_args(Method))})")
    if alternative not in get_args(Alternative):
        raise InputError(f"alternative is {alternative!r} (allowed: {', '.join(get_args(Alternative))})")
    if level is None or not 0 < level < 1:
        raise InputError(f"{name} is {level}; method {method!r} needs a number between 0 and 1")
    if not 0 < null < 1:
        raise InputError(f"null is {null}; a number between 0 and 1")
    if np.any(n < 0):
        raise InputError(f"n is {n.min()}; whole numbers from 0")
    if len(prior) != 2 or not all(0 < parameter < np.inf for parameter in prior):
        raise InputError(f"prior is {prior}; two positive numbers, of a beta distribution")


def size_and_power(critical: ArrayLike, n: ArrayLike, rate: ArrayLike, alternative: Alternative = "greater") -> NDArray:
    """P(the count reaches its critical value) when each of n patients has the endpoint with `rate`; exact."""
    c, size = np.asarray(critical), np.asarray(n)
    if alternative == "less":
        return tail(size - c, size, 1.0 - np.asarray(rate))
    return tail(c, size, np.asarray(rate))
