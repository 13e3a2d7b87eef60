"""The alarm: a number that moves is seen, here, in every table that a user reads.

pytest tests/snapshots                        compare
pytest tests/snapshots --update-snapshots     keep what today's code gives; the diff is what a reviewer reads
"""

import json
from collections.abc import Iterator

import jax
import numpy as np
import pandas as pd
import pytest

import vtrial
from tests.snapshots import cases, comparing, keeping
from tests.snapshots.comparing import Mode
from tests.snapshots.fingerprint import fingerprint

# Cheap, with a look, a final test, and counts at their bounds in many trials.
PLANTED = "group-sequential-orr"


@pytest.fixture(scope="module")
def mode(pytestconfig: pytest.Config) -> Mode:
    """How kept numbers are compared here; the first line of the run says it."""
    if pytestconfig.getoption("update_snapshots"):
        keeping.KEPT.mkdir(exist_ok=True)
        keeping.FINGERPRINT.write_text(json.dumps(fingerprint(), indent=2) + "\n", encoding="utf-8")
    return comparing.mode_of(keeping.kept_fingerprint(), fingerprint())


@pytest.mark.parametrize("case", cases.CASES)
def test_nothing_moved(case: str, mode: Mode, pytestconfig: pytest.Config) -> None:
    make, name = cases.CASES[case]
    parts = make(name)
    if pytestconfig.getoption("update_snapshots"):
        keeping.keep(parts)
    differing = keeping.differing(parts, mode)
    assert not differing, comparing.message(case, mode, differing)


def test_nothing_is_kept_that_nobody_makes() -> None:
    ends = (".csv", ".txt", ".trials.csv", ".trials.npz")
    made = {f"scenarios/{name}{end}" for name in cases.SCENARIOS for end in ends}
    made |= {f"scenarios/{n}.differences.csv" for n in cases.SCENARIOS if vtrial.load_scenario(n).swept}
    made |= {"replicate/karmma.csv", "replicate/karmma.txt"}
    by_folder = {
        "reports": cases.REPORTS,
        "solve": cases.SOLVED,
        "decide": cases.DECIDED,
        "calculators": cases.CALCULATED,
    }
    made |= {f"{folder}/{name}.txt" for folder, names in by_folder.items() for name in names}
    assert keeping.files() == made


# --- the alarm rings


@pytest.fixture
def anew() -> Iterator[None]:
    """Programs compiled with a planted fault are forgotten, and so are those without it before."""
    jax.clear_caches()
    cases.ran.cache_clear()
    yield
    jax.clear_caches()
    cases.ran.cache_clear()


def _one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from vtrial.protocol import build

    real = build.bounds
    monkeypatch.setattr(build, "bounds", lambda *given: real(*given) + 1)


def _more_than(monkeypatch: pytest.MonkeyPatch) -> None:
    """The final test rejects above its bound, not from it on."""
    from vtrial.trial import interim

    def finally_shown(tests, bounds, counts, sizes, _):
        return {t.name: counts[t.endpoint] > bounds[t.name][..., sizes[t.population]] for t in tests}

    monkeypatch.setattr(interim, "finally_shown", finally_shown)


@pytest.mark.parametrize("compared", ["bit for bit", "another machine"])
@pytest.mark.parametrize("plant", [_one_too_many, _more_than])
def test_a_planted_fault_is_seen(plant, compared: Mode, monkeypatch: pytest.MonkeyPatch, anew: None) -> None:
    assert not keeping.differing(cases.scenario(PLANTED), "another machine")
    cases.ran.cache_clear()
    jax.clear_caches()
    plant(monkeypatch)
    differing = keeping.differing(cases.scenario(PLANTED), compared)
    assert any("orr.reject: " in line and "trials differ" in line for line in differing)


def test_what_machines_may_differ_in_and_what_not() -> None:
    kept = pd.DataFrame(
        {
            "cell": 0,
            "metric": ["a", "b"],
            "estimate": [0.5, 0.25],
            "mcse": [0.02, 0.0],
            "method": ["simulated", "exact"],
        }
    )
    for moved, row, found in ((0.009, 0, []), (0.011, 0, [1]), (1e-10, 1, []), (1e-8, 1, [1])):
        now = kept.copy()
        now.loc[row, "estimate"] += moved
        assert bool(comparing.tables(kept, now, "another machine")) == bool(found)
        assert bool(comparing.tables(kept, now, "bit for bit")) == (moved > 1e-6 * now.loc[row, "estimate"])
    trials = {"n": np.arange(200), "x": np.linspace(0, 1, 200)}
    for wrong, seen in ((2, False), (3, True)):
        now = {"n": trials["n"] + (np.arange(200) < wrong), "x": trials["x"]}
        assert bool(comparing.trials(trials, now, "another machine")) == seen
        assert comparing.trials(trials, now, "bit for bit")
    assert not comparing.texts("0.12 of 3", "0.13 of 3", "another machine")
    assert comparing.texts("0.12 of 3", "0.13 of 3", "bit for bit")
    assert comparing.texts("at least 3", "at most 3", "another machine")


def test_rows_that_come_or_go_are_named() -> None:
    kept = pd.DataFrame({"metric": ["a", "b"], "estimate": [1.0, 2.0]})
    assert comparing.tables(kept, kept.iloc[:1], "another machine") == ["gone: b"]
    assert comparing.tables(kept.iloc[:1], kept, "bit for bit") == ["new: b"]
    assert comparing.trials({"a": np.ones(1)}, {"b": np.ones(1)}, "bit for bit")
