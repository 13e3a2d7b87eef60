"""The shipped scenarios answer their questions, and the answers are right."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom

import vtrial
from vtrial._support import paths
from vtrial.workflows import cells


@pytest.fixture(scope="module")
def ran(posterior):
    """Each shipped scenario once, with fewer trials."""
    trials = {"karmma-type-one-error": 40_000}
    return {
        name: vtrial.run(name, trials=trials.get(name, 4000))
        for name in ("karmma", "karmma-type-one-error", "dose-450", "next-trial")
    }


def test_all_are_known():
    known = {"karmma", "karmma-type-one-error", "karmma-sample-size", "dose-450", "next-trial"}
    assert known <= set(paths.scenarios())
    for name in known:
        scenario = vtrial.load_scenario(name)
        assert scenario.design.title
        assert scenario.design.question.endswith("?")


def agree(result, metric: str, cell: int = 0) -> None:
    simulated, mcse = result.value(metric, cell=cell)
    exact, own = result.value(metric, cell=cell, method="exact")
    # near 0 or 1 the simulated error may be 0 by chance: the exact rate says what it should be
    mcse = max(mcse, np.sqrt(exact * (1 - exact) / result.scenario.design.simulation.trials))
    assert abs(simulated - exact) <= 5 * np.hypot(mcse, own) + 1e-12, (metric, cell, simulated, exact, mcse)


def test_karmma_would_nearly_always_show_both(ran):
    result = ran["karmma"]
    for metric in ("orr.reject", "cr.reject"):
        agree(result, metric)
        assert result.value(metric, method="exact")[0] > 0.98
    assert set(result.trials["n.infused"]) == {128}
    assert result.value("orr.rate")[0] == pytest.approx(94 / 128, abs=0.03)
    assert result.value("orr.enrolled.rate")[0] == pytest.approx(result.value("orr.rate")[0] * 128 / 140)


def test_type_one_error_and_the_normal_tests_excess(ran):
    result = ran["karmma-type-one-error"]
    for cell in (0, 1):
        for metric in ("orr.reject", "cr.reject", "familywise.error"):
            agree(result, metric, cell)
    # ORR 50% at every dose: one binomial, as the report's sizes have it
    assert result.value("orr.reject", cell=0, method="exact")[0] == pytest.approx(binom.sf(75, 128, 0.5), abs=1e-9)
    assert result.value("familywise.error", cell=0, method="exact") == result.value(
        "orr.reject", cell=0, method="exact"
    )
    # CR 10% where ORR is as fitted: the normal test rejects from 20 of 128 on, which happens more often than 2.5%
    error = result.value("familywise.error", cell=1, method="exact")[0]
    assert error == pytest.approx(binom.sf(19, 128, 0.1), abs=1e-4)  # less by the trials that do not show ORR
    assert 0.025 < error < 0.032


def test_power_rises_with_the_number_enrolled(sample_size_result):
    for metric in ("orr.reject", "cr.reject"):
        exact = [sample_size_result.value(metric, cell=c, method="exact")[0] for c in range(9)]
        assert np.all(np.diff(exact) > 0)
        for cell in range(9):
            agree(sample_size_result, metric, cell)


def test_everybody_at_450_responds_more_and_has_more_crs(ran):
    mixed, high = ran["karmma"], ran["dose-450"]
    for endpoint in ("orr", "cr", "crs"):
        assert high.value(f"{endpoint}.rate")[0] > mixed.value(f"{endpoint}.rate")[0] + 0.03
    agree(high, "cr.reject")


def test_the_next_trial_is_less_sure_than_karmma(ran):
    result = ran["next-trial"]
    sure = [result.value("cr.reject", cell=c, method="exact")[0] for c in range(3)]
    assert sure[0] > sure[1] > sure[2]
    for cell in range(3):
        agree(result, "orr.reject", cell)
        agree(result, "cr.reject", cell)
    spread = [result.trials.query("cell == @c")["orr.rate"].std() for c in range(3)]
    assert spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize(("truth", "expected"), [(0.65, 0.90498), (0.50, binom.sf(70, 119, 0.5))])
def test_119_patients_at_300(posterior, truth, expected):
    """Power of the exact test at ORR 65%, and its size for the critical count 71; 100,000 trials."""
    result = vtrial.run(
        {
            "world": {"truth": {"orr": {"300": truth}}},
            "arm": [{"doses": {"300": 1}}],
            "cohort": {"infused": 119, "attrition": 0.0},
            "test": [{"name": "orr", "endpoint": "orr", "null": 0.5, "method": "exact", "alpha": 0.025}],
            "simulation": {"endpoints": []},
        },
        trials=100_000,
    )
    assert int(result.protocols[0].numbers.bounds["orr"][119]) == 71
    simulated, mcse = result.value("orr.reject")
    assert abs(simulated - expected) < 4 * mcse
    assert result.value("orr.reject", method="exact")[0] == pytest.approx(expected, abs=5e-6)


def test_times_are_not_even_fitted_where_none_is_asked(posterior, monkeypatch):
    """And nothing else changes: given the same draws of the rates, the patients are the same.

    Two fits, of programs compiled apart, need not repeat to the bit, so the draws are given.
    """
    tree = posterior.tree.copy()
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().drop_vars(["survival", "rate"]))
    without = dataclasses.replace(posterior, tree=tree, key="rates alone")
    monkeypatch.setattr(cells, "posterior_of", lambda read, **_: posterior if "survival" in read.systems else without)
    asked = vtrial.load_scenario("karmma-sample-size").replace({"cohort.enrolled": 40, "simulation.trials": 300})
    rates, both = (
        vtrial.run(asked.replace({"sweep": {}, "simulation.endpoints": endpoints}))
        for endpoints in (["orr", "cr", "crs3"], ["orr", "cr", "crs3", "os"])
    )
    assert (rates.posterior.survival is None, both.posterior.survival is None) == (True, False)
    np.testing.assert_array_equal(rates.posterior.intercept, both.posterior.intercept)
    np.testing.assert_array_equal(rates.posterior.slope, both.posterior.slope)
    shared = list(rates.trials.columns)
    assert not [column for column in shared if column.startswith(("dor", "pfs", "os."))]
    assert rates.trials.equals(both.trials[shared])
    assert rates.posterior.key != both.posterior.key
    with pytest.raises(vtrial.InputError, match="no curve of 'os'"):
        rates.plot_survival("os")


def test_planned_dropout_is_an_option(posterior):
    design = vtrial.load_scenario("karmma-sample-size").replace({"sweep": {"cohort.attrition": [0.15, "fitted"]}})
    result = vtrial.run(design.replace({"cohort.enrolled": 60}), trials=500)
    assert result.value("n.infused", cell=0)[0] == pytest.approx(60 * 0.85, abs=1)
    assert result.value("n.infused", cell=1)[0] > result.value("n.infused", cell=0)[0]
    power = [result.value("cr.reject", cell=cell, method="exact")[0] for cell in (0, 1)]
    assert power[0] < power[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cohort": {"infused": 128, "attrition": 0.999999}}, "may have to be enrolled"),
        ({"cohort": {"infused": 128}, "world.between_trial_sd": 5.0}, "may have to be enrolled"),
        ({"simulation.trials": 100_000_000}, "GB of memory"),
        ({"world.truth": {"crs3": 0.99}}, "above crs"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(posterior, tmp_path, changes, said):
    asked = vtrial.load_scenario("dose-450").replace(changes)
    with pytest.raises(vtrial.InputError, match=said):
        vtrial.run(asked, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_thousands_of_patients_are_an_ordinary_trial(posterior):
    result = vtrial.run(
        {"cohort": {"enrolled": 3000}, "test": [{"name": "orr", "endpoint": "orr", "null": 0.5}]}, trials=50
    )
    assert 0.99 < result.value("orr.reject", method="exact")[0] <= 1.0
