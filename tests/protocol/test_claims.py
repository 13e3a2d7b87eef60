"""Success claimed at looks: by forecasts too, voided by harm, and left to the final test where enrolment ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom, binom

import vtrial
from vtrial import scenario
from vtrial._support.errors import InputError
from vtrial.characteristics import plausibility, stopping
from vtrial.characteristics.exact.size import size_of
from vtrial.characteristics.table import exact_by_world
from vtrial.engine import run as engine
from vtrial.engine.run import simulate
from vtrial.evidence import Evidence
from vtrial.model.parameters import DAYS
from vtrial.model.posterior import Posterior
from vtrial.model.vocabulary import CLOSES, OUTCOMES
from vtrial.protocol.build import Protocol, prepare
from vtrial.report.charts import trial_log
from vtrial.report.tables.after_stopping import story_texts
from vtrial.scenario import Cell
from vtrial.scenario.rules import described_names
from vtrial.trial import run as trial

COUNT = {"name": "t", "endpoint": "orr", "null": 0.1, "method": "count", "count": 6}
LIKELY = {"kind": "predictive", "test": "t", "at_least": 0.9, "then": "success"}


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior) -> Callable[..., Protocol]:
    def make(truth: dict[str, Any], **raw: Any) -> Protocol:
        whole = {"world": {"truth": truth}, "simulation": {"endpoints": ["orr"]}} | raw
        return prepare(scenario.from_dict(whole).cells[0], evidence, posterior, where="test")

    return make


def exactly(p: Protocol) -> dict[str, float]:
    return {name: float(value[0]) for name, value in exact_by_world(p, 1)[1].items()}


def agrees(p: Protocol, trials: int = 4000) -> dict[str, float]:
    """The exact metrics, each held against the simulation (z at most 5)."""
    outcome = simulate(p.plan, p.numbers, p.worlds, seed=5, trials=trials)
    found = exactly(p)
    simulated = {f"{name}.reject": rejected for name, rejected in outcome.rejected.items()}
    simulated |= dict(stopping.stops(p, outcome))
    simulated["success"] = stopping.success(p, outcome)
    for name, happened in simulated.items():
        spread = max(found[name] * (1.0 - found[name]) / trials, 1e-9) ** 0.5
        assert abs(float(happened.mean()) - found[name]) <= 5.0 * spread + 1e-9, name
    return found


@pytest.mark.parametrize(("truth", "shown", "stops"), [(0.6, 0.9999, 0.9907), (0.1, 0.0371, None)])
def test_success_by_forecast_is_success_shown(protocol, truth: float, shown: float, stops: float | None) -> None:
    """15 of 25 looked at, 6 of 25 needed: summed by hand."""
    p = protocol(
        {"orr": truth},
        cohort={"infused": 25},
        test=[COUNT],
        look=[{"name": "c", "when": {"infused": 15}, "rule": [LIKELY]}],
    )
    found = agrees(p)
    x = np.arange(16)
    fires = betabinom.sf(6 - x - 1, 10, 1 + x, 1 + 15 - x) >= 0.9
    early = float(binom.pmf(x, 15, truth) @ fires)
    late = float((binom.pmf(x, 15, truth) * ~fires) @ binom.sf(6 - x - 1, 10, truth))
    assert found["t.reject"] == pytest.approx(early + late, abs=1e-7)
    assert found["stop.success"] == pytest.approx(early, abs=1e-7)
    assert found["success"] == pytest.approx(early + late, abs=1e-7)
    assert found["familywise.error"] == pytest.approx(early + late if truth == 0.1 else 0.0, abs=1e-7)
    assert round(found["t.reject"], 4) == shown
    assert stops is None or round(found["stop.success"], 4) == stops


def test_certain_success_is_the_single_stage_curtailed(protocol) -> None:
    """Looked at after every patient: stops for success once 6 of 25 are there, and shows what the single stage shows
    (negative binomial)."""
    for truth, shown in ((0.1, 0.0334), (0.3, 0.8065)):
        found = exactly(
            protocol(
                {"orr": truth},
                cohort={"infused": 25},
                test=[COUNT],
                look=[
                    {
                        "name": "c",
                        "when": {"infused": {"from": 1, "to": 24}},
                        "rule": [LIKELY | {"at_least": 1.0}],
                    }
                ],
            )
        )
        assert found["t.reject"] == pytest.approx(float(binom.sf(5, 25, truth)), abs=1e-7)
        assert round(found["t.reject"], 4) == shown
        assert found["stop.success"] == pytest.approx(float(binom.sf(5, 24, truth)), abs=1e-7)


def test_forecasts_both_ways_agree_with_phase1b(protocol) -> None:
    """Lee and Liu's rule at 10, 20, 30 of 40 patients (phase1b boundsPredprob, summed exactly)."""
    test = {"name": "t", "endpoint": "orr", "null": 0.2, "method": "posterior", "prior": [1, 1], "probability": 0.8}
    rules = [
        {"kind": "predictive", "test": "t", "at_most": 0.1, "then": "futility"},
        {"kind": "predictive", "test": "t", "at_least": 0.9, "then": "success", "tests": ["t"]},
    ]
    for truth, claimed, patients in ((0.2, 0.30834462, 27.125379), (0.3, 0.8058694, 23.460663)):
        found = exactly(
            protocol(
                {"orr": truth},
                cohort={"infused": 40},
                test=[test],
                look=[{"name": "l", "when": {"infused": [10, 20, 30]}, "rule": rules}],
            )
        )
        assert found["t.reject"] == pytest.approx(claimed, abs=1e-6)
        assert found["success"] == pytest.approx(claimed, abs=1e-6)
        assert found["n.evaluated"] == pytest.approx(patients, abs=1e-5)


def test_a_success_that_names_no_test_is_held_by_success(protocol) -> None:
    p = protocol(
        {"orr": 0.3},
        cohort={"infused": 25},
        test=[COUNT],
        look=[
            {
                "name": "c",
                "when": {"infused": 15},
                "rule": [{"kind": "count", "endpoint": "orr", "at_least": 5, "then": "success"}],
            }
        ],
    )
    found = agrees(p)
    x = np.arange(5)
    late = float(binom.pmf(x, 15, 0.3) @ binom.sf(6 - x - 1, 10, 0.3))
    assert found["t.reject"] == pytest.approx(late, abs=1e-7)
    assert found["success"] == pytest.approx(late + float(binom.sf(4, 15, 0.3)), abs=1e-7)


def test_success_of_several_tests_is_that_all_are_shown(protocol) -> None:
    tests = [
        {"name": "orr", "endpoint": "orr", "null": 0.5},
        {"name": "cr", "endpoint": "cr", "null": 0.1, "after": "orr"},
    ]
    simulation = {"endpoints": ["orr", "cr"]}
    how: dict[str, Any] = {"cohort": {"infused": 60}, "test": tests, "simulation": simulation}
    found = exactly(protocol({"orr": 0.65, "cr": 0.2}, **how))
    assert found["success"] == found["orr.reject"] > found["cr.reject"]
    found = exactly(protocol({"orr": 0.65, "cr": 0.2}, success=["orr", "cr"], **how))
    assert found["success"] == found["cr.reject"]


FEW = {"kind": "count", "endpoint": "orr", "at_most": 2, "then": "futility"}
EXACT = {"name": "t", "endpoint": "orr", "null": 0.2, "alpha": 0.05}


@pytest.mark.parametrize("truth", [0.2, 0.35])
def test_where_enrolment_ends_the_test_is_that_of_those_enrolled(protocol, truth: float) -> None:
    """Outside the calendar nobody is pending, so that a forecast of those enrolled is the test of them."""
    p = protocol(
        {"orr": truth},
        cohort={"infused": 40},
        test=[EXACT],
        look=[
            {
                "name": "l",
                "when": {"infused": [15, 25]},
                "rule": [
                    FEW,
                    {"kind": "predictive", "test": "t", "at_least": 0.9, "then": "stop-enrolment"},
                    {"kind": "count", "name": "close", "endpoint": "orr", "at_least": 6, "then": "stop-enrolment"},
                ],
            }
        ],
    )
    found = agrees(p)
    critical = {n: next(c for c in range(n + 2) if binom.sf(c - 1, n, 0.2) <= 0.05) for n in (15, 25, 40)}
    going, shown, closed, before = {0: 1.0}, 0.0, 0.0, 0
    for n in (15, 25, 40):
        new: dict[int, float] = {}
        for x, p_x in going.items():
            for more in range(n - before + 1):
                new[x + more] = new.get(x + more, 0.0) + p_x * float(binom.pmf(more, n - before, truth))
        going, before = {}, n
        for x, p_x in new.items():
            if n < 40 and x <= 2:
                continue
            if n == 40 or x >= min(6, critical[n]):
                shown += p_x * (x >= critical[n])
                closed += p_x * (n < 40)
            else:
                going[x] = p_x
    assert critical[15] == 7  # so that 6 of 15 end enrolment and show nothing
    assert found["t.reject"] == pytest.approx(shown, abs=1e-7)
    assert found["success"] == pytest.approx(shown, abs=1e-7)
    assert found["stop.stop-enrolment"] == pytest.approx(closed, abs=1e-7)


def test_in_the_calendar_enrolment_ends_and_those_enrolled_are_followed(protocol) -> None:
    """One look at 20 with 3 months: who is enrolled by then is infused, followed and tested by their own number; the
    forecast counts on all of them."""
    p = protocol(
        {"orr": 0.45},
        cohort={"infused": 60, "attrition": 0.0},
        calendar={"accrual_per_month": 6, "data_cut": {"months_after_last_infusion": 6}},
        test=[EXACT | {"null": 0.3}],
        look=[
            {
                "name": "l",
                "when": {"infused": 20, "follow_up_months": 3},
                "rule": [{"kind": "predictive", "test": "t", "endpoint": "orr@3", "at_least": 0.8, "then": CLOSES}],
            }
        ],
    )
    outcome, held, _ = simulate(p.plan, p.numbers, p.worlds, seed=3, trials=400, look=trial.story)
    closed = outcome.decision.outcome == 1 + OUTCOMES.index(CLOSES)
    assert 20 < closed.sum() < 380
    np.testing.assert_array_equal(outcome.enrolled[closed], held.enrolled[closed, 0])
    np.testing.assert_array_equal(outcome.infused, outcome.enrolled)
    np.testing.assert_array_equal(outcome.evaluated[closed], outcome.infused[closed])
    assert (outcome.infused[~closed] == 60).all()
    assert outcome.infused[closed].min() > 20
    assert len(set(outcome.infused[closed])) > 5
    rejects = outcome.counts["orr"] >= np.asarray(p.numbers.bounds["t"])[outcome.infused]
    np.testing.assert_array_equal(outcome.rejected["t"], rejects)
    x, total = held.counts[:, 0, 0], np.minimum(held.enrolled[:, 0], 60)
    for one in range(100):
        n, x1 = int(total[one]), int(x[one])
        needed = next(c for c in range(n + 2) if binom.sf(c - 1, n, 0.3) <= 0.05)
        ahead = float(betabinom.sf(needed - x1 - 1, n - 20, 1 + x1, 1 + 20 - x1))
        assert closed[one] == (ahead >= 0.8)
    # Six months after the last of those enrolled, not of all that were planned.
    first = int(np.flatnonzero(closed)[0])
    enrolled = engine.cohort(p.plan, p.numbers, p.worlds, seed=3, trial=first)
    last = np.floor(enrolled.infusion_month[enrolled.infused] * DAYS).max() + np.floor(6 * DAYS)
    assert outcome.months[first] == pytest.approx(last / DAYS, abs=1e-5)
    assert np.median(outcome.months[closed]) < np.median(outcome.months[~closed]) - 1.0
    months = held.day[closed, 0] / DAYS
    assert (outcome.months[closed] > months + 2.9).all()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "tests that nothing can have claimed": (
        {"rule": [{"kind": "count", "endpoint": "orr", "at_least": 9, "then": "success", "tests": ["t"]}]},
        "[[look]] 'l' rule 'count': tests names 't', which no rule can have claimed by this look",
    ),
    "a claim before its gatekeeper": (
        {"rule": [{"kind": "predictive", "test": "late", "at_least": 0.9, "then": "success"}]},
        "[[look]] 'l' rule 'predictive': test 'late' waits for 't', which no rule can have claimed by this look",
    ),
    "enrolment ends before a fixed count": (
        {"test": [COUNT], "rule": [FEW | {"then": "stop-enrolment"}]},
        "test 't' is by a fixed count, and the final analysis may have fewer patients",
    ),
    "enrolment ends before alpha is spent": (
        {
            "test": [EXACT | {"spending": "pocock"}],
            "rule": [{"kind": "spending", "test": "t", "then": "success"}, FEW | {"then": "stop-enrolment"}],
        },
        "the alpha of test 't' is spent over looks for the planned number",
    ),
    "enrolment ends and nothing is tested": (
        {"test": [], "rule": [FEW | {"then": "stop-enrolment"}]},
        'then = "stop-enrolment" leaves the decision to the final test, and there is no [[test]]',
    ),
    "a forecast of those enrolled that claims": (
        {"rule": [{"kind": "predictive", "test": "t", "at_least": 0.9, "then": "success", "forecast": "enrolled"}]},
        'forecast = "enrolled" goes with then = "stop-enrolment", not forecast = "enrolled" with then = "success"',
    ),
    "a success of no test": (
        {"success": ["u"], "rule": [FEW]},
        "success: there is no test 'u'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_could_never_act_is_refused_in_one_line(name: str) -> None:
    changes, said = BAD[name]
    rules = {"name": "l", "when": {"infused": 15}, "rule": changes["rule"]}
    tests = [EXACT, {"name": "late", "endpoint": "cr", "null": 0.1, "after": "t"}]
    raw = {"cohort": {"infused": 40}, "test": tests, "look": [rules]} | {
        k: v for k, v in changes.items() if k != "rule"
    }
    with pytest.raises(InputError) as problem:
        scenario.from_dict(raw)
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


UNREACHABLE: dict[str, dict[str, Any]] = {
    "at one of its looks": {
        "when": {"infused": [3, 20]},
        "rule": [{"kind": "count", "endpoint": "orr", "at_least": 6, "then": "success"}],
    },
    "at all of its looks": {
        "when": {"infused": [5, 8]},
        "rule": [
            {"kind": "posterior", "endpoint": "orr", "below": 0.2, "probability_at_least": 0.99, "then": "futility"},
            {"kind": "predictive", "test": "t", "at_most": 0.0, "then": "futility"},
            {"kind": "posterior", "endpoint": "orr", "above": 0.9, "probability_at_least": 0.99, "then": "success"},
        ],
    },
}


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_rule_that_cannot_fire_is_an_ordinary_state(name: str, posterior: Posterior, tmp_path: Path) -> None:
    """In the answer, the story and its chart, the report and the whole folder."""
    result = vtrial.run(
        {
            "world": {"truth": {"orr": 0.3}},
            "cohort": {"infused": 25},
            "test": [EXACT],
            "look": [{"name": "c", **UNREACHABLE[name]}],
            "simulation": {"trials": 40, "endpoints": ["orr"]},
        }
    )
    table = result.story(0)
    never = table[table["held"] & table["bound"].isna() & (table["look"] != "end")]
    assert not never.empty
    assert never["words"].str.contains("cannot fire at this look").all()
    assert not never["fires"].any()
    seen = story_texts(table)["seen"]
    assert seen.str.contains("cannot fire at this look").sum() == len(never)
    assert trial_log.story(table, 0).to_dict()
    result.save(tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").exists()
    assert "cannot fire at this look" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_size_over_looks_of_a_claim_by_forecast_is_said(protocol) -> None:
    p = protocol(
        {"orr": 0.1},
        cohort={"infused": 25},
        test=[COUNT],
        look=[{"name": "c", "when": {"infused": 15}, "rule": [LIKELY]}],
    )
    known = size_of(p, p.tests[0])
    assert known is not None
    assert (known.size, known.alone) == pytest.approx((0.0371, 0.0334), abs=5e-5)
    [said] = plausibility.warnings([p], [Cell(0, {}, p.design)])
    assert "the exact size of this count test at its null (10%) over its looks and the end is 0.0371" in said
    assert said.endswith("its final analysis alone 0.0334")


def test_rules_of_one_kind_are_told_apart_by_what_they_do() -> None:
    def rule(then: str, endpoint: str = "orr", **more: Any) -> dict[str, Any]:
        return {"kind": "count", "endpoint": endpoint, "then": then, **more}

    def names(*rules: dict[str, Any]) -> list[str]:
        return described_names(rules)

    few, many = rule("futility", at_most=2), rule("success", at_least=9)
    assert names(few) == ["count"]
    assert names(few, many) == ["count-futility", "count-success"]
    assert names(few, many | {"name": "many"}) == ["count", "many"]
    assert names(few, many, rule("harm", "crs3", at_least=4), rule("harm", "neurotoxicity3", at_least=4)) == [
        "count-futility", "count-success", "count-harm-crs3", "count-harm-neurotoxicity3",
    ]  # fmt: skip
    assert names(rule("harm", "orr@3", at_least=4), rule("harm", "orr@3", at_least=5)) == [
        "count-harm-orr-3-1", "count-harm-orr-3-2",
    ]  # fmt: skip
    raw = {
        "cohort": {"infused": 40},
        "test": [EXACT],
        "look": [{"name": "l", "when": {"infused": 15}, "rule": [few, many]}],
        "sweep": {"look.l.rule.count-futility.at_most": [1, 2], "look.l.rule.count-futility.then": ["harm"]},
    }
    asked = scenario.from_dict(raw)
    assert asked.design.look[0].names == ["count-futility", "count-success"]
    [first, second] = [cell.design.look[0].rule for cell in asked.cells]
    assert (first[0].at_most, second[0].at_most, first[0].then) == (1, 2, "harm")  # type: ignore[union-attr]
    with pytest.raises(
        InputError, match=r"names no rule \(known: look\.l\.rule\.count-futility, look\.l\.rule\.count-s"
    ):
        scenario.from_dict(raw | {"sweep": {"look.l.rule.count.at_most": [1]}})


def test_decide_claims_by_forecast_and_tests_those_enrolled() -> None:
    forecast = {"cohort": {"infused": 25}, "test": [COUNT]}
    forecast |= {"look": [{"name": "c", "when": {"infused": 15}, "rule": [LIKELY]}]}
    for count, claimed in ((4, False), (5, True)):
        found = vtrial.decide(forecast, {"look": [{"name": "c", "infused": 15, "counts": {"orr": count}}]})
        assert (found.outcome, found.rejected["t"]) == ("success" if claimed else "", claimed)
    closing: dict[str, Any] = {"kind": "predictive", "test": "t", "endpoint": "orr@3", "at_least": 0.9, "then": CLOSES}
    design = {
        "cohort": {"infused": 60, "attrition": 0.0},
        "calendar": {"accrual_per_month": 6},
        "test": [EXACT | {"null": 0.3}],
        "look": [{"name": "l", "when": {"infused": 20, "follow_up_months": 3}, "rule": [closing]}],
    }
    look = {"name": "l", "infused": 20, "enrolled": 50, "counts": {"orr@3": 12}}
    for count, claimed in ((20, False), (21, True)):  # P(21 or more of 50 at 30%) is at most 5%
        end = {"name": "end", "infused": 50, "enrolled": 50, "counts": {"orr": count}}
        found = vtrial.decide(design, {"look": [look, end]})
        assert (found.outcome, found.rejected["t"]) == (CLOSES, claimed)
        assert "does not count" not in found.sentence
    without = {key: value for key, value in look.items() if key != "enrolled"}
    with pytest.raises(InputError, match="enrolled is missing, which rule 'predictive' needs"):
        vtrial.decide(design, {"look": [without]})
