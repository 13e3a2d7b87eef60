"""Trials run as the study was, and what would be printed of them."""

from dataclasses import replace

import numpy as np
import pytest

from vtrial.engine import run as engine
from vtrial.evidence.times import MEDIANS, published
from vtrial.fitting import simulated_summaries
from vtrial.model.parameters import DAYS
from vtrial.model.world import World
from vtrial.protocol.build import in_worlds
from vtrial.scenario.as_run import as_run

TRIALS = 60


@pytest.fixture(scope="module")
def worlds(posterior):
    return World(posterior.intercept[:TRIALS], posterior.slope[:TRIALS], posterior.survival[:TRIALS])


@pytest.fixture(scope="module")
def trials(evidence, worlds):
    return list(simulated_summaries.trials(evidence, worlds, seed=8))


def test_they_are_the_trials_of_the_engine(evidence, worlds, trials):
    asked = as_run(evidence)
    protocol = in_worlds(asked.cells[0], evidence, worlds, where=asked.where)
    # fatal neurotoxicity is the prior's alone, and no part of the fit
    plan = replace(protocol.plan, fatal=("crs",), endpoints=())
    whole = engine.simulate(plan, protocol.numbers, protocol.worlds, seed=8, trials=TRIALS)
    assert len(trials) == TRIALS
    for number, (_, seen, curves) in enumerate(trials):
        assert whole.retreated[number] == (seen.infused_by_cut & seen.retreated_seen).sum()
        for curve in curves:
            assert whole.curves[curve].median[number] == curves[curve].median
            assert whole.curves[curve].events[number] == curves[curve].events


def test_what_is_printed_adds_up(evidence, trials):
    told = published(evidence)
    for trial in trials:
        _, seen, curves = trial
        printed = simulated_summaries.printed(trial, told)
        assert sum(printed.deaths) == seen.os_event[seen.infused_by_cut].sum()
        np.testing.assert_allclose(printed.sizes.sum(0), [4, 70, 54])
        np.testing.assert_allclose(printed.sizes[3].sum(), (seen.response == 3).sum())
        assert printed.dead_at_top <= sum(printed.deaths)
        assert printed.crs_deaths <= printed.deaths[0]
        assert printed.retreated[1] <= printed.retreated[0]
        responded = seen.response_day[seen.infused_by_cut & (seen.response > 0)] / DAYS
        assert printed.response == pytest.approx((np.median(responded), responded.min(), responded.max()), abs=0.0501)
        for time, group in MEDIANS:
            median, low, high = printed.medians[time, group]
            assert low <= median <= high or np.isinf(low)  # R has none where a curve falls to 0 at once
            found = curves[time, "dose2" if group == "top" else group]
            assert median == pytest.approx(float(found.median), abs=0.0501)
        assert (printed.schedule, printed.new_therapy) == (told.schedule, told.new_therapy)


def test_more_trials_than_fit_into_one_chunk_are_the_same_trials(evidence, worlds, trials, monkeypatch):
    monkeypatch.setattr(simulated_summaries, "CHUNK", 32)
    few = simulated_summaries.summaries(evidence, published(evidence), worlds, seed=8)
    whole = [simulated_summaries.printed(trial, published(evidence)) for trial in trials]
    assert [one.medians for one in few] == [one.medians for one in whole]
    assert [one.deaths for one in few] == [one.deaths for one in whole]


def test_a_trial_without_a_response_is_printed(evidence, worlds):
    nobody = replace(worlds, intercept=np.where(np.arange(worlds.intercept.shape[1]) == 1, -30.0, worlds.intercept))
    (first, *_) = simulated_summaries.summaries(evidence, published(evidence), nobody, seed=8)
    assert first.sizes[1:].sum() == 0
    assert first.medians["dor", "cr"] == (np.inf, np.inf, np.inf)
