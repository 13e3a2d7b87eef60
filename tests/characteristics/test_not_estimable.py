"""Means over trials of which some cannot estimate: pure NumPy, the trials made by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vtrial.characteristics import estimands, estimation, survival
from vtrial.characteristics import table as tables
from vtrial.report.tables import times
from vtrial.report.words import general as words
from vtrial.trial.analysis.times import Estimate

TRIALS = 400
OS: Any = ("os", "all")


def estimate(**parts: Any) -> Estimate:
    """As many trials with an ordinary curve, in which some parts are otherwise."""
    ordinary: dict[str, Any] = {"size": 20, "events": 10, "median": 12.0, "low": 8.0, "high": 20.0}
    ordinary |= {"latest": 24.0, "last": 0.2}
    found = {name: np.full(TRIALS, value, np.float32) for name, value in ordinary.items()}
    found["survival"] = np.tile(np.array([0.8, 0.5, 0.3], np.float32), (TRIALS, 1))
    return Estimate(**(found | parts))


def figures(monkeypatch: pytest.MonkeyPatch, os: Estimate, infused: np.ndarray | None = None) -> pd.DataFrame:
    """The simulated rows, by metric."""
    true = {OS: np.array([[0.81, 0.01, 400.0], [0.55, 0.01, 400.0], [0.42, 0.01, 400.0]])}
    monkeypatch.setattr(survival, "true_survival", lambda protocol, curves, seed: true)
    monkeypatch.setattr(tables, "_true_rate", lambda *_: (0.6, 0.0, 0))
    infused = np.full(TRIALS, 20, np.int32) if infused is None else infused
    plan = SimpleNamespace(tests=(), endpoints=("orr",), flags=(), mix=0, looks=(), rules=(), shifted=False)
    protocol: Any = SimpleNamespace(
        plan=plan, worlds=SimpleNamespace(size=1), ess=1.0, doses=(300.0,), design=SimpleNamespace(success=[], test=[])
    )
    outcome: Any = SimpleNamespace(
        infused=infused, enrolled=np.full(TRIALS, 22, np.int32), counts={"orr": (infused * 0.5).astype(np.int32)},
        rejected={}, decision=None, flags=None, follow_up=np.full(TRIALS, 11.0, np.float32),
        retreated=np.zeros(TRIALS, np.int32), responding_again=np.zeros(TRIALS, np.int32), curves={OS: os},
    )  # fmt: skip
    return pd.DataFrame(list(tables._simulated(protocol, outcome, 1))).set_index("metric")


def missing(share: float, *, s18: float = 0.3) -> Estimate:
    """In a share of the trials nobody is followed to month 18, and the last survival is .4."""
    lost = np.arange(TRIALS) < share * TRIALS
    of = np.tile(np.array([0.8, 0.5, s18], np.float32), (TRIALS, 1))
    of[lost, 2] = np.nan
    return estimate(survival=of, last=np.where(lost, 0.4, 0.2).astype(np.float32))


def test_above_one_percent_not_estimable_the_mean_is_too(monkeypatch):
    table = figures(monkeypatch, missing(0.25))
    assert np.isnan(table.at["os.s18", "estimate"])
    assert table.at["os.s18", "status"] == "NE"
    assert table.loc["os.s18", ["mcse", "mc_low", "mc_high"]].isna().all()
    assert table.at["os.s18", "trials"] == 300
    assert table.at["os.s18.ne", "estimate"] == 0.25
    assert table.at["os.s18.true", "estimate"] == 0.42
    assert table["trials"].dtype.kind == "i"
    assert table.at["os.s18.bound.low", "estimate"] == pytest.approx(0.75 * 0.3)  # what is missing is 0
    assert table.at["os.s18.bound.high", "estimate"] == pytest.approx(0.75 * 0.3 + 0.25 * 0.4)  # or the last survival
    assert table.at["os.s12", "estimate"] == pytest.approx(0.5)
    assert table.at["os.s12.ne", "estimate"] == 0.0
    assert "os.s12.true" not in table.index


def test_up_to_one_percent_the_mean_is_of_the_others(monkeypatch):
    table = figures(monkeypatch, missing(0.01))
    assert table.at["os.s18", "estimate"] == pytest.approx(0.3)
    assert table.at["os.s18", "status"] == "estimated"
    assert table.at["os.s18.ne", "estimate"] == 0.01
    assert "os.s18.bound.low" not in table.index


def test_not_reached_and_not_estimable_are_counted_apart(monkeypatch):
    """A tenth without patients has no rank; of the others a third is not reached, above every number."""
    part = np.arange(TRIALS)
    nobody, open_ = part < 40, part >= 280
    median = np.where(nobody, np.nan, np.where(open_, np.inf, 12.0)).astype(np.float32)
    table = figures(monkeypatch, estimate(size=np.where(nobody, 0, 20), median=median, low=median, high=median))
    assert table.at["os.median.ne", "estimate"] == 0.1
    assert table.at["os.median.nr", "estimate"] == 0.3
    assert table.at["os.median.q50", "estimate"] == 12.0
    assert table.at["os.median.q975", "estimate"] == np.inf
    assert table.at["os.median.q975", "status"] == "NR"
    assert table.at["os.median.q50", "trials"] == 360


def test_rates_of_trials_without_patients_follow_the_same_rule(monkeypatch):
    infused = np.where(np.arange(TRIALS) < 100, 0, 20).astype(np.int32)
    table = figures(monkeypatch, estimate(), infused)
    assert table.at["orr.rate", "status"] == "NE"
    assert table.at["orr.rate.ne", "estimate"] == 0.25
    assert table.at["orr.rate.true", "estimate"] == 0.6
    assert table.at["orr.rate.true", "method"] == "exact"
    bounds = [table.at[f"orr.rate.bound.{part}", "estimate"] for part in ("low", "high")]
    assert bounds == pytest.approx([0.75 * 0.5, 0.75 * 0.5 + 0.25])
    assert "orr.rate.ne" not in figures(monkeypatch, estimate()).index


def test_coverage_leaves_no_trial_out_that_has_an_interval():
    """A lower limit that is not reached excludes a true median that follow-up passes, and no other."""
    inf, nan = np.inf, np.nan
    low, high = np.array([8.0, 13.0, inf, inf, nan]), np.array([20.0, 20.0, inf, inf, inf])
    of = estimate(low=low, high=high, latest=np.array([24.0, 24.0, 11.0, 13.0, 24.0]))
    np.testing.assert_array_equal(estimation._median_covered(of, 12.0), [1, 0, 1, 0, nan])


def test_what_people_read():
    assert words.number(np.inf) == words.estimate(np.inf) == "NR"
    assert words.estimate(np.nan) == "NE"
    assert words.number(np.nan) == "–"
    found = {"os.s18": np.nan, "os.s18.true": 0.64, "os.s6": 0.9}
    assert times._landmark(found, "os.s18") == "NE (true 64%)"
    assert times._landmark(found, "os.s6") == "90%"


def test_a_middle_limit_beyond_the_middle_median_is_marked():
    """Lower limits that are not reached in trials with a median above it put their middle above that of the medians."""
    found = {"dor.150.median.q50": 8.8, "dor.150.median.low.q50": np.inf, "dor.150.median.high.q50": np.inf}
    assert times._out_of_order(found, "dor.150", "median.low")
    assert not times._out_of_order(found, "dor.150", "median.high")
    assert not times._out_of_order(found | {"dor.150.median.low.q50": 5.6}, "dor.150", "median.low")


def test_pooled_curves_end_with_the_last_patient():
    time, event = np.array([10, 20, 20, 30], np.int32), np.array([True, True, False, False])
    np.testing.assert_allclose(estimands.survival_at(time, event, [5, 10, 20, 30, 31]), [1, 0.75, 0.5, 0.5, np.nan])
    np.testing.assert_allclose(estimands.survival_at(time[:2], event[:2], [5, 25]), [1, 0])
    assert np.isnan(estimands.survival_at(time[:0], event[:0], [5])).all()
