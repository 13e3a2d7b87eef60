"""Looks with a place in the calendar: every trial is its plain-Python twin's, and no look knows of what comes later."""

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.twins import looks as twin_looks
from tests.twins import survival
from tests.twins.looks import Person
from vtrial import scenario
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.parameters import DAYS
from vtrial.model.posterior import Posterior
from vtrial.model.vocabulary import CLOSES, OUTCOMES
from vtrial.protocol.build import Protocol, prepare
from vtrial.trial import interim
from vtrial.trial import run as trial
from vtrial.trial.patients.course import NEVER

PATIENTS, TRIALS = 24, 300


def count(name: str, endpoint: str, then: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "count", "endpoint": endpoint, "then": then, **more}


def look(name: str, when: dict[str, Any], *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "when": when, "rule": list(rules), **more}


# One structure for all tests here, with every way to call a look, and every sort of rule that time has to do with.
LOOKS = [
    look(
        "early",
        {"infused": 6, "follow_up_months": 1},
        count("crs", "crs3", "harm", at_least=2),
        count("deaths", "death@1", "harm", at_least=2),
    ),
    look(
        "first",
        {"infused": 10, "follow_up_months": 3},
        count("few", "orr@3", "futility", at_most=4),
        {"name": "cr", "kind": "posterior", "endpoint": "cr@2", "above": 0.3, "probability_at_least": 0.9}
        | {"then": "consider"},
        {"name": "short", "kind": "median", "endpoint": "pfs", "at_most": 2.0, "then": "futility"},
    ),
    look(
        "everybody",
        {"infused": 12, "follow_up_months": 2},
        count("few", "orr@2", "futility", at_most=5),
        count("progressed", "pfs@2", "consider", at_most=9),
        {"name": "long", "kind": "median", "endpoint": "os", "at_least": 12, "then": "consider"},
        analyse="all",
    ),
    look(
        "events",
        {"events": {"pfs": 8}},
        {"name": "longer", "kind": "spending", "test": "pfs", "information": 0.4, "then": "success", "tests": ["pfs"]},
        {"name": "lasting", "kind": "median", "endpoint": "dor", "at_least": 5, "then": "consider"},
    ),
    look(
        "month",
        {"calendar_month": 5},
        count("many", "vgpr@1.5", "success", at_least=7, test="orr"),
        count("alive", "os@2", "consider", at_least=12),
    ),
    look(
        "either",
        {"any": [{"infused": 16, "follow_up_months": 1}, {"events": {"os": 4}}]},
        count("dead", "death@1", "harm", at_least=2),
    ),
    look(
        "both",
        {"all": [{"calendar_month": 5}, {"infused": 14, "follow_up_months": 2}, {"events": {"dor": 1}}]},
        count("none", "cr@2", "futility", at_most=0),
        count("all", "orr@2", "success", at_least=13, tests=["orr"]),
    ),
    look("seldom", {"events": {"os": 24}}, count("dead", "death@6", "harm", at_least=1)),
    look(
        "last",
        {"final": True},
        count("go", "cr", "success", at_least=7),
        count("grey", "cr", "consider", at_least=5),
    ),
]
RAW: dict[str, Any] = {
    "world": {"truth": {"orr": 0.62, "cr": 0.3, "crs3": 0.12}},
    "cohort": {"enrolled": PATIENTS, "attrition": 0.15},
    "calendar": {"accrual_per_month": 6, "data_cut": {"months_after_last_infusion": 8}},
    "test": [
        {"name": "orr", "endpoint": "orr", "null": 0.5, "alpha": 0.1, "method": "normal"},
        {"name": "pfs", "endpoint": "pfs", "null": 4, "alpha": 0.2, "method": "log-rank", "spending": "pocock"},
    ],
    "look": LOOKS,
    "simulation": {"endpoints": ["orr", "cr"]},
}


@pytest.fixture(scope="module")
def protocol(evidence: Evidence, posterior: Posterior) -> Protocol:
    return prepare(scenario.from_dict(RAW).cells[0], evidence, posterior, where="test")


def shaken(cohort: Any, days: Any, on: Any) -> Any:
    """The same patients up to and including day `on`; everything later is otherwise."""
    path, follow_up = cohort.path, on - days.infusion
    soon = jnp.maximum(follow_up, 0).astype(jnp.float32) / jnp.float32(DAYS)  # later than that, by a day or more

    def later(months: Any) -> Any:
        """Whether something at `months` shows only after `on`: on the day on which it ends, as the trial counts."""
        return jnp.ceil(months * DAYS) > follow_up.astype(jnp.float32)

    def postponed(day: Any) -> Any:
        return jnp.where(day > follow_up, day + 45, day)

    seen_later = path.visits.day > follow_up[:, None]
    after = days.infusion > on
    return replace(
        cohort,
        infused=cohort.infused & ~(after & (jnp.arange(PATIENTS) % 2 == 0)),
        crs=jnp.where(days.infusion + 30 > on, 4 - cohort.crs, cohort.crs),
        path=replace(
            path,
            visits=replace(path.visits, missed=path.visits.missed ^ seen_later),
            response_day=postponed(path.response_day),
            cr_day=postponed(path.cr_day),
            progression=jnp.where(later(path.progression), soon + 0.07, path.progression),
            death=jnp.where(later(path.death), soon + 0.1, path.death),
            new_therapy=jnp.where(later(path.new_therapy), jnp.inf, path.new_therapy),
        ),
    )


def everything(key: Any, world: Any, numbers: Any, plan: Any, place: Any) -> Any:
    """A trial: its patients, what was decided, what its looks saw; and what they see where all that is dated after
    the look at `place` is otherwise."""
    cohort = trial.enrol(key, world, numbers, plan)
    outcome, held, values = trial.story(key, world, numbers, plan)
    told = interim.looked(cohort, numbers, plan)
    on = jnp.minimum(told.held.day[place], NEVER)
    other = interim.looked(shaken(cohort, told.days, on), numbers, plan)
    return cohort, outcome, held, values, (told.final_day, other.held, other.values, other.fired)


def trials(p: Protocol, *, place: int = 0, number: int = TRIALS, **changes: Any) -> Any:
    """Trials of the plan; changes: of its numbers."""
    calendar = replace(p.numbers.calendar, **changes.pop("calendar", {}))
    numbers = replace(p.numbers, calendar=calendar, **changes)
    found = engine.simulate(
        p.plan, numbers, p.worlds, seed=12, trials=number, look=everything, data=(np.int32(place),), chunk=100
    )
    return numbers, found


def people_of(cohort: Any) -> list[Person]:
    """The patients of one trial, NumPy arrays (patients,); times as single precision has them, on its whole days."""
    months = (cohort.enrolment_month, cohort.infusion_month)
    day = [np.floor(np.asarray(month, np.float32) * np.float32(DAYS)).astype(int) for month in months]
    people = []
    for i in range(len(cohort.infused)):
        truth = {"response_day": int(cohort.path.response_day[i]), "cr_day": int(cohort.path.cr_day[i])}
        for name in ("death", "new_therapy"):
            exact = float(np.float32(getattr(cohort.path, name)[i]) * np.float32(DAYS))
            truth[name] = (max(1, math.ceil(exact)) - 0.5) / DAYS if math.isfinite(exact) else math.inf
        truth["progression"] = float(np.float32(cohort.path.progression[i]) * np.float32(DAYS)) / DAYS
        truth["retreated"] = False
        schedule = list(zip(cohort.path.visits.day[i].tolist(), cohort.path.visits.missed[i].tolist(), strict=True))
        people.append(
            Person(
                number=i,
                enrolled=bool(cohort.enrolled[i]),
                infused=bool(cohort.infused[i]),
                enrolment=int(day[0][i]),
                infusion=int(day[1][i]),
                response=int(cohort.response[i]),
                crs=int(cohort.crs[i]),
                seen=seen_of(truth, schedule, int(cohort.response[i])),
                truth=truth,
            )
        )
    return people


def seen_of(truth: dict[str, Any], schedule: list[tuple[int, bool]], response: int) -> Any:
    kept: dict[int, dict[str, int]] = {}

    def seen(follow_up: int) -> dict[str, int]:
        if follow_up not in kept:
            patient = survival.Patient(schedule=schedule, truth=truth)
            survival.look(patient, response, True, 0.0, (follow_up + 0.5) / DAYS, missed=True, therapy=True)
            kept[follow_up] = patient.seen
        return kept[follow_up]

    return seen


def check(p: Protocol, numbers: Any, t: int, found: Any) -> tuple[str, str]:
    """One trial against its twin; how it ended."""
    cohort, outcome, held, values, (final_day, *_) = jax.tree.map(lambda a: a[t], found)
    people, design = people_of(cohort), p.design
    watched = {asked.name: asked for asked in p.plan.watched}
    looks: dict[str, twin_looks.Look] = {}
    for k, section in enumerate(p.looks.sections):  # type: ignore[union-attr]
        counting = [watched[rule.endpoint] for rule in section.rule if rule.kind in ("count", "posterior")]
        follow = max((asked.days for asked in counting), default=0)
        now = looks[section.name] = twin_looks.hold(section.when, section.analyse, follow, people, float(final_day))
        came = math.isfinite(now.day)
        assert bool(held.comes[k]) == came, section.name
        if not came:
            continue
        assert (held.day[k], held.evaluated[k]) == (now.day, len(now.judged)), section.name
        for asked in counting:
            w = p.plan.watched.index(asked)
            assert (held.counts[k, w], held.sizes[k, w]) == now.count(asked.endpoint, asked.days), (section.name, asked)
    timed = [r for r, rule in enumerate(p.plan.rules) if rule.time is not None]
    limits = dict(zip(timed, numbers.looks.limits[:, 0], strict=True))
    for r, value in values.items():
        rule = p.plan.rules[r]
        now = looks[p.plan.looks[rule.look].name]
        if math.isfinite(now.day):
            endpoint, method = rule.time  # type: ignore[misc]
            if method == "median":
                median = now.median(endpoint)
                if math.isinf(median) and rule.side.upper and not now.reaches(endpoint, float(limits[r])):
                    median = math.nan  # not reached, and not followed for as long as the rule asks
                np.testing.assert_equal(float(value), median, err_msg=f"{rule.name}, {now.times(endpoint)}")
            else:
                by_twin = now.log_rank(endpoint, numbers.benchmarks["pfs"].hazard)
                assert value == pytest.approx(by_twin, abs=1e-4, nan_ok=True)

    def rule_shows(name: str, rule: str, others: frozenset[str]) -> bool:
        place = next(r for r, one in enumerate(p.plan.rules) if (p.plan.looks[one.look].name, one.name) == (name, rule))
        one, now = p.plan.rules[place], looks[name]
        if one.time is not None:
            timed = [r for r, other in enumerate(p.plan.rules) if other.time is not None]
            limit = float(numbers.looks.limits[timed.index(place), 0])
            value = float(values[place])  # the same as the twin's, but for rounding: see above
            return value >= limit if one.side.upper else value <= limit
        asked = p.plan.watched[one.watched]
        x, n = now.count(asked.endpoint, asked.days)
        bound = numbers.looks.bounds[place, n]
        return bool(x >= bound if one.side.upper else x <= bound)

    def at_end(_: str, test: str, others: frozenset[str]) -> bool:
        if test == "pfs":
            return bool(outcome.rejected["pfs"])  # the final analysis itself is held against its own twin elsewhere
        treated = [person for person in people if person.infused]
        return bool(sum(person.response > 0 for person in treated) >= numbers.bounds["orr"][len(treated)])

    interim_looks = [(looks[s.name].day, s) for s in p.looks.sections if not s.when.final]  # type: ignore[union-attr]
    coming = [(day, s) for day, s in interim_looks if math.isfinite(day)]
    ending = twin_looks.decide(design, coming, rule_shows, at_end)
    decision = outcome.decision
    ended = [*(one.name for one in p.plan.looks), "end"][decision.end]
    assert (ended, ["", *OUTCOMES][decision.outcome]) == (ending.end, ending.outcome)
    assert {name for name, rejected in outcome.rejected.items() if rejected} == ending.rejected
    # A stopped trial has exactly the patients enrolled by then, and knows those it has analysed.
    stop = looks[ending.end].day if ending.end != "end" else math.inf
    inside = [person for person in people if person.enrolled and person.enrolment <= stop]
    treated = [person for person in people if person.infused and person.infusion <= stop]
    assert (outcome.enrolled, outcome.infused) == (len(inside), len(treated))
    assert outcome.evaluated == (len(looks[ending.end].judged) if ending.end != "end" else len(treated))
    assert outcome.months == pytest.approx(min(stop, float(final_day)) / DAYS, rel=1e-6)
    assert outcome.counts["orr"] == sum(person.response > 0 for person in treated)
    return ending.end, ending.outcome


def test_every_trial_is_its_twins(protocol: Protocol) -> None:
    numbers, found = trials(protocol)
    ends = [check(protocol, numbers, t, found) for t in range(TRIALS)]
    came = found[2].comes
    for name in ("early", "first", "everybody", "month", "events", "either", "both", "end"):
        assert any(end == name for end, _ in ends), name
    assert {outcome for _, outcome in ends} == {"", *OUTCOMES} - {CLOSES}  # nothing here ends enrolment
    seldom = [one.name for one in protocol.plan.looks].index("seldom")
    assert not came[:, seldom].any()  # an event that is never reached calls no look


def test_ties_and_tiny_trials_are_their_twins(protocol: Protocol) -> None:
    """Many patients on one day; one patient; nobody infused; a cut before most looks."""
    cases: dict[str, dict[str, Any]] = {
        "all at once": {"calendar": {"accrual": np.float32(900.0), "delay_high": np.float32(1.5)}},
        "one patient": {"size": np.int32(1)},
        "an early cut": {"calendar": {"cut": np.float32(0.5)}},
    }
    for name, changes in cases.items():
        numbers, found = trials(protocol, number=100, **changes)
        for t in range(60):
            check(protocol, numbers, t, found)
        cohort, outcome, held, *_ = found
        if name == "all at once":
            days = np.sort(np.floor(cohort.infusion_month * np.float32(DAYS)), axis=1)
            assert (np.diff(days, axis=1) == 0).mean() > 0.3
            same = [len(set(row)) < len(row) for row in held.day.tolist()]
            assert np.mean(same) > 0.2  # and looks on one day
        if name == "one patient":
            assert (outcome.enrolled == 1).all()
            nobody = outcome.infused == 0
            assert 0 < nobody.mean() < 1
            assert not held.comes[nobody][:, 0].any()
        if name == "an early cut":
            assert held.comes[:, :3].mean() < 0.9


@pytest.mark.parametrize("name", ["early", "first", "everybody", "events", "month", "either", "both"])
def test_nothing_dated_after_a_look_changes_what_it_decides(protocol: Protocol, name: str) -> None:
    place = [one.name for one in protocol.plan.looks].index(name)
    _, (_, outcome, held, values, (_, other, others, fired)) = trials(protocol, place=place, number=200)
    came = held.comes[:, place]
    assert came.sum() > 50
    day = held.day[:, place]
    differs = 0
    for k, one in enumerate(protocol.plan.looks):
        by_then = came & held.comes[:, k] & (held.day[:, k] <= day) & (not one.final)
        for what in ("day", "evaluated"):
            np.testing.assert_array_equal(getattr(held, what)[by_then, k], getattr(other, what)[by_then, k])
        asked = [rule.watched for rule in protocol.plan.rules if rule.look == k and rule.time is None]
        for what in ("counts", "sizes"):
            now, then = (getattr(whole, what)[:, k][:, asked] for whole in (held, other))
            np.testing.assert_array_equal(now[by_then], then[by_then], err_msg=f"{one.name} {what}")
            differs += int((now != then).any(axis=1).sum())
        rules = [r for r, rule in enumerate(protocol.plan.rules) if rule.look == k]
        for r in rules:
            if r in values:
                np.testing.assert_array_equal(values[r][by_then], others[r][by_then], err_msg=one.name)
    # What came later was different indeed, so that this could have failed.
    assert differs > 20
    stopped = outcome.decision.end == place
    plain = [r for r, rule in enumerate(protocol.plan.rules) if rule.look == place and not rule.test]
    np.testing.assert_array_equal(fired[stopped][:, plain], outcome.decision.fired[stopped][:, plain])
