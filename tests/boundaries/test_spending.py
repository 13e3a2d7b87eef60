"""Group-sequential bounds against rpact 3.3.4 (reference/design_reference.R), published tables and closed forms."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from tests import REFERENCE
from vtrial import InputError
from vtrial.boundaries.spending import drift_for_power, spending_bounds, spent

EXPECTED = REFERENCE / "design_expected.csv"
ROWS = list(csv.DictReader(EXPECTED.read_text(encoding="utf-8").splitlines()))


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=float)


def number(text: str) -> float | None:
    return float(text) if text else None


@pytest.mark.parametrize(
    ("information", "kind", "expected"),
    [
        (np.arange(1, 6) / 5, "obrien-fleming-classical", [4.5617423, 3.2256389, 2.6337232, 2.2808712, 2.0400732]),
        (np.arange(1, 6) / 5, "pocock-classical", [2.4131803] * 5),
        (np.arange(1, 4) / 3, "obrien-fleming", [3.7103029, 2.5114275, 1.9930475]),
        ([0.5, 1], "obrien-fleming", [2.9625880, 1.9685956]),
        ([1], "pocock", [1.9599640]),
        ([1], "pocock-classical", [1.9599640]),
    ],
)
def test_reference_bounds(information: list, kind: str, expected: list) -> None:
    bounds = spending_bounds(information, 0.025, kind)  # type: ignore[arg-type]
    assert bounds.efficacy == pytest.approx(expected, abs=6e-8)
    assert bounds.alpha_spent[-1] == pytest.approx(0.025, abs=1e-12)
    assert bounds.futility[-1] == bounds.efficacy[-1]
    assert np.all(np.isneginf(bounds.futility[:-1]))


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_rpacts_bounds(row: dict) -> None:
    """rpact's own error at ten looks is about 5e-7 (more nodes do not move ours by 1e-14)."""
    information = numbers(row["information"])
    close = 1e-6 if information.size > 5 else 1e-7
    arguments = (information / information[-1], float(row["alpha"]), row["kind"], number(row["gamma"]))
    if not row["beta"]:
        assert spending_bounds(*arguments).efficacy == pytest.approx(numbers(row["efficacy"]), abs=close)
        return
    options = {
        "beta_kind": row["beta_kind"],
        "beta_gamma": number(row["beta_gamma"]),
        "binding": row["binding"] == "TRUE",
    }
    drift = drift_for_power(*arguments, power=1 - float(row["beta"]), **options)
    assert drift == pytest.approx(float(row["drift"]), abs=1e-6)
    bounds = spending_bounds(*arguments, beta=float(row["beta"]), drift=drift, **options)
    assert bounds.efficacy == pytest.approx(numbers(row["efficacy"]), abs=close)
    assert bounds.futility[:-1] == pytest.approx(numbers(row["futility"]), abs=close)
    assert bounds.power == pytest.approx(0.9, abs=1e-9)
    assert bounds.beta_spent is not None
    assert bounds.beta_spent[-1] == pytest.approx(0.1, abs=1e-9)


def test_crossing_is_a_multivariate_normals() -> None:
    """Three looks: going on past two is a bivariate normal probability."""
    t = np.array([0.3, 0.6, 1.0])
    bounds = spending_bounds(t, 0.025, "pocock", beta=0.15, beta_kind="pocock", drift=2.9)
    found = bounds.crossing(2.9)
    covariance = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))[:2, :2]
    going_on = multivariate_normal(2.9 * np.sqrt(t[:2]), covariance).cdf(
        bounds.efficacy[:2], lower_limit=bounds.futility[:2]
    )
    stopped = found.efficacy[:2].sum() + found.futility[:2].sum()
    assert stopped == pytest.approx(1 - going_on, abs=1e-7)
    assert found.efficacy[0] == pytest.approx(norm.sf(bounds.efficacy[0] - 2.9 * np.sqrt(0.3)), abs=1e-13)
    assert found.efficacy.sum() + found.futility.sum() == pytest.approx(1, abs=1e-12)
    assert found.efficacy.sum() == pytest.approx(bounds.power, abs=1e-12)
    ends = found.efficacy + found.futility
    assert found.expected_information == pytest.approx(float(ends @ t), abs=1e-12)


def test_at_a_given_drift_beta_is_spent_at_the_interim_looks_and_the_power_told() -> None:
    t = np.array([0.4, 0.7, 1.0])
    bounds = spending_bounds(t, 0.025, "obrien-fleming", beta=0.1, beta_kind="pocock", drift=3.0)
    planned = spent(t, 0.1, "pocock")
    assert bounds.beta_spent is not None
    assert bounds.beta_spent[:2] == pytest.approx(planned[:2], abs=1e-12)
    assert bounds.power == pytest.approx(1 - bounds.beta_spent[-1], abs=1e-12)
    assert bounds.power < 0.9  # for 3.0 is too little for it
    assert bounds.crossing(3.0).efficacy.sum() == pytest.approx(bounds.power, abs=1e-12)


def test_binding_and_not() -> None:
    """Not binding: efficacy as if there were no futility, so that the actual error is below alpha; binding: at it."""
    t, options = np.arange(1, 5) / 4, {"beta": 0.1, "beta_kind": "pocock", "drift": 3.6}
    plain = spending_bounds(t, 0.025, "obrien-fleming")
    free = spending_bounds(t, 0.025, "obrien-fleming", **options)
    bound = spending_bounds(t, 0.025, "obrien-fleming", **options, binding=True)
    assert free.efficacy.tolist() == plain.efficacy.tolist()
    assert free.crossing(0).efficacy.sum() < 0.025
    assert bound.crossing(0).efficacy.sum() == pytest.approx(0.025, abs=1e-12)
    assert np.all(bound.efficacy[1:] < free.efficacy[1:])


def test_spending_functions_by_their_formulas() -> None:
    assert spent([0, 0.5, 1], 0.025, "pocock") == pytest.approx([0, 0.025 * np.log(1 + (np.e - 1) / 2), 0.025])
    assert spent([0, 0.5, 1], 0.025, "obrien-fleming") == pytest.approx([0, 0.001525323, 0.025], abs=1e-9)
    half = 0.025 * (1 - np.exp(2)) / (1 - np.exp(4))
    assert spent([0, 0.5, 1], 0.025, "hwang-shih-decani", -4) == pytest.approx([0, half, 0.025])
    assert spent([0, 0.5, 1], 0.025, "hwang-shih-decani", 0) == pytest.approx([0, 0.0125, 0.025])


def test_a_drift_for_power_without_futility() -> None:
    assert drift_for_power([1], 0.025, "pocock", power=0.9) == pytest.approx(norm.isf(0.025) + norm.ppf(0.9), abs=1e-9)
    t = [0.5, 1]
    drift = drift_for_power(t, 0.025, "obrien-fleming", power=0.9)
    assert spending_bounds(t, 0.025, "obrien-fleming").crossing(drift).efficacy.sum() == pytest.approx(0.9, abs=1e-9)


def test_nothing_to_spend_is_never_crossed() -> None:
    bounds = spending_bounds([0.001, 0.5, 1], 0.025, "obrien-fleming")
    assert np.isposinf(bounds.efficacy[0])
    assert bounds.efficacy[1:] == pytest.approx(spending_bounds([0.5, 1], 0.025, "obrien-fleming").efficacy, abs=1e-9)


@settings(max_examples=25)
@given(
    t=st.sets(st.integers(1, 39), min_size=0, max_size=5),
    alpha=st.floats(0.001, 0.2),
    kind=st.sampled_from(["obrien-fleming", "pocock", "obrien-fleming-classical", "pocock-classical"]),
)
def test_what_is_crossed_is_what_was_to_be_spent(t: set, alpha: float, kind: str) -> None:
    information = np.array([*sorted(t), 40]) / 40
    bounds = spending_bounds(information, alpha, kind)  # type: ignore[arg-type]
    found = bounds.crossing(0.0)
    assert np.cumsum(found.efficacy) == pytest.approx(bounds.alpha_spent, abs=1e-11)
    assert bounds.alpha_spent[-1] == pytest.approx(alpha, abs=1e-11)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"information": [0.5, 0.5, 1]}, "increase from look to look"),
        ({"information": [0, 1]}, "fractions above 0"),
        ({"information": [0.5, 0.9]}, "ends at 0.9"),
        ({"information": [0.5, 1.2]}, "ends at 1.2"),
        ({"alpha": 0.5}, "alpha is 0.5"),
        ({"alpha": 0}, "alpha is 0"),
        ({"kind": "haybittle-peto"}, "kind is 'haybittle-peto' .allowed: obrien-fleming, pocock, hwang"),
        ({"kind": "hwang-shih-decani"}, "needs a gamma"),
        ({"gamma": -4.0}, "takes no gamma"),
        ({"beta": 0.1}, "beta needs beta_kind"),
        ({"beta": 0.1, "beta_kind": "pocock"}, "and drift"),
        ({"beta": 0.1, "beta_kind": "pocock", "drift": -1.0}, "drift is -1"),
        ({"beta": 1.1, "beta_kind": "pocock", "drift": 3.0}, "beta is 1.1"),
        ({"beta": 0.1, "beta_kind": "pocock-classical", "drift": 3.0}, "kind of spending"),
        ({"binding": True}, "give beta"),
        ({"beta": 0.1, "beta_kind": "pocock", "drift": 9.0}, "futility crosses efficacy at look 1"),
        (
            {"kind": "pocock-classical", "beta": 0.1, "beta_kind": "pocock", "drift": 3.0, "binding": True},
            "no binding futility",
        ),
    ],
)
def test_bad_input_is_one_line(options: dict, message: str) -> None:
    options = {"information": [0.5, 1], "alpha": 0.025, "kind": "obrien-fleming", **options}
    with pytest.raises(InputError, match=message) as problem:
        spending_bounds(**options)
    assert "\n" not in str(problem.value)


def test_information_beyond_1_has_nothing_spent() -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        spent([0.5, 1.5], 0.025, "pocock")
