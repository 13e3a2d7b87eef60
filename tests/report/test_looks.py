"""Looks in answers and reports: their numbers are the run's, their bounds those of the rules, no figure missing."""

import re
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

import vtrial
from tests.report.test_report import Page
from vtrial._support.errors import InputError
from vtrial.characteristics.metrics import known
from vtrial.report.charts import looks as looks_charts
from vtrial.report.charts import trial_log
from vtrial.report.charts.histogram import over_trials
from vtrial.report.headline import answer
from vtrial.report.page import html
from vtrial.report.tables import after_stopping, assumptions, rules, sizes
from vtrial.report.words.general import metric_in_words
from vtrial.scenario.solve import SolveSection
from vtrial.workflows.result import Result

TESTS: list[dict[str, Any]] = [
    {"name": "orr", "endpoint": "orr", "null": 0.5, "method": "normal", "spending": "obrien-fleming"},
    {"name": "cr", "endpoint": "cr", "null": 0.1, "method": "normal", "after": "orr"},
]
RULES: list[dict[str, Any]] = [
    {"name": "many", "kind": "spending", "test": "orr", "then": "success"},
    {"name": "few", "kind": "predictive", "test": "orr", "at_most": 0.05, "then": "futility"},
    {"name": "tox", "kind": "posterior", "endpoint": "crs3", "above": 0.1, "probability_at_least": 0.9, "then": "harm"},
]
DESIGN: dict[str, Any] = {
    "cohort": {"infused": 128},
    "test": TESTS,
    "look": [{"name": "half", "when": {"infused": 64}, "rule": RULES}],
    "simulation": {"trials": 400, "endpoints": ["orr", "cr", "crs3"]},
    "sweep": {"world.truth": [{"orr": 0.5}, {"orr": 0.62}]},
}


@pytest.fixture(scope="module")
def swept() -> Result:
    return vtrial.run(DESIGN)


@pytest.fixture(scope="module")
def graph() -> Result:
    shared = {"alpha": 0.025, "weights": {"orr": 0.8, "cr": 0.2}, "transitions": {"orr": {"cr": 1.0}}}
    tests = [{key: value for key, value in test.items() if key != "after"} for test in TESTS]
    at_end = {
        "name": "final",
        "when": {"final": True},
        "rule": [{"kind": "count", "endpoint": "crs3", "at_least": 7, "then": "consider"}],
    }
    alone = {key: value for key, value in DESIGN.items() if key != "sweep"}
    looks = [*DESIGN["look"], at_end]
    world = {"truth": {"orr": 0.62, "cr": 0.18}}
    return vtrial.run({**alone, "world": world, "test": tests, "multiplicity": shared, "look": looks})


def test_the_answer_without_one_asked_for(swept: Result) -> None:
    said = answer.sentence(swept)
    for cell in (0, 1):
        for metric, digits in (("orr.reject", 4), ("stop.harm", 4), ("stop.futility", 4), ("n.evaluated", 2)):
            estimate, mcse = swept.value(metric, cell=cell)
            assert f"{estimate:.{digits}f} (±{mcse:.{digits}f}" in said, (cell, metric)
    assert re.match(
        r"Where the true rate of response \(PR or better\) is 50% \(true rates in its patients: CR or better 22\.4%; "
        r"CRS of grade 3 or higher 5\.3%\), response \(PR or better\) > 50% is ",
        said,
    ), said
    assert "are shown with probability" in said  # ORR and then CR
    assert "the trial stops for success with probability" in said
    assert "consider" not in said
    assert re.search(r"; where the true rate of response \(PR or better\) is 62% \(true [^)]*\), these are ", said), (
        said
    )


def test_the_answer_that_is_asked_for_and_one_that_is_not_there(swept: Result) -> None:
    asked = swept.scenario.replace({"answer": ["stop.half.harm", "n.enrolled"], "simulation.trials": 50})
    said = vtrial.run(asked).answer()
    assert "the trial stops for harm at 'half' with probability" in said
    assert re.search(r"and \d+\.\d\d \(±\d+\.\d\d\) patients are enrolled on average", said)
    assert "is shown" not in said
    wrong = swept.scenario.replace({"answer": ["stop.halt.harm"]})
    with pytest.raises(InputError, match=r"answer names no metric 'stop.halt.harm'; did you mean 'stop.half.harm'\?"):
        vtrial.run(wrong, progress=lambda what, *_: pytest.fail("simulated") if what == "simulating" else None)


@pytest.mark.parametrize("which", ["swept", "graph"])
def test_every_metric_is_known_and_has_words(which: str, request: pytest.FixtureRequest) -> None:
    result: Result = request.getfixturevalue(which)
    metrics = set(result.characteristics["metric"])
    assert metrics <= set(known(result.protocols[0]))
    for metric in metrics:
        heading, words = metric_in_words(result, metric)
        assert heading != "Other", metric
        assert words != metric, metric


def test_what_is_a_proportion_is_so_for_solve_and_in_its_figures(swept: Result) -> None:
    """[solve] refuses targets beyond 0 to 1 before any protocol is made: by the metric's name alone."""
    for metric in swept.metrics.values():
        if metric.proportion:
            with pytest.raises(ValueError, match="is a probability or a share"):
                SolveSection.check_target(metric.name, "at_least", 2.0)
        else:
            SolveSection.check_target(metric.name, "at_least", 2.0)
    table = swept.characteristics
    shares = table[[swept.metrics[name].proportion for name in table["metric"]]]
    assert shares["estimate"].dropna().between(0.0, 1.0).all()


def test_the_short_table_has_the_stops_that_can_be(swept: Result, graph: Result) -> None:
    metrics = set(answer.characteristics_in_short(graph)["metric"])
    assert {"stop.success", "stop.consider", "stop.half.futility", "n.evaluated", "orr.reject"} <= metrics
    assert "stop.consider" not in set(answer.characteristics_in_short(swept)["metric"])
    assert "followed to the end" not in answer.not_yet(swept)


def test_the_bounds_are_those_at_which_trials_stopped(swept: Result) -> None:
    table = rules.rules(swept, 0).set_index("rule")
    assert table.at["many", "fires"] == "≥ 44 of 64"  # O'Brien-Fleming as rpact has it
    assert table.at["orr", "fires"] == "≥ 76 of 128"
    assert table.at["many", "then"] == "shows 'orr'; the trial stops for success"
    assert table.at["cr", "then"] == "'cr' is shown, if 'orr' is"
    most = int(table.at["few", "fires"].split()[1])
    assert table.at["few", "fires"] == f"≤ {most} of 64"
    trials = swept.trials[swept.trials["end"] == "half"]
    assert (trials.loc[trials["outcome"] == "futility", "orr.count"] == most).any()
    assert trials.loc[trials["outcome"] == "futility", "orr.count"].max() == most
    drawn = looks_charts.bounds_table(swept).set_index(["series", "n"])
    assert drawn.at[("half: few (orr)", 64), "bound"] == most
    assert drawn.at[("end: orr (orr)", 128), "bound"] == 76
    (_, one), *rest = rules.rules_tables(swept, "t")[0]
    assert not rest  # both cells have the same
    assert "≥ 44 of 64" in one


def test_cells_with_other_bounds_have_tables_of_their_own(swept: Result) -> None:
    other = {**DESIGN, "sweep": {"look.half.rule.few.at_most": [0.05, 0.2]}, "simulation": {"trials": 50}}
    tables, left_out = rules.rules_tables(vtrial.run(other), "t")
    assert [words for words, _ in tables] == ["look.half.rule.few.at_most = 0.05", "look.half.rule.few.at_most = 0.2"]
    assert left_out == 0


def test_the_ways_to_end_are_all_trials_and_exact_where_known(swept: Result, graph: Result) -> None:
    for result in (swept, graph):
        table = looks_charts.ends_table(result)
        assert table.groupby("cell")["share"].sum().to_numpy() == pytest.approx(1.0)
        assert (table["share"] >= 0).all()
    table = looks_charts.ends_table(swept)
    harm = table[table["end"] == "stops for harm at 'half'"]
    assert list(harm["share"]) == [swept.value("stop.half.harm", cell=cell)[0] for cell in (0, 1)]
    simple = vtrial.run("simon-two-stage", trials=100)
    first = looks_charts.ends_table(simple).iloc[0]
    assert first["exact"] == pytest.approx(binom.cdf(8, 15, 0.5))
    assert first["exact_high"] == first["exact"]


def test_after_stopping(swept: Result) -> None:
    trials = swept.trials[(swept.trials["cell"] == 1) & (swept.trials["end"] == "half")]
    bias = trials["orr.rate"].mean() - 0.62
    text = after_stopping.told(swept, "orr.bias.half", 1)
    assert float(text.split(" ")[0]) == pytest.approx(bias, abs=6e-5)
    page = after_stopping.estimates_table(swept, "t")
    assert text in page
    assert f"{len(trials) / 400:.1%}" in page
    assert after_stopping.told(swept, "n.not_infused", 0, 2) in after_stopping.patients_table(swept, "t")


def test_sizes_with_looks(swept: Result, graph: Result) -> None:
    table = sizes.sizes(swept).set_index("test")
    rows = table.loc[["orr"]].iloc[0]
    assert (rows["n_low"], rows["n_high"]) == (128, 128)  # of trials that reached the end
    assert rows["size"] == pytest.approx(binom.sf(75, 128, 0.5))
    first = binom.pmf(np.arange(44), 64, 0.5)  # going on, 43 and fewer
    whole = binom.sf(43, 64, 0.5) + np.sum(first * binom.sf(75 - np.arange(44), 64, 0.5))
    assert rows["looks"] == pytest.approx(whole)
    assert np.isnan(table.loc[["cr"]].iloc[0]["looks"])
    by_graph = sizes.sizes(graph)
    assert list(by_graph[by_graph["test"] == "cr"]["alpha"]) == pytest.approx([0.005, 0.025])
    counted = sizes.sizes(vtrial.run("simon-two-stage", trials=60))
    assert counted["alpha"].isna().all()
    assert sizes.excess(counted) == []


def test_the_histogram_tells_stopped_trials_apart(graph: Result) -> None:
    whole = over_trials(graph).to_dict()
    rows = whole["datasets"][whole["concat"][0]["layer"][0]["data"]["name"]]
    share: dict[str, float] = {}
    for row in rows:
        share[row["side"]] = share.get(row["side"], 0.0) + row["share"]
    ended = graph.trials["end"] == "half"
    assert share["a look stopped the trial"] == pytest.approx(ended.mean())
    assert share["rejects"] == pytest.approx((graph.trials["orr.reject"] & ~ended).mean())


def test_settings_name_looks_rules_and_graph(graph: Result) -> None:
    table = assumptions.settings(graph).set_index(["section", "key"])
    assert table.at[("[[look]] half", "when"), "value"] == "infused = 64"
    assert table.at[("[[look]] half, rule few", "at_most"), "origin"] == "stated"
    assert table.at[("[[look]] half, rule few", "prior"), "value"] == "Beta(1, 1)"
    assert table.at[("[[look]] half, rule few", "final"), "value"] == "128, as planned"
    assert table.at[("[multiplicity]", "weights"), "value"] == "orr: 0.8; cr: 0.2"
    assert table.at[("[[test]] orr", "alpha"), "value"] == "its share by [multiplicity]"
    assert table.at[("[[test]] cr", "gamma"), "value"] == "does not apply"
    assert table.at[("[[test]] orr", "gamma"), "value"] == "none"


def test_a_stated_shift_goes_through_the_looks() -> None:
    """Where looks stop good trials, the table of shifts says so in every row."""
    few = {"name": "few", "kind": "count", "endpoint": "orr", "at_most": 44, "then": "futility"}
    design = {**DESIGN, "look": [{"name": "half", "when": {"infused": 64}, "rule": [few]}], "sweep": {}}
    tests = [{key: value for key, value in TESTS[0].items() if key != "spending"}]
    found = assumptions.shifted(vtrial.run({**design, "test": tests, "simulation": {"trials": 50}}))
    assert found is not None
    power = [float(text.split(" ")[0]) for text in found[0].iloc[:, -1]]
    assert power[0] < 0.8  # 45 of 64 is 70%
    assert power == sorted(power, reverse=True)


@pytest.mark.parametrize("which", ["swept", "graph"])
def test_the_page(which: str, request: pytest.FixtureRequest) -> None:
    result: Result = request.getfixturevalue(which)
    page = Page(html(result))
    assert {"ends", "bounds", "story"} <= set(page.specs)
    assert result.answer() in page.text
    for heading in ("Looks and rules", "After stopping", "One trial's story"):
        assert heading in page.text
    assert "nan" not in page.text.lower().split("provenance")[0].split()


def test_the_story_is_drawn_against_its_bounds(graph: Result) -> None:
    points = trial_log.story_points(graph.story(3))
    first: Any = points[points["look"] == "half"].set_index("rule")
    assert first.at["many", "limit"].startswith("≥ ")
    assert first.at["few", "limit"].startswith("≤ ")
    assert set(points["panel"]) == {"Response (PR or better)", "CR or better", "CRS of grade 3 or higher"}
    assert graph.plot_story(3).to_dict()["title"]["text"] == "Trial 3"
