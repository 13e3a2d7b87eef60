"""Multi-stage trials of one count: every sequence of patients counted out, and numbers from outside."""

import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from vtrial import InputError
from vtrial.boundaries.multistage import multistage


def counted_out(looks: list[int], low: list[int], high: list[int], rate: float, first: str) -> tuple:
    """P(futility), P(success) by look and the expected number, over all sequences of patients."""
    futility, success, expected = np.zeros(len(looks)), np.zeros(len(looks)), 0.0
    for sequence in product((0, 1), repeat=looks[-1]):
        p = rate ** sum(sequence) * (1 - rate) ** (looks[-1] - sum(sequence))
        for k, n in enumerate(looks):
            count = sum(sequence[:n])
            rules = [("futility", count <= low[k], futility), ("success", count >= high[k], success)]
            fired = [table for name, fires, table in sorted(rules, key=lambda rule: rule[0] != first) if fires]
            if fired:
                fired[0][k] += p
            if fired or n == looks[-1]:
                expected += p * n
                break
    return futility, success, expected


@pytest.mark.parametrize("first", ["futility", "success"])
@pytest.mark.parametrize(
    ("looks", "low", "high"),
    [
        ([4, 9], [1, 4], [4, 5]),
        ([1, 2, 3, 5, 8, 10], [-1, 0, -1, 1, 3, 5], [2, 3, 3, 5, 6, 8]),
        ([3, 6, 9], [2, 3, 4], [1, 3, 5]),  # both at once
        ([3, 6], [3, 6], [4, 7]),  # nobody goes on
        ([2, 10], [-1, -1], [3, 11]),  # never
    ],
)
def test_every_sequence_counted_out(looks: list[int], low: list[int], high: list[int], first: str) -> None:
    rates = [0.0, 0.2, 0.55, 1.0]
    found = multistage(looks, rates, at_most=low, at_least=high, first=first)  # type: ignore[arg-type]
    for w, rate in enumerate(rates):
        futility, success, expected = counted_out(looks, low, high, rate, first)
        assert found.futility[w] == pytest.approx(futility, abs=1e-14)
        assert found.success[w] == pytest.approx(success, abs=1e-14)
        assert found.expected_n[w] == pytest.approx(expected, abs=1e-12)
        assert found.undecided[w] == pytest.approx(1 - futility.sum() - success.sum(), abs=1e-14)


def test_two_looks_of_64_and_128() -> None:
    """Reference: crossing counts 44 and 76; .021536 at .5, .922657 at .65; expected N 127.882 and 107.969."""
    found = multistage([64, 128], [0.5, 0.65], at_least=[44, 76])
    assert found.success.sum(axis=1).round(6).tolist() == [0.021536, 0.922657]
    assert found.expected_n.round(3).tolist() == [127.882, 107.969]


def test_one_look_is_a_binomial() -> None:
    found = multistage(128, 0.6, at_least=76)
    assert found.success.shape == (1, 1)
    assert found.success[0, 0] == pytest.approx(binom.sf(75, 128, 0.6), rel=1e-12)
    assert found.undecided[0] == pytest.approx(binom.cdf(75, 128, 0.6), rel=1e-12)
    assert multistage(300, 0.98, at_least=300).success[0, 0] == pytest.approx(0.98**300, rel=1e-11)


@given(st.data())
def test_probabilities_sum_to_1_and_a_never_looked_at_look_changes_nothing(data: st.DataObject) -> None:
    looks = sorted(data.draw(st.sets(st.integers(1, 60), min_size=2, max_size=6)))
    low = [data.draw(st.integers(-1, n)) for n in looks]
    high = [data.draw(st.integers(0, n + 1)) for n in looks]
    rate = data.draw(st.floats(0, 1))
    found = multistage(looks, rate, at_most=low, at_least=high)
    assert found.futility.sum() + found.success.sum() + found.undecided.sum() == pytest.approx(1, abs=1e-12)
    assert looks[0] - 1e-9 <= found.expected_n[0] <= looks[-1] + 1e-9
    low[0], high[0] = -1, looks[0] + 1
    with_it = multistage(looks, rate, at_most=low, at_least=high)
    without = multistage(looks[1:], rate, at_most=low[1:], at_least=high[1:])
    assert with_it.success[:, 1:] == pytest.approx(without.success, abs=1e-12)


def test_worlds_are_apart_and_fast() -> None:
    """30 looks in 1,000 worlds take milliseconds; a world has the same numbers among others and alone."""
    looks, rates = np.arange(10, 40), np.linspace(0.05, 0.95, 1000)
    low = np.arange(30) // 2
    began = time.perf_counter()
    together = multistage(looks, rates, at_most=low)
    assert time.perf_counter() - began < 1.0
    for w in (0, 499, 999):
        alone = multistage(looks, rates[w], at_most=low)
        assert alone.futility[0] == pytest.approx(together.futility[w], abs=1e-15)


def test_bad_input_is_one_line() -> None:
    for looks in ([10, 10], [20, 10], [0, 10], []):
        with pytest.raises(InputError, match="looks"):
            multistage(looks, 0.5)
    with pytest.raises(InputError, match="rates are numbers from 0 to 1"):
        multistage([10], [0.5, 1.1])
    with pytest.raises(InputError, match="2 looks need as many bounds: at_most has 1, at_least 2"):
        multistage([10, 20], 0.5, at_most=[3])
    with pytest.raises(InputError, match="first is 'harm'"):
        multistage([10], 0.5, first="harm")  # type: ignore[arg-type]
