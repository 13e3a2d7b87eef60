"""Thousands of trials: what must not change a result does not, and one trial is what its twin says."""

import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

import vtrial
from tests.twins import trial as twin
from vtrial import scenario
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol, prepare
from vtrial.trial.patients.draws import Process
from vtrial.trial.patients.response import BEST_RESPONSE
from vtrial.trial.patients.toxicity import WORST_GRADE

TESTS = [
    {"name": "orr", "endpoint": "orr", "null": 0.7, "alpha": 0.2, "method": "normal"},
    {"name": "cr", "endpoint": "cr", "null": 0.3, "alpha": 0.2, "method": "normal", "after": "orr"},
]
SHARES = {"150": 4.0, "300": 70.0, "450": 54.0}


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior):
    def make(capacity: int | None = None, tests: list | None = None, **changes: object) -> Protocol:
        raw = {"arm": [{"doses": SHARES}], "cohort": {"enrolled": 140}, "test": tests or TESTS}
        raw |= {"world": {"between_trial_sd": 0.3}}
        asked = scenario.from_dict(raw).replace(changes)
        return prepare(asked.cells[0], evidence, posterior, where="test", capacity=capacity)

    return make


def simulate(p: Protocol, **options):
    return engine.simulate(p.plan, p.numbers, p.worlds, **{"seed": 7, "trials": 700, **options})


def same(first, second) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_chunk_size_and_workers_change_nothing(protocol):
    p = protocol()
    expected = simulate(p, chunk=500)
    for chunk, workers in ((500, 1), (233, 3), (1000, 2)):
        same(expected, simulate(p, chunk=chunk, workers=workers))


def test_more_trials_extend_fewer(protocol):
    p = protocol()
    more, fewer, later = simulate(p, trials=900), simulate(p, trials=350), simulate(p, trials=550, start=350)
    same(jax.tree.map(lambda a: a[:350], more), fewer)
    same(jax.tree.map(lambda a: a[350:], more), later)


def test_seeds_differ(protocol):
    p = protocol()
    assert (simulate(p, seed=7).counts["orr"] != simulate(p, seed=8).counts["orr"]).mean() > 0.8


@pytest.mark.parametrize("allocation", ["random", "sequential"])
def test_the_first_60_of_140_are_the_60_of_a_smaller_trial(protocol, allocation):
    large = protocol(**{"arm.arm.allocation": allocation, "arm.arm.doses": {"300": 1.0, "450": 1.0}})
    small = protocol(
        **{"arm.arm.allocation": allocation, "arm.arm.doses": {"300": 1.0, "450": 1.0}, "cohort.enrolled": 60}
    )
    for trial in range(5):
        many = engine.cohort(large.plan, large.numbers, large.worlds, seed=7, trial=trial)
        few = engine.cohort(small.plan, small.numbers, small.worlds, seed=7, trial=trial)
        for name in ("infused", "mrd_evaluable", "mrd_negative") + (
            ("dose", "response", "crs", "neurotoxicity") if allocation == "random" else ()
        ):
            np.testing.assert_array_equal(getattr(many, name)[:60], getattr(few, name)[:60], err_msg=name)


TIMED = [
    {"name": "pfs", "endpoint": "pfs", "null": 7.0, "alpha": 0.1, "method": "log-rank"},
    {"name": "os", "endpoint": "os", "null": 17.0, "alpha": 0.2, "method": "median"},
]


@pytest.mark.parametrize("tests", [TESTS, TIMED], ids=["of rates", "of times"])
def test_room_for_more_patients_changes_nothing(protocol, tests):
    outcome = simulate(protocol(tests=tests))
    same(outcome, simulate(protocol(capacity=300, tests=tests)))
    assert {endpoint for endpoint, _ in outcome.curves} == {"dor", "pfs", "os"}
    assert all(0.1 < rejected.mean() < 0.9 for rejected in outcome.rejected.values())


def test_a_later_cut_meets_the_same_patients(protocol):
    """More visits are scheduled, and none of those before moves."""
    early, late = (protocol(**{"calendar.data_cut": {"month": month}}) for month in (20.0, 40.0))
    visits = len(early.numbers.calendar.schedule) - 1  # the last is never missed; nobody sees that by the cut
    for trial in range(5):
        first, second = (engine.cohort(p.plan, p.numbers, p.worlds, seed=7, trial=trial) for p in (early, late))
        assert first.path.visits.day.shape[1] < second.path.visits.day.shape[1]
        for name in ("day", "missed"):
            few, more = getattr(first.path.visits, name), getattr(second.path.visits, name)
            np.testing.assert_array_equal(few[:, :visits], more[:, :visits], err_msg=name)
        documented = np.maximum(first.path.response_day, first.path.cr_day) < first.path.visits.day[:, visits]
        assert documented.mean() > 0.95
        for name in ("response_day", "cr_day", "progression", "death", "new_therapy"):
            few, more = getattr(first.path, name), getattr(second.path, name)
            np.testing.assert_array_equal(few[documented], more[documented], err_msg=name)


def test_leaving_endpoints_out_changes_no_other(protocol):
    whole, part = simulate(protocol()), simulate(protocol(**{"simulation.endpoints": ["neurotoxicity3"]}))
    assert set(part.counts) == {"orr", "cr", "neurotoxicity3"}
    for endpoint, count in part.counts.items():
        np.testing.assert_array_equal(count, whole.counts[endpoint])
    same(whole.rejected, part.rejected)


def test_64_bit_mode_changes_nothing(protocol):
    expected = simulate(protocol())
    with jax.enable_x64(True):
        same(expected, simulate(protocol()))


def test_64_bit_mode_of_the_whole_process_changes_nothing(posterior):
    code = (
        "import sys, jax; jax.config.update('jax_enable_x64', sys.argv[1] == 'on')\n"
        "import vtrial; t = vtrial.run('karmma', trials=600).characteristics\n"
        "print(t[t.method == 'simulated'].to_csv(index=False))"
    )
    on, off = (subprocess.run([sys.executable, "-c", code, x], capture_output=True, text=True) for x in ("on", "off"))
    assert on.returncode == off.returncode == 0, on.stderr + off.stderr
    assert len(off.stdout) > 500
    assert on.stdout == off.stdout


def test_numbers_do_not_compile_again(protocol):
    first = protocol(capacity=150)
    simulate(first)
    before = engine.traced
    for changes in (
        {"cohort.enrolled": 90},
        {"test.orr.null": 0.5, "test.orr.alpha": 0.01},
        {"world.between_trial_sd": 0.7},
        {"world.correlation.response~crs": -0.4},
        {"cohort.attrition": 0.15},
        {"test.cr.method": "exact"},
    ):
        simulate(protocol(capacity=150, **changes), trials=1300)
    one = replace(first, worlds=jax.tree.map(lambda array: array[:1], first.worlds))  # as of a stated truth
    simulate(one)
    assert engine.traced == before
    simulate(protocol(capacity=151))
    assert engine.traced == before + 1


def test_one_trial_is_what_its_twin_says_patient_for_patient(protocol, evidence):
    p = protocol()
    outcome = simulate(p, trials=25)
    for trial in range(25):
        world = trial % p.worlds.size
        told = twin.run(
            seed=7,
            trial=trial,
            patients=140,
            intercept=p.worlds.intercept[world].tolist(),
            slope=p.worlds.slope[world].tolist(),
            sd=0.3,
            log2_doses=[float(np.log2(float(dose) / 300)) for dose in SHARES],
            shares=list(SHARES.values()),
            correlation={name: c.value for name, c in evidence.priors.correlation.items()},
            tests=TESTS,
        )
        cohort = engine.cohort(p.plan, p.numbers, p.worlds, seed=7, trial=trial)
        for i, person in enumerate(told["people"]):
            assert bool(cohort.infused[i]) == person["infused"]
            assert int(cohort.dose[i]) == person["dose"]
            assert BEST_RESPONSE[cohort.response[i]] == person["best"]
            assert WORST_GRADE[cohort.crs[i]] == person["crs"]
            assert WORST_GRADE[cohort.neurotoxicity[i]] == person["neurotoxicity"]
        assert int(outcome.infused[trial]) == told["infused"]
        assert {k: int(v[trial]) for k, v in outcome.counts.items()} == told["counts"]
        assert {k: bool(v[trial]) for k, v in outcome.rejected.items()} == told["rejected"]
    assert 0.1 < outcome.rejected["orr"].mean() < 0.9  # the comparison above saw both decisions


def test_processes_have_streams_of_their_own():
    assert len({int(process) for process in Process}) == len(Process)


def test_fixed_allocation_infuses_exactly_these_numbers(protocol):
    p = protocol(**{"arm.arm.allocation": "fixed"})
    for trial in range(20):
        cohort = engine.cohort(p.plan, p.numbers, p.worlds, seed=7, trial=trial)
        assert cohort.enrolled.sum() == 140
        assert np.bincount(cohort.dose[cohort.infused], minlength=3).tolist() == [4, 70, 54]
        assert np.all(np.diff(cohort.dose[cohort.infused]) >= 0)  # cohorts in order


def test_enrolling_until_that_many_are_infused(protocol):
    p = protocol(**{"cohort": {"infused": 128}})
    outcome = simulate(p)
    assert np.all(outcome.infused == 128)
    assert np.all(outcome.enrolled >= 128)
    # worlds hold P(infused) near .91: the mean of the negative binomial, averaged over the worlds lived in
    worlds = engine.worlds_of_trials(p.plan, p.numbers, p.worlds, seed=7, trials=700)
    expected = (128 * (1 + np.exp(-worlds.intercept[:, 0]))).mean()
    assert abs(outcome.enrolled.mean() - expected) < 5 * outcome.enrolled.std() / 700**0.5


def test_everybody_infused_without_attrition(protocol):
    outcome = simulate(protocol(**{"cohort.attrition": 0.0, "world.between_trial_sd": 0.0}))
    assert np.all(outcome.infused == 140)


def test_nobody_may_be_infused_and_one_patient_is_a_trial(protocol):
    one = simulate(protocol(**{"cohort.enrolled": 1, "cohort.attrition": 0.9}))
    assert set(np.unique(one.infused)) == {0, 1}
    assert not one.rejected["orr"][one.infused == 0].any()


def test_latent_correlations_are_what_was_asked(protocol):
    """Tetrachoric check: P(response and CRS) of two correlated thresholds, by the bivariate normal."""
    from scipy.stats import multivariate_normal, norm

    changes = {"world.truth": {"orr": 0.6, "crs": 0.5}, "world.between_trial_sd": 0.0, "cohort.attrition": 0.0}
    changes |= {"arm.arm.doses": {"300": 1.0}, "world.truth.orr": {"300": 0.6}, "world.truth.crs": {"300": 0.5}}
    for rho in (-0.5, 0.0, 0.6):
        p = protocol(**changes, **{"world.correlation.response~crs": rho, "cohort.enrolled": 10_000})
        cohort = engine.cohort(p.plan, p.numbers, p.worlds, seed=3, trial=0)
        both = ((cohort.response > 0) & (cohort.crs > 0)).mean()
        expected = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf([norm.ppf(0.6), norm.ppf(0.5)])
        assert abs(both - expected) < 5 * (expected * (1 - expected) / 10_000) ** 0.5


def test_rates_of_every_endpoint_are_the_worlds(protocol):
    from vtrial.characteristics.exact.fixed import true_rates

    p = protocol(**{"world.truth": "posterior-mean", "world.between_trial_sd": 0.0})
    outcome = simulate(p, trials=3000)
    for endpoint, count in outcome.counts.items():
        expected = float(true_rates(p, endpoint, p.worlds)[0])
        rate, n = count.sum() / outcome.infused.sum(), outcome.infused.sum()
        assert abs(rate - expected) < 5 * (expected * (1 - expected) / n) ** 0.5, endpoint


def test_a_million_trials_are_asked_for_in_pieces(protocol):
    """Memory is flat because chunks are: the last piece is run full and cut."""
    p = protocol(**{"simulation.endpoints": ["orr"]})
    seen: list[int] = []
    outcome = simulate(p, trials=1234, chunk=500, progress=seen.append)
    assert seen == [500, 500, 234]
    assert len(outcome.infused) == 1234


def test_run_is_reproducible_and_seeds_agree_within_error(posterior):
    a, b, c = (vtrial.run("karmma", trials=3000, seed=s).characteristics for s in (1, 1, 2))
    assert a.equals(b)
    assert not a.equals(c)
    simulated = a["method"] == "simulated"
    close = ~a["metric"].str.contains("q0|q9") & simulated
    z = (a["estimate"] - c["estimate"])[close] / np.hypot(a["mcse"], c["mcse"])[close].replace(0, np.inf)
    assert z.abs().max() < 5
