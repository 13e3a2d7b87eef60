"""Simon's two-stage designs: his table, and every small design tried."""

import time
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom

from vtrial import InputError
from vtrial.boundaries.multistage import multistage
from vtrial.boundaries.simon import TwoStage, simon_designs


@pytest.mark.parametrize(
    ("rates", "optimal", "minimax"),
    [
        ((0.05, 0.25), (0, 9, 2, 17, 11.96, 0.6302), (0, 12, 2, 16, 13.84, 0.5404)),
        ((0.10, 0.30), (1, 10, 5, 29, 15.01, 0.7361), (1, 15, 5, 25, 19.51, 0.5490)),
        ((0.20, 0.40), (3, 13, 12, 43, 20.58, 0.7473), (4, 18, 10, 33, 22.25, 0.7164)),
        ((0.50, 0.70), (8, 15, 26, 43, 23.50, 0.6964), (12, 23, 23, 37, 27.74, 0.6612)),
    ],
)
def test_simons_table(rates: tuple, optimal: tuple, minimax: tuple) -> None:
    """Simon 1989, alpha .05, power .80."""
    began = time.perf_counter()
    found = simon_designs(null=rates[0], alternative=rates[1], alpha=0.05, power=0.8)
    assert time.perf_counter() - began < 2.0
    for design, expected in ((found.optimal, optimal), (found.minimax, minimax)):
        assert (design.r1, design.n1, design.r, design.n) == expected[:4]
        assert (round(design.expected_n, 2), round(design.pet, 4)) == expected[4:]


def every_design(null: float, alternative: float, alpha: float, power: float, max_n: int) -> list[tuple]:
    """(n, expected n) of every design that has size and power, by plain loops."""
    found = []
    for n in range(2, max_n + 1):
        for n1 in range(1, n):
            for r1 in range(n1):
                x = np.arange(r1 + 1, n1 + 1)
                for r in range(r1, n):
                    at = [float(binom.pmf(x, n1, p) @ binom.sf(r - x, n - n1, p)) for p in (null, alternative)]
                    if at[0] <= alpha and at[1] >= power:
                        found.append((n, n1 + (1 - binom.cdf(r1, n1, null)) * (n - n1)))
    return found


def test_every_small_design_tried() -> None:
    """p0 .1, p1 .5, alpha .05, power .8: no design of up to 16 patients is better."""
    rates = {"null": 0.1, "alternative": 0.5, "alpha": 0.05, "power": 0.8}
    everything = every_design(*rates.values(), max_n=16)
    found = simon_designs(**rates)
    assert found.optimal.n <= 16
    assert found.optimal.expected_n == pytest.approx(min(mean for _, mean in everything), abs=1e-9)
    smallest = min(n for n, _ in everything)
    assert found.minimax.n == smallest
    assert found.minimax.expected_n == pytest.approx(min(mean for n, mean in everything if n == smallest), abs=1e-9)
    for weight in np.linspace(0, 1, 101):  # what is best for any weighting is among those told
        told = [found.minimax, *found.admissible, found.optimal]
        best = min(weight * n + (1 - weight) * mean for n, mean in everything)
        assert min(weight * d.n + (1 - weight) * d.expected_n for d in told) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(("null", "alternative"), [(0.1, 0.3), (0.5, 0.65), (0.03, 0.1)])
def test_admissible_designs_lie_between_and_do_what_they_say(null: float, alternative: float) -> None:
    found = simon_designs(null=null, alternative=alternative, alpha=0.05, power=0.8)
    designs = [found.minimax, *found.admissible, found.optimal]
    assert len(designs) > 2
    slopes = []
    for left, right in pairwise(designs):
        assert left.n < right.n
        assert left.expected_n > right.expected_n
        slopes.append((right.expected_n - left.expected_n) / (right.n - left.n))
    assert slopes == sorted(slopes)
    for design in designs:
        check(design, null, alternative)


def check(design: TwoStage, null: float, alternative: float) -> None:
    runs = multistage(
        [design.n1, design.n],
        [null, alternative],
        at_most=[design.r1, design.r],
        at_least=[design.n1 + 1, design.r + 1],
    )
    assert runs.success[:, 1] == pytest.approx([design.alpha, design.power], abs=1e-12)
    assert runs.futility[0, 0] == pytest.approx(design.pet, abs=1e-12)
    assert runs.expected_n[0] == pytest.approx(design.expected_n, abs=1e-9)
    assert design.alpha <= 0.05
    assert design.power >= 0.8


def test_bad_input_is_one_line() -> None:
    for options, message in (
        ({"alternative": 0.2}, "must be above the null"),
        ({"null": 0.0}, "null is 0.0"),
        ({"power": 1.0}, "power is 1.0"),
        ({"power": 0.05}, "must be above alpha"),
        ({"max_n": 20}, "no two-stage design of at most 20 patients.*max_n"),
        ({"max_n": 1}, "max_n is 1"),
    ):
        with pytest.raises(InputError, match=message):
            simon_designs(**{"null": 0.2, "alternative": 0.4, "alpha": 0.05, "power": 0.8, **options})
