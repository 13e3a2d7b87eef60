"""Grade 5 is a death wherever it is known; and what a death of toxicity does to the response: nothing."""

from dataclasses import replace
from datetime import date

import jax
import numpy as np
import pandas as pd
import pytest

from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.dose_response import Step
from vtrial.model.parameters import DAYS, EARLY
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol, in_worlds
from vtrial.protocol.truth import posterior_mean
from vtrial.scenario import from_dict
from vtrial.trial.patients.cohort import FATAL
from vtrial.trial.run import at_cut
from vtrial.workflows.datasets.rows import Trial, adverse_events, responses, subjects
from vtrial.workflows.patients import cohort_table

SEED = 3
GRADE5 = ["crs.grade5", "neurotoxicity.grade5"]
SCENARIO = {
    "cohort": {"infused": 200, "attrition": 0},
    "calendar": {"data_cut": {"months_after_last_infusion": 1}},  # so that some die of toxicity after the cut
    "simulation": {"trials": 1, "seed": SEED, "endpoints": ["orr", "crs", "neurotoxicity"]},
}


def protocol_of(evidence: Evidence, posterior: Posterior, *, timed: bool, **simulation: object) -> Protocol:
    """The posterior's mean, but that toxicity is often fatal: of CRS in about .1, of neurotoxicity in about .05."""
    worlds = posterior_mean(posterior)
    if not timed:
        evidence, worlds = evidence.without("survival"), replace(worlds, survival=None)
    for step in (Step.CRS3, Step.CRS4, Step.CRS5, Step.NEUROTOXICITY3, Step.NEUROTOXICITY4, Step.NEUROTOXICITY5):
        worlds.intercept[:, step] = 0.4
    simulation = {
        **SCENARIO["simulation"],
        **({"flags": [*GRADE5, "deaths"]} if timed else {"flags": GRADE5}),
        **simulation,
    }
    cell = from_dict({**SCENARIO, "simulation": simulation}).cells[0]
    return in_worlds(cell, evidence, worlds, where="test")


def trial_of(protocol: Protocol) -> Trial:
    found = engine.each(at_cut, protocol.plan, protocol.numbers, protocol.worlds, seed=SEED)
    cohort, seen, record = jax.tree.map(lambda a: a[0], found)
    return Trial(protocol, cohort, seen, record.flags, record.measures, date(2025, 1, 1))


@pytest.fixture(scope="module", params=[False, True], ids=["without times", "with times"])
def protocol(request: pytest.FixtureRequest, evidence: Evidence, posterior: Posterior) -> Protocol:
    return protocol_of(evidence, posterior, timed=request.param)


@pytest.fixture(scope="module")
def one(protocol: Protocol) -> Trial:
    return trial_of(protocol)


def test_grade_5_and_death_are_one_thing_in_the_data_sets(one: Trial) -> None:
    adsl = pd.DataFrame(subjects(one)).set_index("USUBJID")
    adae = pd.DataFrame(list(adverse_events(one)))
    fatal = set(adae.loc[adae["AETOXGR"] == "5", "USUBJID"])
    assert len(fatal) > 10
    assert fatal == set(adae.loc[adae["AESDTH"] == "Y", "USUBJID"])
    assert fatal <= set(adsl.index[adsl["DTHFL"] == "Y"])
    if one.seen is None:  # of other deaths nothing is known, nor of the day
        assert fatal == set(adsl.index[adsl["DTHFL"] == "Y"])
        assert adsl["DTHDT"].isna().all()
    else:
        assert adsl.loc[sorted(fatal), "DTHDT"].notna().all()


def test_grade_5_is_a_death_in_the_record(one: Trial) -> None:
    fatal = one.flags["crs.grade5"] | one.flags["neurotoxicity.grade5"]
    assert one.flags["neurotoxicity.grade5"].sum() > 3
    if one.seen is None:
        assert (fatal == one.cohort.fatal & one.cohort.infused).all()
        return
    assert not (fatal & ~one.flags["deaths"]).any()
    # whose death lies after the cut has grade 4 so far
    later = one.seen.infused_by_cut & (one.cohort.crs == FATAL) & ~one.seen.os_event
    assert later.any()
    assert one.flags["crs.grade4"][later].all()
    assert not fatal[later & (one.cohort.neurotoxicity < FATAL)].any()


def test_a_response_is_kept_and_comes_before_the_death(one: Trial) -> None:
    fatal = one.cohort.fatal & one.cohort.infused
    responds = fatal & (one.cohort.response > 0)
    assert responds.sum() > 5
    adrs = pd.DataFrame(list(responses(one)))
    best = adrs[adrs["PARAMCD"] == "BOR"].set_index("USUBJID")["AVAL"]
    for patient in np.flatnonzero(responds):
        assert best[one.subject(int(patient))["USUBJID"]] == one.cohort.response[patient]
    if one.seen is None:
        return
    path = one.cohort.path
    assert (path.response_day[responds] < path.death[responds] * DAYS + 1).all()
    start = np.maximum(path.response_day, path.cr_day)[fatal] / DAYS
    assert (path.death[fatal] - start <= EARLY + 1e-5).all()
    assert not np.isfinite(path.progression[fatal]).any()


def test_a_cohort_table_says_who_dies_of_toxicity(protocol: Protocol) -> None:
    table = cohort_table(protocol, seed=SEED, trial=0)
    fatal = (table["crs"] == "5") | (table["neurotoxicity"] == "5")
    assert fatal.sum() > 10
    assert (table["died_of_toxicity"].astype(bool) == fatal).all()
    if "death" in table:
        assert table.loc[fatal, "death"].notna().all()


def test_survival_does_not_depend_on_what_else_is_counted(evidence: Evidence, posterior: Posterior) -> None:
    """Fatal neurotoxicity is a death also where nobody counts neurotoxicity, as a window of deaths does not."""
    whole = trial_of(protocol_of(evidence, posterior, timed=True))
    few = trial_of(protocol_of(evidence, posterior, timed=True, endpoints=["orr", "os"], flags=["deaths"]))
    assert (whole.cohort.path.death == few.cohort.path.death).all()
    assert (whole.flags["deaths"] == few.flags["deaths"]).all()
