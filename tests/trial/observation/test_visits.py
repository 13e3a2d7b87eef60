"""What a data cut shows: its twin, what must not change it, and rules worked by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trial.patients import cases
from tests.twins import survival as twin
from vtrial.model.parameters import DAYS
from vtrial.trial.patients.course import Path, Visits

PATIENTS = 400
INFUSION = np.arange(PATIENTS) % 137 * 0.11
CUTS = st.floats(0.5, 40.0, width=32)
RULES = {"missed": st.booleans(), "therapy": st.booleans()}


@functools.cache
def drawn(seed: int, missed: float = cases.MISSED):
    return cases.draw(seed, PATIENTS, missed=missed, therapy=0.05)


@pytest.mark.parametrize("rules", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("cut", [9.3, 25.03])
def test_every_patient_is_what_the_twin_says(rules, cut):
    seed, missed, therapy = 21, np.float32(0.3), np.float32(0.05)
    path, who = drawn(seed, 0.3)
    rate = {name: float(np.float32(value)) for name, value in cases.RATES.items()}
    infused = np.arange(PATIENTS) % 11 != 5
    found = cases.at_cut(path, who, INFUSION, cut, missed=rules[0], therapy=rules[1], infused=jnp.array(infused))
    assert set(found) == set(twin.SEEN)
    true = {name: np.asarray(value) for name, value in vars(path).items() if name != "visits"}
    key = cases.key_of(seed)
    u, words = twin.uniforms(key, PATIENTS), twin.words(key, PATIENTS, len(cases.SCHEDULE))
    compared = 0
    for i in range(PATIENTS):
        response, patient = int(who["response"][i]), twin.Patient()
        twin.schedule_of(patient, words[i], list(cases.SCHEDULE), float(np.float32(cases.WINDOW)), float(missed))
        mine = {name: values[i] for name, values in u.items()}
        twin.follow(patient, mine, rate, float(who["x"][i]), response, bool(who["fatal"][i]), float(therapy))
        infusion, month = float(np.float32(INFUSION[i])), float(np.float32(cut))
        twin.look(patient, response, bool(infused[i]), infusion, month, missed=rules[0], therapy=rules[1])
        for name in ("progression", "death", "new_therapy", "retreatment_duration"):
            assert true[name][i] == pytest.approx(patient.truth[name], rel=1e-4, abs=1e-4), (i, name)
        if patient.margin < 1e-3:  # days: single precision may fall on the other side
            continue
        compared += 1
        for name in ("response_day", "cr_day", "died_of_toxicity", "retreated", "retreatment_response"):
            assert true[name][i] == patient.truth[name], (i, name)
        schedule = list(zip(path.visits.day[i].tolist(), path.visits.missed[i].tolist(), strict=True))
        assert schedule == patient.schedule
        for name in twin.SEEN:
            assert found[name][i] == patient.seen[name], (i, name)
    assert compared > 0.9 * PATIENTS
    # The comparison has met every rule.
    assert 0 < found["infused_by_cut"].sum() < PATIENTS
    for name in ("pfs_event", "dor_event", "os_event", "retreated_seen", "cr_day", "progression_day"):
        assert found[name].any(), name


@settings(max_examples=60)
@given(seed=st.integers(0, 20), cut=CUTS, **RULES)
def test_what_is_seen_is_in_order(seed, cut, missed, therapy):
    path, who = drawn(seed)
    s = cases.at_cut(path, who, INFUSION, cut, missed=missed, therapy=therapy)
    responder, in_it = s["response"] > 0, s["infused_by_cut"]
    np.testing.assert_array_equal(in_it, INFUSION.astype(np.float32) <= np.float32(cut))
    assert (s["pfs_time"] <= s["os_time"]).all()
    assert (s["os_time"] <= s["follow_up"]).all()
    assert (s["pfs_event"] <= in_it).all()
    assert (s["os_event"] <= in_it).all()
    np.testing.assert_array_equal(s["dor_time"], np.where(responder, s["pfs_time"] - s["response_day"], 0))
    np.testing.assert_array_equal(s["dor_event"], responder & s["pfs_event"])
    assert (s["response_day"] <= s["pfs_time"])[responder].all()
    assert (s["response_day"] > 0)[responder].all()
    assert (s["response_day"][~responder] == 0).all()
    np.testing.assert_array_equal(s["cr_day"] > 0, s["response"] == 3)
    assert (s["cr_day"] >= s["response_day"])[s["response"] == 3].all()
    progressed = s["progression_day"] > 0
    assert (s["progression_day"] > np.maximum(s["response_day"], s["cr_day"]))[progressed].all()
    assert (s["progression_day"] <= s["os_time"])[progressed].all()
    assert progressed[s["retreated_seen"]].all()
    assert (s["response"] <= np.asarray(who["response"])).all()
    if not missed and not therapy:
        np.testing.assert_array_equal(s["pfs_event"], progressed | s["os_event"])
    for name, value in s.items():
        assert value.dtype == (
            np.bool_ if name in ("infused_by_cut", "retreated_seen") or "event" in name else np.int32
        )
        assert (value[~in_it] == 0).all(), name


@settings(max_examples=40)
@given(seed=st.integers(0, 20), cut=CUTS, other=st.integers(1, 20), **RULES)
def test_nothing_after_the_cut_changes_anything_seen(seed, cut, other, missed, therapy):
    """Each patient's future is replaced by another's: what has happened by the cut stays, and so must what is seen."""
    path, who = drawn(seed)
    seen = cases.at_cut(path, who, INFUSION, cut, missed=missed, therapy=therapy)
    days = np.floor((np.float32(cut) - INFUSION.astype(np.float32)) * DAYS)
    rng = np.random.default_rng(other)

    def later(months: np.ndarray) -> jax.Array:
        """Times beyond the cut, moved about beyond the cut."""
        after = np.maximum(days + 1.01, 0) / DAYS + rng.exponential(5.0, PATIENTS)
        moved = np.where(rng.random(PATIENTS) < 0.2, np.inf, after)
        return jnp.array(np.where(np.asarray(months) * DAYS > days + 0.01, moved, months), jnp.float32)

    def later_day(day: np.ndarray) -> jax.Array:
        day = np.asarray(day)
        return jnp.array(np.where(day > days, day + rng.integers(0, 90, PATIENTS), day), jnp.int32)

    day = np.asarray(path.visits.day)
    beyond = day > days[:, None]
    moved_day = np.where(beyond, day + rng.integers(0, 60, PATIENTS)[:, None], day)
    absent = np.where(beyond, rng.random(day.shape) < 0.5, path.visits.missed)
    changed = dataclasses.replace(
        path,
        visits=Visits(jnp.array(moved_day, jnp.int32), jnp.array(absent)),
        response_day=later_day(path.response_day),
        cr_day=later_day(path.cr_day),
        progression=later(path.progression),
        death=later(path.death),
        new_therapy=later(path.new_therapy),
    )
    again = cases.at_cut(changed, who, INFUSION, cut, missed=missed, therapy=therapy)
    for name, value in seen.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


@settings(max_examples=40)
@given(seed=st.integers(0, 20), cut=CUTS, more=st.floats(0.0, 15.0, width=32), **RULES)
def test_a_later_cut_extends_what_is_seen(seed, cut, more, missed, therapy):
    path, who = drawn(seed)
    early, late = (cases.at_cut(path, who, INFUSION, c, missed=missed, therapy=therapy) for c in (cut, cut + more))
    for name in ("infused_by_cut", "follow_up", "response", "pfs_time", "os_time", "os_event"):
        assert (early[name] <= late[name]).all(), name
    for name in ("response_day", "cr_day", "progression_day"):
        np.testing.assert_array_equal(late[name][early[name] > 0], early[name][early[name] > 0], err_msg=name)
    for kind in ("pfs", "os"):
        ended = early[f"{kind}_event"]
        assert late[f"{kind}_event"][ended].all()
        np.testing.assert_array_equal(late[f"{kind}_time"][ended], early[f"{kind}_time"][ended])


DAY = (30, 60, 90, 120, 150)


def one(
    *,
    response=0,
    response_day=0,
    cr_day=0,
    progression=np.inf,
    death=999.0,
    therapy=np.inf,
    absent=(),
    cut=200.0,
    rules=True,
):
    """What is seen of one patient with visits on `DAY`, infused at 0; times in days, absent from which visits."""

    def months(days: float) -> jax.Array:
        return jnp.array([days / DAYS], jnp.float32)

    path = Path(
        visits=Visits(jnp.array([DAY], jnp.int32), jnp.array([[k in absent for k in range(len(DAY))]])),
        response_day=jnp.array([response_day], jnp.int32),
        cr_day=jnp.array([cr_day], jnp.int32),
        progression=months(progression),
        death=months(death),
        new_therapy=months(therapy),
        died_of_toxicity=jnp.array([False]),
        retreated=jnp.array([True]),
        retreatment_response=jnp.array([True]),
        retreatment_duration=months(90),
    )
    seen = cases.at_cut(
        path, {"response": jnp.array([response], jnp.int32)}, [0.0], (cut + 0.5) / DAYS, missed=rules, therapy=rules
    )
    return {name: value[0].item() for name, value in seen.items()}


@pytest.mark.parametrize(
    ("patient", "time", "event"),
    [
        ({}, 150, False),
        ({"cut": 100}, 90, False),
        ({"cut": 20}, 0, False),
        ({"absent": (3, 4)}, 90, False),
        ({"progression": 61}, 90, True),
        ({"progression": 89.5, "absent": (2,)}, 120, True),  # one missed visit is forgiven
        ({"progression": 61, "absent": (2, 3)}, 60, False),  # two are not
        ({"progression": 61, "absent": (2, 3), "rules": False}, 150, True),
        ({"progression": 61, "absent": (0, 1, 2)}, 0, False),
        ({"progression": 130, "absent": (0, 2)}, 150, True),  # not in a row
        ({"progression": 100, "absent": (0, 1)}, 120, True),  # not just before it
        ({"death": 99.5}, 100, True),
        ({"death": 99.5, "cut": 99}, 90, False),
        ({"death": 99.5, "cut": 100}, 100, True),
        ({"death": 125.0, "absent": (2, 3)}, 60, False),
        ({"death": 119.0, "absent": (2, 3)}, 119, True),  # the second was not due before death
        ({"progression": 61, "death": 80.0}, 80, True),  # never documented
        ({"death": 0.2}, 1, True),
        ({"progression": 61, "therapy": 59.5}, 60, False),
        ({"progression": 61, "therapy": 45.0}, 30, False),
        ({"progression": 61, "therapy": 45.0, "rules": False}, 90, True),
        ({"progression": 61, "therapy": 89.5}, 90, True),  # begins on the day of the visit
        ({"therapy": 45.0}, 30, False),
        ({"therapy": 20.0, "cut": 100}, 0, False),
        ({"therapy": 95.0, "cut": 92}, 90, False),
        ({"death": 125.0, "absent": (2, 3), "therapy": 40.0}, 30, False),
    ],
)
def test_progression_free_survival_worked_by_hand(patient, time, event):
    seen = one(**patient)
    assert (seen["pfs_time"], seen["pfs_event"]) == (time, event)


def test_a_complete_response_counts_as_very_good_until_it_is_documented():
    patient = {"response": 3, "response_day": 30, "cr_day": 90, "progression": 100.0}
    before, after, first = (one(**patient, cut=cut) for cut in (89, 90, 29))
    assert (before["response"], before["cr_day"], before["dor_time"], before["dor_event"]) == (2, 0, 30, False)
    assert (after["response"], after["cr_day"], after["dor_time"], after["dor_event"]) == (3, 90, 60, False)
    assert (first["response"], first["response_day"], first["dor_time"]) == (0, 0, 0)
    late = one(**patient, cut=130)
    assert (late["dor_time"], late["dor_event"], late["progression_day"]) == (90, True, 120)


def test_progression_is_never_documented_at_the_visit_that_starts_its_clock():
    assert one(response=1, response_day=60, progression=59.99999)["progression_day"] == 90


def test_retreatment_needs_a_documented_progression_and_life():
    assert one(progression=61.0)["retreated_seen"]
    assert not one(progression=61.0, cut=80)["retreated_seen"]
    assert not one(progression=61.0, death=89.5)["retreated_seen"]  # dies on the day of the visit
    assert not one(death=100.0)["retreated_seen"]


def test_events_under_uniform_accrual_and_an_exponential_hazard():
    patients, hazard, accrual, cut = 100_000, 0.08, 12.0, 18.0
    quiet = dict.fromkeys(("DEATH_EARLY", "DEATH_MIDDLE", "DEATH_LATE"), np.log(hazard))
    none = {"response": jnp.zeros(patients, jnp.int32), "fatal": jnp.zeros(patients, bool)}
    path, who = cases.draw(31, patients, NONE=60.0, **quiet, **none)
    infusion = (np.arange(patients) + 0.5) / patients * accrual
    seen = cases.at_cut(path, who, infusion, cut)
    # E = 1 - the mean over entry times a in (0, A) of exp(-h (C - a)).
    expected = 1 - (np.exp(-hazard * (cut - accrual)) - np.exp(-hazard * cut)) / (hazard * accrual)
    day = hazard / DAYS  # deaths count from the end of their day on
    assert abs(seen["os_event"].mean() - expected) < 4.5 * np.sqrt(0.25 / patients) + day
    np.testing.assert_array_equal(seen["os_time"][seen["os_event"]], np.ceil(path.death * DAYS)[seen["os_event"]])
