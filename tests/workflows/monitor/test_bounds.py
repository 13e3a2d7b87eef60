"""Bounds at actual numbers against closed forms, published numbers, the planned bounds, and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, multivariate_normal, norm

from vtrial.boundaries.one_sample_sequential import sequential_design
from vtrial.boundaries.spending import spending_bounds, spent
from vtrial.workflows.monitor.bounds import Analyses, Stages, exact_counts, normal_bounds

SIMON = Stages(0.5, np.array([15]), np.array([8]), np.array([16]))  # 8 of 15, then more than 26 of 43


def plain(information: list[float], alpha: list[float]) -> Analyses:
    """Efficacy alone, alpha cumulative."""
    t = np.array(information)
    never = np.full(t.size, np.nan)
    return Analyses(t, np.array(alpha), never, np.ones(t.size, bool), never)


def test_simons_design_at_other_numbers() -> None:
    """Koyama & Chen's conditional error; sizes summed independently below."""
    assert round(SIMON.size(27, 43), 4) == 0.0499  # Simon's own
    assert [round(SIMON.size(27, n), 3) for n in (50, 46)] == [0.181, 0.102]
    for n, count, size in ((40, 26, 0.0343), (46, 29, 0.0411), (50, 31, 0.0451)):
        assert [SIMON.reworked(x, 27, 43, n) for x in range(9, 16)] == [count] * 7
        x = np.arange(9, 16)
        by_hand = float(binom.pmf(x, 15, 0.5) @ binom.sf(count - x - 1, n - 15, 0.5))
        assert SIMON.size_reworked(27, 43, n) == pytest.approx(by_hand, rel=1e-12)
        assert round(by_hand, 4) == size
    assert SIMON.reworked(9, 27, 43, 43) == 27


@given(st.integers(4, 12), st.integers(4, 12), st.integers(0, 12), st.sampled_from([0.2, 0.5]), st.data())
def test_conditional_error_is_kept_whatever_the_first_stage(
    first: int, second: int, actual: int, null: float, data: st.DataObject
) -> None:
    low = data.draw(st.integers(-1, first - 1))
    count = data.draw(st.integers(max(low, 0) + 1, first + second))
    stages = Stages(null, np.array([first]), np.array([low]), np.array([first + 1]))
    for x in range(low + 1, first + 1):
        bound = stages.reworked(x, count, first + second, first + actual)
        allowed = binom.sf(count - x - 1, second, null)
        assert binom.sf(bound - x - 1, actual, null) <= allowed * (1 + 1e-9)
        if bound > x:
            assert binom.sf(bound - x - 2, actual, null) > allowed * (1 - 1e-9)
    assert stages.size_reworked(count, first + second, first + actual) <= stages.size(count, first + second) + 1e-12


def test_a_look_at_its_actual_fraction() -> None:
    f = 2 * norm.sf(norm.isf(0.0125) / np.sqrt(76 / 128))
    z = normal_bounds(plain([76 / 128], [float(spent(76 / 128, 0.025, "obrien-fleming"))])).efficacy[0]
    assert z == pytest.approx(norm.isf(f), abs=1e-9)
    assert round(float(z), 3) == 2.685


@pytest.mark.parametrize(("n", "end"), [(64, 128), (76, 128), (64, 140), (64, 100), (50, 64)])
def test_the_end_spends_what_is_left_under_actual_correlation(n: int, end: int) -> None:
    """Under- and over-run: the probability of crossing either bound is alpha, by a bivariate normal."""
    used = float(spent(n / 128, 0.025, "obrien-fleming"))
    z = normal_bounds(plain([n / 128, end / 128], [used, 0.025])).efficacy
    r = np.sqrt(n / end)
    below = multivariate_normal(cov=[[1, r], [r, 1]]).cdf(z)
    assert z[0] == pytest.approx(norm.isf(used), abs=1e-9)
    assert 1 - below == pytest.approx(0.025, abs=2e-6)


def test_two_analyses_of_the_same_patients_add_what_the_lower_bound_adds() -> None:
    z = normal_bounds(plain([0.5, 0.5], [0.01, 0.025])).efficacy
    assert z == pytest.approx(norm.isf([0.01, 0.025]), abs=1e-9)
    counts = exact_counts(plain([0.5, 0.5], [0.01, 0.025]), np.array([20, 20]), 0.5, None)
    assert list(counts.efficacy) == [16, 15]
    assert counts.alpha == pytest.approx(binom.sf([15, 14], 20, 0.5), rel=1e-12)


def test_a_look_that_spends_nothing_never_fires_and_takes_nothing() -> None:
    found = normal_bounds(plain([0.0, 0.4, 1.0], [0.0, 0.0, 0.025]))
    assert list(found.efficacy[:2]) == [np.inf, np.inf]
    assert found.efficacy[2] == pytest.approx(norm.isf(0.025), abs=1e-9)


@pytest.mark.parametrize("binding", [False, True])
@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock"])
def test_at_planned_numbers_the_bounds_are_the_planned_ones(kind: str, binding: bool) -> None:
    n = np.array([30, 60, 100])
    t = n / 100
    beta = np.append(spent(t, 0.2, kind)[:-1], np.nan)  # type: ignore[arg-type]
    never = np.full(3, np.nan)
    asked = Analyses(t, spent(t, 0.025, kind), never, np.ones(3, bool), beta, 3.3, binding)  # type: ignore[arg-type]
    how = {"beta": 0.2, "beta_kind": kind, "binding": binding}
    planned = spending_bounds(t, 0.025, kind, drift=3.3, **how)  # type: ignore[arg-type]
    found = normal_bounds(asked)
    np.testing.assert_allclose(found.efficacy, planned.efficacy, atol=1e-9)
    np.testing.assert_allclose(found.futility[:2], planned.futility[:2], atol=1e-9)
    exact = sequential_design(n, null=0.5, alternative=0.65, alpha=0.025, kind=kind, method="exact", **how)  # type: ignore[arg-type]
    counts = exact_counts(asked, n, 0.5, 0.65)
    assert list(counts.efficacy) == list(exact.at_least)
    assert list(counts.futility[:2]) == list(exact.at_most[:2])
    kept = normal_bounds(
        Analyses(t, np.array([0, 0, 0.025]), np.append(planned.efficacy[:2], np.nan), asked.claims, never)
    )
    if not binding:  # a family without a spending function keeps its bounds, and the end has what they leave
        np.testing.assert_allclose(kept.efficacy, planned.efficacy, atol=1e-9)


def claimed(n: NDArray[np.int64], counts: NDArray[np.int64], null: float) -> float:
    """P(a count at its bound at any analysis), by every path."""
    steps = np.diff(n, prepend=0)
    total = 0.0
    for path in itertools.product(*(range(step + 1) for step in steps)):
        if np.any(np.cumsum(path) >= counts):
            total += float(np.prod(binom.pmf(path, steps, null)))
    return total


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=3), st.sampled_from([0.1, 0.3, 0.5]), st.sampled_from([0.05, 0.2])
)
def test_exact_counts_keep_alpha_at_any_numbers(more: list[int], null: float, alpha: float) -> None:
    n = np.cumsum([3, *more])
    share = np.minimum(n / 14, 1.0)
    spends = np.append(spent(share, alpha, "pocock")[:-1], alpha)
    found = exact_counts(plain(list(n / 14), list(spends)), n, null, None)
    size = claimed(n, found.efficacy, null)  # type: ignore[arg-type]
    assert size == pytest.approx(found.alpha[-1], abs=1e-12)
    assert size <= alpha + 1e-12
