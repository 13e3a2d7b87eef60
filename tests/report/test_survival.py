"""Times in the report: the curves, states and table are those of the trials, and NE is never a number."""

import json
from typing import Any

import numpy as np
import pytest

from vtrial import engine
from vtrial.curves import DAYS
from vtrial.errors import InputError
from vtrial.report import figures, survival, times_table
from vtrial.result import Result


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
    for endpoint, text in (("pfs", "8.8 (5.6 to 11.6)"), ("dor", "10.7 (9 to 11.3)"), ("os", "19.4 (18.2 to NE)")):
        rows = _values(karmma_result.plot_survival(endpoint))
        by = {kind: [row for row in rows if row.get("what") == kind] for kind in (survival.MOST, survival.HALF)}
        for wide, narrow in zip(by[survival.MOST], by[survival.HALF], strict=True):
            assert 0 <= wide["low"] <= narrow["low"] <= narrow["high"] <= wide["high"] <= 1
        assert any(text in str(row.get("what")) for row in rows)
    with pytest.raises(InputError, match="no curve of 'ttnt'"):
        karmma_result.plot_survival("ttnt")


def test_states_share_out_everybody(karmma_result: Result) -> None:
    shares = survival.occupancy(karmma_result).pivot(index="month", columns="state", values="share")
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-9)
    assert shares.loc[0.0, survival.STATES[0]] == 1.0
    assert shares["dead"].is_monotonic_increasing


def test_the_swimmers_are_the_cohort(karmma_result: Result) -> None:
    rows = _values(karmma_result.plot_patients(3))
    cohort = karmma_result.cohort(3).set_index("patient")
    ends = {row["patient"]: row for row in rows if row.get("what") in ("death", "last seen alive")}
    assert len(ends) == survival.MOST_PATIENTS
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
    table = times_table.published(karmma_result).set_index(["fact", "statistic"])
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
    text = str(times_table.published_table(table.reset_index(), "t"))
    assert ">NE<" in text
    assert "inf<" not in text
    assert "nan" not in text
    assert times_table.departures(karmma_result) == []


def test_another_design_is_for_orientation(sample_size_result: Result) -> None:
    assert times_table.departures(sample_size_result)


def test_every_chart_is_drawn(karmma_result: Result) -> None:
    for chart in (*(survival.fan(karmma_result, e) for e in ("pfs", "dor", "os")), karmma_result.plot_states()):
        figure = figures.drawn(chart, name="x", caption="", description="")
        assert "NaN" not in json.dumps(figure.spec)
        assert "Infinity" not in json.dumps(figure.spec)
