"""Counts of a one-sample test at several looks: numbers from outside, and what each look may spend."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from vtrial import InputError
from vtrial.boundaries.multistage import multistage
from vtrial.boundaries.one_sample_sequential import SequentialDesign, sequential_design
from vtrial.boundaries.spending import spent

TWO = {"looks": [64, 128], "null": 0.5, "alternative": 0.65, "alpha": 0.025, "kind": "obrien-fleming"}


def test_reference_counts_of_64_and_128() -> None:
    """Reference: counts 44 and 76; exact rejection .021536 at .5, .922657 at .65; expected N 127.882 and 107.969."""
    design = sequential_design(**TWO)
    assert design.at_least.tolist() == [44, 76]
    assert design.at_most.tolist() == [-1, 75]
    assert (round(design.alpha, 6), round(design.power or 0, 6)) == (0.021536, 0.922657)
    assert tuple(round(n or 0, 3) for n in design.expected_n) == (127.882, 107.969)


def test_normal_counts_are_the_first_whose_z_is_at_the_bound() -> None:
    design = sequential_design([20, 50, 90], null=0.3, alternative=0.5, alpha=0.025, kind="pocock")
    for n, count, z in zip(design.looks, design.at_least, design.bounds.efficacy, strict=True):
        spread = np.sqrt(n * 0.3 * 0.7)
        assert (count - n * 0.3) / spread >= z > (count - 1 - n * 0.3) / spread


def spending_holds(design: SequentialDesign, null: float, planned: np.ndarray, *, ignoring: bool) -> None:
    """By each look no more has been spent than planned, and with one count less at that look it would be more."""
    low = None if ignoring else design.at_most
    most = 0  # the largest count with which the trial can go on to a look
    for k in range(design.looks.size):
        spent_by_then = multistage(design.looks, null, at_least=design.at_least, at_most=low).success[0]
        assert spent_by_then[: k + 1].sum() <= planned[k] * (1 + 1e-11)
        lower = design.at_least.copy()
        lower[k] -= 1
        more = multistage(design.looks, null, at_least=lower, at_most=low, first="success").success[0]
        most += design.looks[k] - (design.looks[k - 1] if k else 0)
        assert more[: k + 1].sum() > planned[k] or lower[k] > most
        most = min(most, design.at_least[k] - 1)


@settings(max_examples=20)
@given(
    looks=st.sets(st.integers(8, 70), min_size=1, max_size=4),
    null=st.floats(0.1, 0.7),
    kind=st.sampled_from(["obrien-fleming", "pocock"]),
)
def test_exact_counts_spend_what_is_planned_and_no_count_less_does(looks: set, null: float, kind: str) -> None:
    n = np.array(sorted(looks))
    design = sequential_design(n, null=null, alpha=0.05, kind=kind, method="exact")  # type: ignore[arg-type]
    assert design.alpha <= 0.05
    spending_holds(design, null, spent(n / n[-1], 0.05, kind), ignoring=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("binding", [False, True])
def test_exact_futility_spends_beta(binding: bool) -> None:
    looks = np.array([30, 64, 128])
    futile = {"beta": 0.1, "beta_kind": "pocock", "binding": binding}
    design = sequential_design(**{**TWO, "looks": looks}, method="exact", **futile)
    planned = spent(looks / 128, 0.1, "pocock")
    lost = np.cumsum(design.characteristics(0.65).futility[0])
    assert np.all(lost[:2] <= planned[:2])
    for k in (0, 1):
        higher = design.at_most.copy()
        higher[k] += 1
        more = multistage(looks, 0.65, at_most=higher, at_least=design.at_least).futility[0]
        assert more[: k + 1].sum() > planned[k]
    spending_holds(design, 0.5, spent(looks / 128, 0.025, "obrien-fleming"), ignoring=not binding)
    runs = design.characteristics([0.5, 0.65])
    assert runs.undecided == pytest.approx([0, 0], abs=1e-12)
    assert design.power == pytest.approx(1 - lost[-1], abs=1e-12)
    assert design.alpha >= runs.success[0].sum() - 1e-15


def test_one_look_is_the_fixed_exact_test() -> None:
    design = sequential_design(128, null=0.5, alternative=0.65, alpha=0.025, kind="pocock", method="exact")
    assert design.at_least.tolist() == [76]
    assert design.power == pytest.approx(binom.sf(75, 128, 0.65), rel=1e-12)


def test_a_classical_bound_can_be_spent_exactly() -> None:
    design = sequential_design(**{**TWO, "kind": "pocock-classical"}, method="exact")
    assert design.alpha <= 0.025
    assert design.at_least[0] < sequential_design(**TWO, method="exact").at_least[0]


def test_a_look_too_early_to_reject_never_does() -> None:
    design = sequential_design([3, 128], null=0.5, alpha=0.025, kind="obrien-fleming", method="exact")
    assert design.at_least.tolist() == [4, 76]
    assert design.power is None
    assert design.expected_n[1] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"looks": [128, 64]}, "increase from look to look"),
        ({"looks": [64.5, 128]}, "whole numbers"),
        ({"alternative": 0.4}, "must be above the null"),
        ({"method": "mid-p"}, "allowed: exact, normal"),
        ({"alternative": None, "beta": 0.1, "beta_kind": "pocock"}, "give its rate"),
        ({"beta": 0.1}, "beta_kind"),
        ({"beta": 0.1, "method": "exact"}, "beta_kind"),
        ({"binding": True, "method": "exact"}, "futility needs both"),
        ({"binding": True}, "give beta"),
        ({"beta": 0.7, "beta_kind": "pocock", "alternative": 0.9}, "crosses efficacy at look 1"),
        ({"beta": 0.7, "beta_kind": "pocock", "alternative": 0.9, "method": "exact"}, "crosses efficacy at look 1"),
        ({"kind": "hsd"}, "kind is 'hsd'"),
    ],
)
def test_bad_input_is_one_line(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as problem:
        sequential_design(**{**TWO, **options})
    assert "\n" not in str(problem.value)
