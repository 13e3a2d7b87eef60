"""Predictive probability and its bounds: Lee & Liu's numbers, and beta-binomial sums."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from vtrial import InputError
from vtrial.boundaries.posterior import mixture, posterior_bounds, posterior_weights
from vtrial.boundaries.predictive import monitoring, predictive_bounds, predictive_probability

MIXTURE = [(0.7, 12.0, 8.0), (0.3, 1.0, 1.0)]


def by_sums(count: int, n: int, total: int, critical: int, prior: list, alternative: str = "greater") -> float:
    """The definition, term by term."""
    components = mixture(prior)
    weights = posterior_weights(count, n, components)
    more = np.arange(total - n + 1)
    success = (count + more >= critical) if alternative == "greater" else (count + more <= critical)
    return float(
        sum(
            w * betabinom.pmf(more, total - n, a + count, b + n - count)[success].sum()
            for w, a, b in zip(weights, components.a, components.b, strict=True)
        )
    )


def test_lee_and_lius_predictive_probability() -> None:
    """Reference: 16 of 23, Nmax 40, theta_T .90, Beta(.6, .4): 0.5655589."""
    critical, _ = posterior_bounds(40, (0.6, 0.4), above=0.6, probability_at_least=0.9)
    assert predictive_probability(16, 23, 40, critical, (0.6, 0.4)) == pytest.approx(0.5655589, abs=5e-8)


def test_lee_and_lius_monitoring() -> None:
    """Reference: p0 .2, p1 .4, Nmax 36, from n = 10, Beta(.2, .8), theta_L .001, theta_T .90."""
    found = monitoring(null=0.2, alternative=0.4, prior=(0.2, 0.8), n=36, first=10, futility=0.001, final=0.9)
    assert found.looks.tolist() == list(range(10, 37))
    before = -1
    rises = []
    for n, count in zip(found.looks.tolist(), found.futility.tolist(), strict=True):
        if count > before:
            rises.append((count, n))
        before = count
    assert rises == list(zip(range(11), (10, 17, 21, 24, 27, 29, 31, 33, 34, 35, 36), strict=True))
    assert found.critical == 11
    assert (round(found.alpha, 4), round(found.power, 4)) == (0.0878, 0.9062)
    assert (round(found.expected_n[0], 2), round(found.pet[0], 4)) == (27.67, 0.8571)


def test_monitoring_by_fives_looks_at_the_end_too() -> None:
    found = monitoring(null=0.2, alternative=0.4, prior=(0.2, 0.8), n=36, first=10, futility=0.05, final=0.9, step=5)
    assert found.looks.tolist() == [10, 15, 20, 25, 30, 35, 36]
    only = monitoring(null=0.2, alternative=0.4, prior=(0.2, 0.8), n=36, first=36, futility=0.05, final=0.9)
    assert only.alpha == pytest.approx(binom.sf(10, 36, 0.2), abs=1e-13)
    assert only.expected_n == pytest.approx((36.0, 36.0), abs=1e-12)
    assert only.pet == (0.0, 0.0)


@pytest.mark.parametrize("prior", [(0.6, 0.4), MIXTURE])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_probabilities_are_beta_binomial_sums(prior: list, alternative: str) -> None:
    for n, total, critical in ((0, 12, 6), (5, 12, 6), (11, 12, 7), (12, 12, 6), (9, 30, 31), (9, 30, 0)):
        found = predictive_probability(np.arange(n + 1), n, total, critical, prior, alternative=alternative)
        expected = [by_sums(x, n, total, critical, prior, alternative) for x in range(n + 1)]
        assert found == pytest.approx(expected, abs=1e-12)


def test_probabilities_broadcast() -> None:
    count, n, total, critical = np.arange(4)[:, None, None], 3, np.array([[10], [25]]), np.array([5, 6, 12])
    found = predictive_probability(count, n, total, critical, MIXTURE)
    assert found.shape == (4, 2, 3)
    for i, j, k in np.ndindex(found.shape):
        assert found[i, j, k] == pytest.approx(by_sums(i, 3, (10, 25)[j], (5, 6, 12)[k], MIXTURE), abs=1e-12)


@pytest.mark.parametrize("which", ["at_most", "at_least"])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_bounds_are_those_of_plain_counting(which: str, alternative: str) -> None:
    n, total = np.arange(14)[:, None], np.array([3, 8, 12])
    critical = np.array([2, 5, 7])
    for level in (0.05, 0.9):
        counts = predictive_bounds(n, total, critical, MIXTURE, alternative=alternative, **{which: level})
        assert counts.shape == (14, 3)
        assert counts.dtype == np.int64
        upward = (which == "at_least") == (alternative == "greater")
        for size, j in np.ndindex(counts.shape):
            never = size + 1 if upward else -1
            if size == 0 or size > total[j]:
                assert counts[size, j] == never
                continue
            p = [by_sums(x, size, total[j], critical[j], MIXTURE, alternative) for x in range(size + 1)]
            firing = [x for x in range(size + 1) if (p[x] <= level if which == "at_most" else p[x] >= level)]
            assert counts[size, j] == ((min if upward else max)(firing) if firing else never)


def test_a_probability_at_its_bound_fires() -> None:
    """Uniform prior, 1 of 2, one patient to come, 2 of 3 needed: exactly one half."""
    assert predictive_probability(1, 2, 3, 2, (1.0, 1.0)) == pytest.approx(0.5, abs=1e-15)
    assert predictive_bounds(2, 3, 2, (1.0, 1.0), at_most=0.5) == 1
    assert predictive_bounds(2, 3, 2, (1.0, 1.0), at_least=0.5) == 1


@given(n=st.integers(1, 60), more=st.integers(0, 40), share=st.floats(0.1, 0.9), level=st.floats(0.001, 0.999))
def test_at_the_bound_it_fires_and_beyond_it_does_not(n: int, more: int, share: float, level: float) -> None:
    total = n + more
    critical = round(share * total)
    low = int(predictive_bounds(n, total, critical, (0.5, 0.5), at_most=level))
    high = int(predictive_bounds(n, total, critical, (0.5, 0.5), at_least=level))
    if low >= 0:
        assert predictive_probability(low, n, total, critical, (0.5, 0.5)) <= level * (1 + 1e-11)
    if low < n:
        assert predictive_probability(low + 1, n, total, critical, (0.5, 0.5)) > level
    if high <= n:
        assert predictive_probability(high, n, total, critical, (0.5, 0.5)) >= level * (1 - 1e-11)
    if high > 0:
        assert predictive_probability(high - 1, n, total, critical, (0.5, 0.5)) < level


def test_a_table_by_n_and_total_is_made_at_once() -> None:
    """All n and totals up to 300: about 0.1 s; a rule's table for one total a tenth of it."""
    total = np.arange(1, 301)
    began = time.perf_counter()
    table = predictive_bounds(np.arange(301)[:, None], total, total // 2 + 5, (1.0, 1.0), at_most=0.05)
    assert time.perf_counter() - began < 2.0
    one = predictive_bounds(np.arange(301), 240, 125, (1.0, 1.0), at_most=0.05)
    assert table[:, 239].tolist() == one.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of at_least and at_most"),
        ({"at_most": 0.1, "at_least": 0.9}, "exactly one"),
        ({"at_most": 1.1}, "at_most is 1.1"),
        ({"at_most": 0.1, "alternative": "two-sided"}, "allowed: greater, less"),
        ({"at_most": 0.1, "n": -2}, "n is -2"),
        ({"at_most": 0.1, "prior": (1.0, -1.0)}, "all positive"),
    ],
)
def test_bad_input_is_one_line(options: dict, message: str) -> None:
    options = {"n": 10, "total": 20, "critical": 12, "prior": (1.0, 1.0), **options}
    with pytest.raises(InputError, match=message):
        predictive_bounds(**options)


def test_data_that_cannot_be_are_refused() -> None:
    for count, n, total in ((5, 4, 10), (5, 11, 10)):
        with pytest.raises(InputError, match="count <= n <= total"):
            predictive_probability(count, n, total, 6, (1.0, 1.0))
    with pytest.raises(InputError, match="must be above the null"):
        monitoring(null=0.4, alternative=0.4, prior=(1, 1), n=30, first=10, futility=0.05, final=0.9)
    with pytest.raises(InputError, match="first is 31; the first look must come by the last"):
        monitoring(null=0.2, alternative=0.4, prior=(1, 1), n=30, first=31, futility=0.05, final=0.9)
