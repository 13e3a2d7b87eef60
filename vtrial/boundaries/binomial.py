"""Binomial tails and the search for the count at which a rule fires: what the rules of this room share."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from vtrial._support.errors import InputError

Direction = Literal["at_least", "at_most"]

# A probability that differs from its bound by rounding alone is at the bound: P(X >= 18 | 35, 0.5) is 0.5.
ROUNDING = 1e-12


def smallest(fires: Callable[[NDArray[np.int64]], NDArray[np.bool_]], n: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest x of 0..n that fires, n + 1 where none does; `fires` goes from no to yes as x grows. By bisection.

    fires: takes counts in the shape of n, each within 0..n. A negative n is left without: n + 1 stays what it is.
    """
    low, high = np.full_like(n, -1), n + 1  # low does not fire, high does (by convention)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        open_ = high - low > 1
        yes = fires(np.clip(middle, 0, np.maximum(n, 0))) & open_
        high = np.where(yes, middle, high)
        low = np.where(open_ & ~yes, middle, low)
    return high


def at_bound(
    probability: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    n: NDArray[np.int64],
    *,
    rises: bool,
    at_least: float | None = None,
    at_most: float | None = None,
) -> NDArray[np.int64]:
    """The count from which a probability that is monotone in the count is at its bound, in the shape of n.

    probability: of counts in the shape of n; `rises` or falls with the count. It fires where it is at least
    `at_least`, or at most `at_most`: exactly one of them. Returns the smallest count that fires (n + 1 where none does)
    where large counts fire, else the largest (-1 where none does): see `direction`. n = 0 never fires.
    """

    def fires(x: NDArray[np.int64]) -> NDArray[np.bool_]:
        return holds(probability(x), at_least=at_least, at_most=at_most)

    if direction(rises=rises, upward=at_least is not None) == "at_least":
        return np.where(n > 0, smallest(fires, n), n + 1)
    return np.where(n > 0, smallest(lambda x: ~fires(x), n) - 1, -1)


def holds(
    probability: NDArray[np.float64], *, at_least: float | None = None, at_most: float | None = None
) -> NDArray[np.bool_]:
    """Where a probability is at least, or at most, its bound, but for rounding."""
    if at_least is not None:
        return probability >= at_least * (1.0 - ROUNDING)
    assert at_most is not None
    return probability <= at_most * (1.0 + ROUNDING)


def direction(*, rises: bool, upward: bool) -> Direction:
    """On which side of its bound a count fires: a probability that `rises` with the count, or falls, and must be large
    (`upward`) or small to fire."""
    return "at_least" if rises == upward else "at_most"


def tail(x: ArrayLike, n: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """P(X >= x), X binomial, by the incomplete beta function; broadcasts. x may be 0 or less (1) or above n (0)."""
    count, size = np.asarray(x, np.int64), np.asarray(n, np.int64)
    inside = (count > 0) & (count <= size)
    a, b = np.where(inside, count, 1), np.where(inside, size - count + 1, 1)
    return np.where(inside, special.betainc(a, b, rate), np.where(count <= 0, 1.0, 0.0))


def whole(name: str, value: ArrayLike, *, least: int = 0) -> NDArray[np.int64]:
    """Whole numbers from `least`, as int64; `InputError` otherwise."""
    given = np.asarray(value)
    number = given.astype(np.int64) if given.dtype.kind in "iufb" and np.all(np.isfinite(given)) else None
    if number is None or np.any(number != given):
        raise InputError(f"{name} is {value}; whole numbers are needed")
    if np.any(number < least):
        raise InputError(f"{name} is {number.min()}; whole numbers from {least}")
    return number


def looks_of(looks: ArrayLike) -> NDArray[np.int64]:
    """(looks,) increasing whole numbers from 1: patients at each look; `InputError` otherwise."""
    n = np.atleast_1d(whole("looks", looks, least=1))
    if n.ndim != 1 or n.size == 0 or np.any(np.diff(n) <= 0):
        raise InputError(f"looks are {n.tolist()}; numbers of patients that increase from look to look")
    return n


def inside(name: str, value: float) -> float:
    """A number strictly between 0 and 1; `InputError` otherwise."""
    if not 0 < value < 1:
        raise InputError(f"{name} is {value}; a number between 0 and 1")
    return float(value)


def one_bound(at_least: float | None, at_most: float | None, names: tuple[str, str] = ("at_least", "at_most")) -> None:
    """Exactly one of two bounds, a probability; `InputError` otherwise."""
    if (at_least is None) == (at_most is None):
        raise InputError(f"give exactly one of {names[0]} and {names[1]}")
    for name, bound in zip(names, (at_least, at_most), strict=True):
        if bound is not None and not 0 <= bound <= 1:
            raise InputError(f"{name} is {bound}; a probability, 0 to 1")
