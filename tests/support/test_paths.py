"""Where studies, scenarios and the cache are looked for: a given path, the working folder, what is shipped."""

import shutil
from pathlib import Path

import pytest

from tests import ROOT
from vtrial import InputError
from vtrial._support import paths
from vtrial.evidence import load
from vtrial.scenario import load_scenario

MINE = '[[test]]\nname = "orr"\nendpoint = "orr"\nnull = 0.4\n'


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_shipped_names_are_found_from_any_folder(elsewhere: Path) -> None:
    assert paths.study_folder("karmma") == ROOT / "priors" / "karmma"
    assert paths.scenario_file("karmma") == ROOT / "scenarios" / "karmma.toml"
    assert paths.scenario_file("karmma.toml") == ROOT / "scenarios" / "karmma.toml"
    assert paths.studies() == ["invented", "karmma"]
    assert "next-trial" in paths.scenarios()


def test_the_working_folder_comes_before_what_is_shipped(elsewhere: Path) -> None:
    (elsewhere / "scenarios").mkdir()
    (elsewhere / "scenarios" / "karmma.toml").write_text(MINE)
    (elsewhere / "scenarios" / "mine.toml").write_text(MINE)
    assert paths.scenario_file("karmma") == elsewhere / "scenarios" / "karmma.toml"
    assert load_scenario("karmma").design.test[0].null == 0.4
    assert paths.scenarios() == sorted({"mine", *(file.stem for file in (ROOT / "scenarios").glob("*.toml"))})
    shutil.copytree(ROOT / "priors" / "karmma", elsewhere / "priors" / "karmma")
    shutil.copytree(ROOT / "priors" / "karmma", elsewhere / "priors" / "next")
    assert load("karmma").folder == elsewhere / "priors" / "karmma"
    assert load("next").study == "next"
    assert paths.studies() == ["invented", "karmma", "next"]


def test_a_given_path_comes_before_a_name(elsewhere: Path) -> None:
    (elsewhere / "karmma.toml").write_text(MINE)
    assert paths.scenario_file("karmma.toml") == Path("karmma.toml")
    assert paths.scenario_file("karmma") == ROOT / "scenarios" / "karmma.toml"
    assert paths.scenario_file(elsewhere / "karmma.toml") == elsewhere / "karmma.toml"
    assert load_scenario(elsewhere / "karmma.toml").where == str(elsewhere / "karmma.toml")
    assert load_scenario("karmma").where == "scenarios/karmma.toml"
    shutil.copytree(ROOT / "priors" / "karmma", elsewhere / "karmma")
    assert paths.study_folder("karmma") == elsewhere / "karmma"
    assert paths.study_folder(Path("karmma")) == elsewhere / "karmma"


def test_a_folder_without_facts_is_no_study(elsewhere: Path) -> None:
    (elsewhere / "karmma").mkdir()
    (elsewhere / "priors" / "karmma").mkdir(parents=True)
    assert paths.study_folder("karmma") == ROOT / "priors" / "karmma"


@pytest.mark.parametrize("given", ["karma", "Karmma", "", "..", "no/such/folder", "a\0b", "x" * 5000, "scenarios"])
def test_an_unknown_study_is_refused(elsewhere: Path, given: str) -> None:
    with pytest.raises(InputError) as caught:
        paths.study_folder(given)
    message = str(caught.value)
    assert message.startswith(f"there is no study '{given}'")
    assert message.endswith("(known: invented, karmma; or give a folder that holds facts.csv and priors.toml)")
    assert ("did you mean 'karmma'?" in message) is (given in ("karma", "Karmma"))


@pytest.mark.parametrize("given", ["karma", "", ".", "no/such.toml", "a\0b", "x" * 5000, "priors"])
def test_an_unknown_scenario_is_refused(elsewhere: Path, given: str) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(given)
    message = str(caught.value)
    assert message.startswith(f"there is no scenario '{given}'")
    assert "known: accrual-and-drop-out, crs-stopping, dose-450, " in message
    assert message.endswith("or give a TOML file)")
    assert ("did you mean 'karmma'?" in message) is (given == "karma")


def test_a_folder_is_no_scenario(elsewhere: Path) -> None:
    (elsewhere / "mine.toml").mkdir()
    with pytest.raises(InputError, match=r"there is no scenario 'mine\.toml'"):
        load_scenario("mine.toml")


def test_the_cache_lies_where_the_environment_says(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTRIAL_CACHE", "/somewhere/else")
    assert paths.cache_folder() == Path("/somewhere/else")
    monkeypatch.setenv("HOME", str(elsewhere))
    monkeypatch.setenv("VTRIAL_CACHE", "~/kept")
    assert paths.cache_folder() == elsewhere / "kept"
    for unset in ("", None):
        monkeypatch.setenv("VTRIAL_CACHE", unset) if unset is not None else monkeypatch.delenv("VTRIAL_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(elsewhere / "xdg"))
        assert paths.cache_folder().name == "vtrial"
