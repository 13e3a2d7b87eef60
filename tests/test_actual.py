"""Decisions on actual numbers: the same tables and rules as the simulation, and refusals in one line."""

import numpy as np
import pytest

import vtrial
from vtrial import actual, engine, scenario
from vtrial.cli import main
from vtrial.errors import InputError
from vtrial.evidence import Evidence
from vtrial.posterior import Posterior
from vtrial.protocol import prepare

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


def test_a_rejection_at_a_look_lasts_and_what_comes_after_a_stop_does_not_count() -> None:
    looks = [{"name": "half", "infused": 64, "counts": {"orr": 44}}, {"infused": 128, "counts": {"orr": 60}}]
    verdict = vtrial.decide("group-sequential-orr", {"look": looks})
    assert verdict.outcome == "success"
    assert verdict.rejected == {"orr": True}
    assert "does not count" in verdict.sentence
    looks[0]["counts"] = {"orr": 43}
    assert vtrial.decide("group-sequential-orr", {"look": looks}).rejected == {"orr": False}


def test_other_numbers_of_patients_than_planned_have_bounds() -> None:
    # z >= 2.9626: of 62 from 42.66 on, of 66 from 45.03 on
    for n, bound in ((62, 43), (66, 46)):
        seen = {"look": {"name": "half", "infused": n, "counts": {"orr": bound}}}
        assert vtrial.decide("group-sequential-orr", seen).outcome == "success"
        seen["look"]["counts"] = {"orr": bound - 1}
        assert vtrial.decide("group-sequential-orr", seen).outcome == ""


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
                    {"kind": "spending", "test": "orr", "then": "success", "tests": ["orr", "cr"]},
                    {"name": "few", "kind": "count", "endpoint": "orr", "at_most": 9, "then": "futility"},
                    {"name": "toxic", "kind": "posterior", "endpoint": "crs3", "above": 0.1,
                     "probability_at_least": 0.8, "then": "harm"},
                ],
            }
        ],
    }  # fmt: skip
    read = scenario.from_dict(raw)
    p = prepare(read.cells[0], evidence, posterior, where="test")
    from vtrial import trial

    outcome, held, _ = engine.each(trial.story, p.plan, p.numbers, p.worlds, seed=1, count=60)
    ends = set()
    for t in range(60):
        counts = {w.name: int(held.counts[t, 0, k]) for k, w in enumerate(p.plan.watched)}
        looks = [{"name": "half", "infused": 20, "counts": counts}]
        stopped = outcome.decision.end[t] == 0
        if not stopped:
            looks.append({"infused": 40, "counts": {e: int(outcome.counts[e][t]) for e in ("orr", "cr")}})
        verdict = actual.decide(read, {"look": looks})
        assert verdict.rejected == {name: bool(outcome.rejected[name][t]) for name in ("orr", "cr")}
        assert (verdict.outcome != "") == stopped
        ends.add(verdict.outcome)
    assert ends == {"", "futility", "harm"}


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
    "not a number": ({"infused": "x", "counts": {}}, "infused = 'x'"),
    "no such look": ({"name": "interm", "infused": 5, "counts": {}}, "no such look"),
    "no such endpoint": ({"infused": 5, "counts": {"or": 1}}, "there is no endpoint 'or'"),
    "a count is missing": ({"infused": 128, "counts": {"orr": 90}}, "counts has no 'cr'"),
    "unknown key": ({"infused": 128, "count": {"orr": 90}}, "has no key 'count'; did you mean 'counts'?"),
    "fewer enrolled": ({"infused": 128, "enrolled": 12, "counts": {}}, "fewer than infused"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_numbers_are_refused_in_one_line(name: str) -> None:
    seen, words = BAD[name]
    with pytest.raises(InputError) as caught:
        vtrial.decide("karmma", {"look": [seen]})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_look_given_twice_or_after_the_end_is_refused() -> None:
    half = {"name": "half", "infused": 64, "counts": {"orr": 40}}
    with pytest.raises(InputError, match="there twice"):
        vtrial.decide("group-sequential-orr", {"look": [half, half]})
    with pytest.raises(InputError, match="comes after 'end'"):
        vtrial.decide("group-sequential-orr", {"look": [{"infused": 128, "counts": {"orr": 1}}, half]})


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
