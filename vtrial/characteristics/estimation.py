"""What stopping does to the estimates that follow: bias and coverage, over all trials and given where they ended."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtrial.boundaries.intervals import proportion_interval
from vtrial.characteristics.estimands import true_medians
from vtrial.characteristics.exact import fixed
from vtrial.characteristics.stopping import END, groups
from vtrial.model.endpoints import TIME_ENDPOINTS, Endpoint, TimeEndpoint
from vtrial.model.world import World
from vtrial.protocol.build import Protocol
from vtrial.trial.analysis.times import Estimate
from vtrial.trial.spec import Outcome

Make = Callable[..., Any]

LEVEL = 0.95  # of the intervals whose coverage is told: Clopper-Pearson of a rate, log-log of a median


def rows(
    protocol: Protocol, outcome: Outcome, worlds: World, mean: Make, quantile: Make, *, seed: int
) -> Iterator[dict[str, object]]:
    """Rows of the table of characteristics. worlds: of the trials, or shared, trial t in t mod their number.

    Of rates the mean error and the coverage; of medians, in a single world, the median error over trials (not reached
    ranks above every number) and the coverage: a lower limit that is not reached excludes the true median where
    follow-up passes it, and no other.
    """
    if protocol.plan.mix:
        return
    ends = where_ended(protocol, outcome)
    for endpoint in estimated_endpoints(protocol):
        error, covered = _of_rate(protocol, outcome, worlds, endpoint)
        for suffix, here in ends.items():
            yield mean(f"{endpoint}.bias{suffix}", error, among=here)
            yield mean(f"{endpoint}.coverage{suffix}", covered, proportion=True, among=here)
    curves: tuple[TimeEndpoint, ...] = tuple(e for e in TIME_ENDPOINTS if (e, "all") in outcome.curves)
    if not curves or protocol.worlds.size > 1 or protocol.plan.shifted:
        return
    for endpoint, true in true_medians(protocol, curves, seed=seed).items():
        estimate = outcome.curves[endpoint, "all"]
        error = estimate.median.astype(float) - true if np.isfinite(true) else np.full(len(estimate.median), np.nan)
        covered = _median_covered(estimate, true)
        for suffix, here in ends.items():
            if np.isfinite(true):
                yield quantile(f"{endpoint}.median.bias{suffix}", np.where(here, error, np.nan), 0.5)
            yield mean(f"{endpoint}.median.coverage{suffix}", covered, proportion=True, among=here)


def _median_covered(estimate: Estimate, true: float) -> NDArray[np.float64]:
    """Whether each trial's interval holds the true median; NaN where it has none, or there is no true one."""
    low, high, latest = (getattr(estimate, part).astype(float) for part in ("low", "high", "latest"))
    above = np.where(np.isinf(low), latest > true, low > true)
    return np.where(np.isnan(low) | np.isnan(true), np.nan, ~above & (true <= high))


def estimated_endpoints(protocol: Protocol) -> list[Endpoint]:
    """The rates whose estimates are judged: those that tests or looks are about, response and CR."""
    about = {test.endpoint for test in protocol.plan.tests} | {asked.endpoint for asked in protocol.plan.watched}
    return [e for e in protocol.plan.endpoints if e in about or e in ("orr", "cr")]


def where_ended(protocol: Protocol, outcome: Outcome) -> dict[str, NDArray[np.bool_]]:
    """The trials that ended in each place, by suffix of a metric: "" for all, ".interim", ".end"; those that some
    did."""
    decision, last = outcome.decision, len(protocol.plan.looks)
    assert decision is not None
    ends = {name: [p for p in places if not protocol.plan.looks[p].final] for name, places in groups(protocol).items()}
    found = {f".{name}": np.isin(decision.end, places) for name, places in (*ends.items(), (END, [last]))}
    return {"": np.ones(len(outcome.infused), bool)} | {name: here for name, here in found.items() if here.any()}


def _of_rate(
    protocol: Protocol, outcome: Outcome, worlds: World, endpoint: Endpoint
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Error of each trial's observed rate, and whether its interval holds the true one; NaN without patients."""
    true = fixed.true_rates(protocol, endpoint, worlds)
    true = true[np.arange(len(outcome.infused)) % len(true)]
    x, n = outcome.counts[endpoint], outcome.infused
    some = n > 0
    low, high = np.full(len(n), np.nan), np.full(len(n), np.nan)
    for size in np.unique(n[some]):
        mine = n == size
        lower, upper = proportion_interval(np.arange(size + 1), size, method="clopper-pearson", level=LEVEL)
        low[mine], high[mine] = lower[x[mine]], upper[x[mine]]
    error = np.where(some, x / np.maximum(n, 1) - true, np.nan)
    return error, np.where(some, (low <= true) & (true <= high), np.nan)
