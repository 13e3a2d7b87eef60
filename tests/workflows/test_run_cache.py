"""The cache of posteriors and compiled programs: asked before a fit, swept, silent where it cannot be written."""

from pathlib import Path

import jax
import pytest

import vtrial
from vtrial.evidence import Evidence
from vtrial.fitting import cache as store
from vtrial.fitting import sample as room
from vtrial.model import posterior as kept
from vtrial.model.posterior import Posterior
from vtrial.scenario import from_dict
from vtrial.workflows import cells
from vtrial.workflows.compiled_programs import keep_compiled_programs

SMALL = {
    "world": {"truth": {"orr": 0.65}},
    "cohort": {"enrolled": 20},
    "test": [{"name": "orr", "endpoint": "orr", "null": 0.5}],
    "simulation": {"trials": 20, "endpoints": ["orr"]},
}


def test_a_cache_that_cannot_be_written_is_refused_before_the_fit(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("VTRIAL_CACHE", str(tmp_path / "taken"))
    monkeypatch.setattr(room, "sample", lambda *_, **__: pytest.fail("it was fitted"))
    with pytest.raises(vtrial.InputError, match=r"cannot write into .*taken.*; set VTRIAL_CACHE to a folder"):
        vtrial.fit(evidence)
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        keep_compiled_programs()
        assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_a_fit_is_announced_where_there_is_one(
    evidence: Evidence, posterior: Posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    scenario = from_dict(SMALL)
    cells.prepared(scenario, lambda what, *_: told.append(what))
    assert told == []
    monkeypatch.setenv("VTRIAL_CACHE", str(tmp_path))
    monkeypatch.setattr(room, "sample", lambda *_, **__: posterior.tree.copy())
    cells.prepared(scenario, lambda what, *_: told.append(what))
    assert told == [store.FITTING]


def test_a_full_disk_after_the_fit_is_one_line(
    evidence: Evidence, posterior: Posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("VTRIAL_CACHE", str(tmp_path))
    monkeypatch.setattr(room, "sample", lambda *_, **__: posterior.tree.copy())
    monkeypatch.setattr(type(posterior.tree), "to_netcdf", full)
    with pytest.raises(vtrial.OutputError, match=r"the posterior cannot be kept in .*: No space left on device; set"):
        vtrial.fit(evidence)


def test_what_a_killed_fit_left_is_swept(posterior: Posterior, tmp_path: Path) -> None:
    (tmp_path / ".vtrial-killed").mkdir()
    (tmp_path / ".vtrial-killed" / kept.FILE).write_bytes(b"half")
    kept.save(posterior.tree, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [kept.FILE, f"{kept.FILE}.sha256"]


def test_a_dose_in_cells_is_answered_with_the_unit(posterior: Posterior) -> None:
    doses = [{"doses": {"300e6": 1, "450": 1}}]
    with pytest.raises(vtrial.InputError, match=r"doses are in 1e6 CAR\+ T cells: did you mean '300'\?$"):
        cells.prepared(from_dict(SMALL | {"arm": doses}), None)
    with pytest.raises(vtrial.InputError, match=r"set extrapolate = true in \[world\] to go there$"):
        cells.prepared(from_dict(SMALL | {"arm": [{"doses": {"600": 1}}]}), None)


def test_solve_refuses_a_metric_that_is_not_there_before_it_simulates(
    posterior: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vtrial.workflows.solve.run", lambda *_, **__: pytest.fail("it was simulated"))
    wanted = {"key": "cohort.enrolled", "from_": 10, "to": 12, "at_least": 0.8}
    with pytest.raises(vtrial.InputError, match=r"no metric 'orr\.power'; did you mean 'orr\.reject'\?"):
        vtrial.solve(SMALL, metric="orr.power", **wanted)
    limit = {"metric": "orr.powre", "at_most": 0.1}
    with pytest.raises(vtrial.InputError, match=r"no metric 'orr\.powre'"):
        vtrial.solve(SMALL, metric="orr.reject", limit=limit, **wanted)
    with pytest.raises(vtrial.InputError, match=r"at_least = 90: orr\.reject is a probability"):
        vtrial.solve(SMALL, metric="orr.reject", **(wanted | {"at_least": 90.0}))
