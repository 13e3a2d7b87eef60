"""Exact answers of designs with looks: against going through everything that can happen to a few patients, and the
probabilities of one patient against closed forms and against the simulation."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from tests.trial.test_looks import shows_of
from tests.twins import looks as twin_looks
from vtrial import scenario
from vtrial.characteristics.exact import documented, fixed, joint, sequential
from vtrial.characteristics.exact.joint import NoExactPath, Part, part_of
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.endpoints import watched
from vtrial.model.parameters import DAYS, Rate
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol, prepare

Classes = dict[frozenset[str], float]  # what one patient can be: endpoints that they have, and how likely


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior) -> Callable[..., Protocol]:
    def make(**raw: Any) -> Protocol:
        raw = {"world": {"truth": "posterior-mean"}, "simulation": {"endpoints": ["orr"]}} | raw
        return prepare(scenario.from_dict(raw).cells[0], evidence, posterior, where="test")

    return make


def classes(**chances: float) -> Classes:
    """Written as `orr_cr=0.2`; `orr3` is orr@3, `none` nothing at all."""
    names = {frozenset(n.replace("3", "@3") for n in key.split("_") if n != "none"): p for key, p in chances.items()}
    assert abs(sum(names.values()) - 1.0) < 1e-12
    return names


class MadeUp:
    """One patient with made-up probabilities, in place of `vtrial.characteristics.exact.joint.Patient`; two worlds."""

    def __init__(self, one: Classes, other: Classes) -> None:
        self.worlds = one, other

    def __call__(self, protocol: Protocol, worlds: Any) -> "MadeUp":
        return self

    def probability(self, *parts: Part) -> np.ndarray:
        def inside(has: frozenset[str]) -> bool:
            return set(parts) <= {part_of(watched(name)) for name in has}

        return np.array([sum(p for has, p in world.items() if inside(has)) for world in self.worlds])


def by_hand(p: Protocol, one: Classes, infused: float) -> dict[str, float]:
    """Every metric by going through all that can happen to every patient."""
    found: dict[str, float] = defaultdict(float)
    size, sections = p.size, p.looks.sections
    true = {t.name: bool(fixed.null_is_true(p, t, p.worlds)[0]) for t in p.plan.tests}
    patients: list[tuple[frozenset[str] | None, float]] = [(has, chance * infused) for has, chance in one.items()]
    if infused < 1.0:
        patients.append((None, 1.0 - infused))
    for fates in itertools.product(patients, repeat=size):
        chance = math.prod(p for _, p in fates)
        treated = [(place, has) for place, (has, _) in enumerate(fates) if has is not None]
        counts: dict[tuple[str, str], tuple[int, int]] = {}

        def add(look: str, names: set[str], n: int) -> None:
            for name in names:
                counts[look, name] = (sum(name in has for _, has in treated[:n]), n)  # noqa: B023

        watching = {asked.name for asked in p.plan.watched}
        held = []
        for section in sections:
            n = len(treated) if section.when.final else section.when.infused
            add(section.name, watching, n)
            if not section.when.final and n <= len(treated):
                held.append((n, section))
        add("end", {t.endpoint for t in p.plan.tests}, len(treated))
        shows = shows_of(p, counts)
        ending = twin_looks.decide(p.design, held, shows, shows)
        last = len(treated) if ending.end == "end" else next(n for n, s in held if s.name == ending.end)
        found["n.evaluated"] += chance * last
        found["n.enrolled"] += chance * (size if ending.end == "end" else treated[last - 1][0] + 1)
        for name in ending.rejected:
            found[f"{name}.reject"] += chance
        if any(true[name] for name in ending.rejected):
            found["familywise.error"] += chance
        if ending.outcome:
            found[f"stop.{ending.outcome}"] += chance
            where = ending.end
            if where == "end":
                where = next(s.name for s in sections if s.when.final)
            found[f"stop.{where}.{ending.outcome}"] += chance
    return found


def count(endpoint: str, then: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"{endpoint.replace('@', '-by-')}-{then}",
        "kind": "count",
        "endpoint": endpoint,
        "then": then,
        **more,
    }


def look(infused: int, *rules: dict[str, Any], months: int | None = None, **more: Any) -> dict[str, Any]:
    when = {"infused": infused} | ({} if months is None else {"follow_up_months": months})
    return {"name": f"at-{infused}", "when": when, "rule": list(rules), **more}


ORR = {"name": "orr", "endpoint": "orr", "null": 0.3, "alpha": 0.3, "method": "normal"}
CR = {"name": "cr", "endpoint": "cr", "null": 0.2, "alpha": 0.4, "method": "normal"}
SHARED = [{k: v for k, v in test.items() if k != "alpha"} for test in (ORR, CR)]
GRAPH = {"alpha": 0.45, "weights": {"orr": 0.6, "cr": 0.4}, "transitions": {"orr": {"cr": 1.0}, "cr": {"orr": 0.5}}}
DEEP = classes(none=0.3, orr=0.45, orr_cr=0.25), classes(none=0.6, orr=0.1, orr_cr=0.3)
TOXIC = classes(none=0.3, orr=0.3, crs_orr=0.25, crs=0.15), classes(none=0.5, orr=0.05, crs_orr=0.4, crs=0.05)
LATER = classes(none=0.35, orr=0.25, orr_orr3=0.4), classes(none=0.2, orr=0.6, orr_orr3=0.2)
# CR does not depend on when a response was documented: 0.4 of the responders here, 0.25 there.
ALL = (
    classes(none=0.35, orr=0.15, orr_cr=0.1, orr_orr3=0.24, orr_orr3_cr=0.16),
    classes(none=0.2, orr=0.45, orr_cr=0.15, orr_orr3=0.15, orr_orr3_cr=0.05),
)

# name: the scenario; what one patient can be, in two worlds; the share of the enrolled who are infused
TINY: dict[str, tuple[dict[str, Any], tuple[Classes, Classes], float]] = {
    "two endpoints, one after the other": (
        {
            "cohort": {"infused": 6, "attrition": 0.0},
            "test": [ORR, CR | {"after": "orr"}],
            "look": [
                look(2, count("orr", "futility", at_most=0), count("cr", "harm", at_least=2)),
                look(
                    4,
                    count("cr", "success", at_least=2, test="cr", tests=["cr"]),
                    count("orr", "success", at_least=3, test="orr", tests=["orr", "cr"]),
                    count("orr", "consider", at_most=1),
                ),
            ],
        },
        DEEP,
        1.0,
    ),
    "a number infused that varies": (
        {
            "cohort": {"enrolled": 5, "attrition": 0.3},
            "test": [ORR, CR],
            "look": [look(2, count("orr", "futility", at_most=0)), look(4, count("cr", "success", at_least=2))],
        },
        DEEP,
        0.7,
    ),
    "toxicity that stops first": (
        {
            "cohort": {"infused": 6, "attrition": 0.0},
            "test": [ORR],
            "look": [
                look(2, count("crs", "harm", at_least=2), count("orr", "success", at_least=2)),
                look(3, count("crs", "harm", at_least=2)),
                look(5, count("orr", "futility", at_most=1), order=["success", "futility", "harm", "consider"]),
            ],
        },
        TOXIC,
        1.0,
    ),
    "a window: seen by then, seen later, never": (
        {
            "cohort": {"infused": 6, "attrition": 0.0},
            "test": [ORR],
            "look": [
                look(2, count("orr@3", "futility", at_most=0), months=3),
                look(4, count("orr@3", "success", at_least=3, test="orr"), months=3),
            ],
        },
        LATER,
        1.0,
    ),
    "a window with attrition": (
        {
            "cohort": {"enrolled": 5, "attrition": 0.3},
            "test": [ORR],
            "look": [look(3, count("orr@3", "futility", at_most=1), months=3)],
        },
        LATER,
        0.7,
    ),
    "a window, and then CR of responders": (
        {
            "cohort": {"infused": 5, "attrition": 0.0},
            "test": [ORR, CR | {"after": "orr"}],
            "look": [look(3, count("orr@3", "futility", at_most=1), months=3)],
        },
        ALL,
        1.0,
    ),
    "the end looks too": (
        {
            "cohort": {"infused": 6, "attrition": 0.0},
            "test": [ORR],
            "look": [
                look(3, count("cr", "futility", at_most=0)),
                {"name": "last", "when": {"final": True}, "rule": [
                    count("orr", "success", at_least=4, tests=["orr"]),
                    count("orr", "consider", at_least=3),
                    count("cr", "harm", at_most=1),
                    count("orr", "futility", at_most=2),
                ]},
            ],
        },
        DEEP,
        1.0,
    ),
    "a graph with looks": (
        {
            "cohort": {"infused": 6, "attrition": 0.0},
            "multiplicity": GRAPH,
            "test": [SHARED[0] | {"spending": "pocock"}, SHARED[1] | {"spending": "obrien-fleming"}],
            "look": [
                look(
                    n,
                    *(
                        {"name": t, "kind": "spending", "test": t, "then": "success", "tests": ["orr", "cr"]}
                        for t in ("cr", "orr")
                    ),
                )
                for n in (2, 4)
            ],
        },
        DEEP,
        1.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TINY)
def test_going_through_everything_that_can_happen(protocol, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    raw, made_up, infused = TINY[name]
    p = protocol(**raw)
    monkeypatch.setattr(sequential, "Patient", MadeUp(*made_up))
    both = type(p.worlds)(*(None if part is None else np.repeat(part, 2, axis=0) for part in _parts(p.worlds)))
    found = sequential.probabilities(p, both)
    assert found
    for world, one in enumerate(made_up):
        expected = by_hand(p, one, infused)
        assert set(expected) <= set(found) | {"n.enrolled"}
        for metric, value in found.items():
            if metric in expected or metric.startswith(("stop.", "familywise")) or metric.endswith(".reject"):
                assert value[world] == pytest.approx(expected[metric], abs=1e-12), metric
        if not p.plan.in_calendar:
            assert found["n.infused"][world] == found["n.evaluated"][world]
        assert ("n.enrolled" in found) == (not p.plan.in_calendar and infused == 1.0)
        assert sum(0 < value < 1 for value in expected.values()) >= 3


def _parts(worlds: Any) -> tuple[Any, ...]:
    return worlds.intercept, worlds.slope, worlds.survival


NOT_EXACT = {
    # CR among responders is then not what it is among all of them: those who stop differ in it.
    "toxicity, response and CR": ["crs3", 20, None, ["orr", "cr"]],
    "CR so far, response and CR": ["cr@3", 20, 3, ["orr", "cr"]],
    "VGPR so far, response and CR": ["vgpr@3", 20, 3, ["orr", "cr"]],
    "alive without progression": ["pfs@3", 20, 3, ["orr"]],
    "CR by 6 months and response by 3": ["cr@6", 20, 6, ["orr", "vgpr"]],
}


@pytest.mark.parametrize("name", NOT_EXACT)
def test_no_exact_path_is_said_by_absence(protocol, name: str) -> None:
    endpoint, n, months, tests = NOT_EXACT[name]
    p = protocol(
        cohort={"infused": 40, "attrition": 0.0},
        test=[{"name": t, "endpoint": t, "null": 0.2} for t in tests],  # type: ignore[union-attr]
        look=[look(n, count(endpoint, "harm", at_least=4), months=months)],  # type: ignore[arg-type]
    )
    assert sequential.probabilities(p, p.worlds) == {}


@pytest.mark.parametrize(
    ("calendar", "when", "more"),
    [
        ({}, {"calendar_month": 9}, {}),
        ({}, {"events": {"pfs": 12}}, {}),
        ({}, {"any": [{"calendar_month": 9}, {"infused": 20, "follow_up_months": 3}]}, {}),
        ({}, {"infused": 20, "follow_up_months": 3}, {"analyse": "all"}),
        ({"data_cut": {"month": 14}}, {"infused": 20, "follow_up_months": 3}, {}),
        ({"data_cut": {"months_after_last_infusion": 2}}, {"infused": 20, "follow_up_months": 3}, {}),
    ],
)
def test_looks_whose_day_is_not_certain_have_no_exact_path(protocol, calendar, when, more) -> None:
    p = protocol(
        cohort={"infused": 40},
        calendar=calendar,
        look=[{"name": "i", "when": when, "rule": [count("orr@3", "harm", at_most=4)], **more}],
    )
    assert sequential.probabilities(p, p.worlds) == {}


# One patient


@pytest.mark.parametrize("correlation", [-0.95, -0.4, 0.0, 0.2, 0.7, 0.95])
def test_two_levels_of_correlated_normals(correlation: float) -> None:
    p, q = np.array([0.02, 0.3, 0.5, 0.9, 0.98, 1e-6]), np.array([0.5, 0.06, 0.8, 0.85, 0.03, 0.4])
    found = joint.both_normal(p, q, correlation)
    for a, b, both in zip(p, q, found, strict=True):
        law = multivariate_normal([0, 0], [[1, correlation], [correlation, 1]])
        assert both == pytest.approx(law.cdf([norm.ppf(a), norm.ppf(b)]), abs=2e-6)
    np.testing.assert_allclose(joint.both_normal(p, np.ones(6), correlation), p, atol=1e-9)
    np.testing.assert_allclose(joint.both_normal(p, np.zeros(6), correlation), 0.0, atol=1e-9)


@pytest.fixture(scope="module")
def many(evidence: Evidence, posterior: Posterior) -> tuple[Protocol, Any]:
    """36,000 patients of a fixed world, in trials with a calendar, and what each is."""
    raw = {
        "world": {"truth": {"orr": 0.7, "cr": 0.35, "crs3": 0.2}, "correlation": {"response~crs": 0.6}},
        "cohort": {"infused": 60, "attrition": 0.0},
        "calendar": {"visit_window": 0.25, "missed_visits": 0.15, "data_cut": {"months_after_last_infusion": 9}},
        "look": [look(30, count("orr@3", "consider", at_most=3), months=3)],
        "simulation": {"endpoints": ["orr"]},
    }
    p = prepare(scenario.from_dict(raw).cells[0], evidence, posterior, where="test")
    return p, engine.each(lambda *asked: engine.trial.enrol(*asked), p.plan, p.numbers, p.worlds, seed=8, count=600)


ASKED = [
    *((name,) for name in ("orr@1", "orr@1.3", "orr@3", "vgpr@2", "cr@3", "cr@6", "cr@9", "orr", "cr", "crs3", "crs")),
    ("orr@3", "orr"),
    ("orr@2", "orr@6"),
    ("orr@3", "cr"),
    ("cr@6", "orr"),
    ("cr@3", "orr@3"),
    ("cr@3", "cr@6"),
    ("cr@2", "orr@6"),
    ("crs3", "orr"),
    ("crs3", "orr@3"),
    ("crs", "cr@6"),
]


@pytest.mark.parametrize("asked", ASKED, ids=" and ".join)
def test_what_one_patient_can_be_is_what_the_simulation_draws(many, asked: tuple[str, ...]) -> None:
    p, cohort = many
    day = {"orr": cohort.path.response_day, "vgpr": cohort.path.response_day, "cr": cohort.path.cr_day}
    level = {"orr": 1, "vgpr": 2, "cr": 3}

    def has(name: str) -> np.ndarray:
        endpoint, _, months = name.partition("@")
        if endpoint.startswith("crs"):
            return cohort.crs >= (2 if endpoint == "crs3" else 1)
        reached = cohort.response >= level[endpoint]
        return reached & (day[endpoint] <= round(float(months) * DAYS)) if months else reached

    both = np.logical_and.reduce([has(name) for name in asked])
    expected = float(joint.Patient(p, p.worlds).probability(*(part_of(watched(name)) for name in asked))[0])
    assert 0.005 < expected < 0.995
    assert abs(both.mean() - expected) < 4.5 * (expected * (1 - expected) / both.size) ** 0.5


def test_a_window_between_two_that_is_not_nested_has_no_closed_form(many) -> None:
    p, _ = many
    with pytest.raises(NoExactPath):
        joint.Patient(p, p.worlds).probability(part_of(watched("cr@6")), part_of(watched("orr@3")))
    with pytest.raises(NoExactPath):
        part_of(watched("pfs@6"))


def test_visits_without_window_and_none_missed_document_in_steps(protocol) -> None:
    """Every visit on its day: a response is documented at the first visit from its onset on, a lognormal's quantile."""
    p = protocol(
        cohort={"infused": 20},
        calendar={"visits": [1, 2, 3, 6], "visit_window": 0, "missed_visits": 0, "data_cut": {"month": 12}},
        look=[look(10, count("orr@3", "futility", at_most=3), months=3)],
    )
    survival, calendar = p.worlds.survival, p.numbers.calendar
    median, sigma = survival[0, Rate.RESPONSE_MEDIAN], np.exp(survival[0, Rate.RESPONSE_SIGMA])
    for day, visit in ((29, 0), (30, 30), (31, 30), (60, 30), (61, 61), (100, 91), (182, 91), (183, 183)):
        onset = norm.cdf((np.log(max(visit, 1e-300) / DAYS) - median) / sigma)
        assert documented.response_documented(survival, calendar, day)[0] == pytest.approx(onset, abs=1e-9), day
        both = [survival[0, r] for r in (Rate.CR_MEDIAN, Rate.CR_SIGMA)]
        complete = onset * norm.cdf((np.log(max(visit, 1e-300) / DAYS) - both[0]) / np.exp(both[1]))
        assert documented.cr_documented(survival, calendar, day)[0] == pytest.approx(complete, abs=1e-9), day


def test_a_response_is_documented_at_the_first_visit_that_is_not_missed(protocol) -> None:
    """Visits go on after the last that is listed, so none of these is the last, which alone is never missed."""
    p = protocol(
        cohort={"infused": 20},
        calendar={"visits": [1, 2, 3], "visit_window": 0, "missed_visits": 0.5, "data_cut": {"month": 12}},
        look=[look(10, count("orr@3", "futility", at_most=3), months=3)],
    )
    survival, calendar = p.worlds.survival, p.numbers.calendar
    median, sigma = survival[0, Rate.RESPONSE_MEDIAN], np.exp(survival[0, Rate.RESPONSE_SIGMA])
    by = {day: norm.cdf((np.log(day / DAYS) - median) / sigma) for day in (30, 61, 91)}
    missed = 0.5 * (by[91] - by[61]) + 0.25 * (by[61] - by[30]) + 0.125 * by[30]
    assert documented.response_documented(survival, calendar, 91)[0] == pytest.approx(by[91] - missed, abs=1e-9)
    missed = 0.5 * (by[61] - by[30]) + 0.25 * by[30]
    assert documented.response_documented(survival, calendar, 61)[0] == pytest.approx(by[61] - missed, abs=1e-9)
