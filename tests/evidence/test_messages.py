"""What a study's files get wrong is said at once; and what is missing is told apart from what is called otherwise."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from vtrial import InputError
from vtrial.evidence import load
from vtrial.evidence.times import published
from vtrial.fitting.inputs import step_inputs

PRIORS = ROOT / "priors"


def _study(folder: Path, name: str, *edits: tuple[str, str, str]) -> Path:
    """A shipped study with texts of its files replaced: (file, old, new)."""
    shutil.copytree(PRIORS / name, folder / name)
    for file, old, new in edits:
        text = (folder / name / file).read_text("utf-8")
        assert old in text
        (folder / name / file).write_text(text.replace(old, new), "utf-8")
    return folder / name


def _one_dose(folder: Path, whole: tuple[str, ...]) -> Path:
    """KarMMa with all of its patients at one dose; `whole`: the endpoints that are called `.all`, not by the dose."""
    folder.mkdir()
    with (PRIORS / "karmma" / "facts.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dose"] == "all"]
    rows.append(next(row for row in rows if row["fact"] == "infused.all") | {"fact": "infused.300", "n": "128"})
    for row in rows:
        stem, _, end = row["fact"].rpartition(".")
        if row["fact"] == "infused.300":
            row["population"], row["dose"] = "infused", "300"
        elif end == "all" and stem != "infused" and row["statistic"] != "number" and stem not in whole:
            row["fact"], row["dose"] = f"{stem}.300", "300"
        row["use"] = "fit" if row["use"] in ("derived", "check") and row["statistic"] == "count" else row["use"]
    with (folder / "facts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    text = (PRIORS / "karmma" / "priors.toml").read_text("utf-8")
    start, end = text.index("[pool.any_hematologic]"), text.index("[expansion]")
    (folder / "priors.toml").write_text(text[:start] + text[end:].split("\n[sum]\n")[0], "utf-8")
    return folder


CORE = ("orr", "cr", "crs", "crs3", "neurotoxicity", "neurotoxicity3", "deaths", "pfs")


def test_in_a_study_of_one_dose_all_and_the_dose_are_the_same(tmp_path: Path) -> None:
    by_dose, mixed, of_all = (
        load(_one_dose(tmp_path / name, whole))
        for name, whole in (("dose", ()), ("mixed", ("orr", "crs", "vgpr", "pfs")), ("all", (*CORE, "vgpr", "os.12")))
    )
    assert by_dose.systems == mixed.systems == of_all.systems == load("karmma").systems
    told = [published(study.for_models()) for study in (by_dose, mixed, of_all)]
    for study, times in zip((mixed, of_all), told[1:], strict=True):
        assert repr(step_inputs(study.for_models())) == repr(step_inputs(by_dose.for_models()))
        assert repr(times) == repr(told[0])
        assert study.counts("orr")[0].tolist() == [94]
        assert study.count("crs3.all") == study.count("crs3.300") == (7, 128)
    assert told[0].medians["pfs", "all"] == (8.8, 5.6, 11.6)
    assert np.isnan(told[0].medians["pfs", "top"]).all()  # the same patients, who are not to count twice
    assert np.isnan(told[0].dead_at_top)


def test_one_dose_called_both_ways_must_say_the_same(tmp_path: Path) -> None:
    folder = _one_dose(tmp_path / "twice", ())
    lines = (folder / "facts.csv").read_text("utf-8").splitlines()
    pfs = next(line for line in lines if line.startswith("pfs.300,"))
    extra = pfs.replace("pfs.300,pfs,infused,300", "pfs.all,pfs,infused,all")
    (folder / "facts.csv").write_text("\n".join([*lines, extra]) + "\n", "utf-8")
    assert load(folder).systems
    (folder / "facts.csv").write_text("\n".join([*lines, extra.replace("8.8,5.6", "9.9,5.6")]) + "\n", "utf-8")
    with pytest.raises(
        InputError, match=r"pfs\.all has value 9\.9 and pfs\.300 8\.8, which in a study of one dose are"
    ):
        load(folder)


def test_facts_that_are_there_are_not_denied(tmp_path: Path) -> None:
    folder = _study(tmp_path, "karmma", ("priors.toml", "\n[sum]\n", "\n[sum_of]\n"))
    text = (folder / "priors.toml").read_text("utf-8").split("\n[sum_of]\n")[0]
    (folder / "priors.toml").write_text(text, "utf-8")
    lines = (folder / "facts.csv").read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("crs.150", "crs.300", "crs.450"))]
    (folder / "facts.csv").write_text("\n".join(kept) + "\n", "utf-8")
    said = "fact 'crs.150' is missing, of 9 that its model reads; the nearest that is there is 'crs.all'"
    assert load(folder).absent["crs"] == said
    assert load(folder).why_not("crs") == f"does not model crs ({said})"
    assert load("invented").why_not("crs") == "has no facts on crs"


def test_every_problem_of_a_file_is_said(tmp_path: Path) -> None:
    rows = _study(
        tmp_path / "rows",
        "invented",
        ("facts.csv", "orr.100,response,infused,100,,,count,5,12", "orr.100,response,infused,100,,,count,15,12"),
        ("facts.csv", "cr.200,response,infused,200,,,count,5,20", "cr.200,response,infused,twenty,,,count,5,20"),
    )
    with pytest.raises(InputError, match=r"line 6 \(orr\.100\): count 15 is above n 12; line 11 \(cr\.200\): dose is "):
        load(rows)
    sums = _study(
        tmp_path / "sums",
        "invented",
        ("facts.csv", "orr.all,response,infused,all,,,count,30", "orr.all,response,infused,all,,,count,31"),
        ("facts.csv", "cr.all,response,infused,all,,,count,12", "cr.all,response,infused,all,,,count,13"),
    )
    with pytest.raises(InputError, match=r"= 30, but orr\.all is 31; .* = 12, but cr\.all is 13"):
        load(sums)
    keys = _study(
        tmp_path / "keys",
        "invented",
        ("priors.toml", "reference = 200", "referense = 200"),
        ("priors.toml", "[correlation]", "[corelation]"),
    )
    with pytest.raises(InputError) as caught:
        load(keys)
    for said in ("no key 'referense'", "no key 'corelation'", "[dose] reference is missing", "correlation is missing"):
        assert said in str(caught.value)
    flags = _study(
        tmp_path / "flags",
        "invented",
        ("priors.toml", 'given = "ae.nausea.any"', 'given = "ae.nausee.any"'),
        ("priors.toml", 'name = "ae.fatigue.any", pool = "any"', 'name = "ae.fatigue.any", pool = "an"'),
    )
    with pytest.raises(InputError, match=r"no flag 'ae\.nausee\.any' before it.*; .*there is no pool 'an'"):
        load(flags)
