"""trials -> operating characteristics: a tidy table, every figure with its Monte Carlo error.

Columns: `COLUMNS`, and one for each swept key (see `vtrial.scenario.sweep.columns`). `arm` is "all": a figure of the
whole trial. `method` is "simulated" or "exact". `mc_low` and `mc_high` are the 95% Monte Carlo interval (how well we
know the number), never the spread over trials, which is metrics of its own (`orr.rate.q025`). `status` says whether
the estimate is a number: "estimated", "NR" (not reached, +inf) or "NE" (not estimable, NaN and empty in files).
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vtrial._support.arrays import Array
from vtrial.characteristics import estimation
from vtrial.characteristics import stopping as looks
from vtrial.characteristics import survival as curves
from vtrial.characteristics.exact import fixed
from vtrial.characteristics.exact.sequential import probabilities as of_looks
from vtrial.characteristics.monte_carlo import (
    COLUMNS,
    Row,
    clustered_mcse,
    independent,
    interval,
    missing_share,
    not_estimable,
    quantile_with_error,
    row,
)
from vtrial.engine import run as engine
from vtrial.model.endpoints import Endpoint
from vtrial.model.vocabulary import NE_SHARE
from vtrial.model.world import World
from vtrial.protocol.build import Protocol
from vtrial.trial.analysis.kaplan_meier import Z95
from vtrial.trial.spec import Outcome

WORTHWHILE = 0.8  # power from which on a design is worth running in a world
_EXACT_SHIFTS = 10_000  # worlds over which a fixed world's between-trial shift is averaged


def operating_characteristics(
    protocol: Protocol, outcome: Outcome, *, cell: int, swept: dict[str, Any], seed: int
) -> pd.DataFrame:
    """The operating characteristics of one cell. swept: its columns."""
    rows = [*_simulated(protocol, outcome, seed), *exact_rows(protocol, seed)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS[1:]))
    frame.insert(0, "cell", cell)
    for key, value in swept.items():
        frame[key] = value
    return frame


def trials_table(protocol: Protocol, outcome: Outcome, *, cell: int) -> pd.DataFrame:
    """A row a trial: its world's draw, patients, counts, rates and decisions."""
    trials = len(outcome.infused)
    columns: dict[str, object] = {
        "cell": np.full(trials, cell, np.int32),
        "trial": np.arange(trials, dtype=np.int32),
        "draw": (np.arange(trials) % protocol.worlds.size).astype(np.int32),
        "n.enrolled": outcome.enrolled,
        "n.infused": outcome.infused,
    }
    for endpoint in protocol.plan.endpoints:
        count = outcome.counts[endpoint]
        columns[f"{endpoint}.count"] = count
        columns[f"{endpoint}.rate"] = _rate(count, outcome.infused).astype(np.float32)
    parts: list[dict[str, Any]] = [{f"{name}.count": count for name, count in _flags(protocol, outcome).items()}]
    parts.append({f"{test.name}.reject": outcome.rejected[test.name] for test in protocol.plan.tests})
    if outcome.decision is not None:
        parts.append(looks.columns(protocol, outcome))
    if outcome.follow_up is not None:
        parts.append(curves.columns(protocol, outcome))
    for part in parts:
        if both := columns.keys() & part.keys():
            raise ValueError(f"two columns of trials are named {sorted(both)}")
        columns |= part
    return pd.DataFrame(columns)


def _simulated(protocol: Protocol, outcome: Outcome, seed: int) -> Iterator[Row]:
    trials = len(outcome.infused)
    draws = np.arange(trials) % protocol.worlds.size

    def mean(
        metric: str,
        values: Array,
        *,
        proportion: bool = False,
        rate: bool = False,
        among: NDArray[np.bool_] | None = None,
    ) -> Row:
        # proportion: of trials, 0 or 1 each; rate: each between 0 and 1. among: the trials that it is about. One of
        # them whose value is NaN is not estimable, and means leave it out where it is rare: above `NE_SHARE` the mean
        # of the others would be biased.
        known = np.isfinite(values) if among is None else np.isfinite(values) & among
        number = int(known.sum())
        if number == 0 or missing_share(values, among) > NE_SHARE:
            return row(metric, math.nan, math.nan, math.nan, math.nan, number, "simulated")
        estimate = float(values[known].mean())
        mcse = clustered_mcse(values[known], draws[known], protocol.worlds.size, protocol.ess)
        low, high = estimate - Z95 * mcse, estimate + Z95 * mcse
        if proportion or (rate and estimate in (0.0, 1.0)):
            low, high = interval(estimate, mcse, independent(number, protocol.worlds.size, protocol.ess))
        return row(metric, estimate, mcse, low, high, number, "simulated")

    def rates(metric: str, values: Array, true: Callable[[], tuple[float, float, int]] | None = None) -> Iterator[Row]:
        yield mean(metric, values, rate=True)
        if np.isnan(values).any():
            yield from not_estimable(metric, values, 0.0, 1.0, mean, true)

    def quantile(metric: str, values: Array, q: float) -> Row:
        known = ~np.isnan(values)  # +inf is above every number, and takes its place
        found = quantile_with_error(values[known], q, draws[known], protocol.worlds.size, protocol.ess)
        return row(metric, *found, int(known.sum()), "simulated")

    for test in protocol.plan.tests:
        yield mean(f"{test.name}.reject", outcome.rejected[test.name].astype(float), proportion=True)
    if len(outcome.rejected) > 1 and not fixed.is_chain(protocol.plan.tests):
        every = np.logical_and.reduce(list(outcome.rejected.values()))
        yield mean("all.reject", every.astype(float), proportion=True)
    if looks.has_success(protocol):
        yield mean("success", looks.success(protocol, outcome).astype(float), proportion=True)
    of_rates = bool(outcome.rejected) and not any(test.timed for test in protocol.plan.tests)
    with_error, with_looks = of_rates and not protocol.plan.mix, outcome.decision is not None
    worlds = _worlds_lived_in(protocol, seed, trials) if with_error or with_looks else protocol.worlds
    if with_error:
        yield mean("familywise.error", _false_rejection(protocol, outcome, worlds).astype(float), proportion=True)
    if with_looks:
        yield from looks.rows(protocol, outcome, mean, quantile)
        yield from estimation.rows(protocol, outcome, worlds, mean, quantile, seed=seed)
    for name, number in (("n.enrolled", outcome.enrolled), ("n.infused", outcome.infused)):
        yield mean(name, number.astype(float))
    for endpoint in protocol.plan.endpoints:
        count = outcome.counts[endpoint]
        observed = _rate(count, outcome.infused)
        yield from rates(f"{endpoint}.rate", observed, partial(_true_rate, protocol, endpoint, seed, trials))
        for label, q in (("q025", 0.025), ("q975", 0.975)):
            yield quantile(f"{endpoint}.rate.{label}", observed, q)
        yield mean(f"{endpoint}.enrolled.rate", _rate(count, outcome.enrolled), rate=True)
    for name, count in _flags(protocol, outcome).items():
        yield from rates(f"{name}.rate", _rate(count, outcome.infused))
    if outcome.follow_up is not None:
        yield from curves.rows(protocol, outcome, mean, quantile, seed=seed)


def _true_rate(protocol: Protocol, endpoint: Endpoint, seed: int, trials: int) -> tuple[float, float, int]:
    """The true rate, mean over worlds, its error (of the draws alone) and 0; NaN where a shifted mix of patients leaves
    it without a closed form."""
    if protocol.plan.mix:
        return math.nan, math.nan, 0
    true = fixed.true_rates(protocol, endpoint, _worlds_lived_in(protocol, seed, trials))
    error = float(true.std() / math.sqrt(min(protocol.ess, true.size))) if true.size > 1 else 0.0
    return float(true.mean()), error, 0


def _flags(protocol: Protocol, outcome: Outcome) -> dict[str, NDArray[np.int32]]:
    """Patients with each flag in each trial, by the stem of its metrics."""
    names = [metric_of_flag(flag) for flag in protocol.plan.flags]
    return {} if outcome.flags is None else dict(zip(names, outcome.flags.T, strict=True))


def metric_of_flag(flag: str) -> str:
    """The stem of a flag's metrics: an endpoint of the same name counts other patients (`vgpr`: or better)."""
    return f"flag.{flag}"


def exact_by_world(protocol: Protocol, seed: int) -> tuple[World, dict[str, Array], float]:
    """Worlds, all that is known exactly in each by metric, float64 (worlds,), and the worlds' effective number."""
    draws, sd = protocol.worlds.size, float(protocol.numbers.between_trial_sd)
    count = draws if draws > 1 or sd == 0.0 else _EXACT_SHIFTS
    worlds = _worlds_lived_in(protocol, seed, count)
    kept = vars(protocol).setdefault("_exact_by_seed", {})  # seconds of work, kept as a cached property is
    if seed not in kept:
        kept[seed] = _exact_in(protocol, worlds)
    return worlds, dict(kept[seed]), min(protocol.ess, count) if draws > 1 else float(count)


def _exact_in(protocol: Protocol, worlds: World) -> dict[str, Array]:
    """All that is known exactly in each of the worlds, by metric, float64 (worlds,)."""
    if protocol.plan.looks or protocol.plan.graph:
        return of_looks(protocol, worlds)
    plain = fixed.reject_probabilities(protocol, worlds) if protocol.plan.tests else {}
    found = {"familywise.error" if name == "familywise" else f"{name}.reject": p for name, p in plain.items()}
    last = _last_of_success(protocol)
    if last is not None and f"{last}.reject" in found:
        found["success"] = found[f"{last}.reject"]
    return found


def true_by_world(protocol: Protocol, worlds: World) -> dict[str, Array]:
    """The true rate of each endpoint in each of the worlds, as `<endpoint>.true`, float64 (worlds,).

    Empty where the mix of patients is shifted: their rates are no longer those of the worlds.
    """
    if protocol.plan.mix:
        return {}
    return {f"{e}.true": fixed.true_rates(protocol, e, worlds) for e in protocol.plan.endpoints}


def _last_of_success(protocol: Protocol) -> str | None:
    """Without looks: the test that rejects exactly where all tests of success do, because it waits for the others."""
    needed, after = set(looks.success_tests(protocol)), {test.name: test.after for test in protocol.plan.tests}
    for name in needed:
        chain, before = {name}, name
        while before := after[before]:
            chain.add(before)
        if needed <= chain:
            return name
    return None


def exact_rows(protocol: Protocol, seed: int) -> Iterator[Row]:
    """Rows of all that is known exactly; none where nothing is.

    Where there are many worlds also how a test's power spreads over them, which is no error but what is not known of
    the truth; and in how many worlds the design is worthwhile: the claim is true, and shown with power `WORTHWHILE`.
    """
    worlds, found, ess = exact_by_world(protocol, seed)

    def mean(metric: str, p: Array) -> Row:
        estimate = float(p.mean())
        mcse = float(p.std() / math.sqrt(ess)) if p.size > 1 else 0.0
        low, high = estimate - Z95 * mcse, estimate + Z95 * mcse
        share = metric.endswith(".worthwhile")  # of worlds, of which none may be one that the draws missed
        if (mcse > 0.0 or (share and p.size > 1)) and not metric.startswith("n.") and not metric.endswith(".bias"):
            low, high = interval(estimate, mcse, int(ess))
        return row(metric, estimate, mcse, low, high, 0, "exact")

    for metric, p in found.items():
        yield mean(metric, p)
    for test in protocol.plan.tests:
        power = found.get(f"{test.name}.reject")
        if power is None or power.size == 1:
            continue
        worth = (power >= WORTHWHILE) & ~fixed.null_is_true(protocol, test, worlds)
        yield mean(f"{test.name}.worthwhile", worth.astype(float))
        for label, q in (("q10", 0.1), ("q50", 0.5), ("q90", 0.9)):
            found_over = quantile_with_error(power, q, np.arange(power.size), power.size, ess)
            yield row(f"{test.name}.reject.worlds.{label}", *found_over, 0, "exact")


def _rate(count: NDArray[np.int32], n: NDArray[np.int32]) -> Array:
    """count / n; NaN, not estimable, for a trial without patients."""
    return np.divide(count, n, out=np.full(len(n), np.nan), where=n > 0)


def _worlds_lived_in(protocol: Protocol, seed: int, trials: int) -> World:
    """One world a trial where trials move theirs; else the worlds that they share, trial t in t mod D."""
    if not protocol.plan.shifted:
        return protocol.worlds
    return engine.worlds_of_trials(protocol.plan, protocol.numbers, protocol.worlds, seed=seed, trials=trials)


def _false_rejection(protocol: Protocol, outcome: Outcome, worlds: World) -> NDArray[np.bool_]:
    """Whether a trial rejected a null that is true in its world, one of `worlds`, trial t in t mod their number."""
    trials = len(outcome.infused)
    false = np.zeros(trials, bool)
    for test in protocol.plan.tests:
        true_null = fixed.null_is_true(protocol, test, worlds)
        false |= outcome.rejected[test.name] & true_null[np.arange(trials) % len(true_null)]
    return false
