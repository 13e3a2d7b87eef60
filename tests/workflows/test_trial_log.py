"""One trial's story says what the run said, look by look, and marks what was never held."""

import subprocess
import sys

import pytest

import vtrial
from vtrial._support.errors import InputError
from vtrial.model.vocabulary import OUTCOMES
from vtrial.workflows.result import Result
from vtrial.workflows.trial_log import in_words, told

SIMON = {
    "world": {"truth": {"orr": 0.6, "cr": 0.42}},
    "cohort": {"infused": 43},
    "test": [
        {"name": "orr", "endpoint": "orr", "null": 0.5, "method": "count", "count": 27},
        {"name": "cr", "endpoint": "cr", "null": 0.3, "alpha": 0.1, "after": "orr"},
    ],
    "look": [
        {
            "name": "first",
            "when": {"infused": [15, 30]},
            "rule": [
                {"name": "few", "kind": "count", "endpoint": "orr", "at_most": 8, "then": "futility"},
                {"name": "tox", "kind": "count", "endpoint": "crs3", "at_least": 4, "then": "harm"},
            ],
        }
    ],
    "simulation": {"trials": 300, "endpoints": ["orr", "cr", "crs3"]},
}


@pytest.fixture(scope="module")
def simon() -> Result:
    return vtrial.run(SIMON)


def test_a_story_is_the_trial_of_the_run(simon: Result) -> None:
    trials = simon.trials
    early = trials.index[trials["end"] == "first-15"][:2]
    late = trials.index[trials["end"] == "first-30"][:2]
    through = trials.index[trials["end"] == "end"][:3]
    assert len(early) == len(late) == 2
    for number in (*early, *late, *through):
        row, table = trials.loc[number], simon.story(int(number))
        decided = table[table["outcome"] != ""]
        assert set(decided["outcome"]) == ({row["outcome"]} if row["outcome"] else set())
        assert set(decided["look"]) == ({row["end"]} if row["end"] != "end" else set())
        for _, one in table[table["held"] & (table["look"] != "end")].iterrows():
            assert one["fires"] == row[f"fires.{one['look']}.{one['rule']}"]
            at_least = one["rule"] == "tox"
            assert one["fires"] == (one["count"] >= 4 if at_least else one["count"] <= 8)
            assert (one["bound"], one["n"]) == (4 if at_least else 8, int(one["look"].removeprefix("first-")))
        last = table[table["held"]].iloc[-1]
        assert (last["enrolled"], last["infused"], last["evaluated"]) == (
            row["n.enrolled"], row["n.infused"], row["n.evaluated"],
        )  # fmt: skip
        if row["end"] == "end":
            tests = table[table["look"] == "end"].set_index("rule")
            assert tests["fires"].to_dict() == {name: row[f"{name}.reject"] for name in ("orr", "cr")}
            assert tests["count"].to_dict() == {name: row[f"{name}.count"] for name in ("orr", "cr")}
            assert tests.at["orr", "bound"] == 27
        else:
            after = table[table["look"].isin(["end", *(["first-30"] if row["end"] == "first-15" else [])])]
            assert not after["held"].any()


def test_a_test_that_waits_says_so(simon: Result) -> None:
    trials = simon.trials
    waits = trials.index[(trials["end"] == "end") & ~trials["orr.reject"] & (trials["cr.count"] >= 20)]
    assert len(waits)
    row = simon.story(int(waits[0])).set_index("rule").loc["cr"]
    assert not row["fires"]
    assert row["words"].endswith("waits for 'orr'")


def test_the_sentence(simon: Result) -> None:
    trials = simon.trials
    stopped = int(trials.index[(trials["end"] == "first-15") & (trials["outcome"] == "futility")][0])
    table = simon.story(stopped)
    count = int(table.iloc[0]["count"])
    assert in_words(table, stopped).startswith(f"Trial {stopped} stopped at 'first-15' after ")
    assert f"for futility: 'few' counted {count} of 15 with orr, fires up to 8" in in_words(table, stopped)
    through = int(trials.index[trials["orr.reject"] & ~trials["cr.reject"]][0])
    said = in_words(simon.story(through), through)
    assert said.startswith(f"No look stopped trial {through}, which ended after ")
    assert said.endswith("43 patients analysed: 'orr' rejects, 'cr' does not reject")


def test_a_story_needs_a_look_and_a_trial_that_is_there(simon: Result) -> None:
    assert set(simon.story()["then"]) <= {*OUTCOMES, "rejects"}
    with pytest.raises(InputError, match="trial -1 is not there"):
        simon.story(-1)
    with pytest.raises(InputError, match="cell 1 is not there"):
        simon.plot_story(cell=1)
    with pytest.raises(InputError, match=r"no \[\[look\]\]"):
        vtrial.run({"cohort": {"enrolled": 20}, "simulation": {"trials": 5, "endpoints": ["orr"]}}).story()
    with pytest.raises(InputError, match=r"scenarios/karmma.toml: there is no \[\[look\]\]"):
        told("karmma")


def test_in_the_calendar_a_story_has_months_and_those_who_wait() -> None:
    result = vtrial.run("hierarchical-with-interim", trials=2000)
    stopped = result.trials[result.trials["end"] == "interim"]
    assert len(stopped)
    number = int(stopped.index[0])
    row, table = stopped.loc[number], told("hierarchical-with-interim", trial=number)
    look = table.iloc[0]
    assert look["month"] == pytest.approx(row["duration"])
    assert (look["count"] <= 32, look["n"], look["bound"]) == (True, 64, 32)
    assert look["infused"] == row["n.infused"] >= 64
    assert f"in month {row['duration']:.1f} for futility" in in_words(table, number)
    assert table.iloc[1:]["count"].isna().all()


def test_the_command() -> None:
    command = [sys.executable, "-m", "vtrial.cli", "story", "simon-two-stage", "--trial", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{in_words(told('simon-two-stage', trial=2), 2)}.")
    assert "first-stage" in done.stdout
    bad = subprocess.run([*command[:-1], "2", "--cell", "9"], capture_output=True, text=True)
    assert bad.returncode == 2
    assert "cell 9 is not there (0 to 1)" in bad.stderr
