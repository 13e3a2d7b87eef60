"""Flags and measures as priors.toml describes them: conditions, counts, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import vtrial
from tests import ROOT
from vtrial import InputError
from vtrial.evidence import Evidence
from vtrial.evidence.counted import cells, reported
from vtrial.evidence.flags import column_of, condition
from vtrial.model import descriptors


def test_conditions_are_read_with_precedence_and_evaluated() -> None:
    found = condition("a.x and not b or c", "here")
    assert found == ("or", ("and", ("name", "a.x"), ("not", ("name", "b"))), ("name", "c"))
    assert descriptors.names_in(found) == ["a.x", "b", "c"]
    masks = {"a.x": np.array([1, 1, 0, 0], bool), "b": np.array([0, 1, 0, 0], bool), "c": np.array([0, 0, 0, 1], bool)}
    assert descriptors.holds(found, masks.__getitem__).tolist() == [True, False, False, True]


@pytest.mark.parametrize("text", ["a +", "a > 2", "f(a)", "1", "a and"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="here: "):
        condition(text, "here")


def test_conditional_counts_follow_from_table_1(evidence: Evidence) -> None:
    """Worked out by hand from the published margins, at 300 and 450."""
    found = {(c.flag, c.column): (c.count, c.n) for c in cells(evidence)}
    assert found["baseline.double_refractory", 1] == (63, 70)  # of those refractory to an immunomodulatory agent
    assert found["baseline.refractory_pi_alone", 2] == (49 - 47, 54 - 52)
    assert found["baseline.refractory_cd38_beside", 1] == (66 - 60, 70 - 63)
    assert found["baseline.refractory_daratumumab_beside", 2] == (45 - 8, 50 - 8)
    assert found["baseline.cyto_translocation", 2] == (11 + 4, 24)
    assert found["baseline.cyto_del17p_beside", 1] == (10 + 12 + 2 - 20, 12 + 2)
    assert found["baseline.ecog_1", 1] == (38, 70 - 31)
    assert found["cytopenia.neutropenia.persistent", -1] == (52, 114)
    assert found["left_study", -1] == (84 - 62, 84)
    assert found["deaths.myeloma_progression", -1] == (27, 35)
    assert found["immunogenicity.free_12", -1] == (52 - 34, 52)
    chained = {c.flag: c.parent for c in cells(evidence) if c.parent}
    assert chained == {
        "kinetics.persistence_12": "kinetics.persistence_6",
        "immunogenicity.free_12": "immunogenicity.free_3",
    }


def test_a_fact_left_out_counts_as_nothing(evidence: Evidence) -> None:
    fewer = evidence.without_facts(["baseline.male.450", "baseline.age.450", "orr.450"]).for_models()
    found = {(c.flag, c.column): (c.count, c.n) for c in cells(fewer)}
    assert found["baseline.male", 2] == (0, 0)
    assert found["baseline.male", 1] == (38, 70)
    assert [r.n for r in reported(fewer) if r.measure == "baseline.age"] == [4, 70, 0]
    assert found["crs.tocilizumab", -1] == (67, 107)
    assert np.isnan(fewer.facts.loc["orr.450", ["count", "n"]].astype(float)).all()
    assert evidence.without_facts(["orr.450"]).count("orr.450") == (44, 54)  # still there to compare with


def test_columns_are_doses_of_the_study_and_one_for_any_other(evidence: Evidence) -> None:
    assert [column_of(evidence, dose) for dose in (150, 300, 450, 225)] == [0, 1, 2, 3]


def test_what_a_flag_needs_of_the_core(evidence: Evidence) -> None:
    assert evidence.flags.needs("crs.tocilizumab") == ["infused", "crs"]
    assert set(evidence.flags.needs("bcma.retained_at_progression")) == {"infused", "progressed", "orr"}
    needed = evidence.flags.needed(["cytopenia.neutropenia.persistent"])
    assert [f.name for f in needed.drawn] == [
        "ae.neutropenia.any",
        "ae.neutropenia.grade3_4",
        "cytopenia.neutropenia.persistent",
    ]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A copy of the invented study, to be spoiled."""
    return Path(shutil.copytree(ROOT / "priors" / "invented", tmp_path / "spoiled"))


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('given = "ae.anemia.any"', 'given = "ae.anaemia.any"', "no flag 'ae.anaemia.any' before it; did you mean"),
        ('of = "ae.anemia.any"', 'of = "ae.anemia.any * 2"', "is not a count"),
        ('name = "baseline.stage_iii" },', 'name = "baseline.male" },', "stands twice"),
        (
            '[covariate."baseline.stage_iii"]',
            '[covariate."ae.anemia.grade3_4"]',
            "no flag that is drawn of every infused",
        ),
        ('pool = "any" }', 'pool = "an" }', "no pool 'an'"),
    ],
)
def test_what_priors_get_wrong_is_named(study: Path, old: str, new: str, says: str) -> None:
    _edit(study / "priors.toml", old, new)
    with pytest.raises(InputError) as error:
        vtrial.load_evidence(study)
    assert says in str(error.value)
    assert "priors.toml" in str(error.value)


def test_what_the_facts_do_not_inform_is_left_out_with_a_word(study: Path) -> None:
    _edit(study / "priors.toml", '"baseline.male" }', '"baseline.mal" }')
    _edit(study / "priors.toml", 'name = "ae.nausea.any"', 'name = "ae.nausee.any"')
    _edit(study / "priors.toml", 'given = "ae.nausea.any"', 'given = "ae.nausee.any"')
    evidence = vtrial.load_evidence(study)
    assert evidence.undescribed == {
        "baseline.mal": "facts.csv has no fact 'baseline.mal.all'; the nearest is 'baseline.male.all'",
        "ae.nausee.any": "facts.csv has no fact 'ae.nausee.any.all'; the nearest is 'ae.nausea.any'",
        "ae.nausea.grade3_4": "needs 'ae.nausee.any', which is not described",
    }
    assert "ae.nausea.grade3_4" not in evidence.flags.names
    assert vtrial.load_evidence("karmma").undescribed == {}


def test_severe_events_above_those_of_any_grade_are_refused(study: Path) -> None:
    _edit(
        study / "facts.csv",
        "ae.nausea.grade3_4,adverse_events,infused,all,,,count,1",
        "ae.nausea.grade3_4,adverse_events,infused,all,,,count,15",
    )
    with pytest.raises(InputError, match=r"15 of 14 at all doses cannot be; the facts contradict each other"):
        vtrial.load_evidence(study)


def test_margins_that_do_not_add_up_are_refused(study: Path) -> None:
    _edit(
        study / "facts.csv",
        "baseline.male.100,baseline,infused,100,,,count,7",
        "baseline.male.100,baseline,infused,100,,,count,8",
    )
    with pytest.raises(InputError, match=r"= 29, but baseline.male.all is 28"):
        vtrial.load_evidence(study)


def test_cr_above_orr_is_refused(study: Path) -> None:
    _edit(study / "facts.csv", "cr.100,response,infused,100,,,count,1", "cr.100,response,infused,100,,,count,6")
    _edit(study / "facts.csv", "cr.all,response,infused,all,,,count,12", "cr.all,response,infused,all,,,count,17")
    with pytest.raises(InputError, match=r"cr.100 \(6 of 12\) does not fit orr.100 \(5 of 12\)"):
        vtrial.load_evidence(study)


def test_a_system_of_which_a_fact_is_missing_says_which(tmp_path: Path) -> None:
    study = Path(shutil.copytree(ROOT / "priors" / "karmma", tmp_path / "karmma"))
    _edit(study / "facts.csv", "\ncrs.450,", "\ncrs.45x,")
    text = vtrial.load_evidence(study).absent["crs"]
    assert text == "fact 'crs.450' is missing, of 9 that its model reads; the nearest that is there is 'crs.45x'"
    assert vtrial.load_evidence("invented").absent["survival"] == "no facts"
    assert vtrial.load_evidence("karmma").absent == {}
