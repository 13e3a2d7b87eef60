"""The shipped designs with looks: their answers are right, their type I error is what they say."""

import numpy as np
import pytest
from scipy.stats import binom

import vtrial
from vtrial import scenario
from vtrial.characteristics.exact.sequential import probabilities
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import prepare
from vtrial.workflows import cells

COUNTS = ["simon-two-stage", "group-sequential-orr"]  # outside the calendar: fast
TIMED = ["futility-predictive-probability", "crs-stopping", "hierarchical-with-interim"]


@pytest.fixture(scope="module")
def ran(posterior):
    return {name: vtrial.run(name, trials=20_000) for name in COUNTS} | {
        name: vtrial.run(name, trials=4000) for name in TIMED
    }


@pytest.mark.parametrize("name", [*COUNTS, *TIMED])
def test_every_exact_figure_agrees_with_the_simulated_one(ran, name: str) -> None:
    table = ran[name].characteristics
    exact = table[table["method"] == "exact"].set_index(["cell", "metric"])
    simulated = table[table["method"] == "simulated"].set_index(["cell", "metric"])
    both = exact.index.intersection(simulated.index)
    assert len(both) >= 6
    for key in both:
        p, n = exact.loc[key, "estimate"], simulated.loc[key, "trials"]
        own = np.sqrt(p * (1 - p) / n) if 0 <= p <= 1 else 0.0  # where the simulated error is 0 by chance
        error = np.hypot(max(simulated.loc[key, "mcse"], own), exact.loc[key, "mcse"])
        assert abs(simulated.loc[key, "estimate"] - p) <= 5 * error + 1e-9, key


@pytest.mark.parametrize("name", [*COUNTS, *TIMED])
def test_the_first_sentence_answers_with_a_number_and_its_error(ran, name: str) -> None:
    words = ran[name].answer()
    assert words.count("±") >= 2
    assert "with probability" in words
    assert words.endswith("Monte Carlo standard error).")


@pytest.mark.parametrize(
    ("name", "truth", "metric", "most"),
    [
        ("simon-two-stage", {"orr": {"450": 0.5}}, "orr.reject", 0.05),
        ("group-sequential-orr", {"orr": 0.5}, "orr.reject", 0.025),
        ("futility-predictive-probability", {"orr": 0.5}, "orr.reject", 0.025),
        ("crs-stopping", {"crs3": 0.10}, "stop.harm", 0.05),
        ("hierarchical-with-interim", {"orr": 0.5, "cr": 0.1}, "familywise.error", 0.025),
        ("accrual-and-drop-out", {"orr": 0.5}, "orr.reject", 0.025),
    ],
)
def test_type_one_error_at_the_null_is_exact_and_within_its_level(
    evidence: Evidence, posterior: Posterior, name: str, truth: dict, metric: str, most: float
) -> None:
    asked = vtrial.load_scenario(name)
    raw = {key: value for key, value in asked.raw.items() if key != "sweep"}
    cell = scenario.from_dict(raw | {"world": {"study": "karmma", "truth": truth}}).cells[0]
    p = prepare(cell, evidence, posterior, where="test")
    error = float(probabilities(p, p.worlds)[metric][0])
    assert 0.2 * most < error <= most


def test_simons_design_is_simons(ran) -> None:
    result = ran["simon-two-stage"]
    assert result.value("n.evaluated", cell=0, method="exact")[0] == pytest.approx(23.50, abs=0.005)
    assert result.value("stop.futility", cell=0, method="exact")[0] == pytest.approx(0.6964, abs=5e-5)
    assert result.value("stop.futility", cell=1, method="exact")[0] == pytest.approx(binom.cdf(8, 15, 0.7), abs=1e-9)


def test_differences_are_known_better_than_their_parts(ran) -> None:
    result = ran["group-sequential-orr"]
    row = result.differences().query("metric == 'orr.rate' and method == 'simulated'").iloc[0]
    first, second = (result.value("orr.rate", cell=cell) for cell in (0, 1))
    assert row["difference"] == pytest.approx(second[0] - first[0], abs=1e-6)
    assert row["mcse"] < 0.8 * np.hypot(first[1], second[1])
    exact = result.differences().query("metric == 'orr.reject' and method == 'exact'").iloc[0]
    assert exact["difference"] == pytest.approx(0.922657 - 0.021536, abs=2e-6)


def test_power_over_worlds(ran) -> None:
    result = ran["hierarchical-with-interim"]
    worlds = result.worlds()
    assert worlds["cr.reject"].mean() == pytest.approx(result.value("cr.reject", method="exact")[0], abs=1e-12)
    assert np.corrcoef(worlds["orr.true"], worlds["orr.reject"])[0, 1] > 0.3
    worth = ((worlds["cr.reject"] >= 0.8) & (worlds["cr.true"] > 0.1)).mean()
    assert result.value("cr.worthwhile", method="exact")[0] == pytest.approx(worth, abs=1e-12)


def test_bias_after_a_stop_in_figures_by_hand(ran) -> None:
    # Simon's 8/15, 26/43 at 50%: E(x / n at the end) by enumeration
    first, rest = binom.pmf(np.arange(16), 15, 0.5), binom.pmf(np.arange(29), 28, 0.5)
    stopped = (first[:9] * np.arange(9) / 15).sum()
    total = (np.arange(9, 16)[:, None] + np.arange(29)[None, :]) / 43
    mean = stopped + (first[9:, None] * rest[None, :] * total).sum()
    assert ran["simon-two-stage"].value("orr.bias", cell=0, method="exact")[0] == pytest.approx(mean - 0.5, abs=1e-9)


def test_other_numbers_need_no_other_program(evidence: Evidence, posterior: Posterior) -> None:
    def run(look: int, null: float, truth: float, at_most: int) -> None:
        rule = {"kind": "count", "endpoint": "orr", "at_most": at_most, "then": "futility"}
        raw = {
            "world": {"truth": {"orr": truth}},
            "cohort": {"infused": 60, "attrition": 0},
            "simulation": {"endpoints": ["orr"]},
            "test": [{"name": "orr", "endpoint": "orr", "null": null}],
            "look": [{"name": f"at-{look}", "when": {"infused": look}, "rule": [rule]}],
        }
        p = prepare(scenario.from_dict(raw).cells[0], evidence, posterior, where="test")
        engine.simulate(p.plan, p.numbers, p.worlds, seed=1, trials=50)

    run(30, 0.5, 0.6, 10)
    before = engine.traced
    run(20, 0.4, 0.7, 5)
    run(40, 0.55, 0.5, 25)
    assert engine.traced == before


def test_cells_that_differ_in_their_cut_or_accrual_share_a_program(posterior: Posterior) -> None:
    """They have room for the same visits; and each is what it is alone."""
    raw = {
        "cohort": {"enrolled": 12},
        "simulation": {"endpoints": ["os"], "trials": 30, "seed": 3},
        "sweep": {"calendar.accrual_per_month": [4.0, 12.0], "calendar.data_cut": [{"month": 14.0}, {"month": 40.0}]},
    }
    asked = scenario.from_dict(raw)
    read, _, protocols = cells.prepared(asked, None)
    assert len({p.visits for p in protocols}) == len({p.plan for p in protocols}) == 1
    many = vtrial.run(asked).trials
    alone = [prepare(cell, read, posterior, where="test") for cell in asked.cells]
    assert len({p.visits for p in alone}) > 1
    for number, p in enumerate(alone):
        outcome = engine.simulate(p.plan, p.numbers, p.worlds, seed=3, trials=30)
        mine = many[many["cell"] == number]
        np.testing.assert_array_equal(mine["os.median"], outcome.curves["os", "all"].median)
        np.testing.assert_array_equal(mine["os.events"], outcome.curves["os", "all"].events)


def test_cells_that_are_simulated_together_keep_their_place() -> None:
    raw = {
        "cohort": {"infused": 20, "attrition": 0},
        "simulation": {"endpoints": ["orr"], "trials": 50},
        "sweep": {"cohort.infused": [10, 20], "world.truth": [{"orr": 0.4}, {"orr": 0.6}]},
    }
    result = vtrial.run(raw)
    for table in (result.characteristics, result.trials):
        assert table["cell"].is_monotonic_increasing
    assert [result.value("n.infused", cell=cell)[0] for cell in range(4)] == [10, 10, 20, 20]
    assert result.value("orr.rate", cell=1)[0] > result.value("orr.rate", cell=0)[0]
