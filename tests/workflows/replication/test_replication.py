"""The published numbers against replications: what is covered, where they stand, and that a wrong number stands out."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vtrial
from tests import ROOT
from vtrial import InputError
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.workflows.replication.coverage import coverage
from vtrial.workflows.replication.left_out import doses_left_out, events_left_out
from vtrial.workflows.replication.predicted import COLUMNS, compared
from vtrial.workflows.replication.replicate import Replication

TRIALS = 1000


@pytest.fixture(scope="module")
def karmma(posterior: Posterior) -> Replication:
    """KarMMa, replicated."""
    return vtrial.replicate("karmma", trials=TRIALS, seed=1)


def test_every_fact_is_covered_or_says_why_not(karmma: Replication, evidence: Evidence) -> None:
    table = karmma.table
    assert list(table.columns) == list(COLUMNS)
    assert set(table["fact"]) == set(evidence.facts.index)
    scored = table[table["use"].isin(["fit", "check"])]
    absent = scored[scored["reason"] != ""]
    assert list(absent["fact"]) == ["infused.all"]  # fixed: as many are infused as were
    assert karmma.covered["fact"].nunique() >= 275
    assert (table.loc[table["reason"] == "", "predicted"].notna()).all()


def test_held_back_facts_lie_inside(karmma: Replication) -> None:
    held_back = karmma.covered[karmma.covered["use"] == "check"]
    assert held_back["fact"].nunique() == 9
    assert held_back["inside95"].astype(bool).mean() >= 0.9
    assert karmma.summary().set_index("facts").loc["held back", "inside95"] >= 0.9


def test_fitted_counts_are_as_sharp_as_their_own_information(karmma: Replication, evidence: Evidence) -> None:
    """A saturated binomial gives 1.41; counts of 10 to 118 of 128 come near it at most."""
    facts = evidence.facts
    rows = karmma.covered[(karmma.covered["use"] == "fit") & (karmma.covered["number"] == "value")].set_index("fact")
    many = (facts["count"] >= 10) & (facts["count"] <= 118) & (facts["n"] == 128)
    ratio = rows["sharpness"].reindex(facts.index[many]).dropna().astype(float)
    assert len(ratio) > 40
    error = 1.41 * np.sqrt(0.5 / TRIALS) * np.sqrt(2)
    assert ratio.max() < 1.5 + 5 * error


def test_numbers_are_those_that_the_paper_computes(karmma: Replication) -> None:
    """The Wald interval of a count of 94 of 128 is the published one; so is Wilson's of 33."""
    rows = karmma.covered.set_index(["fact", "number"])
    assert rows.loc[("orr.all.ci", "low"), "published_low"] == 0.66
    low, high = vtrial.proportion_interval(94, 128, method="wald")
    assert (round(float(low), 2), round(float(high), 2)) == (0.66, 0.81)
    near = rows.loc[("orr.all.ci", "low")]
    assert near["low95"] <= 0.66 <= near["high95"]
    half = rows.loc[("orr.all", "value"), "predicted"] - near["predicted"]
    assert half == pytest.approx(0.076, abs=0.012)


def test_percentiles_and_intervals_are_those_of_the_draws(evidence: Evidence) -> None:
    found = coverage(evidence)
    fact = "orr.450"
    values = np.repeat([40, 42, 44, 46], [10, 20, 30, 40]) / 54
    only = frozenset([fact])
    row = compared(evidence, found, {fact: {"value": values}}, only=only).iloc[0]
    assert row["percentile"] == pytest.approx((30 + 60) / 2 / 100)
    assert row["predicted"] == pytest.approx(44 / 54)
    assert bool(row["inside95"])
    out = compared(evidence, found, {fact: {"value": np.full(100, 45 / 54)}}, only=only).iloc[0]
    assert out["percentile"] == 0.0
    assert not out["inside95"]


def test_not_reached_ranks_above_every_number_and_not_estimable_nowhere(evidence: Evidence) -> None:
    found, fact = coverage(evidence), "os.all"
    values = np.array([18.0] * 60 + [np.inf] * 40 + [np.nan] * 25)
    numbers = {"value": values, "low": values, "high": values}
    table = compared(evidence, found, {fact: numbers}, only=frozenset([fact])).set_index("number")
    assert table.loc["high", "percentile"] == pytest.approx(0.8)  # published NE, as in 40 of 100
    assert table.loc["value", "percentile"] == pytest.approx(0.6)
    assert table.loc["value", "not_reached"] == pytest.approx(0.4)
    assert table.loc["value", "not_estimable"] == pytest.approx(0.2)
    assert table.loc["value", "status"] == "estimated"
    assert table.loc["high", "high95"] == np.inf


def test_a_wrong_number_stands_out(tmp_path: Path, posterior: Posterior) -> None:
    """A held-back total that no replication can print, planted in the facts."""
    study = Path(shutil.copytree(ROOT / "priors" / "invented", tmp_path / "invented"))
    text = (study / "facts.csv").read_text("utf-8")
    assert "infused,all,,,median_range,,50,61,41,79" in text
    (study / "facts.csv").write_text(text.replace(",50,61,41,79", ",50,52,41,79"), "utf-8")
    result = vtrial.replicate(study, trials=400)
    row = result.covered[result.covered["fact"] == "baseline.age.all"].iloc[0]
    assert not row["inside95"]
    assert row["percentile"] < 0.025
    assert result.worst(1)["fact"].iloc[0] == "baseline.age.all"


def test_a_dose_and_an_event_are_left_out_with_all_their_facts(evidence: Evidence) -> None:
    doses = dict(doses_left_out(evidence))
    assert {"orr.450", "crs3.450", "pfs.450", "dor.450", "deaths.450", "baseline.age.450"} <= doses["dose 450"]
    assert not any("300" in fact or fact.endswith(".all") for fact in doses["dose 450"])
    events = dict(events_left_out(evidence))
    assert events["ae.nausea"] == {"ae.nausea.any", "ae.nausea.grade3_4"}
    assert len(events) == 23


@pytest.mark.slow
def test_left_out_facts_are_predicted_without_being_seen(posterior: Posterior) -> None:
    result = vtrial.replicate("invented", trials=300, left_out=True)
    assert result.left_out is not None
    out = result.left_out
    assert set(out["left_out"]) >= {"dose 100", "dose 400", "ae.nausea"}
    fitted = result.covered.set_index(["fact", "number"])
    wider = [
        (row["high95"] - row["low95"])
        / max(
            fitted.loc[(row["fact"], row["number"]), "high95"] - fitted.loc[(row["fact"], row["number"]), "low95"], 1e-9
        )
        for _, row in out[out["left_out"].str.startswith("ae.")].iterrows()
    ]
    assert np.median(wider) > 1.2  # what has not been seen is less sure
    assert out["inside95"].astype(bool).mean() >= 0.8


def test_the_same_seed_gives_the_same_table_and_folder(tmp_path: Path) -> None:
    one, other = (vtrial.replicate("invented", trials=200, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(one.table, other.table)
    folder = one.save(tmp_path / "out")
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "replication.csv", "replication.html"]
    written = pd.read_csv(folder / "replication.csv")
    assert list(written.columns[:11]) == list(COLUMNS[:11])
    page = (folder / "replication.html").read_text("utf-8")
    assert not re.search(r"(src|href)=.http", page.split("<script>")[0])


@pytest.mark.parametrize(
    ("trials", "seed", "says"), [(0, 1, "trials is 0"), (10**9, 1, "trials is"), (10, -1, "seed is -1")]
)
def test_bad_numbers_are_refused(trials: int, seed: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        vtrial.replicate("invented", trials=trials, seed=seed)


def test_a_system_without_covered_facts_has_no_forest(karmma: Replication) -> None:
    with pytest.raises(InputError, match="no fact of system 'biomarkers' is covered"):
        karmma.plot_forest("biomarkers")
    assert karmma.plot_forest("crs").to_dict()
