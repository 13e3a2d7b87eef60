"""Sample sizes of a one-sample test: published powers, and the saw-tooth looked at n by n."""

import pytest
from scipy.stats import binom

from vtrial import InputError
from vtrial.boundaries.one_sample_size import sample_sizes, sized_test


@pytest.mark.parametrize(
    ("n", "power"), [(25, 0.57932569), (28, 0.6851126), (30, 0.74476675), (33, 0.81787426), (35, 0.72790831)]
)
def test_easts_exact_power(n: int, power: float) -> None:
    assert sized_test(n, null=0.05, alternative=0.2, alpha=0.025).power == pytest.approx(power, abs=1e-8)


@pytest.mark.parametrize(
    ("null", "alternative", "n", "power", "critical"),
    [
        (0.5, 0.65, 119, 0.9050, 71),
        (0.5, 0.65, 128, 0.9220, 76),
        (0.5, 0.7, 100, 0.979, 61),
        (0.1, 0.2, 128, 0.8717, 21),
    ],
)
def test_tests_like_karmmas(null: float, alternative: float, n: int, power: float, critical: int) -> None:
    test = sized_test(n, null=null, alternative=alternative, alpha=0.025)
    assert (test.critical, round(test.power, 4)) == (critical, power)
    assert test.size == pytest.approx(binom.sf(critical - 1, n, null), rel=1e-12)


@pytest.mark.parametrize("method", ["exact", "normal"])
@pytest.mark.parametrize(("null", "alternative"), [(0.05, 0.2), (0.5, 0.65), (0.3, 0.1), (0.9, 0.7), (0.1, 0.95)])
def test_first_and_lasting_by_looking_at_every_n(null: float, alternative: float, method: str) -> None:
    found = sample_sizes(null=null, alternative=alternative, alpha=0.025, power=0.8, method=method)  # type: ignore[arg-type]
    tests = [
        sized_test(n, null=null, alternative=alternative, alpha=0.025, method=method)  # type: ignore[arg-type]
        for n in range(1, found.horizon + 1)
    ]
    first = next(test for test in tests if test.power >= 0.8)
    assert found.first == first
    short = [test.n for test in tests if test.power < 0.8]
    assert found.lasting.n == max(short, default=0) + 1
    assert found.horizon == max(2 * first.n, first.n + 50)
    assert found.first.n <= found.lasting.n


def test_the_saw_tooth_has_a_gap() -> None:
    """Power at 114 is above .9, at 120 it is not: Chernick & Liu's point."""
    found = sample_sizes(null=0.5, alternative=0.65, alpha=0.025, power=0.9)
    assert (found.first.n, found.lasting.n) == (114, 121)
    assert sized_test(120, null=0.5, alternative=0.65, alpha=0.025).power < 0.9


def test_less_is_greater_the_other_way_round() -> None:
    down = sample_sizes(null=0.5, alternative=0.35, alpha=0.025, power=0.9)
    up = sample_sizes(null=0.5, alternative=0.65, alpha=0.025, power=0.9)
    assert (down.first.n, down.lasting.n) == (up.first.n, up.lasting.n)
    assert down.first.critical == up.first.n - up.first.critical
    assert down.first.power == pytest.approx(up.first.power, rel=1e-12)


def test_bad_input_is_one_line() -> None:
    for options, message in (
        ({"alternative": 0.5}, "the alternative is the null"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"power": 1.2}, "power is 1.2"),
        ({"method": "mid-p"}, "allowed: exact, normal"),
        ({"horizon": 50}, "at the horizon, n = 50"),
        ({"alternative": 0.5001}, "not reached with 131,072 patients"),
    ):
        with pytest.raises(InputError, match=message):
            sample_sizes(**{"null": 0.5, "alternative": 0.65, "alpha": 0.025, "power": 0.9, **options})
    with pytest.raises(InputError, match="n is 0"):
        sized_test(0, null=0.5, alternative=0.65, alpha=0.025)
