"""Times in the report: the curves, states and table are those of the trials, and NR and NE are never numbers."""

import json
import math
import re
from typing import Any

import numpy as np
import pytest

import vtrial
from vtrial._support.errors import InputError
from vtrial.characteristics import over_time
from vtrial.engine import run as engine
from vtrial.model.parameters import DAYS
from vtrial.model.posterior import Posterior
from vtrial.report.charts import figures, over_cut
from vtrial.report.headline import answer
from vtrial.report.headline import figure as answer_figure
from vtrial.report.notebook import notebook
from vtrial.report.tables import overview, times
from vtrial.report.words import general as words
from vtrial.workflows.patients import CENSORED, MOST_PATIENTS
from vtrial.workflows.result import Result


def _values(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def _grid(result: Result, days: list[int], curves: Any, count: int) -> Any:
    protocol = result.protocols[0]
    return engine.curves_on_days(
        protocol.plan, protocol.numbers, protocol.worlds, days, curves=curves, seed=1, start=0, count=count
    )


def test_a_curve_crosses_one_half_at_the_median_of_its_trial(karmma_result: Result) -> None:
    days = list(range(800))
    found = _grid(karmma_result, days, (("pfs", "all"), ("dor", "cr")), 20)
    for curve, column in ((("pfs", "all"), "pfs.median"), (("dor", "cr"), "dor.cr.median")):
        heights, at_risk = found[curve]
        ended = np.isnan(heights)  # after the last patient at risk, unless survival is 0 by then
        assert ended.any()
        np.testing.assert_array_equal(ended, (at_risk == 0) & (np.nan_to_num(heights, nan=1.0) > 0))
        heights = np.where(ended, np.fmin.accumulate(heights, axis=1), heights)
        assert np.all(np.diff(heights, axis=1) <= 0)
        assert np.all(np.diff(at_risk, axis=1) <= 0)
        for height, median in zip(heights, karmma_result.trials[column], strict=False):
            if np.isinf(median):
                assert height.min() > 0.5 - 1e-4
            else:
                assert height[int(median * DAYS + 1e-3)] <= 0.5 + 1e-4
                assert height[max(0, int(median * DAYS - 1e-3) - 60)] >= 0.5 - 1e-4
    assert (found["pfs", "all"][1][:, 0] == karmma_result.trials["n.infused"][:20]).all()


def test_the_fan_is_ordered_and_carries_the_published_median(karmma_result: Result) -> None:
    for endpoint, text in (("pfs", "8.8 (5.6 to 11.6)"), ("dor", "10.7 (9 to 11.3)"), ("os", "19.4 (18.2 to NR)")):
        rows = _values(karmma_result.plot_survival(endpoint))
        by = {kind: [row for row in rows if row.get("what") == kind] for kind in (over_time.MOST, over_time.HALF)}
        for wide, narrow in zip(by[over_time.MOST], by[over_time.HALF], strict=True):
            assert 0 <= wide["low"] <= narrow["low"] <= narrow["high"] <= wide["high"] <= 1
        assert any(text in str(row.get("what")) for row in rows)
    with pytest.raises(InputError, match="no curve of 'ttnt'"):
        karmma_result.plot_survival("ttnt")


def test_states_share_out_everybody(karmma_result: Result) -> None:
    shares = karmma_result.illustrations.states.pivot(index="month", columns="state", values="share")
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-9)
    assert shares.loc[0.0, over_time.STATES[0]] == 1.0
    assert shares["dead"].is_monotonic_increasing


def test_the_swimmers_are_the_cohort(karmma_result: Result) -> None:
    rows = _values(karmma_result.plot_patients(3))
    cohort = karmma_result.cohort(3).set_index("patient")
    ends = {row["patient"]: row for row in rows if row.get("what") in ("death", "last seen alive")}
    assert len(ends) == MOST_PATIENTS
    for patient, row in ends.items():
        assert row["month"] == pytest.approx(cohort.at[int(patient), "os_months"], abs=1e-6)
        assert (row["what"] == "death") == cohort.at[int(patient), "os_event"]


def test_the_cohort_tells_true_and_seen_times(karmma_result: Result) -> None:
    cohort = karmma_result.cohort(0)
    infused = cohort[cohort["infused"]]
    assert cohort.loc[~cohort["infused"], "death"].isna().all()
    assert not np.isinf(cohort.select_dtypes("number")).any().any()
    seen = infused[infused["os_event"].astype(bool)]
    assert ((seen["os_months"] - seen["death"]).between(0, 1.01 / DAYS)).all()
    late = infused[infused["progression"].notna() & infused["time_to_response"].notna()]
    assert (late["progression"] >= late["time_to_response"] - 1e-5).all()
    assert infused["dor_months"].notna().sum() <= (infused["best_response"] != "none").sum()


def test_the_published_table(karmma_result: Result) -> None:
    table = times.published(karmma_result).set_index(["fact", "statistic"])
    published = karmma_result.evidence.facts
    wanted = published.index[published["statistic"] == "km_median"]
    assert set(wanted) <= set(table.index.get_level_values("fact"))
    assert {"os.12.all", "deaths.all", "deaths.450", "follow_up.all"} <= set(table.index.get_level_values("fact"))
    pfs = table.loc[("pfs.all", "median")]
    assert pfs["published"] == 8.8
    assert pfs["q50"] == np.quantile(karmma_result.trials["pfs.median"], 0.5, method="inverted_cdf")
    assert (table.loc["os.all", "use"] == "check").all()
    assert np.isinf(table.loc[("os.all", "upper limit"), "published"])
    assert not table.isna().any().any()
    assert times.departures(karmma_result) == []


def _rows(table: str) -> list[list[str]]:
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S)]
        for row in re.findall(r"<tr>.*?</tr>", table, re.S)
    ]


def test_every_curve_is_a_row_with_what_was_published_below(karmma_result: Result) -> None:
    table = times.published(karmma_result)
    rows = _rows(str(times.curves_table(karmma_result, table, "t")))
    simulated = [row for row in rows if len(row) == 12 and not row[0].startswith("published")]
    assert len(simulated) == len(karmma_result.protocols[0].plan.curves)
    at = next(k for k, row in enumerate(rows) if "published [pfs.450, fit]" in row[0])
    of, told = rows[at - 1], rows[at]
    value = {m: karmma_result.value(f"pfs.450.{m}")[0] for m in ("n", "events", "median.q50", "median.nr", "s12")}
    assert of[:3] == ["at 450", f"{value['n']:.1f}", f"{value['events']:.1f}"]
    assert of[3].startswith(f"{value['median.q50']:.1f} (")
    assert of[6] == f"{value['median.nr']:.1%}"
    assert of[10] == f"{value['s12']:.0%}"
    assert told[3:6] == ["12.1", "8.8", "12.3"]
    outside = table.assign(inside95=table["fact"] != "pfs.450")
    assert "12.1 OUTSIDE" in str(times.curves_table(karmma_result, outside, "t"))
    others = str(times.others_table(table, "o"))
    assert "deaths.450" in others
    assert "pfs.450" not in others  # said once


def test_what_is_not_reached_is_nr_and_never_inf(karmma_result: Result) -> None:
    assert np.isinf(karmma_result.value("os.450.median.high.q50")[0])
    assert words.number(math.inf) == words.number(math.inf, 2) == "NR"
    for table in (
        times.curves_table(karmma_result, times.NOTHING_PUBLISHED, "t"),
        overview.characteristics(karmma_result, 0, "t"),
    ):
        cells = {cell for row in _rows(str(table)) for cell in row}
        assert any(cell.lstrip("† ").startswith("NR") for cell in cells)
        assert not {cell for cell in cells if "inf" in cell.split() or "nan" in cell}


def test_the_swimmers_carry_the_censoring_of_pfs(karmma_result: Result) -> None:
    rows = _values(karmma_result.plot_patients(3))
    cohort = karmma_result.cohort(3).set_index("patient")
    shown = {int(row["patient"]) for row in rows if row.get("what") in ("death", "last seen alive")}
    censored = {int(row["patient"]): row["month"] for row in rows if row.get("what") == CENSORED}
    assert set(censored) == {patient for patient in shown if not cohort.at[patient, "pfs_event"]}
    assert 0 < len(censored) < len(shown)
    for patient, month in censored.items():
        assert month == pytest.approx(cohort.at[patient, "pfs_months"], abs=1e-6)
        assert month - 1e-6 <= cohort.at[patient, "os_months"]  # type: ignore[operator]


def _later_and_later(**changes: Any) -> Result:
    cuts = [{"months_after_last_infusion": 2}, {"months_after_last_infusion": 6}, {"months_after_last_infusion": 12}]
    return vtrial.run({"arm": [{}], "simulation": {"trials": 60}, "sweep": {"calendar.data_cut": cuts}} | changes)


def test_a_sweep_of_the_cut_answers_for_the_responses_that_are_tested(posterior: Posterior) -> None:
    result = _later_and_later(test=[{"name": "orr", "endpoint": "orr", "null": 0.5}])
    said = result.answer()
    assert said.startswith("The median duration of response that a trial observes is ")
    for cell in (0, 2):
        share = result.value("dor.median.high.nr", cell=cell)[0]
        assert f"its upper limit in {f'{share:.1%} ±' if share else 'none'}" in said
        width = result.value("dor.median.width.q50", cell=cell)[0]
        assert (f"interval is {width:.2f} " if math.isfinite(width) else "interval has no upper limit") in said
        assert f"last_infusion={(2, 6, 12)[cell]}" in said
    assert "last_infusion=6" not in said
    assert "inf " not in said
    short = answer.characteristics_in_short(result)
    assert {"dor.median.q50", "dor.median.width.q50", "dor.median.high.nr"} <= set(short["metric"])
    assert "pfs.median.width.q50" not in set(short["metric"])
    assert np.isinf(short["estimate"]).any()
    assert "inf<" not in notebook(result)
    assert ">NR<" in notebook(result)
    drawn = over_cut.table(result, "dor").set_index(["cell", "part"])
    first = drawn.loc[("calendar.data_cut = months_after_last_infusion=2", "upper 95% limit")]
    assert first["nr"] == result.value("dor.median.high.nr")[0] > 0.1
    assert first["q025"] == result.value("dor.median.high.q025")[0]
    figure = answer_figure.answer_figure(result)
    assert figure.name == "medians-over-sweep"
    assert "Infinity" not in json.dumps(figure.spec)
    table, _ = overview.decisions_by_cell(result, "t")
    assert "Median duration of response, months: width of the 95% interval" in table


def test_without_tests_the_first_time_that_is_asked_for_answers(posterior: Posterior) -> None:
    result = _later_and_later(simulation={"trials": 20, "endpoints": ["os", "pfs"]})
    assert result.answer().startswith("The median overall survival that a trial observes is ")
    assert answer_figure.answer_figure(result).name == "medians-over-sweep"  # there are no rates to draw


def test_another_design_is_for_orientation(sample_size_result: Result) -> None:
    assert times.departures(sample_size_result)


def test_every_chart_is_drawn(karmma_result: Result) -> None:
    for chart in (*map(karmma_result.plot_survival, ("pfs", "dor", "os")), karmma_result.plot_states()):
        figure = figures.drawn(chart, name="x", caption="", description="")
        assert "NaN" not in json.dumps(figure.spec)
        assert "Infinity" not in json.dumps(figure.spec)
