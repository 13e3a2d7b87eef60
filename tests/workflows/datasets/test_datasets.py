"""One virtual trial as data sets: the same numbers as its run, read back from every format, and by R."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from tests import REFERENCE
from vtrial import InputError, OutputError
from vtrial.model.posterior import Posterior
from vtrial.scenario import from_dict
from vtrial.trial.analysis import kaplan_meier
from vtrial.workflows.datasets.datasets import LABELS, datasets, save
from vtrial.workflows.result import Result

DATA = REFERENCE
TRIAL = 3


@pytest.fixture(scope="module")
def tables(posterior: Posterior) -> dict[str, pd.DataFrame]:
    """Trial 3 of karmma."""
    return datasets("karmma", trial=TRIAL)


def test_counts_are_those_of_the_run(tables: dict[str, pd.DataFrame], karmma_result: Result) -> None:
    row = karmma_result.trials[karmma_result.trials["trial"] == TRIAL].iloc[0]
    subjects, responses, events = tables["ADSL"], tables["ADRS"], tables["ADAE"]
    best = responses[responses["PARAMCD"] == "BOR"]
    assert len(subjects) == row["n.enrolled"]
    assert (subjects["SAFFL"] == "Y").sum() == row["n.infused"] == len(best)
    for endpoint, count in (
        ("orr", (best["AVAL"] > 0).sum()),
        ("vgpr", (best["AVAL"] > 1).sum()),
        ("cr", (best["AVALC"] == "CR").sum()),
        ("mrd", (responses[responses["PARAMCD"] == "MRD"]["AVALC"] == "NEGATIVE").sum()),
        ("crs", (events["AEDECOD"] == "Cytokine release syndrome").sum()),
        ("crs3", ((events["AEDECOD"] == "Cytokine release syndrome") & (events["ATOXGRN"] >= 3)).sum()),
        ("neurotoxicity", (events["AEDECOD"] == "Neurotoxicity").sum()),
    ):
        assert count == row[f"{endpoint}.count"], endpoint


@pytest.mark.parametrize("endpoint", ["pfs", "dor", "os"])
def test_events_and_medians_are_those_of_the_run(
    tables: dict[str, pd.DataFrame], karmma_result: Result, endpoint: str
) -> None:
    row = karmma_result.trials[karmma_result.trials["trial"] == TRIAL].iloc[0]
    times = tables["ADTTE"][tables["ADTTE"]["PARAMCD"] == endpoint.upper()]
    assert (times["CNSR"] == 0).sum() == row[f"{endpoint}.events"]
    # The median by hand: where the product-limit estimate first is at most one half (midpoint where it stays there).
    order = times.sort_values("AVAL")
    survival, months = 1.0, []
    for month in np.unique(order["AVAL"]):
        at_risk, events = (order["AVAL"] >= month).sum(), ((order["AVAL"] == month) & (order["CNSR"] == 0)).sum()
        before, survival = survival, survival * (1 - events / at_risk)
        if survival <= 0.5 + 1e-9 and (before > 0.5 + 1e-9 or abs(before - 0.5) < 1e-9) and events:
            months.append(month)
    median = np.mean(months[:2]) if abs(_at(order, months[0]) - 0.5) < 1e-9 and len(months) > 1 else months[0]
    assert row[f"{endpoint}.median"] == pytest.approx(median, abs=2e-5)


def _at(order: pd.DataFrame, month: float) -> float:
    survival = 1.0
    for t in np.unique(order["AVAL"][order["AVAL"] <= month]):
        survival *= 1 - ((order["AVAL"] == t) & (order["CNSR"] == 0)).sum() / (order["AVAL"] >= t).sum()
    return float(survival)


def test_r_survival_gives_vtrials_figures() -> None:
    """An exported ADTTE and what R's survfit says of it (adtte_reference.R), against vtrial's Kaplan-Meier."""
    times = pd.read_csv(DATA / "adtte.csv")
    with open(DATA / "adtte_expected.csv", encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    assert [row["param"] for row in expected] == ["PFS", "DOR", "OS"]
    for row in expected:
        rows = times[times["PARAMCD"] == row["param"]]
        days = np.round(rows["AVAL"].to_numpy() * 30.4375).astype(np.int32)
        everybody = np.ones(len(days), bool)
        ordered = kaplan_meier.prepare(days, rows["CNSR"].to_numpy() == 0, np.zeros(len(days), np.int32), everybody)
        found = kaplan_meier.quantiles(ordered)
        assert len(days) == int(row["records"])
        assert (rows["CNSR"] == 0).sum() == int(row["events"])
        for name, value in (("median", found.estimate[0]), ("low", found.low[0]), ("high", found.high[0])):
            wanted = float(row[name]) if row[name] != "NA" else np.inf
            assert float(value) / 30.4375 == pytest.approx(wanted, rel=1e-6), (row["param"], name)


def test_the_r_fixture_is_an_export(tables: dict[str, pd.DataFrame]) -> None:
    assert list(pd.read_csv(DATA / "adtte.csv").columns) == list(tables["ADTTE"].columns)


def test_every_format_reads_back(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    folder = save(tables, tmp_path / "adam")
    for name, table in tables.items():
        stem = folder / name.lower()
        parquet, text = pd.read_parquet(stem.with_suffix(".parquet")), pd.read_csv(stem.with_suffix(".csv"))
        transport, meta = pyreadstat.read_xport(stem.with_suffix(".xpt"))
        for read in (parquet, text, transport):
            assert list(read.columns) == list(table.columns)
            assert len(read) == len(table)
        for column in table.columns[[kind.kind == "f" for kind in table.dtypes]]:
            for read in (parquet, text, transport):
                np.testing.assert_allclose(read[column].astype(float), table[column], rtol=1e-12)
        assert meta.column_labels == [LABELS[column] for column in table.columns]
    dates = pyreadstat.read_xport(folder / "adsl.xpt")[0]["TRTSDT"]
    infused = tables["ADSL"]["TRTSDT"].notna()
    assert list(dates[infused]) == list(tables["ADSL"]["TRTSDT"][infused])


def test_a_transport_file_that_a_full_disk_cut_short_is_refused(
    tables: dict[str, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer ends as if nothing had happened."""
    write = pyreadstat.write_xport

    def cut_short(table: pd.DataFrame, path: str, **options: Any) -> None:
        write(table, path, **options)
        os.truncate(path, os.path.getsize(path) // 2)

    monkeypatch.setattr(pyreadstat, "write_xport", cut_short)
    with pytest.raises(OutputError, match="No space left on device; it is as it was"):
        save(tables, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_names_fit_version_5_transport_files(tables: dict[str, pd.DataFrame]) -> None:
    for table in tables.values():
        for column in table.columns:
            assert len(column) <= 8
            assert len(LABELS[column]) <= 40
            if table[column].dtype == object:
                assert table[column].dropna().astype(str).str.len().max() <= 200


def test_data_sets_hang_together(tables: dict[str, pd.DataFrame]) -> None:
    subjects = tables["ADSL"].set_index("USUBJID")
    assert subjects.index.is_unique
    for table in tables.values():
        assert set(table["USUBJID"]) <= set(subjects.index)
    deaths = tables["ADTTE"][(tables["ADTTE"]["PARAMCD"] == "OS") & (tables["ADTTE"]["CNSR"] == 0)]
    assert set(deaths["USUBJID"]) == set(subjects.index[subjects["DTHFL"] == "Y"])
    assert (subjects.loc[deaths["USUBJID"], "DTHDT"].to_numpy() == deaths["ADT"].to_numpy()).all()
    visits = tables["ADRS"][tables["ADRS"]["PARAMCD"] == "OVR"]
    assert not visits.duplicated(["USUBJID", "AVISIT"]).any()
    last = visits.groupby("USUBJID")["AVALC"].agg(lambda shown: (shown == "PD").iloc[:-1].any())
    assert not last.any()  # nothing is assessed after a progression
    assert subjects["DOSEDEL"].div(subjects["DOSE"]).dropna().between(0.8, 1.2).all()


def test_a_study_without_times_has_no_adtte(posterior: Posterior) -> None:
    scenario = from_dict({"world": {"study": "invented"}, "cohort": {"infused": 30}})
    assert set(datasets(scenario)) == {"ADSL", "ADRS", "ADAE", "ADCH"}


@pytest.mark.parametrize(("trial", "cell", "says"), [(-1, 0, "trial -1"), (0, 1, "cell 1"), (2**32, 0, "trial")])
def test_a_trial_or_cell_that_is_not_there_is_refused(trial: int, cell: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        datasets("karmma", trial=trial, cell=cell)
