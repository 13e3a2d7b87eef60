"""Paths: closed forms of the multi-state model, and what must not change them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.trial.patients import cases
from vtrial.model.parameters import DAYS, EARLY, Rate
from vtrial.trial.patients import course
from vtrial.trial.patients.draws import Process

LOG = {"DEATH_EARLY", "DEATH_MIDDLE", "DEATH_LATE"}
MANY = 200_000


def without_response(patients: int) -> dict:
    return {
        "x": jnp.zeros(patients, jnp.float32),
        "response": jnp.zeros(patients, jnp.int32),
        "fatal": jnp.zeros(patients, bool),
    }


def illness_death(seed: int, patients: int, h01: float, h02: float, h12: float, **more):
    """Exponential hazards a month: progression, death without it, death after it."""
    changes = dict.fromkeys(LOG, np.log(h02)) | {"NONE": np.log(np.log(2) / h01), "SHAPE": 0.0, "DOSE": 0.0}
    return cases.draw(seed, patients, **changes, DEATH_AFTER=np.log(h12), **without_response(patients), **more)[0]


def close(values: np.ndarray, expected: float) -> None:
    error = np.sqrt(expected * (1 - expected) / len(values))
    assert abs(values.mean() - expected) < 4.5 * error, (values.mean(), expected, error)


@pytest.mark.parametrize(("t", "expected"), [(0.5, 0.7615), (1.0, 0.56043), (3.0, 0.1383)])
def test_survival_of_the_illness_death_model(t, expected):
    path = illness_death(3, MANY, 0.7, 0.5, 0.8)
    h01, h02, h12 = 0.7, 0.5, 0.8
    exact = np.exp(-(h01 + h02) * t) + h01 / (h01 + h02 - h12) * (np.exp(-h12 * t) - np.exp(-(h01 + h02) * t))
    assert exact == pytest.approx(expected, abs=5e-5)
    close(np.asarray(path.death) > t, exact)
    close(np.minimum(path.death, path.progression) > t, np.exp(-(h01 + h02) * t))
    close(np.isfinite(path.progression), h01 / (h01 + h02))


def test_progression_is_weibull_about_its_median_and_doses_are_proportional_hazards():
    for x in (0.0, 1.0):
        who = without_response(MANY) | {"x": jnp.full(MANY, x, jnp.float32)}
        never = dict.fromkeys(LOG, -np.inf)
        path, _ = cases.draw(5, MANY, NONE=np.log(4.0), SHAPE=np.log(1.6), DOSE=-0.5, **never, **who)
        time = np.asarray(path.progression)
        assert np.isfinite(time).all()
        for t in (1.0, 4.0, 9.0):
            close(time > t, 2 ** -(np.exp(-0.5 * x) * (t / 4.0) ** 1.6))


def test_hazard_of_death_without_progression_changes_at_56_days_and_6_months():
    hazards = {"DEATH_EARLY": np.log(0.10), "DEATH_MIDDLE": np.log(0.02), "DEATH_LATE": np.log(0.06)}
    path, _ = cases.draw(6, MANY, NONE=60.0, **hazards, **without_response(MANY))
    death = np.asarray(path.death)
    assert not np.isfinite(path.progression).any()
    for t in (1.0, EARLY, 4.0, 6.0, 12.0):
        spent = 0.10 * min(t, EARLY) + 0.02 * np.clip(t - EARLY, 0, 6 - EARLY) + 0.06 * max(t - 6, 0)
        close(death > t, np.exp(-spent))


def test_those_who_respond_do_not_die_before_and_then_meet_the_same_hazards():
    hazards = {"DEATH_EARLY": np.log(0.30), "DEATH_MIDDLE": np.log(0.05), "DEATH_LATE": np.log(0.02)}
    who = without_response(MANY) | {"response": jnp.full(MANY, 1, jnp.int32)}
    # Every response is due at once, and documented on day 30 exactly.
    path, _ = cases.draw(7, MANY, RESPONSE_MEDIAN=-9.0, PR=60.0, window=0.0, missed=0.0, **hazards, **who)
    start = 30 / DAYS
    assert set(np.unique(path.response_day)) == {30}
    assert (np.asarray(path.death) >= start).all()
    for t in (1.5, 4.0, 9.0):
        spent = 0.30 * (min(t, EARLY) - start) + 0.05 * np.clip(t - EARLY, 0, 6 - EARLY) + 0.02 * max(t - 6, 0)
        close(np.asarray(path.death) > t, np.exp(-spent))


def test_the_clock_starts_at_the_documented_response_or_cr():
    for depth, median in ((1, "PR"), (2, "VGPR"), (3, "CR")):
        who = without_response(MANY) | {"response": jnp.full(MANY, depth, jnp.int32)}
        path, _ = cases.draw(8, MANY, **dict.fromkeys(LOG, -np.inf), DOSE=0.0, **who)
        start = np.asarray(path.cr_day if depth == 3 else path.response_day) / DAYS
        close(path.progression - start > np.exp(cases.RATES[median]), 0.5)
        assert (np.asarray(path.cr_day) > 0).all() == (depth == 3)
        assert (path.cr_day >= path.response_day).all() or depth < 3


def test_responses_are_documented_at_the_next_attended_visit():
    path, _ = cases.draw(9, MANY, response=jnp.full(MANY, 3, jnp.int32), window=0.0)
    due = np.exp(0.0 + np.exp(-0.7) * np.array([-0.5, 0.3]))
    assert due[0] < 1 < due[1] < 2  # P(documented at visit 1) = P(due by then) x P(attended)
    by_month_1 = 0.5  # median 1 month; visit 1 is on day 30, a little before
    share = (np.asarray(path.response_day) == 30).mean()
    assert 0.47 < share / (1 - cases.MISSED) < by_month_1
    day, missed = np.asarray(path.visits.day), np.asarray(path.visits.missed)
    for documented in (np.asarray(path.response_day), np.asarray(path.cr_day)):
        assert ((day == documented[:, None]) & ~missed).any(1).all()


def test_visits_keep_to_their_window_and_are_missed_as_often_as_asked():
    drawn = course.visits(
        cases.key_of(1), MANY, jnp.array(cases.SCHEDULE, jnp.float32), jnp.float32(0.5), jnp.float32(0.15)
    )
    day, missed = np.asarray(drawn.day), np.asarray(drawn.missed)
    off = day / DAYS - np.array(cases.SCHEDULE)
    assert np.abs(off).max() <= 0.5 + 0.51 / DAYS
    assert (np.diff(day, axis=1) >= 0).all()
    assert np.abs(off.mean(0)).max() < 4.5 * 0.21 / np.sqrt(MANY) + 0.3 / DAYS
    assert np.abs(off.std(0) - 0.5 / np.sqrt(6)).max() < 0.002  # triangular
    assert not missed[:, -1].any()
    for visit in range(len(cases.SCHEDULE) - 1):
        close(missed[:, visit], 0.15)
    assert abs(np.corrcoef(off[:, 0], missed[:, 0])[0, 1]) < 4.5 / np.sqrt(MANY)
    assert abs(np.corrcoef(off[:, 0], off[:, 1])[0, 1]) < 4.5 / np.sqrt(MANY)


def test_crs_of_grade_5_kills_within_56_days_without_progression():
    path, who = cases.draw(10, MANY)
    fatal = np.asarray(who["fatal"])
    assert not np.isfinite(np.asarray(path.progression)[fatal]).any()
    start = np.maximum(path.response_day, path.cr_day) / DAYS
    assert (np.asarray(path.death)[fatal] - start[fatal] <= EARLY + 1e-5).all()
    assert not np.asarray(path.died_of_toxicity)[~fatal].any()
    assert np.asarray(path.died_of_toxicity)[fatal].mean() > 0.95


def test_new_therapy_comes_before_progression_and_death_or_not_at_all():
    path, who = cases.draw(11, MANY)
    begun = np.asarray(path.new_therapy)
    assert (begun[np.isfinite(begun)] < np.minimum(path.progression, path.death)[np.isfinite(begun)]).all()
    no_response = np.asarray(who["response"] == 0) & ~np.asarray(who["fatal"])
    assert 0.005 < np.isfinite(begun[no_response]).mean() < 0.15
    lighter, _ = cases.draw(11, MANY, therapy=0.0)
    assert not (np.asarray(lighter.new_therapy) < 1e6).any()
    np.testing.assert_array_equal(lighter.death, path.death)


def test_retreatment_follows_its_numbers():
    path, _ = cases.draw(12, MANY)
    close(np.asarray(path.retreated), 1 / (1 + np.exp(-0.3)))
    close(np.asarray(path.retreatment_response), 1 / (1 + np.exp(0.5)))
    close(np.asarray(path.retreatment_duration) > np.e, 0.5)


def test_the_first_60_of_140_are_the_60_of_a_smaller_trial():
    for seed in range(4):
        large, small = cases.draw(seed, 140)[0], cases.draw(seed, 60)[0]
        for a, b in zip(jax.tree.leaves(large), jax.tree.leaves(small), strict=True):
            np.testing.assert_array_equal(np.asarray(a)[:60], b)


def test_a_longer_schedule_moves_no_visit():
    for seed in range(4):
        few, more = (cases.draw(seed, 140, schedule=cases.SCHEDULE[:k])[0].visits for k in (6, 12))
        np.testing.assert_array_equal(few.day, more.day[:, :6])
        np.testing.assert_array_equal(few.missed[:, :5], more.missed[:, :5])
        assert more.missed[:, 5].any()


def test_leaving_processes_out_changes_no_other():
    whole, who = cases.draw(13, 140, fatal=jnp.zeros(140, bool))
    part = course.path(
        cases.key_of(13),
        cases.rates(),
        capacity=140,
        x=who["x"],
        response=who["response"],
        fatal=None,
        visits=whole.visits,
        retreatment=False,
    )
    for name in ("response_day", "cr_day", "progression", "death", "died_of_toxicity"):
        np.testing.assert_allclose(getattr(part, name), getattr(whole, name), rtol=1e-5, err_msg=name)
    assert part.retreated is part.retreatment_response is part.retreatment_duration is None
    assert not np.isfinite(part.new_therapy).any()


def test_extreme_rates_give_no_nan():
    for change in (dict.fromkeys(RATE_NAMES, -60.0), dict.fromkeys(RATE_NAMES, 6.0)):
        path, who = cases.draw(14, 2000, **change)
        for name, value in vars(path).items():
            if name != "visits":
                assert not np.isnan(np.asarray(value, np.float64)).any(), name
        seen = cases.at_cut(path, who, np.zeros(2000), 24.0)
        assert all((value >= 0).all() for value in seen.values())


RATE_NAMES = [rate.name for rate in Rate if rate.name not in ("SHAPE", "DOSE") and "SIGMA" not in rate.name]


def test_a_trial_moves_three_hazards():
    moved = jax.jit(jax.vmap(course.moved, in_axes=(0, None, None)))
    keys = jax.random.split(cases.key_of(1), 20_000)
    base = np.asarray(cases.rates())
    off = np.asarray(moved(keys, cases.rates(), jnp.float32(0.5))) - base
    progression = -off[:, Rate.NONE] * np.exp(base[Rate.SHAPE])  # log hazard
    death, after = off[:, Rate.DEATH_EARLY], off[:, Rate.DEATH_AFTER]
    for z in (progression, death, after):
        assert abs(z.mean()) < 4.5 * 0.5 / np.sqrt(len(z))
        assert z.std() == pytest.approx(0.5, rel=0.03)
    assert np.abs(np.corrcoef([progression, death, after]) - np.eye(3)).max() < 4.5 / np.sqrt(len(death))
    for same in (Rate.PR, Rate.VGPR, Rate.CR):
        np.testing.assert_allclose(off[:, same], off[:, Rate.NONE], atol=1e-6)
    for same in (Rate.DEATH_MIDDLE, Rate.DEATH_LATE):
        np.testing.assert_allclose(off[:, same], death, atol=1e-6)
    kept = [r for r in Rate if r not in (0, 1, 2, 3, 10, 11, 12, 13)]
    assert (off[:, kept] == 0).all()
    np.testing.assert_array_equal(course.moved(cases.key_of(1), cases.rates(), jnp.float32(0)), base)


def test_every_process_has_a_number_of_its_own():
    assert [int(process) for process in Process] == list(range(len(Process)))
