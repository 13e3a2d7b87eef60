"""How an estimate's Monte Carlo error is printed: never as ±0 where no more is known than that all trials agree."""

import math

import pytest

import vtrial
from vtrial.report.headline.answer import characteristics_in_short
from vtrial.report.tables.after_stopping import told
from vtrial.report.tables.overview import characteristics
from vtrial.report.words.general import error_in_words, limits_in_words, number

ONE = {
    "world": {"truth": {"orr": 0.5}},
    "cohort": {"infused": 20, "attrition": 0},
    "test": [{"name": "orr", "endpoint": "orr", "null": 0.97}],  # rejects at 20 of 20 alone: once in a million trials
    "simulation": {"endpoints": ["orr"], "trials": 1000},
}
LOOK = {
    "name": "interim",
    "when": {"infused": 10},
    "rule": [{"kind": "count", "endpoint": "orr", "at_most": 0, "then": "futility"}],
}


def row(mcse: float, low: float, high: float) -> dict[str, float]:
    return {"mcse": mcse, "mc_low": low, "mc_high": high}


def test_an_error_that_was_not_seen_is_its_limits() -> None:
    assert error_in_words(row(0.0012, 0.2, 0.3)) == "±0.0012"
    assert error_in_words(row(0.0, 0.0, 0.00383)) == "95% limits 0.0000 to 0.0038"
    assert error_in_words(row(0.0, 1 - 0.00383, 1.0), 2) == "95% limits 0.996 to 1.000"
    assert error_in_words(row(0.0, 128.0, 128.0), 2) == "±0.00"  # fixed by design: nothing more to know
    assert error_in_words(row(math.nan, math.nan, math.nan)) == "±–"
    assert limits_in_words(0.0, 3.8e-7) == "0.0000000 to 0.0000004"


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(0.0, 4, "0.0000"), (3.2e-5, 4, "3e-05"), (-0.00002, 4, "-2e-05"), (0.00006, 4, "0.0001"), (0.004, 2, "0.004")],
)
def test_a_small_number_is_not_nought(value: float, digits: int, words: str) -> None:
    assert number(value, digits) == words


def test_never_in_a_thousand_has_limits_wherever_it_is_printed(tmp_path) -> None:
    result = vtrial.run(ONE)
    assert result.value("orr.reject") == (0.0, 0.0)
    assert "with probability 0.0000 (95% limits 0.0000 to 0.0038, exact 0.0000)" in result.answer()
    short = characteristics_in_short(result).set_index("metric")
    assert short.at["orr.reject", "mc_high"] == pytest.approx(0.0038, abs=5e-5)
    assert "0.0038" in str(characteristics(result, 0, "table"))


def test_never_at_a_look_has_limits_as_well() -> None:
    """P(0 of 10 respond) at 50% is .001: seen in about one trial of a thousand, in none of these 200 or a few."""
    world = {"truth": {"orr": 0.9}}
    result = vtrial.run({**ONE, "world": world, "look": [LOOK], "simulation": {"endpoints": ["orr"], "trials": 200}})
    assert result.value("stop.futility") == (0.0, 0.0)
    assert "with probability 0.0000 (95% limits 0.0000 to 0.0188" in result.answer()
    assert told(result, "stop.futility", 0).startswith("0.0000 (95% limits 0.0000 to 0.0188)")


def test_a_rate_that_nobody_has_in_any_trial_has_limits() -> None:
    """A true rate of 1 in 10,000 in 20 patients: nought in nearly every trial, which is not nought."""
    rare = {**ONE, "world": {"truth": {"orr": 0.0001}}, "simulation": {"endpoints": ["orr"], "trials": 30}}
    table = vtrial.run(rare).characteristics.set_index("metric")
    assert table.at["orr.rate", "estimate"] == 0.0
    assert table.at["orr.rate", "mc_low"] == 0.0
    assert table.at["orr.rate", "mc_high"] == pytest.approx(3.8415 / 33.8415, abs=1e-4)


def test_agreement_over_worlds_is_worth_no_more_than_the_worlds(posterior) -> None:
    """0 of 4 x 10^3 trials over 10^2 worlds may be 0 in the worlds drawn alone."""
    from vtrial.characteristics.monte_carlo import interval

    scenario = {**ONE, "world": {}, "test": [{"name": "orr", "endpoint": "orr", "null": 0.995}]}
    result = vtrial.run(scenario, trials=3 * posterior.draws)
    row = result.characteristics.query("metric == 'orr.reject' and method == 'simulated'").iloc[0]
    assert row["estimate"] == 0.0
    assert row["mc_high"] == pytest.approx(interval(0.0, 0.0, int(result.protocols[0].ess))[1])
    assert row["mc_high"] > 2 * interval(0.0, 0.0, 3 * posterior.draws)[1]
