"""Stated truths: in whose patients a rate holds, exactly; what the answer says of it; visits that go on to the cut."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from vtrial._support.errors import InputError
from vtrial.characteristics import true_rates
from vtrial.characteristics.exact import fixed
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.evidence.times import published
from vtrial.model.dose_response import Step
from vtrial.model.parameters import DAYS
from vtrial.model.posterior import Posterior
from vtrial.protocol import truth
from vtrial.protocol.build import Protocol, prepare
from vtrial.protocol.case_mix import CaseMix
from vtrial.protocol.worlds import planned_of
from vtrial.report.words.worlds import planned_patients, world_in_words
from vtrial.scenario import from_dict
from vtrial.trial.patients import covariates

KARMMA = {"doses": {"150": 4, "300": 70, "450": 54}}
ORR = {"name": "orr", "endpoint": "orr", "null": 0.5, "method": "exact"}
CR = {"name": "cr", "endpoint": "cr", "null": 0.1, "method": "exact", "after": "orr"}
HALF = {
    "name": "half",
    "when": {"infused": 64},
    "rule": [{"kind": "count", "endpoint": "orr", "at_most": 20, "then": "futility"}],
}


def ready(evidence: Evidence, posterior: Posterior, **raw: Any) -> Protocol:
    counts = {"simulation": {"endpoints": ["orr", "cr"]}}
    return prepare(from_dict(counts | raw).cells[0], evidence, posterior, where="here")


@pytest.fixture(scope="module")
def rates(evidence: Evidence) -> Evidence:
    return evidence.without("survival")


class SlopeOne:
    """A posterior of one draw whose response has a slope of exactly 1 for a doubling of the dose."""

    def __init__(self, posterior: Posterior) -> None:
        mean = truth.posterior_mean(posterior)
        self.intercept, self.slope, self.ess = mean.intercept, mean.slope.copy(), 1.0
        self.survival = self.flags = self.measures = None
        self.slope[:, Step.RESPONSE] = 1.0


@pytest.mark.parametrize("dose", ["150", "300", "450"])
def test_a_rate_holds_in_the_designs_patients(rates: Evidence, posterior: Posterior, dose: str) -> None:
    """The size of the exact test, whatever dose everybody has: .0208 (cases/truth-at-300.toml, truth-at-450.toml)."""
    p = ready(
        rates, posterior, arm=[{"doses": {dose: 1}}], cohort={"infused": 128}, test=[ORR],
        world={"truth": {"orr": 0.5}},
    )  # fmt: skip
    size = float(binom.sf(int(p.numbers.bounds["orr"][128]) - 1, 128, 0.5))
    assert size == pytest.approx(0.0208, abs=5e-5)
    assert float(fixed.reject_probabilities(p, p.worlds)["orr"][0]) == pytest.approx(size, abs=1e-9)
    assert fixed.null_is_true(p, p.plan.tests[0], p.worlds).all()


def test_doses_in_order_have_another_rate_at_a_look(rates: Evidence, posterior: Posterior) -> None:
    """KarMMa's mix, slope 1: the first 64 have a true 43.2%, and the exact test a size of .0193, not .0208."""
    given: dict[str, Any] = {"arm": [KARMMA | {"allocation": "sequential"}], "cohort": {"infused": 128}, "test": [ORR]}
    steep: Any = SlopeOne(posterior)
    p = ready(rates, steep, **given, world={"truth": {"orr": 0.5}})
    assert float(fixed.true_rates(p, "orr", p.worlds)[0]) == pytest.approx(0.5, abs=1e-9)
    assert float(fixed.reject_probabilities(p, p.worlds)["orr"][0]) == pytest.approx(0.0193, abs=5e-5)
    looked = ready(rates, steep, **given, look=[HALF], world={"truth": {"orr": 0.5}})
    [look] = true_rates.at_looks(looked, "orr", looked.worlds)
    assert (look.look, look.patients, round(float(look.rate[0]), 3)) == ("half", 64, 0.432)
    assert "43.2% of the first 64, at 'half', 50.0% of all at the end" in world_in_words([looked])
    flat = ready(rates, steep, **given, world={"truth": {"each_dose": True, "orr": 0.5}})
    assert float(fixed.reject_probabilities(flat, flat.worlds)["orr"][0]) == pytest.approx(0.0208, abs=5e-5)
    alike = ready(rates, steep, **given, look=[HALF], world={"truth": {"each_dose": True, "orr": 0.5}})
    assert float(true_rates.at_looks(alike, "orr", alike.worlds)[0].rate[0]) == pytest.approx(0.5, abs=1e-12)
    assert world_in_words([alike]) == "where the true rate of response (PR or better) is 50% at every dose"


def test_expected_doses_of_the_first_infused_are_those_simulated(rates: Evidence, posterior: Posterior) -> None:
    """Doses filled in order of enrolment, with attrition: the first 64 infused, over 2,000 trials."""
    arm = {"doses": {"150": 1, "300": 1, "450": 2}, "allocation": "sequential"}
    p = ready(
        rates, posterior, arm=[arm], cohort={"enrolled": 140, "attrition": 0.3}, test=[ORR], look=[HALF],
        world={"truth": {"orr": 0.5}},
    )  # fmt: skip
    drawn = engine.each(engine._enrol, p.plan, p.numbers, p.worlds, seed=4, count=2000)
    first = drawn.infused & (np.cumsum(drawn.infused, axis=1) <= 64)
    counts = np.array(
        [[(row & (dose == k)).sum() for k in range(3)] for row, dose in zip(first, drawn.dose, strict=True)]
    )
    expected = true_rates.first_infused(p, 64, 0.7)
    error = counts.std(0) / np.sqrt(len(counts)) / 64
    assert (np.abs(counts.mean(0) / 64 - expected) < 5 * error).all()
    assert expected[2] < 0.4, "of all patients half have the last dose, so the test can fail"


def test_at_study_is_one_world_for_every_dose(rates: Evidence, posterior: Posterior) -> None:
    worlds = [
        ready(rates, posterior, arm=[{"doses": {dose: 1}}], test=[ORR], world={"truth": {"at": "study", "orr": 0.5}})
        for dose in ("300", "450")
    ]
    np.testing.assert_array_equal(*(p.worlds.intercept for p in worlds))
    low, high = (float(fixed.true_rates(p, "orr", p.worlds)[0]) for p in worlds)
    assert low < 0.5 < high
    assert f"in karmma's own mix of doses (true rates in its patients: response (PR or better) {high:.1%})" in (
        world_in_words(worlds[1:])
    )


def test_each_cell_of_a_sweep_over_doses_is_its_own_world(rates: Evidence, posterior: Posterior) -> None:
    scenario = from_dict(
        {
            "arm": [{"doses": {"300": 1}}], "cohort": {"infused": 50}, "test": [ORR],
            "world": {"truth": {"orr": 0.6, "cr": 0.2}}, "simulation": {"endpoints": ["orr", "cr"]},
            "sweep": {"arm.arm.doses": [{"300": 1}, {"450": 1}, {"150": 1, "450": 1}]},
        }
    )  # fmt: skip
    cells = [prepare(cell, rates, posterior, where="here") for cell in scenario.cells]
    for p in cells:
        assert float(fixed.true_rates(p, "orr", p.worlds)[0]) == pytest.approx(0.6, abs=1e-12)
        assert float(fixed.true_rates(p, "cr", p.worlds)[0]) == pytest.approx(0.2, abs=1e-12)
    assert len({float(p.worlds.intercept[0, Step.RESPONSE]) for p in cells}) == 3


def test_exact_counts_count_where_doses_are_filled_in_order(rates: Evidence, posterior: Posterior) -> None:
    arm = {"doses": {"150": 1, "450": 1}, "allocation": "sequential"}
    p = ready(rates, posterior, arm=[arm], cohort={"infused": 5}, test=[ORR], world={"truth": {"orr": 0.5}})
    np.testing.assert_allclose(p.dose_mix, [0.6, 0.4])
    by_dose = expit(p.worlds.intercept[0, Step.RESPONSE] + p.worlds.slope[0, Step.RESPONSE] * p.log2_doses)
    assert by_dose @ [0.6, 0.4] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("attrition", [0.2, "fitted"])
def test_the_rate_of_the_enrolled_is_solved_for(rates: Evidence, posterior: Posterior, attrition: Any) -> None:
    """Where every test counts the enrolled, or the truth says so: the test's size is then that of the enrolled."""
    of_enrolled = ORR | {"population": "enrolled"}
    given: dict[str, Any] = {"arm": [KARMMA], "cohort": {"enrolled": 140, "attrition": attrition}}
    for stated, test in (({"orr": 0.5}, of_enrolled), ({"orr": 0.5, "population": "enrolled"}, ORR)):
        p = ready(rates, posterior, **given, test=[test], world={"truth": stated})
        rate = fixed.true_rates(p, "orr", p.worlds) * fixed.infused_share(p, p.worlds)
        assert float(rate[0]) == pytest.approx(0.5, abs=1e-12)
        assert "is 50% of the enrolled" in world_in_words([p])
    counted = ready(rates, posterior, **given, test=[of_enrolled], world={"truth": {"orr": 0.5}})
    size = float(binom.sf(int(counted.numbers.bounds["orr"][140]) - 1, 140, 0.5))
    assert float(fixed.reject_probabilities(counted, counted.worlds)["orr"][0]) == pytest.approx(size, abs=1e-9)
    assert fixed.null_is_true(counted, counted.plan.tests[0], counted.worlds).all()
    infused = ready(
        rates, posterior, **given, test=[of_enrolled], world={"truth": {"orr": 0.5, "population": "infused"}}
    )
    assert float(fixed.true_rates(infused, "orr", infused.worlds)[0]) == pytest.approx(0.5, abs=1e-12)


def test_of_a_fixed_number_enrolled_a_fixed_share_is_infused(rates: Evidence, posterior: Posterior) -> None:
    p = ready(
        rates, posterior, arm=[KARMMA | {"allocation": "fixed"}], cohort={"enrolled": 140},
        test=[ORR | {"population": "enrolled"}], world={"truth": {"orr": 0.5}},
    )  # fmt: skip
    assert float(fixed.true_rates(p, "orr", p.worlds)[0]) == pytest.approx(0.5 * 140 / 128, abs=1e-12)
    assert fixed.null_is_true(p, p.plan.tests[0], p.worlds).all()


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (
            {"each_dose": True, "cr": 0.1},
            "truth.cr at each dose is a part of orr, which differs by dose; state orr as well",
        ),
        ({"each_dose": True, "orr": 0.3, "cr": 0.4}, "truth.cr = 0.4 is above orr = 0.3, of which it is a part"),
        ({"orr": 0.95, "population": "enrolled"}, "truth.orr = 0.95 cannot be reached of the enrolled: "),
        ({"orr": {"300": 0.95}, "population": "enrolled"}, "truth.orr = 0.95 at dose 300 cannot be reached of the"),
    ],
)
def test_a_truth_that_cannot_be_is_refused(
    rates: Evidence, posterior: Posterior, stated: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        ready(rates, posterior, arm=[KARMMA], test=[ORR, CR], world={"truth": stated})
    assert str(caught.value).startswith(f"here: {said}")


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"orr": 0.5, "at": "trial"}, "at = 'trial' (allowed: design, study)"),
        ({"orr": {"300": 0.5}, "at": "study"}, "at goes with a rate that is no table of doses"),
        ({"orr": 0.5, "each_dose": 1}, "each_dose = 1 (allowed: true, false)"),
        ({"orr": {"300": 0.5}, "each_dose": True}, "each_dose goes with one rate for all doses"),
        ({"orr": 0.5, "each_dose": True, "at": "study"}, "and each_dose holds it at every dose: give one"),
        ({"orr": 0.5, "population": "treated"}, "population = 'treated' (allowed: infused, enrolled)"),
        ({"pfs_median": 4, "population": "enrolled"}, "population goes with a rate"),
    ],
)
def test_options_of_a_truth_are_checked(stated: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        from_dict({"world": {"truth": stated}})
    assert said in str(caught.value)


MIXED: dict[str, Any] = {
    "arm": [{"doses": {"300": 1, "450": 1}}],
    "cohort": {"infused": 100, "mix": {"baseline.extramedullary": 0.8}},
    "test": [ORR],
}
EFFECT = {"baseline.extramedullary": {"response": -1.2, "progression": 0.6}}


def test_a_rate_holds_in_a_shifted_mix_of_patients(rates: Evidence, posterior: Posterior) -> None:
    """In the design's own patients; of the study's, the effect moves it. Simulated: mean rate within 5 errors."""
    p = ready(rates, posterior, **MIXED, world={"truth": {"orr": 0.5}, "effect": EFFECT})
    assert float(fixed.true_rates(p, "orr", p.worlds)[0]) == pytest.approx(0.5, abs=1e-9)
    count = engine.simulate(p.plan, p.numbers, p.worlds, seed=1, trials=2000).counts["orr"]
    assert abs(count.mean() / 100 - 0.5) < 5 * count.std() / 100 / np.sqrt(2000)
    by_dose = ready(rates, posterior, **MIXED, world={"truth": {"orr": {"300": 0.4, "450": 0.6}}, "effect": EFFECT})
    assert float(fixed.true_rates(by_dose, "orr", by_dose.worlds)[0]) == pytest.approx(0.5, abs=1e-9)
    study = ready(rates, posterior, **MIXED, world={"truth": {"at": "study", "orr": 0.5}, "effect": EFFECT})
    assert float(fixed.true_rates(study, "orr", study.worlds)[0]) < 0.45


def test_the_host_averages_covariates_as_the_simulation_draws_them() -> None:
    """P(response) of each pattern is that of `trial.patients.covariates`, two covariates, three doses."""
    rng = np.random.default_rng(5)
    table, flags, p = rng.normal(size=(2, 2 + 3)), rng.normal(size=(2, 3)), np.array([0.2, 0.5, 0.9])
    world: Any = type("W", (), {"covariates": table, "flags": flags})
    case_mix = CaseMix.of(world, np.arange(3))
    has = case_mix.patterns.astype(bool)
    for d in range(3):
        dose = np.full(4, d, np.int32)
        drawn = covariates.response(tuple(has.T), dose, np.float32(p), np.float32(table), np.arange(3, dtype=np.int32))
        np.testing.assert_allclose(case_mix.responses(p)[:, d], np.asarray(drawn), atol=2e-6)
        hazard = covariates.log_hazard(tuple(has.T), dose, np.float32(table), np.arange(3, dtype=np.int32))
        np.testing.assert_allclose(case_mix.log_hazards()[:, d], np.asarray(hazard), atol=2e-6)
    np.testing.assert_allclose((case_mix.weights(case_mix.study) * case_mix.responses(p)).sum(-2), p, atol=1e-9)


TIMED: dict[str, Any] = {"simulation": {"endpoints": ["pfs"]}}


@pytest.mark.parametrize(("latent", "dose"), [(False, "450"), (True, "150")])
def test_a_median_of_pfs_holds_in_the_designs_patients(
    evidence: Evidence, posterior: Posterior, latent: bool, dose: str
) -> None:
    stated = {"pfs_median": 4.0} | ({"scale": "latent"} if latent else {})
    p = ready(evidence, posterior, **TIMED, arm=[{"doses": {dose: 1}}], world={"truth": stated})
    patients = planned_patients(p)
    assert patients.pfs_median(p.worlds, latent=latent) == pytest.approx(4.0, abs=1e-4)
    scales = ["as it happens", "as visits document it"]
    also = f"{patients.pfs_median(p.worlds, latent=not latent):.1f} {scales[latent]}"
    assert world_in_words([p]) == f"where median progression-free survival is 4 months, {scales[not latent]} ({also})"
    of_study = ready(
        evidence, posterior, **TIMED, arm=[{"doses": {dose: 1}}], world={"truth": stated | {"at": "study"}}
    )
    elsewhere = planned_patients(of_study).pfs_median(of_study.worlds, latent=latent)
    assert abs(elsewhere - 4.0) > 0.2


def test_a_median_of_pfs_is_that_of_the_designs_visits_and_patients(evidence: Evidence, posterior: Posterior) -> None:
    """Simulated, nobody censored: half are free of documented progression at the stated month."""
    raw = MIXED | TIMED | {"calendar": {"visits": [2, 4, 6], "missed_visits": 0, "visit_window": 0, "censor": []}}
    raw = raw | {"test": [], "simulation": {"endpoints": ["pfs"]}, "cohort": MIXED["cohort"]}
    p = ready(evidence, posterior, **raw, world={"truth": {"pfs_median": 5.0}, "effect": EFFECT})
    found = engine.curves_on_days(
        p.plan, p.numbers, p.worlds, [round(5.0 * DAYS)], curves=(("pfs", "all"),), seed=2, start=0, count=300
    )
    survival = found["pfs", "all"][0][:, 0]
    # Left out of the closed form: whole days, and the few deaths from CRS (about 0.5% of patients).
    assert abs(survival.mean() - 0.5) < 5 * survival.std() / np.sqrt(300) + 0.004


def test_sizes_of_times_are_those_of_every_dose(evidence: Evidence, posterior: Posterior) -> None:
    raw = TIMED | {"arm": [{"doses": {"150": 1, "450": 1}}]}
    p = ready(evidence, posterior, **raw)
    patients, mean = planned_of(p.design, evidence, posterior, "x"), truth.posterior_mean(posterior)
    for latent in (False, True):
        for world in truth.at_pfs_median(4.0, mean, patients, "x", latent=latent):
            for dose in p.doses:
                there = patients.at((dose,), np.ones(1))
                assert there.pfs_median(world, latent=latent) == pytest.approx(4.0, abs=1e-4)


def test_a_fixed_truth_is_the_median_of_moved_worlds(rates: Evidence, posterior: Posterior) -> None:
    world = {"truth": {"orr": 0.8}, "between_trial_sd": 0.8}
    p = ready(rates, posterior, arm=[{"doses": {"300": 1}}], test=[ORR], world=world)
    lived = engine.worlds_of_trials(p.plan, p.numbers, p.worlds, seed=1, trials=4000)
    rate = fixed.true_rates(p, "orr", lived)
    assert np.mean(rate > 0.8) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(4000))
    assert rate.mean() < 0.79
    assert world_in_words([p]).endswith("moved by a between-trial SD of 0.8 (logit), of which this is the median")


def test_visits_go_on_until_the_cut(evidence: Evidence, posterior: Posterior) -> None:
    """A cut at month 120: visits as if every one were written out, and the living are seen until it."""
    raw: dict[str, Any] = {
        "world": {"truth": {"pfs_median": 48}},
        "cohort": {"infused": 60, "attrition": 0.0},
        "simulation": {"endpoints": ["os"]},
        "arm": [{"doses": {"450": 1}}],
    }

    def schedule(calendar: dict[str, Any]) -> tuple[Protocol, list[float]]:
        p = ready(evidence, posterior, **raw, calendar=calendar | {"data_cut": {"month": 120.0}})
        return p, p.numbers.calendar.schedule.tolist()  # type: ignore[union-attr]

    p, months = schedule({})
    assert months == [*range(1, 7), *range(9, 124, 3)]
    assert schedule({"visits": months[:-1]})[1] == months
    assert schedule({"visits": [4, 12]})[1] == [4, *range(12, 125, 8)]
    _, seen = engine.observed(p.plan, p.numbers, p.worlds, seed=1, start=0, count=20)
    assert np.where(seen.os_event, 0, seen.os_time).max() > 100 * DAYS


def test_a_schedule_has_what_lies_within_reach_and_one_more(evidence: Evidence) -> None:
    visits = evidence.priors.visits
    assert visits is not None
    assert visits.until(24.0)[-1] == 27.0
    assert visits.until(48.0)[-2:] == [48.0, 51.0]
    assert visits.until(50.9)[-1] == 51.0
    assert visits.until(120.0)[-2:] == [120.0, 123.0]
    once = visits.model_copy(update={"schedule": [2.0]})
    assert once.until(5.0) == [2.0, 4.0, 6.0]


def test_a_study_followed_beyond_the_models_grid_is_refused(evidence: Evidence) -> None:
    """KarMMa, cut in month 25, is fitted to the visits up to month 24, as ever; one cut in month 40 is not."""
    assert published(evidence).schedule.months[-1] == 24.0
    later = copy.copy(evidence)
    object.__setattr__(later, "facts", evidence.facts.copy())
    later.facts.loc["date.data_cutoff", "published"] = "2021-04-14"
    with pytest.raises(
        InputError, match=r"the study was cut in month 40\.02, and its times can be fitted to visits up to"
    ):
        published(later)


def test_more_visits_than_a_simulation_can_hold_are_refused(evidence: Evidence, posterior: Posterior) -> None:
    calendar = {"visits": [0.25], "visit_window": 0, "data_cut": {"month": 600.0}}
    with pytest.raises(InputError, match=r"visits go on every 0\.25 months until the data cut, up to month 600: about"):
        ready(evidence, posterior, **TIMED, calendar=calendar)


def test_a_single_visit_is_repeated_so_its_window_must_fit() -> None:
    with pytest.raises(InputError, match=r"lets the visits 1 and 2 change places"):
        from_dict({"calendar": {"visits": [1.0], "visit_window": 0.6}})


def test_true_medians_are_looked_for_beyond_sixty_months(evidence: Evidence, posterior: Posterior) -> None:
    from vtrial.characteristics.estimands import true_medians

    p = ready(
        evidence, posterior, simulation={"endpoints": ["pfs"]}, arm=[{"doses": {"450": 1}}], cohort={"infused": 20},
        world={"truth": {"pfs_median": 70}}, calendar={"censor": [], "new_therapy_per_month": 0},
    )  # fmt: skip
    found = true_medians(replace(p), ("pfs",), seed=1)["pfs"]
    assert found == pytest.approx(70.0, abs=3.0)
