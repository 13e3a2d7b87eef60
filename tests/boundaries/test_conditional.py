"""Conditional power and its bounds, against binomial sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from vtrial import InputError
from vtrial.boundaries.conditional import conditional_bounds, conditional_power


def test_by_hand() -> None:
    """2 of 3; 4 of 5 needed: both to come. At 1/2 that is a quarter, at the observed rate 4/9."""
    assert conditional_power(2, 3, 5, 4, 0.5) == pytest.approx(0.25, abs=1e-15)
    assert conditional_power(2, 3, 5, 4, "observed") == pytest.approx(4 / 9, abs=1e-15)
    assert conditional_power(2, 3, 5, 2, 0.5, alternative="less") == pytest.approx(0.25, abs=1e-15)
    assert conditional_power(2, 3, 5, 2, 0.5) == 1.0
    assert conditional_power(0, 3, 5, 4, 0.5) == 0.0
    assert conditional_power(0, 0, 5, 5, 0.5) == pytest.approx(1 / 32, abs=1e-15)


@pytest.mark.parametrize("rate", [0.35, "observed"])
@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("which", ["at_most", "at_least"])
@pytest.mark.parametrize("level", [0.1, 0.85])
def test_bounds_are_those_of_plain_counting(rate: float, alternative: str, which: str, level: float) -> None:
    n = np.arange(26)
    counts = conditional_bounds(n, 22, 9, rate, alternative=alternative, **{which: level})
    upward = (which == "at_least") == (alternative == "greater")
    for size in range(26):
        never = size + 1 if upward else -1
        if size in (0, 23, 24, 25):
            assert counts[size] == never
            continue
        firing = []
        for x in range(size + 1):
            p = x / size if rate == "observed" else rate
            power = binom.sf(8 - x, 22 - size, p) if alternative == "greater" else binom.cdf(9 - x, 22 - size, p)
            if power <= level if which == "at_most" else power >= level:
                firing.append(x)
        assert counts[size] == ((min if upward else max)(firing) if firing else never)


@given(n=st.integers(1, 80), more=st.integers(0, 60), share=st.floats(0.05, 0.95), level=st.floats(0.01, 0.99))
def test_at_the_bound_it_fires_and_beyond_it_does_not(n: int, more: int, share: float, level: float) -> None:
    total, critical = n + more, round(share * (n + more))
    low = int(conditional_bounds(n, total, critical, "observed", at_most=level))
    if low >= 0:
        assert conditional_power(low, n, total, critical, "observed") <= level * (1 + 1e-11)
    if low < n:
        assert conditional_power(low + 1, n, total, critical, "observed") > level


def test_bad_input_is_one_line() -> None:
    with pytest.raises(InputError, match="no rate has been observed"):
        conditional_power(0, 0, 10, 5, "observed")
    with pytest.raises(InputError, match="rate is 'seen'"):
        conditional_bounds(5, 10, 5, "seen", at_most=0.1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"rate is 1\.2"):
        conditional_bounds(5, 10, 5, 1.2, at_most=0.1)
    with pytest.raises(InputError, match="count <= n <= total"):
        conditional_power(6, 5, 10, 5, 0.5)
    with pytest.raises(InputError, match="exactly one"):
        conditional_bounds(5, 10, 5, 0.5)
    with pytest.raises(InputError, match="alternative is 'both'"):
        conditional_bounds(5, 10, 5, 0.5, at_most=0.1, alternative="both")  # type: ignore[arg-type]
