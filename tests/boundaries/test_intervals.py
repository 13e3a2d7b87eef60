"""Intervals of a proportion: the published ones, independent inversions, and coverage by exact sums."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from vtrial import InputError, proportion_interval
from vtrial.boundaries.intervals import Interval

METHODS: tuple[Interval, ...] = ("wald", "wilson", "clopper-pearson", "jeffreys")
Z = 1.959963984540054

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def limits(count: float, n: float, method: Interval, level: float = 0.95) -> tuple[float, float]:
    low, high = proportion_interval(count, n, method=method, level=level)
    return float(low), float(high)


@pytest.mark.parametrize(
    ("count", "n", "method", "percent"),
    [
        # reference_results.md, "Which interval a paper used"
        (94, 128, "wald", (65.8, 81.1)),
        (94, 128, "clopper-pearson", (64.9, 80.9)),
        (94, 128, "wilson", (65.2, 80.3)),
        (33, 128, "wald", (18.2, 33.4)),
        (33, 128, "wilson", (19.0, 34.0)),
    ],
)
def test_reference_values(count: int, n: int, method: Interval, percent: tuple[float, float]) -> None:
    assert tuple(round(100 * limit, 1) for limit in limits(count, n, method)) == percent


@pytest.mark.parametrize(("count", "percent"), [(72, (62, 81)), (28, (19, 38))])
def test_fdas_intervals_are_clopper_pearsons(count: int, percent: tuple[int, int]) -> None:
    assert tuple(round(100 * limit) for limit in limits(count, 100, "clopper-pearson")) == percent


@pytest.mark.parametrize("n", [1, 2, 10, 128])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_none_and_all(n: int, level: float) -> None:
    tail = (1 - level) / 2
    z = stats.norm.isf(tail)
    closed = {
        "wald": (0.0, 0.0),
        "wilson": (0.0, z**2 / (n + z**2)),
        "clopper-pearson": (0.0, 1 - tail ** (1 / n)),
        "jeffreys": (0.0, stats.beta.ppf(1 - tail, 0.5, n + 0.5)),
    }
    for method in METHODS:
        assert limits(0, n, method, level) == pytest.approx(closed[method], abs=1e-12), method
        low, high = closed[method]
        assert limits(n, n, method, level) == pytest.approx((1 - high, 1 - low), abs=1e-12), method


@given(counts, st.floats(0.5, 0.999))
def test_wald_by_its_formula(of: tuple[int, int], level: float) -> None:
    count, n = of
    p, z = count / n, stats.norm.ppf(0.5 + level / 2)
    half = z * math.sqrt(p * (1 - p) / n)
    assert limits(count, n, "wald", level) == pytest.approx((max(p - half, 0), min(p + half, 1)), abs=1e-12)


@given(counts.filter(lambda of: 0 < of[0] < of[1]), st.floats(0.5, 0.999))
def test_wilson_is_where_the_score_test_turns(of: tuple[int, int], level: float) -> None:
    """The limits are the two nulls p0 with |count / n - p0| = z sqrt(p0 (1 - p0) / n)."""
    count, n = of
    p, z = count / n, stats.norm.ppf(0.5 + level / 2)

    def score(null: float) -> float:
        return (p - null) ** 2 - z**2 * null * (1 - null) / n

    low, high = limits(count, n, "wilson", level)
    assert low == pytest.approx(brentq(score, 0.0, p, xtol=1e-15), abs=1e-9)
    assert high == pytest.approx(brentq(score, p, 1.0, xtol=1e-15), abs=1e-9)


@given(counts, st.floats(0.5, 0.999))
def test_clopper_pearson_is_where_the_exact_test_turns(of: tuple[int, int], level: float) -> None:
    count, n = of
    low, high = limits(count, n, "clopper-pearson", level)
    tail = (1 - level) / 2
    if count > 0:
        assert stats.binom.sf(count - 1, n, low) == pytest.approx(tail, rel=1e-8)
    if count < n:
        assert stats.binom.cdf(count, n, high) == pytest.approx(tail, rel=1e-8)


@given(counts, st.floats(0.5, 0.999))
def test_jeffreys_is_the_quantile_of_its_beta(of: tuple[int, int], level: float) -> None:
    count, n = of
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = stats.beta.ppf(tails, count + 0.5, n - count + 0.5)
    expected = (0.0 if count == 0 else low, 1.0 if count == n else high)
    assert limits(count, n, "jeffreys", level) == pytest.approx(expected, abs=1e-10)


@given(st.integers(1, 120), st.floats(0.001, 0.999), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_clopper_pearson_covers_at_least_its_level(n: int, rate: float, level: float) -> None:
    """Coverage by an exact binomial sum over every count that can happen."""
    count = np.arange(n + 1)
    low, high = proportion_interval(count, n, method="clopper-pearson", level=level)
    covered = stats.binom.pmf(count, n, rate)[(low <= rate) & (rate <= high)].sum()
    assert covered >= level - 1e-9


def test_the_same_sum_shows_where_wald_does_not_cover() -> None:
    """The check above is able to fail: Wald at n = 30, rate 0.05 covers far less than 95%."""
    count = np.arange(31)
    low, high = proportion_interval(count, 30, method="wald")
    assert stats.binom.pmf(count, 30, 0.05)[(low <= 0.05) & (high >= 0.05)].sum() < 0.80


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 5, 60, 128])
def test_limits_rise_with_the_count_and_hold_the_estimate(method: Interval, n: int) -> None:
    count = np.arange(n + 1)
    low, high = proportion_interval(count, n, method=method)
    assert low.shape == high.shape == (n + 1,)
    assert np.all((low >= 0) & (high <= 1))
    assert np.all(low <= count / n + 1e-12)
    assert np.all(count / n <= high + 1e-12)
    if method != "wald":  # Wald's collapses at 0 and n
        assert np.all(np.diff(low) > 0)
        assert np.all(np.diff(high) > 0)
    np.testing.assert_allclose(low, 1 - high[::-1], atol=1e-12)  # what happens, and what does not


@pytest.mark.parametrize("method", METHODS)
def test_a_higher_level_is_wider(method: Interval) -> None:
    narrow, wide = limits(33, 128, method, 0.8), limits(33, 128, method, 0.95)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_counts_and_denominators_broadcast() -> None:
    low, high = proportion_interval(np.array([[10], [20]]), np.array([30, 40, 50]), method="wilson")
    assert low.shape == high.shape == (2, 3)
    assert (low[1, 2], high[1, 2]) == limits(20, 50, "wilson")


@pytest.mark.parametrize(
    ("count", "n", "level", "method", "said"),
    [
        (5, 4, 0.95, "wilson", "0 <= count <= n"),
        (-1, 4, 0.95, "wilson", "0 <= count <= n"),
        (0, 0, 0.95, "wilson", "n > 0"),
        (math.nan, 4, 0.95, "wilson", "0 <= count <= n"),
        (1, 4, 1.0, "wilson", "level is 1.0"),
        (1, 4, 95, "wilson", "level is 95"),
        (1, 4, 0.95, "exact", "interval method is 'exact' (allowed: wald, wilson, clopper-pearson, jeffreys)"),
    ],
)
def test_what_has_no_interval_is_refused(count: float, n: float, level: float, method: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        proportion_interval(count, n, method=method, level=level)  # type: ignore[arg-type]
    assert said in str(caught.value)
