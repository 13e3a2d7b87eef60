"""Which cached posterior is taken for that of a study: one of its own key, and no other."""

import json
from pathlib import Path

import pytest

import vtrial
from tests import stand_in
from vtrial._support import paths
from vtrial.fitting import cache as store
from vtrial.fitting import sample as fit
from vtrial.fitting.cache import posterior_of
from vtrial.model import posterior as kept
from vtrial.model.posterior import FitError
from vtrial.report.tables.fitted import made_in_words
from vtrial.workflows.files import provenance


@pytest.fixture
def refit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache; and whoever fits is told so."""

    def sample(*_: object, **__: object) -> None:
        raise FitError("it was to be fitted")

    monkeypatch.setenv("VTRIAL_CACHE", str(tmp_path))
    monkeypatch.setattr(fit, "sample", sample)


@pytest.mark.usefixtures("refit")
@pytest.mark.parametrize("attributes", [{"key": "of another layout"}, {}])
def test_a_cache_of_another_layout_of_keys_is_not_mistaken(attributes: dict[str, str]) -> None:
    """Even where it lies in the folder of the same name."""
    evidence = vtrial.load_evidence("invented")
    found = stand_in.cached(evidence)
    assert posterior_of(evidence).sha256 == found.sha256
    tree = stand_in.tree(evidence)
    tree.attrs.update(study="invented", discount=1.0, **attributes) if attributes else None
    kept.save(tree, paths.cache_folder() / "posteriors" / f"invented-{found.key[:16]}")
    with pytest.raises(FitError, match="it was to be fitted"):
        posterior_of(evidence)


@pytest.mark.usefixtures("refit")
def test_what_is_held_back_is_part_of_the_key_where_models_would_read_it() -> None:
    evidence = vtrial.load_evidence("invented")
    stand_in.cached(evidence)
    assert posterior_of(evidence.without_facts(["hospital.cost.all"])).study == "invented"  # which no model reads
    with pytest.raises(FitError, match="it was to be fitted"):
        posterior_of(evidence.without_facts(["orr.100"]))


@pytest.mark.usefixtures("refit")
def test_versions_are_kept_with_a_posterior_and_shown() -> None:
    evidence = vtrial.load_evidence("invented")
    found = stand_in.cached(evidence, versions=json.dumps({"vtrial": "9.8.7", "nutpie": "0.1"}))
    text = f"Fit version {store.FIT_VERSION}, made with vtrial 9.8.7, nutpie 0.1"
    assert made_in_words(found) == text
    manifest = provenance(evidence, {1.0: found})
    assert manifest["posterior_fit"] == {"discount 1": f"fit version {store.FIT_VERSION}, vtrial 9.8.7, nutpie 0.1"}
    assert posterior_of(evidence).versions == {"vtrial": "9.8.7", "nutpie": "0.1"}
