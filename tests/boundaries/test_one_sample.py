"""One-sample tests: published power, the paper's decisions, and a plain-Python definition for every small n."""

from collections.abc import Callable
from fractions import Fraction
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from scipy.integrate import quad

from vtrial import InputError, critical_counts, size_and_power
from vtrial.model.vocabulary import Alternative

# Numbers from outside (reference_results.md)


@pytest.mark.parametrize(
    ("n", "power"), [(25, 0.57932569), (28, 0.6851126), (30, 0.74476675), (33, 0.81787426), (35, 0.72790831)]
)
def test_easts_exact_power(n: int, power: float) -> None:
    """East 6.5, kept in keaven/gsDesign: p0 = .05, p1 = .20, one-sided .025."""
    critical = critical_counts(n, null=0.05, method="exact", alpha=0.025)
    assert size_and_power(critical, n, 0.20).item() == pytest.approx(power, abs=1e-8)


@pytest.mark.parametrize(
    ("null", "rate", "n", "power", "critical"),
    [
        (0.5, 0.65, 100, 0.8276, 61),
        (0.5, 0.65, 119, 0.9050, 71),
        (0.5, 0.65, 128, 0.9220, 76),
        (0.5, 0.70, 100, 0.9790, 61),
        (0.5, 0.70, 119, 0.9938, 71),
        (0.5, 0.70, 128, 0.9960, 76),
        (0.1, 0.20, 100, 0.8077, 17),
        (0.1, 0.20, 119, 0.8378, 20),
        (0.1, 0.20, 128, 0.8717, 21),
    ],
)
def test_exact_power_of_trials_like_karmma(null: float, rate: float, n: int, power: float, critical: int) -> None:
    bound = critical_counts(n, null=null, method="exact", alpha=0.025)
    assert bound == critical
    assert round(size_and_power(bound, n, rate).item(), 4) == power
    assert size_and_power(bound, n, null).item() <= 0.025 < size_and_power(bound - 1, n, null).item()


def test_power_of_119_infused_to_five_places() -> None:
    """The issue's acceptance 4: ORR 65% against 50%, critical count 71."""
    assert size_and_power(71, 119, 0.65).item() == pytest.approx(0.90498, abs=5e-6)


def test_a_posterior_probability_of_lee_and_liu() -> None:
    """Clin Trials 2008;5:93: P(p > .6 | 16 of 23, Beta(.6, .4)) = 0.8359808."""
    published = 0.8359808

    def bound(probability: float) -> int:
        return critical_counts(23, null=0.6, method="posterior", prior=(0.6, 0.4), probability=probability).item()

    assert bound(published - 1e-7) == 16
    assert bound(published + 1e-7) == 17


# The paper's plan


@pytest.mark.parametrize("method", ["normal", "exact"])
def test_karmmas_own_counts(method: str) -> None:
    orr = critical_counts(128, null=0.5, method=method, alpha=0.025)  # type: ignore[arg-type]
    cr = critical_counts(128, null=0.1, method=method, alpha=0.025)  # type: ignore[arg-type]
    assert orr <= 94
    assert cr <= 42


def exact_tail(count: int, n: int, rate: Fraction) -> Fraction:
    """P(X >= count), by a sum of fractions."""
    return sum((comb(n, x) * rate**x * (1 - rate) ** (n - x) for x in range(count, n + 1)), Fraction(0))


def test_the_normal_test_of_cr_exceeds_its_level_at_128() -> None:
    """Without continuity correction it rejects from 20 of 128; stated, not repaired (DESIGN.md, definitions)."""
    critical = critical_counts(128, null=0.1, method="normal", alpha=0.025)
    assert critical == 20
    size = size_and_power(critical, 128, 0.1).item()
    assert size == pytest.approx(float(exact_tail(20, 128, Fraction(1, 10))), rel=1e-12)
    assert size == pytest.approx(0.0297865, abs=1e-7)
    exact = critical_counts(128, null=0.1, method="exact", alpha=0.025)
    assert exact == 21
    assert size_and_power(exact, 128, 0.1).item() < 0.025


# A slow definition, for every n up to 60

NULLS = ("0.05", "0.1", "0.3", "0.5", "0.9")
SIZES = range(61)


def first(rejects: Callable[[int], bool], n: int, alternative: Alternative) -> int:
    """The least extreme count from which on every more extreme one rejects; beyond all counts where none does."""
    if n == 0:
        return 1 if alternative == "greater" else -1
    if alternative == "greater":
        bound = n + 1
        while bound > 0 and rejects(bound - 1):
            bound -= 1
    else:
        bound = -1
        while bound < n and rejects(bound + 1):
            bound += 1
    return bound


def beyond(n: int, null: Fraction, alternative: Alternative) -> list[Fraction]:
    """P(X at least as extreme as x) under the null, x = 0 .. n, exactly."""
    mass = [comb(n, x) * null**x * (1 - null) ** (n - x) for x in range(n + 1)]
    order = mass[::-1] if alternative == "greater" else mass
    sums, total = [], Fraction(0)
    for m in order:
        total += m
        sums.append(total)
    return sums[::-1] if alternative == "greater" else sums


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("null", NULLS)
def test_exact_bounds_by_sums_of_fractions(null: str, alternative: Alternative) -> None:
    p0 = Fraction(null)
    tails = [beyond(n, p0, alternative) for n in SIZES]
    # 1/32 and 1/2 are reached exactly at a null of one half: at the level counts as rejected
    for alpha in (0.025, 0.05, 0.1, 1 / 32, 0.5):
        got = critical_counts(np.arange(61), null=float(p0), method="exact", alternative=alternative, alpha=alpha)
        level = Fraction(alpha)
        want = [first(lambda x, tail=tails[n], a=level: tail[x] <= a, n, alternative) for n in SIZES]
        assert got.tolist() == want, alpha


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("null", NULLS)
def test_normal_bounds_by_the_formula(null: str, alternative: Alternative) -> None:
    p0, normal = float(null), NormalDist()
    sign = 1 if alternative == "greater" else -1
    for alpha in (0.025, 0.05, 0.1, 0.5):

        def rejects(x: int, n: int, level: float = alpha) -> bool:
            z = sign * float(Fraction(x, n) - Fraction(null)) / sqrt(p0 * (1 - p0) / n)
            return normal.cdf(-z) <= level

        got = critical_counts(np.arange(61), null=p0, method="normal", alternative=alternative, alpha=alpha)
        want = [first(lambda x, n=n: rejects(x, n), n, alternative) for n in SIZES]
        assert got.tolist() == want, alpha


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("prior", [(1, 1), (2, 5)])
@pytest.mark.parametrize("null", NULLS)
def test_posterior_bounds_by_sums_of_fractions(null: str, prior: tuple[int, int], alternative: Alternative) -> None:
    """With whole prior parameters, P(p > p0 | x) is a binomial sum: P(Bin(a + b - 1, p0) < a)."""
    p0 = Fraction(null)
    for probability in (0.8, 0.95, 0.975):
        got = critical_counts(
            np.arange(61),
            null=float(p0),
            method="posterior",
            alternative=alternative,
            prior=prior,
            probability=probability,
        )
        want = []
        for n in SIZES:
            trials = sum(prior) + n - 1
            below = [Fraction(0)]  # below[k] = P(Bin(trials, p0) < k)
            for k in range(trials + 1):
                below.append(below[-1] + comb(trials, k) * p0**k * (1 - p0) ** (trials - k))
            above = [below[prior[0] + x] for x in range(n + 1)]  # P(p > p0 | x)
            reached = above if alternative == "greater" else [1 - p for p in above]
            want.append(first(lambda x, r=reached: r[x] >= Fraction(probability), n, alternative))  # noqa: B023
        assert got.tolist() == want, probability


def test_a_prior_that_is_no_whole_number_by_quadrature() -> None:
    prior, null, probability = (0.6, 1.7), 0.4, 0.9
    got = critical_counts(np.arange(31), null=null, method="posterior", prior=prior, probability=probability)
    for n in (1, 7, 30):

        def density(p: float, x: int = 0, n: int = n) -> float:
            return p ** (prior[0] + x - 1) * (1 - p) ** (prior[1] + n - x - 1)

        def above(x: int) -> float:
            part, whole = (quad(density, low, 1, args=(x,), epsabs=0, epsrel=1e-10, limit=500)[0] for low in (null, 0))
            return part / whole

        assert got[n] == first(lambda x, above=above: above(x) >= probability, n, "greater")


# Properties


@pytest.mark.parametrize(("method", "level"), [("normal", 0.025), ("exact", 0.025)])
def test_less_mirrors_greater(method: str, level: float) -> None:
    n = np.arange(201)
    less = critical_counts(n, null=0.3, method=method, alternative="less", alpha=level)  # type: ignore[arg-type]
    greater = critical_counts(n, null=0.7, method=method, alpha=level)  # type: ignore[arg-type]
    np.testing.assert_array_equal(less, n - greater)


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("null", [0.1, 0.5, 0.8])
def test_the_exact_test_keeps_its_level_for_every_n(null: float, alternative: Alternative) -> None:
    n = np.arange(1, 401)
    bound = critical_counts(n, null=null, method="exact", alternative=alternative, alpha=0.025)
    assert np.all(size_and_power(bound, n, null, alternative) <= 0.025 + 1e-12)
    wider = bound - 1 if alternative == "greater" else bound + 1
    assert np.all(size_and_power(wider, n, null, alternative) > 0.025)


def test_nobody_shows_nothing() -> None:
    assert critical_counts(0, null=0.5, method="normal", alpha=0.5) == 1
    assert critical_counts(0, null=0.5, method="exact", alternative="less", alpha=0.5) == -1
    prior = {"prior": (9.0, 1.0), "probability": 0.9}
    assert critical_counts(0, null=0.1, method="posterior", **prior) == 1  # type: ignore[arg-type]


def test_too_few_patients_show_nothing() -> None:
    assert critical_counts(5, null=0.5, method="exact", alpha=0.025) == 6  # 5 of 5 has p = 1/32
    assert size_and_power(6, 5, 0.99).item() == 0.0
    assert critical_counts(6, null=0.5, method="exact", alpha=0.025) == 6
    assert critical_counts(5, null=0.5, method="exact", alternative="less", alpha=0.025) == -1
    assert size_and_power(-1, 5, 0.01, "less").item() == 0.0


def test_power_by_plain_sums() -> None:
    for critical in (0, 1, 7, 12, 13):
        plain = sum(comb(12, x) * 0.3**x * 0.7 ** (12 - x) for x in range(critical, 13))
        assert size_and_power(critical, 12, 0.3).item() == pytest.approx(plain, rel=1e-12)
        down = sum(comb(12, x) * 0.3**x * 0.7 ** (12 - x) for x in range(critical + 1) if x <= 12)
        assert size_and_power(critical, 12, 0.3, "less").item() == pytest.approx(down, rel=1e-12)


def test_bounds_keep_the_shape_of_n() -> None:
    assert critical_counts(np.array([[50, 60, 70], [80, 90, 100]]), null=0.5, method="exact", alpha=0.025).shape == (
        2,
        3,
    )
    assert critical_counts(128, null=0.5, method="exact", alpha=0.025).shape == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "wald"}, "method is 'wald' (allowed: normal, exact, posterior)"),
        ({"alternative": "two-sided"}, "alternative is 'two-sided' (allowed: greater, less)"),
        ({"alpha": None}, "alpha is None; method 'exact' needs a number between 0 and 1"),
        ({"alpha": 2.5}, "alpha is 2.5"),
        ({"null": 1.0}, "null is 1.0"),
        ({"null": 50}, "null is 50"),
        ({"n": -1}, "n is -1"),
        ({"method": "posterior"}, "probability is None; method 'posterior' needs"),
        ({"method": "posterior", "probability": 0.9, "prior": (0.0, 1.0)}, "prior is (0.0, 1.0); two positive numbers"),
    ],
)
def test_what_is_no_test_is_refused(change: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"n": 128, "null": 0.5, "method": "exact", "alpha": 0.025} | change
    with pytest.raises(InputError) as caught:
        critical_counts(asked.pop("n"), **asked)  # type: ignore[arg-type]
    assert said in str(caught.value)
