"""Pocock's sequential bound for toxicity: all levels tried, and its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from vtrial import InputError
from vtrial.boundaries.multistage import multistage
from vtrial.boundaries.toxicity import toxicity_bounds


def bounds_at(level: float, looks: list[int], null: float) -> list[int]:
    """The smallest count of each look whose tail is at most the level, by trying all."""
    tails = [[binom.sf(x - 1, n, null) for x in range(n + 1)] for n in looks]
    return [next((x for x, p in enumerate(row) if p <= level * (1 + 1e-10)), len(row)) for row in tails]


@pytest.mark.parametrize(("looks", "null", "alpha"), [(range(1, 21), 0.2, 0.05), ([5, 10, 20], 0.3, 0.1)])
def test_no_other_level_spends_more_within_alpha(looks: list[int], null: float, alpha: float) -> None:
    found = toxicity_bounds(looks, null=null, alpha=alpha)
    best = 0.0
    for level in sorted({binom.sf(x - 1, n, null) for n in looks for x in range(1, n + 1)}):
        spent = multistage(looks, null, at_least=bounds_at(level, list(looks), null)).success.sum()
        best = max(best, spent) if spent <= alpha else best
    assert found.alpha == pytest.approx(best, abs=1e-13)
    assert found.at_least.tolist() == bounds_at(found.level, list(looks), null)
    assert multistage(looks, null, at_least=found.at_least).success.sum() == pytest.approx(found.alpha, abs=1e-14)


def test_one_look_is_an_exact_test() -> None:
    found = toxicity_bounds([25], null=0.2, alpha=0.05)
    assert binom.sf(8, 25, 0.2) <= 0.05 < binom.sf(7, 25, 0.2)
    assert found.at_least.tolist() == [9]
    assert found.level == pytest.approx(binom.sf(8, 25, 0.2), rel=1e-12)
    assert found.alpha == pytest.approx(found.level, rel=1e-12)


def test_by_hand_for_three_patients() -> None:
    """At rate 1/2: 3 of 3 has 1/8, 2 of 2 has 1/4. At alpha 1/8 stopping at 3 of 3 fits, at alpha 1/10 nothing."""
    found = toxicity_bounds([1, 2, 3], null=0.5, alpha=0.125)
    assert found.at_least.tolist() == [2, 3, 3]
    assert (found.level, found.alpha) == (0.125, 0.125)
    none = toxicity_bounds([1, 2, 3], null=0.5, alpha=0.1)
    assert none.at_least.tolist() == [2, 3, 4]
    assert (none.level, none.alpha) == (0.0, 0.0)
    # 2 of 2 stops too: 1/4, or 3 of 3 after it, which can not be
    assert toxicity_bounds([1, 2, 3], null=0.5, alpha=0.3).at_least.tolist() == [2, 2, 3]


@settings(max_examples=25)
@given(n=st.integers(2, 40), null=st.floats(0.05, 0.6), alpha=st.floats(0.01, 0.3))
def test_alpha_is_kept_and_bounds_rise(n: int, null: float, alpha: float) -> None:
    found = toxicity_bounds(np.arange(1, n + 1), null=null, alpha=alpha)
    assert found.alpha <= alpha
    assert np.all(np.diff(found.at_least) >= 0)


def test_bad_input_is_one_line() -> None:
    for options, message in (
        ({"null": 0.0, "alpha": 0.05}, "null is 0.0"),
        ({"null": 0.2, "alpha": 1.0}, "alpha is 1.0"),
        ({"null": 0.2, "alpha": 0.05, "looks": [3, 2]}, "increase from look to look"),
    ):
        with pytest.raises(InputError, match=message):
            toxicity_bounds(**{"looks": [5, 10], **options})
