"""A folder read back is the result that was saved, and its scenario is the scenario that was run."""

import tomllib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtrial
from tests import ROOT
from vtrial import InputError
from vtrial.scenario import from_dict, load_scenario
from vtrial.scenario.written import as_toml

SWEPT = {
    "title": 'Quotes " and \\ and \u00b1 and a line\nmore',
    "world": {"truth": {"orr": 0.65}},
    "cohort": {"enrolled": 20, "infused": None},
    "test": [{"name": "orr", "endpoint": "orr", "null": 0.5}],
    "sweep": {"cohort.enrolled": [20, 40], "test.orr.null": [0.5, 0.6]},
    "simulation": {"trials": 10_000, "endpoints": ["orr"], "seed": 5},
}


@pytest.fixture(scope="module")
def saved(posterior: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[vtrial.Result, Path]:
    result = vtrial.run(SWEPT, trials=60, seed=7)
    return result, result.save(tmp_path_factory.mktemp("saved") / "out")


def test_a_result_is_read_back(saved: tuple[vtrial.Result, Path]) -> None:
    result, folder = saved
    found = vtrial.load_result(folder)
    pd.testing.assert_frame_equal(found.characteristics, result.characteristics)
    pd.testing.assert_frame_equal(found.differences, result.differences())
    pd.testing.assert_frame_equal(found.trials, result.trials)
    assert found.manifest["files"].keys() == {p.name for p in folder.iterdir()} - {"manifest.json"}
    assert {key: found.manifest[key] for key in result.manifest} == result.manifest


def test_the_scenario_in_the_folder_is_the_one_that_was_run(saved: tuple[vtrial.Result, Path]) -> None:
    result, folder = saved
    found = vtrial.load_result(folder).scenario
    assert (found.design.simulation.trials, found.design.simulation.seed) == (60, 7)
    assert found.cells == result.scenario.cells
    assert found.sha256 == result.scenario.sha256 == result.manifest["scenario_sha256"]
    again = vtrial.run(folder / "scenario.toml")
    pd.testing.assert_frame_equal(again.characteristics, result.characteristics)
    pd.testing.assert_frame_equal(again.trials, result.trials)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    from vtrial.workflows.datasets.datasets import save

    save({"ADSL": pd.DataFrame({"AGE": [60.0]})}, tmp_path)
    with pytest.raises(InputError, match=r"holds no characteristics\.csv: it is not what vtrial run wrote"):
        vtrial.load_result(tmp_path)


@pytest.mark.parametrize("file", sorted((ROOT / "scenarios").glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_scenarios_are_written_as_they_were_read(file: Path) -> None:
    scenario = load_scenario(file)
    again = from_dict(tomllib.loads(as_toml(scenario.raw)), name=scenario.name, where=scenario.where)
    assert again == scenario
    assert again.sha256 == scenario.sha256


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), DATA))
def test_any_data_is_written_as_toml(data: dict[str, object]) -> None:
    assert tomllib.loads(as_toml(data)) == data


def test_what_is_none_is_left_out_and_what_has_no_form_is_refused() -> None:
    assert tomllib.loads(as_toml({"a": {"b": None, "c": {"d": None}}, "e": None})) == {"a": {"c": {}}}
    with pytest.raises(TypeError, match="has no form in TOML"):
        as_toml({"a": object()})
