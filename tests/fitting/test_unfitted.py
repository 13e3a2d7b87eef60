"""What is left of a study of which something cannot be fitted."""

import json
import shutil
from pathlib import Path

import pytest

import vtrial
from tests import ROOT, stand_in
from vtrial import InputError
from vtrial.fitting import sample, sampling
from vtrial.model.posterior import FitError, Posterior, Settings
from vtrial.scenario import from_dict
from vtrial.workflows.cells import prepared

KARMMA = ROOT / "priors" / "karmma"
WHY = "the fit of karmma is refused: the sampler cannot start"


def test_times_that_cannot_start_leave_the_rest_and_name_the_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response to retreatment that lasted no time at all has no density under a lognormal distribution."""
    shutil.copytree(KARMMA, tmp_path / "karmma")
    file = tmp_path / "karmma" / "facts.csv"
    text = file.read_text("utf-8")
    assert ",6,,1.9,6.8,," in text
    file.write_text(text.replace(",6,,1.9,6.8,,", ",6,,0,6.8,,"), "utf-8")
    evidence = vtrial.load_evidence(tmp_path / "karmma")
    steps = stand_in.tree(evidence.without("survival"))
    monkeypatch.setattr(sample, "_sample_steps", lambda *_: steps)

    def cannot_start(*_: object, **__: object) -> None:
        raise sampling.CannotStart(WHY)

    monkeypatch.setattr(sample, "sample_survival", cannot_start)
    found = sample.sample(evidence, settings=Settings())
    posterior = Posterior("karmma", found, key="", sha256="")
    assert posterior.survival is None
    assert set(posterior.unfitted) == {"survival"}
    assert posterior.unfitted["survival"] == (
        f"{WHY}: no times to an event make these facts possible: retreatment.duration_of_response.all"
    )
    assert "pfs.all" in json.loads(found.attrs["read"])


def test_where_counts_fall_short_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> None:
        refused = FitError("ess_bulk of intercept[cr] is 300")
        refused.parameters = ("intercept[cr]", "described[ae.anemia.any]")
        raise refused

    monkeypatch.setattr(sample, "_sample_steps", short)
    with pytest.raises(FitError, match="ess_bulk of intercept"):
        sample.sample(vtrial.load_evidence("invented"))


def test_where_flags_alone_fall_short_the_steps_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(seen: vtrial.evidence.Evidence, *_: object) -> object:
        if not seen.flags.drawn:
            return stand_in.tree(seen)
        refused = FitError("ess_bulk of described[pool.any] is 300")
        refused.parameters = ("described[pool.any]",)
        raise refused

    monkeypatch.setattr(sample, "_sample_steps", short)
    found = sample.sample(vtrial.load_evidence("invented"))
    assert json.loads(found.attrs["unfitted"]) == {"described": "ess_bulk of described[pool.any] is 300"}
    read = vtrial.load_evidence("invented").without_unfitted(json.loads(found.attrs["unfitted"]))
    assert read.flags.names == ()
    assert read.undescribed == {"flags and measures": "ess_bulk of described[pool.any] is 300"}


def test_response_is_simulated_where_times_are_not_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTRIAL_CACHE", str(tmp_path))
    stand_in.cached(vtrial.load_evidence("karmma"), unfitted=json.dumps({"survival": WHY}))
    scenario = {
        "arm": [{"doses": {"450": 1}}],
        "cohort": {"enrolled": 20},
        "calendar": {"data_cut": {"months_after_last_infusion": 6}},
        "test": [{"name": "orr", "endpoint": "orr", "null": 0.3}],
        "simulation": {"trials": 20, "endpoints": ["orr", "crs3"], "flags": ["deaths"]},
    }
    with pytest.raises(InputError, match=f"study 'karmma' does not model survival .{WHY}"):
        prepared(from_dict(scenario), None)
    simulation = {"simulation": {"trials": 20, "endpoints": ["orr", "crs3", "pfs"], "flags": ["ae.anemia.any"]}}
    with pytest.raises(InputError, match="study 'karmma' does not model survival"):
        prepared(from_dict({**scenario, **simulation}), None)
    simulation["simulation"]["endpoints"] = None
    read, _, (protocol,) = prepared(from_dict({**scenario, **simulation}), None)
    assert read.absent == {"survival": WHY}
    assert protocol.worlds.survival is None
    assert "survival" not in protocol.plan.systems
    assert {"orr", "crs3"} <= set(protocol.plan.endpoints)
