"""A study is a folder, without code: an invented one goes through fit, run and replicate, and so do spoiled ones."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import vtrial
from tests import ROOT, stand_in
from vtrial.cli import app
from vtrial.report import replicated
from vtrial.workflows.datasets import datasets


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a command prints."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(app, "out", Console(highlight=False, soft_wrap=True, emoji=False, width=400))
        result = CliRunner().invoke(app.app, list(arguments))
        assert result.exception is None, result.exception
        return result.output

    return run


def test_an_invented_study_fits_and_says_what_is_absent(said: Callable[..., str]) -> None:
    text = said("fit", "invented")
    assert "An invented study, for tests" in text
    for system in ("mrd", "crs", "neurotoxicity", "survival"):
        assert f"{system} (no facts)" in text


def test_an_invented_study_runs_with_its_own_doses(tmp_path: Path) -> None:
    result = vtrial.run(
        {
            "world": {"study": "invented"},
            "test": [{"name": "orr", "endpoint": "orr", "null": 0.3}],
            "simulation": {"trials": 400, "flags": ["adverse_events", "baseline"]},
        },
        out=tmp_path / "out",
    )
    assert result.protocols[0].doses == (100.0, 200.0, 400.0)
    metrics = set(result.characteristics["metric"])
    assert "flag.ae.anemia.grade3_4.rate" in metrics
    assert "flag.baseline.stage_iii.rate" in metrics
    assert not any(metric.startswith(("crs", "mrd", "pfs", "os.")) for metric in metrics)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "ae.anemia.grade3_4" in page
    assert "Other" not in page.split("<script>")[0].split("ae.anemia")[0][-200:]


def test_an_invented_study_is_replicated(said: Callable[..., str], tmp_path: Path) -> None:
    text = said("replicate", "invented", "--trials", "300", "--out", str(tmp_path / "out"))
    assert "Not modelled: mrd (no facts), crs (no facts)" in text
    assert "hospital.cost.all (no model describes it)" in text
    assert (tmp_path / "out" / "manifest.json").exists()


@pytest.fixture
def one_dose(tmp_path: Path) -> Path:
    """The invented study with one of its doses."""
    study = Path(shutil.copytree(ROOT / "priors" / "invented", tmp_path / "one-dose"))
    kept = []
    for line in (study / "facts.csv").read_text("utf-8").splitlines():
        fact, _, _, dose, *_ = line.split(",")
        if (
            dose in ("100", "400")
            or fact in ("vgpr.all", "hospital.cost.all")
            or (dose == "all" and fact.split(".")[0] in ("orr", "cr", "baseline", "ae", "hospital"))
        ):
            continue
        kept.append(line.replace(",50,56,", ",20,24,").replace(",20,50,,,,,patients", ",20,20,,,,,patients"))
    kept.append("vgpr.all,response,infused,all,,,count,4,20,,,,,patients,,,invented for the tests,fit")
    (study / "facts.csv").write_text("\n".join(kept) + "\n", "utf-8")
    text = (study / "priors.toml").read_text("utf-8")
    start, end = text.index("[flags.adverse_events]"), text.index('[measure."baseline.age"]')
    text = text[:start] + text[end:]
    start, end = text.index('[measure."hospital.stay"]'), text.index("[covariate.")
    (study / "priors.toml").write_text(text[:start] + text[end:], "utf-8")
    return study


def test_a_study_of_one_dose_works(one_dose: Path) -> None:
    result = vtrial.replicate(one_dose, trials=200, left_out=True)
    assert result.left_out is not None
    assert result.left_out.empty
    assert {"orr.200", "cr.200", "baseline.male.200"} <= set(result.covered["fact"])
    assert result.covered["inside95"].astype(bool).all()


def _spoiled(text: str, flags: bool, measures: bool) -> str:
    """The priors of the invented study, its flags or its measures taken out."""
    if not flags:
        start, end = text.index("[pool.any]"), text.index('[measure."baseline.age"]')
        text = text[:start] + text[end:]
        text = text[: text.index("[covariate.")] if "[covariate." in text else text
    if not measures:
        start = text.index('[measure."baseline.age"]')
        end = text.index("[covariate.") if "[covariate." in text else len(text)
        text = text[:start] + text[end:]
    return text


@pytest.mark.parametrize(("flags", "measures"), [(True, False), (False, True), (False, False)])  # both: all else here
def test_a_study_may_describe_flags_alone_measures_alone_or_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: bool, measures: bool
) -> None:
    study = Path(shutil.copytree(ROOT / "priors" / "invented", tmp_path / "spoiled"))
    file = study / "priors.toml"
    file.write_text(_spoiled(file.read_text("utf-8"), flags, measures), "utf-8")
    monkeypatch.setenv("VTRIAL_CACHE", str(tmp_path / "cache"))
    read = vtrial.load_evidence(study)
    assert (bool(read.flags.drawn), bool(read.flags.measures)) == (flags, measures)
    found = stand_in.cached(read)
    assert (found.flags is not None, found.measures is not None) == (flags, measures)
    scenario = {
        "world": {"study": str(study)},
        "arm": [{"doses": {"200": 1}}],
        "cohort": {"enrolled": 20},
        "test": [{"name": "orr", "endpoint": "orr", "null": 0.3}],
        "simulation": {"trials": 40, "endpoints": ["orr"]},
    }
    asked = vtrial.run(scenario)
    assert asked.posteriors[1.0].sha256 == found.sha256
    again = vtrial.replicate(study, trials=40)
    covered = set(again.covered["fact"])
    assert ("baseline.male.100" in covered, "baseline.age.100" in covered) == (flags, measures)
    alone = "Of 2 held back none is simulated. None that was held back is simulated, so nothing judges the fit."
    assert replicated.sentence(again).endswith(alone) != measures
    assert "Where the published numbers stand" in replicated.html(again)
    tables = datasets.datasets(asked.scenario)
    described = set(tables["ADCH"]["PARAM"]) if "ADCH" in tables else set()
    assert ("baseline.male" in described, "baseline.age" in described) == (flags, measures)


def test_karmma_without_facts_on_survival_says_so(tmp_path: Path) -> None:
    study = Path(shutil.copytree(ROOT / "priors" / "karmma", tmp_path / "short"))
    lines = (study / "facts.csv").read_text("utf-8").splitlines()
    (study / "facts.csv").write_text("\n".join(x for x in lines if not x.startswith("pfs.")) + "\n", "utf-8")
    evidence = vtrial.load_evidence(study)
    assert evidence.absent["survival"].startswith("fact 'pfs.all' is missing, of ")
    result = vtrial.replicate(evidence, trials=100)
    table = result.table.set_index("fact")
    needed = f"needs survival: {evidence.absent['survival']}"
    assert table.loc["deaths.all", "reason"] == needed
    assert table.loc["on_study.all", "reason"] == needed
    assert table.loc["kinetics.persistence_6.all", "reason"] != ""
    assert (table.loc["ae.anemia.any", "reason"]) == ""
