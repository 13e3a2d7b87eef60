"""How many patients a one-sample test of a rate needs, its power being a saw-tooth in their number."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import ROUNDING, inside, whole
from vtrial.boundaries.one_sample import critical_counts, size_and_power
from vtrial.model.vocabulary import Alternative, SizedMethod

_MOST = 1 << 17


@dataclass(frozen=True)
class SizedTest:
    """A test of `n` patients: the count that rejects (at or above; at or below for an alternative below the null;
    n + 1, or -1, where none does), and the exact power and size."""

    n: int
    critical: int
    power: float
    size: float


@dataclass(frozen=True)
class SampleSizes:
    """first: the smallest n whose power is reached. lasting: the smallest from which no n up to `horizon` falls short
    of it."""

    first: SizedTest
    lasting: SizedTest
    horizon: int


def sized_test(n: int, *, null: float, alternative: float, alpha: float, method: SizedMethod = "exact") -> SizedTest:
    """The one-sided test of n patients; the alternative's side is that of its rate. See `critical_counts`.

    Raises `InputError` for numbers out of range and an alternative that is the null.
    """
    critical, power, size = _tests(np.array([int(whole("n", n, least=1))]), null, alternative, alpha, method)
    return SizedTest(int(n), int(critical[0]), float(power[0]), float(size[0]))


def sample_sizes(
    *,
    null: float,
    alternative: float,
    alpha: float,
    power: float,
    method: SizedMethod = "exact",
    horizon: int | None = None,
) -> SampleSizes:
    """The smallest number of patients whose exact power is at least `power`, and the smallest from which it stays so.

    Power falls wherever a patient more raises the critical count, so the two differ (Chernick & Liu 2002,
    doi 10.1198/000313002317572835). method: "exact" or "normal" test; with "normal" the size can exceed alpha: it is
    told. horizon: how far to look for a fall, by default twice the first n and at least 50 more.

    Raises `InputError` for numbers out of range, an alternative that is the null, a horizon that the power does not
    reach, and more than 131,072 patients.
    """
    inside("power", power)
    end = (
        _horizon(null, alternative, alpha, power, method)
        if horizon is None
        else int(whole("horizon", horizon, least=1))
    )
    n = np.arange(1, end + 1)
    critical, powers, sizes = _tests(n, null, alternative, alpha, method)
    short = powers < power * (1.0 - ROUNDING)
    if short[-1]:
        raise InputError(f"power is {powers[-1]:.4f} at the horizon, n = {end}, and not {power}; give a later horizon")
    first, lasting = (
        SizedTest(int(n[i]), int(critical[i]), float(powers[i]), float(sizes[i]))
        for i in (int(np.argmin(short)), int(np.max(np.flatnonzero(short), initial=-1)) + 1)
    )
    return SampleSizes(first, lasting, end)


def _horizon(null: float, alternative: float, alpha: float, power: float, method: SizedMethod) -> int:
    """Twice the first n whose power is reached, and at least 50 more."""
    top = 64
    while top <= _MOST:
        powers = _tests(np.arange(1, top + 1), null, alternative, alpha, method)[1]
        reached = powers >= power * (1.0 - ROUNDING)
        if reached.any():
            first = int(np.argmax(reached)) + 1
            return max(2 * first, first + 50)
        top *= 2
    raise InputError(f"power {power} is not reached with {top // 2:,} patients; ask for less, or for a larger effect")


def _tests(
    n: NDArray[np.int64], null: float, alternative: float, alpha: float, method: SizedMethod
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Critical counts, power and size of each n."""
    _check(null, alternative, alpha, method)
    side: Alternative = "greater" if alternative > null else "less"
    critical = critical_counts(n, null=null, method=method, alternative=side, alpha=alpha)
    return critical, size_and_power(critical, n, alternative, side), size_and_power(critical, n, null, side)


def _check(null: float, alternative: float, alpha: float, method: str) -> None:
    if inside("null", null) == inside("alternative", alternative):
        raise InputError(f"the alternative is the null, {null}; it must be above or below")
    inside("alpha", alpha)
    if method not in get_args(SizedMethod):
        raise InputError(f"method is {method!r} (allowed: {', '.join(get_args(SizedMethod))})")
