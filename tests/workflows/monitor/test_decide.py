"""Decisions on actual numbers: the same tables and rules as the simulation, and refusals in one line."""

import numpy as np
import pytest

import vtrial
from vtrial import scenario
from vtrial._support.errors import InputError
from vtrial.cli.app import main
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import prepare
from vtrial.workflows.monitor import decide

KARMMA_END = {"note": "KarMMa's end result", "look": {"name": "end", "infused": 128, "counts": {"orr": 94, "cr": 42}}}


def test_karmma_showed_both() -> None:
    verdict = vtrial.decide("karmma", KARMMA_END)
    assert verdict.rejected == {"orr": True, "cr": True}
    assert list(verdict.table["bound"]) == [76, 20]
    assert "Response (PR or better) > 50% is shown; CR or better > 10% is shown" in verdict.sentence


@pytest.mark.parametrize(("orr", "cr", "shown"), [(75, 42, []), (76, 20, ["orr", "cr"]), (76, 19, ["orr"])])
def test_cr_waits_for_orr_and_bounds_are_sharp(orr: int, cr: int, shown: list[str]) -> None:
    verdict = vtrial.decide("karmma", {"look": {"infused": 128, "counts": {"orr": orr, "cr": cr}}})
    assert [name for name, yes in verdict.rejected.items() if yes] == shown


@pytest.mark.parametrize(("count", "outcome"), [(31, "futility"), (32, "futility"), (33, "")])
def test_a_look_at_its_bound(count: int, outcome: str) -> None:
    seen = {"look": {"name": "interim", "infused": 64, "counts": {"orr@3": count}}}
    verdict = vtrial.decide("hierarchical-with-interim", seen)
    assert verdict.outcome == outcome
    assert ("goes on" in verdict.sentence) == (outcome == "")
    assert not any(verdict.rejected.values())


def test_an_over_run_after_a_crossing_keeps_the_claim() -> None:
    looks = [
        {"name": "half", "infused": 64, "counts": {"orr": 44}},
        {"name": "end", "infused": 128, "counts": {"orr": 60}},
    ]
    verdict = vtrial.decide("group-sequential-orr", {"look": looks})
    assert verdict.outcome == "success"
    assert verdict.rejected == {"orr": True}
    assert "keeps its claim" in verdict.sentence
    assert "44 of 64 (68.8%) without them, 60 of 128 (46.9%) with them" in verdict.sentence
    assert list(verdict.table["fires"]) == [True, False]
    looks[0]["counts"] = {"orr": 43}
    assert vtrial.decide("group-sequential-orr", {"look": looks}).rejected == {"orr": False}


def test_a_predictive_rule_tells_its_probability() -> None:
    seen = {"look": {"name": "interim-32", "infused": 32, "counts": {"orr@3": 14}}}
    row = vtrial.decide("futility-predictive-probability", seen).table.iloc[0]
    assert row["fires"]
    assert 0.0 < row["value"] <= 0.05 == row["limit"]


def test_a_rule_on_a_time() -> None:
    def z(observed: int, expected: float) -> vtrial.Verdict:
        seen = {"pfs": {"observed": observed, "expected": expected}}
        return vtrial.decide(
            "pfs-benchmark-with-interim", {"look": {"name": "interim", "infused": 100, "log_rank": seen}}
        )

    assert z(50, 75.0).outcome == ""  # z = 2.887, and 2.963 is needed
    assert z(50, 77.0).outcome == "success"  # 3.077
    assert z(50, 77.0).rejected == {"pfs": True}


def test_trials_that_were_simulated_are_decided_alike(evidence: Evidence, posterior: Posterior) -> None:
    raw = {
        "world": {"truth": {"orr": 0.6, "cr": 0.2}},
        "cohort": {"infused": 40},
        "simulation": {"endpoints": ["orr", "cr", "crs3"], "trials": 60},
        "test": [
            {"name": "orr", "endpoint": "orr", "null": 0.5, "spending": "pocock", "alpha": 0.1},
            {"name": "cr", "endpoint": "cr", "null": 0.1, "alpha": 0.1, "after": "orr"},
        ],
        "look": [
            {
                "name": "half",
                "when": {"infused": 20},
                "rule": [
                    {"kind": "spending", "test": "orr", "then": "success"},
                    {"name": "few", "kind": "count", "endpoint": "orr", "at_most": 9, "then": "futility"},
                    {"name": "toxic", "kind": "posterior", "endpoint": "crs3", "above": 0.1,
                     "probability_at_least": 0.8, "then": "harm"},
                ],
            }
        ],
    }  # fmt: skip
    read = scenario.from_dict(raw)
    p = prepare(read.cells[0], evidence, posterior, where="test")
    from vtrial.trial import run as trial

    outcome, held, _ = engine.each(trial.story, p.plan, p.numbers, p.worlds, seed=1, count=60)
    ends = set()
    for t in range(60):
        counts = {w.name: int(held.counts[t, 0, k]) for k, w in enumerate(p.plan.watched)}
        looks = [{"name": "half", "infused": 20, "counts": counts}]
        stopped = outcome.decision.end[t] == 0
        if not stopped:
            looks.append(
                {"name": "end", "infused": 40, "counts": {e: int(outcome.counts[e][t]) for e in ("orr", "cr")}}
            )
        verdict = decide.decide(read, {"look": looks})
        assert verdict.rejected == {name: bool(outcome.rejected[name][t]) for name in ("orr", "cr")}
        assert (verdict.outcome != "") == stopped
        ends.add(verdict.outcome)
    assert ends == {"", "success", "futility", "harm"}


BAD = {
    "more with it than patients": (
        {"name": "end", "infused": 128, "counts": {"orr": 129, "cr": 1}},
        "more than the 128",
    ),
    "more complete than responses": (
        {"infused": 128, "counts": {"orr": 20, "cr": 21}},
        "21 with cr are more than the 20",
    ),
    "negative": ({"infused": 128, "counts": {"orr": -1}}, "greater than or equal to 0"),
    "no patients": ({"infused": 0, "counts": {}}, "greater than or equal to 1"),
    "more patients than a trial can have": ({"infused": 10**12, "counts": {}}, "less than or equal to 10000"),
    "patients are missing": ({"counts": {"orr": 1}}, "infused is missing"),
    "not a number": ({"infused": "x", "counts": {}}, "infused = 'x'"),
    "no such look": ({"name": "interm", "infused": 5, "counts": {}}, "no such look"),
    "no such endpoint": ({"infused": 5, "counts": {"or": 1}}, "there is no endpoint 'or'"),
    "one endpoint twice": ({"infused": 5, "counts": {"orr@3": 1, "orr@3.0": 2}}, "the same as orr@3"),
    "a count is missing": ({"infused": 128, "counts": {"orr": 90}}, "counts has no 'cr'"),
    "unknown key": ({"infused": 128, "count": {"orr": 90}}, "has no key 'count'; did you mean 'counts'?"),
    "fewer enrolled": ({"infused": 128, "enrolled": 12, "counts": {}}, "fewer than infused"),
    "evaluable at the end": ({"infused": 128, "evaluable": 120, "counts": {}}, "the final analysis is of all infused"),
    "more by an earlier month": ({"infused": 9, "counts": {"orr@3": 5, "orr@6": 4}}, "5 with orr@3 are more than"),
    "more than at full follow-up": ({"infused": 9, "counts": {"orr@3": 5, "orr": 4}}, "5 with orr@3 are more than"),
    "more still free of it later": ({"infused": 9, "counts": {"pfs@3": 4, "pfs@6": 5}}, "5 with pfs@6 are more"),
    "free of it, and dead": ({"infused": 9, "counts": {"os@6": 4, "pfs@6": 5}}, "5 with pfs@6 are more than the 4"),
    "dead or alive": ({"infused": 9, "counts": {"death@6": 4, "os@6": 6}}, "are 10 of 9 patients"),
    "unknown median": ({"infused": 9, "median": {"pfz": 4.0}}, "no key 'pfz'; did you mean 'pfs'?"),
    "unknown lower limit": ({"infused": 9, "median_low": {"ttp": 4.0}}, "no key 'ttp' (allowed: dor, pfs, os)"),
    "unknown log-rank": (
        {"infused": 9, "log_rank": {"orr": {"observed": 1, "expected": 1.0}}},
        "no key 'orr' (allowed: dor, pfs, os)",
    ),
    "limit above median": ({"infused": 9, "median": {"pfs": 4.0}, "median_low": {"pfs": 5.0}}, "above its median, 4"),
    "median beyond all time": ({"infused": 9, "median": {"pfs": 1e300}}, "at most 600 (inf: not reached)"),
    "limit not reached": ({"infused": 9, "median_low": {"pfs": np.inf}}, "give the longest follow-up"),
    "median not a number": ({"infused": 9, "median": {"pfs": np.nan}}, "median.pfs = nan"),
    "more events than patients": (
        {"infused": 9, "log_rank": {"pfs": {"observed": 10, "expected": 9.0}}},
        "10 events observed are more than the 9 patients",
    ),
    "more lasting responses than responses": (
        {"infused": 9, "counts": {"orr": 3}, "log_rank": {"dor": {"observed": 4, "expected": 9.0}}},
        "4 events observed are more than the 3 responders",
    ),
    "expected overflows": ({"infused": 9, "log_rank": {"pfs": {"observed": 1, "expected": 1e300}}}, "less than or"),
    "expected vanishes": ({"infused": 9, "log_rank": {"pfs": {"observed": 1, "expected": 1e-300}}}, "greater than or"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_numbers_are_refused_in_one_line(name: str) -> None:
    seen, words = BAD[name]
    with pytest.raises(InputError) as caught:
        vtrial.decide("karmma", {"look": [seen]})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def pfs(observed: int, expected: float) -> dict[str, object]:
    return {"log_rank": {"pfs": {"observed": observed, "expected": expected}}}


BETWEEN = {
    "fewer patients": (
        "group-sequential-orr",
        [{"name": "half", "infused": 64, "counts": {"orr": 40}}, {"name": "end", "infused": 60, "counts": {"orr": 40}}],
        "60 infused are fewer than the 64 of 'half'",
    ),
    "fewer enrolled": (
        "group-sequential-orr",
        [
            {"name": "half", "infused": 64, "enrolled": 90, "counts": {"orr": 30}},
            {"name": "end", "infused": 80, "enrolled": 85, "counts": {"orr": 40}},
        ],
        "85 enrolled are fewer than the 90",
    ),
    "fewer with it": (
        "group-sequential-orr",
        [
            {"name": "half", "infused": 64, "counts": {"orr": 40}},
            {"name": "end", "infused": 128, "counts": {"orr": 39}},
        ],
        "39 with orr are fewer than the 40 with orr of 'half'",
    ),
    "fewer with it at full follow-up": (
        "hierarchical-with-interim",
        [
            {"name": "interim", "infused": 64, "counts": {"orr@3": 40}},
            {"name": "end", "infused": 128, "counts": {"orr": 39, "cr": 1}},
        ],
        "39 with orr are fewer than the 40 with orr@3 of 'interim'",
    ),
    "more with it than new patients": (
        "group-sequential-orr",
        [{"name": "half", "infused": 64, "counts": {"orr": 30}}, {"name": "end", "infused": 70, "counts": {"orr": 37}}],
        "7 more among 6 more patients",
    ),
    "fewer events": (
        "pfs-benchmark-with-interim",
        [{"name": "interim", "infused": 100, **pfs(50, 60.0)}, {"name": "end", "infused": 128, **pfs(49, 80.0)}],
        "49 events observed are fewer than the 50",
    ),
    "less expected": (
        "pfs-benchmark-with-interim",
        [{"name": "interim", "infused": 100, **pfs(50, 60.0)}, {"name": "end", "infused": 128, **pfs(55, 59.0)}],
        "59 events expected are fewer than the 60",
    ),
    "out of order": (
        "futility-predictive-probability",
        [
            {"name": "interim-64", "infused": 64, "counts": {"orr@3": 40}},
            {"name": "interim-32", "infused": 64, "counts": {"orr@3": 40}},
        ],
        "looks out of order: 'interim-32' comes before 'interim-64'",
    ),
    "no name": ("group-sequential-orr", [{"infused": 64, "counts": {"orr": 40}}], "no name (allowed: half, end)"),
    "no name and no test": ("crs-stopping", [{"infused": 20, "counts": {"crs3": 4}}], "number 1 has no name"),
    "neither evaluable nor infused": (
        "crs-stopping",
        [{"name": "safety-20", "enrolled": 20, "counts": {"crs3": 4}}],
        "infused (or evaluable) is missing",
    ),
    "evaluable at full follow-up": (
        "group-sequential-orr",
        [{"name": "half", "evaluable": 64, "counts": {"orr": 40}}],
        "this look is at full follow-up: give infused",
    ),
    "fewer infused than evaluable": (
        "crs-stopping",
        [{"name": "safety-20", "infused": 19, "evaluable": 20, "counts": {"crs3": 4}}],
        "infused = 19 is fewer than evaluable = 20",
    ),
    "infused falls": (
        "crs-stopping",
        [
            {"name": "safety-20", "infused": 33, "evaluable": 20, "counts": {"crs3": 0}},
            {"name": "end", "infused": 30, "counts": {"crs3": 0}},
        ],
        "30 infused are fewer than the 33",
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_numbers_that_cannot_follow_are_refused_in_one_line(name: str) -> None:
    design, looks, words = BETWEEN[name]
    with pytest.raises(InputError) as caught:
        vtrial.decide(design, {"look": looks})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_looks_with_shorter_follow_up_may_be_of_more_patients() -> None:
    raw = {
        "cohort": {"infused": 60},
        "calendar": {"accrual_per_month": 5},
        "look": [
            {"name": "safety", "when": {"infused": 40, "follow_up_months": 1}, "rule": [rule("crs3", "harm", 9)]},
            {"name": "early", "when": {"infused": 30, "follow_up_months": 3}, "rule": [rule("orr@3", "success", 29)]},
        ],
    }
    safety = {"name": "safety", "infused": 40, "counts": {"crs3": 3}}
    early = {"name": "early", "evaluable": 30, "infused": 55, "counts": {"orr@3": 12, "crs3": 2}}
    said = vtrial.decide(raw, {"look": [safety, early]}).sentence
    assert "'safety' has 40 evaluable, followed for 1 month or more (infused = 40 is taken for that)" in said
    assert "'early' has 30 evaluable, followed for 3 months or more, of 55 infused" in said
    with pytest.raises(InputError, match="4 with crs3 are more than the 3"):
        vtrial.decide(raw, {"look": [safety, early | {"counts": {"orr@3": 12, "crs3": 4}}]})


def rule(endpoint: str, then: str, at_least: int) -> dict[str, object]:
    return {"kind": "count", "endpoint": endpoint, "at_least": at_least, "then": then}


def test_the_end_of_a_design_without_tests_says_something() -> None:
    looks = [{"name": "safety-20", "infused": 20, "counts": {"crs3": 1}}, {"name": "end", "infused": 30}]
    assert "No look stops the trial" in vtrial.decide("crs-stopping", {"look": looks}).sentence
    with pytest.raises(InputError, match="neither looks nor tests"):
        vtrial.decide({"cohort": {"infused": 30}}, {"look": {"infused": 30}})


def test_a_look_given_twice_or_after_the_end_is_refused() -> None:
    half = {"name": "half", "infused": 64, "counts": {"orr": 40}}
    with pytest.raises(InputError, match="there twice"):
        vtrial.decide("group-sequential-orr", {"look": [half, half]})
    with pytest.raises(InputError, match="comes after 'end'"):
        vtrial.decide("group-sequential-orr", {"look": [{"name": "end", "infused": 128, "counts": {"orr": 40}}, half]})


def test_at_the_command_line(tmp_path, capsys, monkeypatch) -> None:
    file = tmp_path / "counts.toml"
    file.write_text('[[look]]\nname = "end"\ninfused = 128\ncounts = { orr = 94, cr = 42 }\n', encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["vtrial", "decide", "karmma", "--data", str(file)])
    main()
    assert "94 of 128" in capsys.readouterr().out
    file.write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert np.char.count(capsys.readouterr().err.strip(), "\n") <= 1
