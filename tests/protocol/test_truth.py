"""Stated medians of progression-free survival hold, and at full follow-up the visits document every response."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

import vtrial
from vtrial.characteristics.exact.fixed import true_rates
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.dose_response import Step
from vtrial.model.parameters import DAYS, Rate
from vtrial.model.posterior import Posterior
from vtrial.model.world import World
from vtrial.protocol import truth
from vtrial.protocol.build import Protocol, prepare
from vtrial.protocol.planned import Planned
from vtrial.protocol.worlds import planned_of

TRIALS = 1000


@pytest.fixture(scope="module")
def protocol(evidence: Evidence, posterior: Posterior) -> Protocol:
    scenario = vtrial.load_scenario("pfs-benchmark")
    return prepare(scenario.cells[0], evidence, posterior, where="pfs-benchmark")


def free_at_four(protocol: Protocol, world: World, *, latent: bool) -> tuple[float, float]:
    """Share alive without progression, or without documented progression, at 4 months, nobody censored; its error."""
    cohort, _ = engine.observed(protocol.plan, protocol.numbers, world, seed=3, start=0, count=TRIALS)
    path, infused = cohort.path, cohort.infused
    assert path is not None
    progressed = path.progression <= 4.0
    if not latent:
        shows = ~path.visits.missed & (path.visits.day >= (path.progression * DAYS)[..., None])
        shows &= path.visits.day <= (path.death * DAYS)[..., None]  # seen alive
        progressed = (shows & (path.visits.day <= 4.0 * DAYS)).any(axis=-1)
    free = (~progressed & (path.death > 4.0))[infused]
    return float(free.mean()), float(free.std() / np.sqrt(free.size))


@pytest.mark.parametrize("latent", [False, True])
@pytest.mark.parametrize("shape", ["exponential", "own"])
def test_a_stated_median_is_the_median(
    protocol: Protocol, evidence: Evidence, posterior: Posterior, latent: bool, shape: str
) -> None:
    patients = planned_of(protocol.design, evidence, posterior, "x")
    worlds = truth.at_pfs_median(4.0, truth.posterior_mean(posterior), patients, "x", latent=latent)
    world = worlds[0 if shape == "exponential" else 1]
    share, error = free_at_four(protocol, world, latent=latent)
    # Left out of the closed form: whole days, and the few deaths from CRS (about 0.5% of patients).
    assert abs(share - 0.5) < 5 * error + 0.004
    other, error = free_at_four(protocol, world, latent=not latent)
    assert (other - 0.5) * (1 if latent else -1) > 10 * error, "the two scales differ, so the test can fail"


def test_at_pfs_median_is_fixed_but_for_the_dose(evidence: Evidence, posterior: Posterior) -> None:
    """Of a design of one dose, at the reference, it is the stated world; else the doses are alike."""
    mean = truth.posterior_mean(posterior)
    patients = replace(Planned.of_study(evidence, 1.0), doses=(300.0,), share=np.ones(1))
    for latent, scale in ((False, "documented"), (True, "latent")):
        own = truth.at_pfs_median(4.0, mean, patients, "x", latent=latent)[1]
        stated = truth.fixed({"pfs_median": 4.0, "scale": scale}, posterior, evidence, "x", patients)
        rates = [rate for rate in Rate if rate != Rate.DOSE]
        np.testing.assert_allclose(own.survival[0, rates], stated.survival[0, rates], atol=1e-9)  # type: ignore[index]
        np.testing.assert_allclose(own.intercept, stated.intercept, atol=1e-9)
        assert own.survival[0, Rate.DOSE] == own.slope[0, Step.RESPONSE] == own.slope[0, Step.CR] == 0.0  # type: ignore[index]


def test_at_full_follow_up_every_response_is_documented(protocol: Protocol, posterior: Posterior) -> None:
    """Documented ORR and CR, cut 40 years after the last infusion, are the fitted ones within Monte Carlo error."""
    plan = dataclasses.replace(protocol.plan, censor_missed=False, censor_new_therapy=False)
    world = truth.posterior_mean(posterior)

    def documented(months: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        calendar = dataclasses.replace(protocol.numbers.calendar, cut=np.float32(months))  # type: ignore[type-var]
        numbers = dataclasses.replace(protocol.numbers, calendar=calendar)
        cohort, seen = engine.observed(plan, numbers, world, seed=5, start=0, count=TRIALS)
        return seen.response, cohort.response, cohort.infused

    seen, true, infused = documented(480.0)
    assert (seen[infused] == true[infused]).all()
    early, _, _ = documented(0.0)
    for endpoint, least in (("orr", 1), ("cr", 3)):
        rate = float(true_rates(protocol, endpoint, world).mean())  # type: ignore[arg-type]
        share, n = float((seen >= least)[infused].mean()), int(infused.sum())
        assert abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / n)
        assert float((early >= least)[infused].mean()) < rate - 5 * np.sqrt(rate * (1 - rate) / n), (
            "an early cut shows fewer"
        )
