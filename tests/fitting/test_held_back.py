"""Held back means not read: by what the models read of a study, and to the bit in what they are given."""

import csv
import shutil
from collections.abc import Callable
from itertools import product as every
from math import comb
from pathlib import Path

import numpy as np
import pytensor.tensor as pt
import pytest
from scipy.special import expit
from scipy.stats import binom

import vtrial
from tests import ROOT
from vtrial import InputError
from vtrial.evidence import Evidence, load
from vtrial.evidence.counted import cells, reported
from vtrial.evidence.times import published
from vtrial.fitting import likelihoods, survival
from vtrial.fitting.counts import Inputs
from vtrial.fitting.inputs import step_inputs, used
from vtrial.model.dose_response import Step

PRIORS = ROOT / "priors"
Changes = dict[str, dict[str, str]]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Evidence]:
    """A shipped study with cells of facts.csv changed, and rows dropped; priors without listed sums."""

    def make(study: str, changes: Changes, *, drop: tuple[str, ...] = ()) -> Evidence:
        folder = tmp_path / f"{study}-{len(list(tmp_path.iterdir()))}" / study
        shutil.copytree(PRIORS / study, folder)
        with (folder / "facts.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert set(changes) | set(drop) <= {row["fact"] for row in rows}
        rows = [row | changes.get(row["fact"], {}) for row in rows if row["fact"] not in drop]
        with (folder / "facts.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        text = (folder / "priors.toml").read_text("utf-8")
        (folder / "priors.toml").write_text(text.split("\n[sum]\n")[0], "utf-8")
        return load(folder)

    return make


def given_to_models(evidence: Evidence) -> dict[str, object]:
    """Everything that the models are given of a study's facts."""
    seen = evidence.for_models()
    inputs = step_inputs(seen)
    found: dict[str, object] = {
        f"{step.name} {part}": getattr(counts, part).tolist()
        for step, counts in inputs.counts.items()
        for part in ("count", "n")
    }
    found |= {"both": inputs.both, "split": inputs.split, "systems": seen.systems}
    found |= {"cells": list(cells(seen)), "reported": repr(list(reported(seen)))}
    if "survival" in seen.systems:
        arrays = survival.arrays(published(seen, np.ones((4, len(seen.doses)))))
        found |= {name: np.asarray(values).tobytes() for name, values in arrays.items()}
    return found


CHECKED: list[tuple[str, str, Changes]] = [
    ("invented", "orr.100", {"orr.100": {"count": "7"}, "orr.all": {"count": "32"}}),
    ("invented", "cr.200", {"cr.200": {"count": "9"}, "cr.all": {"count": "16"}}),
    ("invented", "vgpr.all", {"vgpr.all": {"count": "3"}}),
    ("invented", "ae.anemia.any", {"ae.anemia.any": {"count": "25"}}),
    ("invented", "baseline.male.100", {"baseline.male.100": {"count": "3"}, "baseline.male.all": {"count": "24"}}),
    ("invented", "baseline.age.400", {"baseline.age.400": {"value": "50", "low": "46"}}),
    ("karmma", "crs.300", {"crs.300": {"count": "60", "value": ""}, "crs.all": {"count": "114", "value": ""}}),
    ("karmma", "pfs.450", {"pfs.450": {"value": "9.9"}}),
    ("karmma", "os.12.all", {"os.12.all": {"value": "0.70"}}),
    ("karmma", "response.time_to_cr.all", {"response.time_to_cr.all": {"value": "3.9"}}),
    ("karmma", "deaths.450", {"deaths.450": {"count": "20"}, "os.censored.450": {"count": "34", "value": ""}}),
]


@pytest.mark.parametrize(("study", "fact", "change"), CHECKED, ids=[fact for _, fact, _ in CHECKED])
def test_changing_a_checked_number_changes_nothing_that_models_are_given(
    changed: Callable[..., Evidence], study: str, fact: str, change: Changes
) -> None:
    check = {fact: {"use": "check"}}
    one = changed(study, check)
    other = changed(study, {name: cells | check.get(name, {}) for name, cells in ({fact: {}} | change).items()})
    assert given_to_models(one) == given_to_models(other)
    assert given_to_models(one) != given_to_models(changed(study, {}))  # which read it
    use = used(one)
    assert fact in use.held_back
    assert fact in use.wanted
    assert fact not in use.read
    assert used(changed(study, {})).wanted == set()


def test_a_checked_number_is_not_there_for_models_to_read(changed: Callable[..., Evidence]) -> None:
    seen = changed("invented", {"orr.100": {"use": "check"}}).for_models()
    assert np.isnan(seen.facts.at["orr.100", "count"])
    assert np.isnan(seen.facts.at["orr.all", "count"])  # 30 less the other doses' is the number held back
    with pytest.raises(AssertionError, match=r"orr\.100 is held back"):
        seen.number("orr.100", "count")


def test_what_rests_on_a_checked_number_is_integrated_or_left_out_and_listed(changed: Callable[..., Evidence]) -> None:
    inputs: Inputs = step_inputs(changed("invented", {"orr.100": {"use": "check"}}).for_models())
    assert inputs.counts[Step.RESPONSE].n.tolist() == [0, 20, 18]
    assert inputs.counts[Step.CR].n.tolist() == [0, 12, 13]
    (both,) = inputs.both
    assert (both.first, both.second, both.dose, both.count, both.n) == (Step.RESPONSE, Step.CR, 0, 1, 12)
    assert inputs.split is not None
    assert (inputs.split.count, inputs.split.known) == (8, 12 - 5 + 13 - 6)
    assert [(one.dose, one.known, one.n) for one in inputs.split.unknown] == [(0, "cr", 11)]
    grade = used(changed("karmma", {"mrd.evaluable.all": {"use": "check"}}))
    assert grade.left_out["mrd.negative.all"] == "mrd.evaluable.all"
    events = used(changed("invented", {"ae.anemia.any": {"use": "check"}}))
    assert events.left_out == {"ae.anemia.grade3_4": "ae.anemia.any"}


def test_a_count_of_two_steps_is_the_sum_over_what_is_held_back() -> None:
    p, q = expit(0.3), expit(-0.2)
    total = sum(binom.pmf(k, 12, p) * binom.pmf(3, k, q) for k in range(13))
    found = likelihoods.product(*(pt.as_tensor(x, dtype="float64") for x in (3, 12, 0.3, -0.2)), 1.0)
    assert float(found.eval()) + np.log(comb(12, 3)) == pytest.approx(np.log(total), abs=1e-9)


@pytest.mark.parametrize("known", ["cr", "orr", "neither"])
@pytest.mark.parametrize("doses", [1, 2])
def test_vgpr_is_the_sum_over_how_many_were_short_of_cr(known: str, doses: int) -> None:
    response, cr, vgpr, n, certain, count = [0.3, -0.4][:doses], [-0.2, 0.5][:doses], 0.1, [6, 4][:doses], 3, 4
    p, q = expit(response), expit(cr)
    short = {"cr": p * (1 - q) / (1 - p * q), "orr": 1 - q, "neither": p * (1 - q)}[known]
    total = sum(
        np.prod(binom.pmf(some, n, short)) * binom.pmf(count, certain + sum(some), expit(vgpr))
        for some in every(*(range(m + 1) for m in n))
    )
    tensor = [[pt.as_tensor(x, dtype="float64") for x in some] for some in (response, cr)]
    logs = [likelihoods.log_short_of_cr(a, b, known) for a, b in zip(*tensor, strict=True)]  # type: ignore[arg-type]
    sizes = pt.as_tensor(np.array(n, float))
    of = (pt.as_tensor(float(certain), dtype="float64"), sizes, logs, pt.as_tensor(vgpr, dtype="float64"))
    assert float(likelihoods.split(count, *of, 1.0).eval()) == pytest.approx(np.log(total), abs=1e-9)


def test_karmmas_checks_were_never_read(evidence: Evidence) -> None:
    use, label = used(evidence), evidence.facts["use"]
    checks = set(label.index[label == "check"])
    assert use.held_back == checks
    assert use.wanted == frozenset()  # so its posterior is what it was
    assert not use.read & checks
    assert use.left_out == {}
    assert use.derived & set(label.index[label == "fit"]) == {"deaths.all"}
    assert use.unread == {
        *(f"baseline.{name}.{dose}" for name in ("ecog_2", "riss_unknown") for dose in (150, 300, 450)),
        "ae.any.any",
        "ae.any.grade3_4",
    }
    assert use.limits == {
        (f"baseline.{name}.all", end)
        for name in ("age", "time_since_diagnosis", "previous_regimens")
        for end in ("low", "high")
    }
    assert use.kind("baseline.age.all", "check") == "check"
    assert use.kind("baseline.age.all", "check", "low") == "derived"
    assert use.kind("baseline.ecog_2.300", "fit") == "unread"
    assert use.kind("deaths.all", "fit") == "derived"


def test_a_check_that_follows_from_what_is_fitted_is_not_scored(changed: Callable[..., Evidence]) -> None:
    """A total is its parts; but a part is not told by a total that no model reads."""
    study = changed("invented", {"baseline.male.100": {"use": "check"}, "baseline.male.all": {"use": "fit"}})
    assert "baseline.male.100" in study.held_back
    assert "baseline.male.100" in used(study).held_back  # the total is read by nothing: nothing tells of it
    twice = changed("invented", {"orr.all": {"use": "check"}})
    assert used(twice).kind("orr.all", "check") == "derived"
    all_infused = changed("invented", {"infused.all": {"use": "check"}})  # as many as at the doses together
    assert used(all_infused).kind("infused.all", "check") == "derived"
    assert used(all_infused).wanted == {"infused.all"}


@pytest.mark.parametrize("fact", ["infused.100", "date.data_cutoff"])
def test_the_design_of_a_study_cannot_be_held_back(changed: Callable[..., Evidence], fact: str) -> None:
    with pytest.raises(InputError, match=f"{fact} cannot be held back"):
        changed("invented" if fact == "infused.100" else "karmma", {fact: {"use": "check"}})


def test_times_are_not_modelled_without_the_deaths_that_they_need(changed: Callable[..., Evidence]) -> None:
    study = changed("karmma", {"deaths.after_progression.all": {"use": "check"}})
    assert "survival" not in study.systems
    assert "crs" in study.systems
    said = "fact 'deaths.after_progression.all' is held back (check), and its model cannot do without it"
    assert study.absent == {"survival": said}
    with pytest.raises(InputError, match="does not model survival"):
        vtrial.run(
            {
                "world": {"study": str(study.folder), "truth": {"orr": 0.5}},
                "test": [{"name": "pfs", "endpoint": "pfs", "method": "median", "null": 4.0}],
                "simulation": {"trials": 10},
            }
        )
