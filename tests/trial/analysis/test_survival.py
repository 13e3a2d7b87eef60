"""Kaplan–Meier, log-rank and exposure against R's survival, by data sets kept beside this file."""

import csv
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import REFERENCE
from vtrial.trial.analysis import exposure, kaplan_meier, log_rank
from vtrial.trial.analysis.kaplan_meier import EVERYONE, Ordered, group_of

FOLDER = REFERENCE
CAPACITY = 128
MARKS = (0, 90, 200, 400)
TAUS = (150, 500)
PROBS = (0.25, 0.5, 0.75)
SCALES: tuple[kaplan_meier.Scale, ...] = ("plain", "log", "log-log")
GROUP, OTHER = group_of([0, 1]), group_of([2])
DAYS = np.arange(3000)


@dataclass(frozen=True)
class Reference:
    """Data sets, arrays (sets, CAPACITY), those who are not there masked; and R's numbers by name (sets,)."""

    time: np.ndarray
    event: np.ndarray
    code: np.ndarray
    analysed: np.ndarray
    r: dict[str, np.ndarray]

    def of(self, name: str, over: tuple[Any, ...]) -> np.ndarray:
        """R's numbers (sets, len(over))."""
        return np.stack([self.r[f"{name}.{each}"] for each in over], 1)


def read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def reference() -> Reference:
    data, expected = read("survival_data.csv"), read("survival_expected.csv")
    shape = (len(data), CAPACITY)
    # whoever is not there has a time all the same, and an event
    time, event = np.full(shape, 7, np.int32), np.ones(shape, bool)
    code, analysed = np.zeros(shape, np.int32), np.zeros(shape, bool)
    shuffle = np.random.default_rng(1)
    for i, row in enumerate(data):
        times = np.array(row["time"].split(), np.int32)
        places = shuffle.permutation(CAPACITY)[: len(times)]
        time[i, places] = times
        event[i, places] = np.array(list(row["event"])) == "1"
        code[i, places] = np.array(list(row["code"]), np.int32)
        analysed[i, places] = np.array(list(row["analysed"])) == "1"
    r = {name: np.array([float(row[name] or "nan") for row in expected]) for name in expected[0]}
    return Reference(time, event, code, analysed, r)


@pytest.fixture(scope="module")
def ordered(reference: Reference) -> Ordered:
    arrays = (reference.time, reference.event, reference.code, reference.analysed)
    return jax.jit(jax.vmap(kaplan_meier.prepare))(*map(jnp.asarray, arrays))


@pytest.fixture(scope="module")
def summaries(reference: Reference, ordered: Ordered) -> dict[str, kaplan_meier.Summary]:
    z = jnp.asarray([NormalDist().inv_cdf((1 + level) / 2) for level in reference.r["level"]], jnp.float32)

    def of(scale: kaplan_meier.Scale) -> Any:
        def one(o: Ordered, z: Any) -> Any:
            return kaplan_meier.summary(o, GROUP, probs=PROBS, scale=scale, z=z, days=MARKS, tau=TAUS[0])

        return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(ordered, z))

    return {scale: of(scale) for scale in SCALES}


def followed(reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    """The last time of each group, -1 where it is empty; and whether its curve ends above 0."""
    group = reference.analysed & (reference.code <= 1)
    latest = np.where(group, reference.time, -1).max(axis=1)
    last = group & (reference.time == latest[:, None])
    return latest, (last & ~reference.event).any(axis=1) | (latest < 0)


def estimable(reference: Reference, theirs: np.ndarray, day: Any) -> np.ndarray:
    """R's numbers, which it extends, without those after the last time at risk of a curve that ends above 0."""
    latest, open_ = (a[:, None] if theirs.ndim > 1 else a for a in followed(reference))
    return np.where((latest < 0) | (open_ & (np.asarray(day) > latest)), np.nan, theirs)


def same_where_estimable(ours: Any, theirs: np.ndarray, expected: np.ndarray) -> None:
    """As `agree`, and not estimable exactly where `expected` says so."""
    missing = np.isnan(expected)
    assert missing.any()
    np.testing.assert_array_equal(np.isnan(ours), missing)
    agree(np.where(missing, 0, ours), np.where(missing, np.nan, theirs))


def agree(ours: Any, theirs: np.ndarray, rtol: float = 1e-4, atol: float = 2e-6) -> None:
    """Where R has a number we have the same; where it has none we have one that is no NaN."""
    assert not np.isnan(ours).any()
    there = ~np.isnan(theirs)
    assert there.any()
    np.testing.assert_allclose(np.asarray(ours, np.float64)[there], theirs[there], rtol=rtol, atol=atol)


def test_there_are_enough_data_sets_and_every_kind(reference):
    assert len(reference.time) >= 300
    n, events = reference.r["n"], reference.r["events"]
    assert (n == 0).any()
    assert ((n == 1) & (events == 1)).any()
    assert ((n == 1) & (events == 0)).any()
    assert ((n > 20) & (events == 0)).any()
    assert ((n > 20) & (events == n)).any()


@pytest.mark.parametrize("scale", SCALES)
def test_quantiles_and_their_limits_are_exactly_those_of_r(reference, summaries, scale):
    found, name = summaries[scale].quantiles, scale.replace("-", "")
    percent = (25, 50, 75)
    quantile, low, high = (reference.of(of, percent) for of in ("quantile", f"low.{name}", f"high.{name}"))
    nobody = (reference.r["n"] == 0)[:, None]
    at_once = np.isinf(low) & np.isfinite(quantile)  # the curve falls to 0 at once and has no limits
    assert at_once.any()
    np.testing.assert_array_equal(found.estimate, np.where(nobody, np.nan, quantile))
    np.testing.assert_array_equal(found.low, np.where(nobody | at_once, np.nan, low))
    np.testing.assert_array_equal(found.high, np.where(nobody, np.nan, high))
    assert found.estimate.dtype == np.float32


@pytest.mark.parametrize("scale", SCALES)
def test_survival_its_error_and_its_limits(reference, summaries, scale):
    found, name = summaries[scale], scale.replace("-", "")
    known = estimable(reference, reference.of("survival", MARKS), MARKS)
    same_where_estimable(found.survival, reference.of("survival", MARKS), known)
    same_where_estimable(found.survival * np.sqrt(found.variance), reference.of("error", MARKS), known)
    z = jnp.asarray([NormalDist().inv_cdf((1 + level) / 2) for level in reference.r["level"]], jnp.float32)[:, None]
    low, high = kaplan_meier.interval(found.survival, found.variance, scale=scale, z=z)
    inside = (found.survival > 0) & (found.survival < 1)
    for limit, of in ((low, f"survival_low.{name}"), (high, f"survival_high.{name}")):
        np.testing.assert_array_equal(np.isnan(limit), np.isnan(known))
        agree(np.where(np.isnan(known), 0, limit), np.where(inside, reference.of(of, MARKS), np.nan))
    assert (np.asarray(low)[~inside & ~np.isnan(known)] == 0).all()
    assert (np.asarray(high)[~inside & ~np.isnan(known)] == 1).all()


def test_numbers_at_risk_sizes_and_events(reference, summaries):
    found = summaries["log"]
    np.testing.assert_array_equal(found.at_risk, reference.of("at_risk", MARKS))
    np.testing.assert_array_equal(found.size, reference.r["n"])
    np.testing.assert_array_equal(found.events, reference.r["events"])


@pytest.mark.parametrize("tau", TAUS)
def test_restricted_mean(reference, ordered, tau):
    theirs = reference.r[f"mean.{tau}"]
    ours = np.asarray(jax.vmap(lambda o: kaplan_meier.restricted_mean(o, GROUP, tau))(ordered))
    same_where_estimable(ours, theirs, estimable(reference, theirs, tau))


def test_log_rank_of_two_groups(reference, ordered):
    found = jax.jit(jax.vmap(lambda o: log_rank.two_sample(o, GROUP, OTHER)))(ordered)
    agree(found.expected, reference.r["two.expected"])
    agree(found.chi2, reference.r["two.chi2"], atol=1e-5)
    np.testing.assert_array_equal(found.observed, reference.r["events"])
    more = np.asarray(found.observed) > np.asarray(found.expected)
    assert (np.asarray(found.z)[more] >= 0).all()
    assert (np.asarray(found.z)[~more] <= 0).all()


def test_log_rank_of_one_group(reference, ordered):
    hazard = jnp.asarray((DAYS / 300) ** 1.2, jnp.float32)
    found = jax.jit(jax.vmap(lambda o: log_rank.one_sample(o, GROUP, hazard)))(ordered)
    agree(found.expected, reference.r["one.expected"])
    # (O - E)^2 loses digits where O and E are close
    agree(found.chi2, reference.r["one.chi2"], atol=1e-5)
    rate = np.float32(1 / 300)
    table = jax.vmap(lambda o: log_rank.one_sample(o, GROUP, jnp.asarray(DAYS, jnp.float32) * rate))(ordered)
    direct = jax.vmap(lambda o: log_rank.one_sample_of_rate(o, rate, GROUP))(ordered)
    np.testing.assert_allclose(direct.z, table.z, rtol=1e-4, atol=1e-5)


def test_exponential(reference, ordered):
    found = jax.vmap(lambda o: exposure.exponential(o, GROUP))(ordered)
    agree(found.hazard, reference.r["hazard"], atol=0)


def test_weibull(reference, ordered):
    found = jax.jit(jax.vmap(lambda o: exposure.weibull(o, GROUP)))(ordered)
    agree(found.shape, reference.r["shape"], rtol=1e-4)
    agree(found.scale, reference.r["scale"], rtol=1e-4)
    assert not np.isnan(found.median).any()
    assert np.isfinite(found.shape).all()


def test_the_curve_has_the_points_of_the_summary(reference, ordered, summaries):
    curves = jax.tree.map(np.asarray, jax.vmap(lambda o: kaplan_meier.curve(o, GROUP))(ordered))
    for column, mark in enumerate(MARKS):
        upto = [np.flatnonzero(last & (day <= mark)) for day, last in zip(curves.day, curves.last, strict=True)]
        at = [s[i[-1]] if len(i) else 1 for s, i in zip(curves.survival, upto, strict=True)]
        ours = summaries["log"].survival[:, column]
        assert np.isnan(ours).any()
        np.testing.assert_allclose(np.where(np.isnan(ours), np.nan, at), ours, rtol=1e-6)


def test_one_trial_needs_no_batch_and_groups_may_be_data(reference, ordered, summaries):
    for i in (0, 7, 9, 100, 200):
        one = kaplan_meier.prepare(
            *(jnp.asarray(a[i]) for a in (reference.time, reference.event, reference.code, reference.analysed))
        )
        level = reference.r["level"][i]
        z = NormalDist().inv_cdf((1 + level) / 2)
        found = kaplan_meier.quantiles(one, jnp.asarray(GROUP), probs=PROBS, z=z)
        np.testing.assert_array_equal(found.high, summaries["log-log"].quantiles.high[i])


def test_more_places_for_patients_change_nothing(reference, ordered):
    wide = [np.pad(a, ((0, 0), (3, 29))) for a in (reference.time, reference.event, reference.code, reference.analysed)]
    wider = jax.vmap(kaplan_meier.prepare)(*map(jnp.asarray, wide))

    def of(o: Ordered, scale: kaplan_meier.Scale) -> list[Any]:
        return jax.tree.leaves(jax.vmap(lambda one: kaplan_meier.quantiles(one, EVERYONE, scale=scale))(o))

    for scale in SCALES:
        for few, many in zip(of(ordered, scale), of(wider, scale), strict=True):
            np.testing.assert_array_equal(few, many)


def test_every_even_number_of_patients_has_its_plateau_at_a_half():
    n = CAPACITY
    time = jnp.arange(1, n + 1, dtype=jnp.int32)
    for size in range(2, n + 1, 2):
        ordered = kaplan_meier.prepare(time, jnp.ones(n, bool), mask=time <= size)
        assert float(_median(ordered)) == size / 2 + 0.5


@jax.jit
def _median(ordered: Ordered) -> Any:
    return kaplan_meier.quantiles(ordered).estimate[0]


@pytest.mark.parametrize("scale", SCALES)
def test_the_size_of_a_batch_changes_nothing(ordered, scale):
    def one(o: Ordered) -> Any:
        found = kaplan_meier.summary(o, probs=PROBS, scale=scale, days=MARKS, tau=365)
        return found, kaplan_meier.interval(found.survival, found.variance, scale=scale)

    every = jax.jit(jax.vmap(one))
    whole = every(ordered)
    for size in (1, 7, 13):
        for begin in range(0, 20 * size, size):
            part = every(jax.tree.map(lambda a: a[begin : begin + size], ordered))  # noqa: B023
            for a, b in zip(jax.tree.leaves(whole[0]), jax.tree.leaves(part[0]), strict=True):
                np.testing.assert_array_equal(a[begin : begin + size], b)
            for a, b in zip(whole[1], part[1], strict=True):
                np.testing.assert_allclose(a[begin : begin + size], b, rtol=1e-6)


def test_what_cannot_be_is_refused(ordered):
    with pytest.raises(ValueError, match="codes are 0 to 31"):
        group_of([32])
    one = jax.tree.map(lambda a: a[0], ordered)
    with pytest.raises(ValueError, match="inside"):
        kaplan_meier.quantiles(one, probs=(0.0,))
    with pytest.raises(ValueError, match="scale is one of"):
        kaplan_meier.quantiles(one, scale="logit")  # pyright: ignore
