"""Graphs of tests: the procedures that they contain, and the paper's algorithm in any order."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtrial import InputError
from vtrial.boundaries.multiplicity import graph_levels, graph_rejections


def test_a_hierarchy() -> None:
    names, levels = graph_levels({"orr": 1, "cr": 0, "pfs": 0}, {"orr": {"cr": 1}, "cr": {"pfs": 1}}, alpha=0.025)
    assert names == ("orr", "cr", "pfs")
    assert levels[0b000] == pytest.approx([0.025, 0, 0])
    assert levels[0b001] == pytest.approx([0, 0.025, 0])
    assert levels[0b011] == pytest.approx([0, 0, 0.025])
    assert levels[0b111].tolist() == [0, 0, 0]


def test_holm() -> None:
    tests = ["a", "b", "c", "d"]
    names, levels = graph_levels(
        dict.fromkeys(tests, 0.25), {i: {j: 1 / 3 for j in tests if j != i} for i in tests}, alpha=0.05
    )
    for rejected in range(15):
        left = 4 - rejected.bit_count()
        expected = [0 if rejected >> i & 1 else 0.05 / left for i in range(4)]
        assert levels[rejected] == pytest.approx(expected, abs=1e-15)
    p = np.random.default_rng(1).uniform(0, 0.08, (500, 4))
    found = graph_rejections(p, levels)
    for row, rejected in zip(p, found, strict=True):
        expected = np.zeros(4, bool)
        for rank, i in enumerate(np.argsort(row)):
            if row[i] > 0.05 / (4 - rank):
                break
            expected[i] = True
        assert rejected.tolist() == expected.tolist()
    assert len(names) == 4


def test_parallel_gatekeeping_of_the_paper() -> None:
    """Bretz et al. 2009, two primary and two secondary hypotheses; alpha .025 halved, secondaries pass it back."""
    _, levels = graph_levels(
        {"H1": 0.5, "H2": 0.5, "H3": 0, "H4": 0},
        {"H1": {"H3": 1}, "H2": {"H4": 1}, "H3": {"H2": 1}, "H4": {"H1": 1}},
        alpha=0.025,
    )
    assert levels[0b0001] == pytest.approx([0, 0.0125, 0.0125, 0])
    assert levels[0b0101] == pytest.approx([0, 0.025, 0, 0])
    assert levels[0b1010] == pytest.approx([0.025, 0, 0, 0])
    assert levels[0b0111] == pytest.approx([0, 0, 0, 0.025])


def by_the_algorithm(weight: np.ndarray, share: np.ndarray, order: tuple) -> np.ndarray:
    """Algorithm 1 of Bretz et al. 2009, entry by entry."""
    w, g, left = weight.copy(), share.copy(), set(range(weight.size))
    for j in order:
        left.remove(j)
        new_w, new_g = np.zeros_like(w), np.zeros_like(g)
        for k in left:
            new_w[k] = w[k] + w[j] * g[j, k]
            for m in left - {k}:
                if g[k, j] * g[j, k] < 1:
                    new_g[k, m] = (g[k, m] + g[k, j] * g[j, m]) / (1 - g[k, j] * g[j, k])
        w, g = new_w, new_g
    return w


@given(st.data())
def test_any_order_of_rejections_is_the_same(data: st.DataObject) -> None:
    tests = data.draw(st.integers(2, 4))
    share = np.array(data.draw(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=4, max_size=4)))
    share = share[:tests, :tests]
    np.fill_diagonal(share, 0)
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1.02)
    weight = np.full(tests, 1 / tests)
    names = [f"h{i}" for i in range(tests)]
    given_shares = {a: {b: share[i, j] for j, b in enumerate(names)} for i, a in enumerate(names)}
    _, levels = graph_levels(dict(zip(names, weight, strict=True)), given_shares, alpha=0.05)
    size = data.draw(st.integers(1, tests))
    for order in permutations(range(tests), size):
        expected = 0.05 * by_the_algorithm(weight, share, order)
        assert levels[sum(1 << j for j in order)] == pytest.approx(expected, abs=1e-12)
    assert np.all(levels.sum(axis=1) <= 0.05 * (1 + 1e-9))


def test_bad_input_is_one_line() -> None:
    two = {"orr": 0.5, "cr": 0.5}
    for weights, transitions, message in (
        ({"orr": 0.7, "cr": 0.5}, {}, "weights sum to 1.2"),
        ({"orr": -0.1, "cr": 0.5}, {}, "weight of 'orr' is -0.1"),
        (two, {"orr": {"cr": 1.5}}, "from 'orr' to 'cr' is 1.5"),
        ({**two, "pfs": 0}, {"orr": {"cr": 0.6, "pfs": 0.6}}, "from 'orr' sum to 1.2"),
        (two, {"orr": {"orr": 0.5}}, "passes alpha to itself"),
        (two, {"or": {"cr": 1}}, "'or', which is no test .tests: orr, cr.; did you mean 'orr'"),
        (two, {"orr": {"crr": 1}}, "'crr', which is no test"),
        ({}, {}, "1 to 6 tests; this one has 0"),
        ({f"h{i}": 0.1 for i in range(7)}, {}, "this one has 7"),
    ):
        with pytest.raises(InputError, match=message):
            graph_levels(weights, transitions, alpha=0.025)
    with pytest.raises(InputError, match="alpha is 0"):
        graph_levels(two, {}, alpha=0)
    with pytest.raises(InputError, match="for 2 tests"):
        graph_rejections([0.1, 0.2, 0.3], graph_levels(two, {}, alpha=0.05)[1])
