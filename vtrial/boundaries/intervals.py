"""Confidence and credible intervals of a proportion. On the host, float64."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from vtrial._support.errors import InputError

Interval = Literal["wald", "wilson", "clopper-pearson", "jeffreys"]


def proportion_interval(
    count: ArrayLike, n: ArrayLike, *, method: Interval, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits of the proportion of which `count` of `n` is an estimate, within 0 to 1.

    count, n: numbers, broadcast; 0 <= count <= n, n > 0. level: 0 < level < 1.

    "wald": p +- z sqrt(p (1 - p) / n), cut at 0 and 1; the paper's ORR interval is this one. "wilson": Wilson 1927
    (doi 10.1080/01621459.1927.10502953); the paper's MRD interval. "clopper-pearson": exact, Clopper & Pearson
    1934 (doi 10.1093/biomet/26.4.404); regulators' choice. "jeffreys": equal-tailed, Beta(1/2, 1/2) prior,
    with limit 0 at count 0 and 1 at count n (Brown, Cai & DasGupta 2001, doi 10.1214/ss/1009213286).

    Raises `InputError` for an unknown method or numbers out of range.
    """
    x, size = np.broadcast_arrays(np.asarray(count, float), np.asarray(n, float))
    if method not in get_args(Interval):
        raise InputError(f"interval method is {method!r} (allowed: {', '.join(get_args(Interval))})")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; a number between 0 and 1")
    if not (np.all(size > 0) and np.all(x >= 0) and np.all(x <= size)):
        raise InputError("an interval needs 0 <= count <= n and n > 0")
    tail = 0.5 * (1.0 - level)
    z = special.ndtri(1.0 - tail)
    p = x / size
    if method == "wald":
        half = z * np.sqrt(p * (1 - p) / size)
        low, high = p - half, p + half
    elif method == "wilson":
        centre = (x + z**2 / 2) / (size + z**2)
        half = z / (size + z**2) * np.sqrt(size * p * (1 - p) + z**2 / 4)
        low, high = centre - half, centre + half
    else:
        a = 0.5 if method == "jeffreys" else 0.0
        b = 0.5 if method == "jeffreys" else 1.0
        inner, outer = (x > 0), (x < size)
        low = np.where(inner, special.betaincinv(np.where(inner, x + a, 1), size - x + b, tail), 0.0)
        high = np.where(outer, special.betaincinv(x + b, np.where(outer, size - x + a, 1), 1 - tail), 1.0)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
