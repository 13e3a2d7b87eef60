"""What is not estimable, and what is not reached: two states, and what a test makes of each."""

from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from vtrial.model.parameters import DAYS
from vtrial.model.side import Side
from vtrial.trial.analysis import kaplan_meier, times
from vtrial.trial.analysis.times import Benchmark

Z = np.float32(NormalDist().inv_cdf(0.975))


def curve(days: list[int], events: list[int]) -> dict[Any, kaplan_meier.Ordered]:
    """One endpoint of as many patients as there are days, in a trial of a few more places."""
    size, places = len(days), len(days) + 2
    time, event = np.zeros(places, np.int32), np.zeros(places, bool)
    time[:size], event[:size] = days, events
    mask = np.arange(places) < size
    return {"os": kaplan_meier.prepare(*map(jnp.asarray, (time, event)), mask=jnp.asarray(mask))}


def rejects(days: list[int], events: list[int], null: float) -> bool:
    """Whether the lower limit of the median shows a longer one than `null` days, one-sided at 2.5%."""
    test = SimpleNamespace(endpoint="os", method="median")
    return bool(times.shown(curve(days, events), test, Benchmark(None, jnp.float32(null), jnp.asarray(Z))))


def estimate(ordered: dict[Any, kaplan_meier.Ordered]) -> times.Estimate:
    """Of everybody."""
    return times.estimates(ordered, (("os", "all"),))["os", "all"]


def test_survival_is_not_estimable_after_the_last_time_at_risk_unless_it_is_0():
    months = [round(m * DAYS) for m in (6, 12, 18)]
    censored = estimate(curve([100, 200, months[1]], [1, 0, 0]))
    np.testing.assert_allclose(censored.survival, [2 / 3, 2 / 3, np.nan], rtol=1e-6)  # the last day itself is followed
    assert float(censored.latest) == pytest.approx(12.0, abs=0.02)
    assert float(censored.last) == pytest.approx(2 / 3)
    dead = estimate(curve([100, 200, 300], [1, 0, 1]))
    np.testing.assert_allclose(dead.survival, [2 / 3, 0, 0], rtol=1e-6)
    assert float(dead.last) == 0.0


def test_of_nobody_everything_is_not_estimable():
    found = estimate(curve([], []))
    for value in (found.median, found.low, found.high, *found.survival, found.latest, found.last):
        assert np.isnan(value)
    assert int(found.size) == int(found.events) == 0


def test_not_reached_is_not_unknown():
    found = estimate(curve([300] * 5, [0] * 5))
    assert np.isinf([found.median, found.low, found.high]).all()
    at_once = estimate(curve([300], [1]))  # falls to 0 at once: no lower limit
    assert np.isfinite(at_once.median)
    assert np.isnan(at_once.low)


def test_a_lower_limit_that_is_not_reached_rejects_only_where_follow_up_passes_the_null():
    """50 patients, one event: the lower limit is above every number, and the follow-up says of which."""
    days, events = [30, *([200] * 49)], [1, *([0] * 49)]
    assert np.isinf(estimate(curve(days, events)).low)
    assert rejects(days, events, 199.0)
    assert not rejects(days, events, 201.0)  # nobody was followed beyond it: nothing shows what comes then


def test_at_a_survival_of_1_the_exact_test_of_those_at_risk_decides():
    """2 ** -5 > 0.025 > 2 ** -6: five patients without an event show no median above the null, six do."""
    for size, shown in ((1, False), (5, False), (6, True), (40, True)):
        assert rejects([200] * size, [0] * size, 100.0) is shown
        later = [200] * (size - 1) + [150]
        assert rejects(later, [0] * (size - 1) + [1], 100.0) is (size > 5)  # nor if the first event comes after it


def test_what_is_not_estimable_does_not_reject():
    assert not rejects([], [], 10.0)
    assert not rejects([300], [1], 10.0)
    assert not rejects([50] * 40, [1] * 40, 60.0)


def test_no_rule_fires_on_what_is_not_estimable():
    def value(days: list[int], events: list[int], limit: float, *, at_least: bool, method: str = "median") -> float:
        rule = SimpleNamespace(time=("os", method), side=Side.UPPER if at_least else Side.LOWER, of="t")
        hazard = {"t": Benchmark(jnp.asarray(np.arange(400) / 300, jnp.float32), None, None)}
        return float(times.at_look(curve(days, events), rule, hazard, jnp.float32(limit)))

    assert np.isnan(value([], [], 100, at_least=False))
    assert np.isnan(value([], [], 0, at_least=False, method="log-rank"))
    assert np.isnan(value([0, 0], [0, 0], 0, at_least=False, method="log-rank"))  # nothing is expected by day 0
    assert np.isnan(value([30] * 9, [0] * 9, 100, at_least=True))  # not reached in a month says nothing of 100 days
    assert np.isinf(value([130] * 9, [0] * 9, 100, at_least=True))
    assert np.isinf(value([30] * 9, [0] * 9, 100, at_least=False))
    assert value([30] * 9, [1] * 9, 100, at_least=True) == 30.0
