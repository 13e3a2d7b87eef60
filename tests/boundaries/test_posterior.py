"""Posterior probabilities under betas and mixtures, and their bounds, against quadrature and plain counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom

from vtrial import InputError
from vtrial.boundaries.posterior import posterior_bounds, posterior_probability

MIXTURE = [(0.7, 12.0, 8.0), (0.3, 1.0, 1.0)]


def test_lee_and_lius_posterior() -> None:
    """Reference: 16 of 23, Beta(.6, .4): P(p > .6) = 0.8359808."""
    assert posterior_probability(16, 23, (0.6, 0.4), 0.6) == pytest.approx(0.8359808, abs=5e-8)


@pytest.mark.parametrize(("count", "n"), [(0, 0), (0, 9), (3, 10), (10, 10), (40, 50)])
def test_a_mixtures_posterior_is_prior_times_likelihood(count: int, n: int) -> None:
    def density(p: float) -> float:
        return sum(w * beta.pdf(p, a, b) for w, a, b in MIXTURE) * binom.pmf(count, n, p)

    above, whole = quad(density, 0.55, 1, epsabs=1e-13)[0], quad(density, 0, 1, epsabs=1e-13)[0]
    assert posterior_probability(count, n, MIXTURE, 0.55) == pytest.approx(above / whole, abs=1e-9)
    below = posterior_probability(count, n, MIXTURE, 0.55, below=True)
    assert below == pytest.approx(1 - above / whole, abs=1e-9)


def test_a_mixture_of_one_and_of_two_alike_is_that_beta() -> None:
    one = posterior_probability(np.arange(11), 10, (2.0, 3.0), 0.4)
    for prior in ([(1.0, 2.0, 3.0)], [(0.25, 2.0, 3.0), (0.75, 2.0, 3.0)]):
        assert posterior_probability(np.arange(11), 10, prior, 0.4) == pytest.approx(one, rel=1e-13)


@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize("which", ["probability_at_least", "probability_at_most"])
@pytest.mark.parametrize("prior", [(1.0, 1.0), (0.2, 0.8), MIXTURE])
@pytest.mark.parametrize("level", [0.02, 0.5, 0.9])
def test_bounds_are_those_of_plain_counting(side: str, which: str, prior: list, level: float) -> None:
    n = np.arange(41)
    counts, direction = posterior_bounds(n, prior, **{side: 0.4, which: level})
    upward = (side == "above") == (which == "probability_at_least")
    assert direction == ("at_least" if upward else "at_most")
    assert counts.dtype == np.int64
    assert counts.shape == n.shape
    for size in range(1, 41):
        p = posterior_probability(np.arange(size + 1), size, prior, 0.4, below=side == "below")
        fires = p >= level * (1 - 1e-12) if which == "probability_at_least" else p <= level * (1 + 1e-12)
        firing = np.flatnonzero(fires)
        expected = (firing[0] if firing.size else size + 1) if upward else (firing[-1] if firing.size else -1)
        assert counts[size] == expected
    assert counts[0] == (1 if upward else -1)


def test_a_probability_at_its_bound_fires() -> None:
    """Beta(1, 1) after 5 of 10 is symmetric: exactly one half on either side."""
    for which in ("probability_at_least", "probability_at_most"):
        assert posterior_bounds(10, (1.0, 1.0), above=0.5, **{which: 0.5})[0] == 5


@given(
    n=st.integers(1, 120),
    rate=st.floats(0.05, 0.95),
    level=st.floats(0.01, 0.99),
    weight=st.floats(0.05, 0.95),
    a=st.floats(0.1, 50),
    b=st.floats(0.1, 50),
)
def test_at_the_bound_it_fires_and_one_below_it_does_not(
    n: int, rate: float, level: float, weight: float, a: float, b: float
) -> None:
    prior = [(weight, a, b), (1 - weight, 1.0, 1.0)]
    count = int(posterior_bounds(n, prior, above=rate, probability_at_least=level)[0])
    if count <= n:
        assert posterior_probability(count, n, prior, rate) >= level * (1 - 1e-11)
    if count > 0:
        assert posterior_probability(count - 1, n, prior, rate) < level


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"above": 0.5, "below": 0.4, "probability_at_least": 0.9}, "exactly one of above and below"),
        ({"probability_at_least": 0.9}, "exactly one of above and below"),
        ({"above": 0.5}, "exactly one of probability_at_least and probability_at_most"),
        ({"above": 1.5, "probability_at_least": 0.9}, "above is 1.5"),
        ({"below": 0.0, "probability_at_least": 0.9}, r"below is 0\.0"),
        ({"above": 0.5, "probability_at_most": -0.1}, "probability_at_most is -0.1"),
        ({"above": 0.5, "probability_at_least": 0.9, "n": -1}, "n is -1"),
        ({"above": 0.5, "probability_at_least": 0.9, "n": 2.5}, "n is 2.5; whole numbers"),
        ({"above": 0.5, "probability_at_least": 0.9, "prior": (0.0, 1.0)}, "all positive"),
        ({"above": 0.5, "probability_at_least": 0.9, "prior": [(0.5, 1, 1), (0.6, 2, 2)]}, "sum to 1.1"),
        ({"above": 0.5, "probability_at_least": 0.9, "prior": [(0.5, 1, 1), (0.5, 2)]}, "list of"),
        ({"above": 0.5, "probability_at_least": 0.9, "prior": "uniform"}, "list of"),
    ],
)
def test_bad_input_is_one_line(options: dict, message: str) -> None:
    options = {"n": 10, "prior": (1.0, 1.0), **options}
    with pytest.raises(InputError, match=message) as problem:
        posterior_bounds(**options)
    assert "\n" not in str(problem.value)


def test_counts_above_n_and_rates_above_1_are_refused() -> None:
    with pytest.raises(InputError, match="count is above n"):
        posterior_probability(11, 10, (1.0, 1.0), 0.5)
    with pytest.raises(InputError, match="a rate, 0 to 1"):
        posterior_probability(1, 10, (1.0, 1.0), 1.5)
