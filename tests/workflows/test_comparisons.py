"""Cells against the first: what trials leave open, and what the data leave open of the truth."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import vtrial
from vtrial.model.dose_response import Step
from vtrial.report.tables import comparisons
from vtrial.workflows.comparisons import COLUMNS, WORLDS

DOSES = {
    "world": {"study": "karmma"},
    "arm": [{"name": "ide-cel", "doses": {"300": 1}}],
    "cohort": {"infused": 60, "attrition": 0},
    "test": [{"name": "cr", "endpoint": "cr", "null": 0.1}],
    "simulation": {"endpoints": ["cr"], "trials": 2000},
    "sweep": {"arm.ide-cel.doses": [{"300": 1}, {"450": 1}]},
}


@pytest.fixture(scope="module")
def doses(posterior):
    return vtrial.run(DOSES)


@pytest.fixture(scope="module")
def cr_gain(doses) -> np.ndarray:
    """The true rate of CR at 450 minus that at 300 in each draw, by hand."""
    rates, posterior = [], doses.posterior
    for x in (0.0, math.log2(450 / 300)):
        logit = posterior.intercept + posterior.slope * x
        rates.append(expit(logit[:, Step.RESPONSE]) * expit(logit[:, Step.CR]))
    return rates[1] - rates[0]


def row_of(result, metric: str, method: str) -> pd.Series:
    found = result.differences()
    return found[(found["metric"] == metric) & (found["method"] == method)].iloc[0]


def test_true_rates_differ_over_worlds_as_the_draws_do(doses, cr_gain):
    row = row_of(doses, "cr.true", "exact")
    assert row["difference"] == pytest.approx(cr_gain.mean(), abs=1e-9)
    assert row["worlds_low"] == pytest.approx(np.quantile(cr_gain, 0.025), abs=1e-9)
    assert row["worlds_high"] == pytest.approx(np.quantile(cr_gain, 0.975), abs=1e-9)
    assert row["probability_positive"] == pytest.approx((cr_gain > 0).mean(), abs=1e-12)
    assert row["mcse"] == pytest.approx(cr_gain.std() / math.sqrt(doses.posterior.ess))
    # as published summaries of the same posterior say: 86%, -.06 to .21
    assert row["probability_positive"] == pytest.approx(0.86, abs=0.01)
    assert row["worlds_low"] == pytest.approx(-0.06, abs=0.01)
    assert row["worlds_high"] == pytest.approx(0.21, abs=0.01)


def test_limits_of_the_simulation_are_named_so_and_are_not_those_of_the_truth(doses, cr_gain):
    assert list(doses.differences().columns) == [*COLUMNS, *doses.scenario.column_names]
    assert not {"low", "high"} & set(doses.differences().columns)
    row = row_of(doses, "cr.rate", "simulated")
    assert row["mc_low"] < cr_gain.mean() < row["mc_high"]
    assert row["mc_high"] - row["mc_low"] < 0.2 * (row["worlds_high"] - row["worlds_low"])
    assert row["probability_positive"] == row_of(doses, "cr.true", "exact")["probability_positive"]


def test_power_is_known_in_each_world_and_a_trial_s_success_is_not(doses):
    before, after = (doses.worlds(cell=cell)["cr.reject"].to_numpy() for cell in (0, 1))
    row = row_of(doses, "cr.reject", "exact")
    assert row["difference"] == pytest.approx((after - before).mean(), abs=1e-12)
    assert row["worlds_low"] == pytest.approx(np.quantile(after - before, 0.025), abs=1e-12)
    assert row["probability_positive"] == pytest.approx((after > before).mean(), abs=1e-12)
    assert row["trials"] == 0
    simulated = row_of(doses, "cr.reject", "simulated")
    assert simulated[list(WORLDS)].isna().all()
    assert np.isfinite(simulated[["mcse", "mc_low", "mc_high"]].astype(float)).all()


def test_one_world_has_no_spread_of_the_truth():
    fixed = {**DOSES, "world": {"truth": {"orr": 0.7, "cr": {"300": 0.3, "450": 0.4}}}}
    result = vtrial.run(fixed, trials=100)
    exact = row_of(result, "cr.true", "exact")
    assert exact["difference"] == pytest.approx(0.1, abs=1e-6)
    assert exact["mcse"] == 0.0
    assert result.differences()[list(WORLDS)].isna().all().all()
    assert comparisons.sentence(result) == ""


def test_different_truths_are_no_pairs():
    """The worlds of a posterior against one world: a difference of averages, and no interval over worlds."""
    result = vtrial.run({**DOSES, "sweep": {"world.truth": ["posterior", "posterior-mean"]}}, trials=100)
    row = row_of(result, "cr.true", "exact")
    one, other = (result.worlds(cell=cell)["cr.true"].to_numpy() for cell in (0, 1))
    assert row["difference"] == pytest.approx(other.mean() - one.mean(), abs=1e-12)
    assert row["mcse"] == pytest.approx(one.std() / math.sqrt(result.posterior.ess))
    assert result.differences()[list(WORLDS)].isna().all().all()


def test_agreement_in_all_trials_is_not_equality():
    """A test that never rejects at either size: the difference is 0 in 200 trials, and known to a share of them."""
    never = {**DOSES["test"][0], "null": 0.999}
    result = vtrial.run(
        {**DOSES, "world": {"truth": {"orr": 0.7, "cr": 0.3}}, "test": [never], "sweep": {"cohort.infused": [20, 30]}},
        trials=200,
    )
    row = row_of(result, "cr.reject", "simulated")
    assert (row["difference"], row["mcse"]) == (0.0, 0.0)
    assert row["mc_high"] == pytest.approx(3.8415 / 203.8415, abs=1e-4)
    assert row["mc_low"] == pytest.approx(-row["mc_high"])


def test_a_comparison_in_words_names_both_kinds_of_doubt(doses):
    words = comparisons.sentence(doses)
    assert "against" in words
    assert "CR or better +0.0" in words
    assert "above 0 in 8" in words
    assert "Monte Carlo limits say nothing of this" in words
    table, left_out = comparisons.table(doses, "differences")
    assert left_out == 0
    for text in ("95% Monte Carlo limits", "95% of worlds", "above 0 in", "[cr.true]", "[cr.reject]"):
        assert text in str(table)
    assert words in doses._repr_html_().replace("&gt;", ">")
