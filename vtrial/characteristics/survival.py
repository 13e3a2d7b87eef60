"""Kaplan-Meier estimates over trials -> operating characteristics.

*Not reached* is +inf: a value of its own, above every number. It is counted (`pfs.median.nr`) and takes its place in
quantiles; no mean is made of it. *Not estimable* is NaN: unknown, counted (`pfs.median.ne`, `os.s18.ne`), and without
a place in quantiles. Where more than `NE_SHARE` of the trials cannot estimate a survival, the mean of those that can
would be biased: it is not estimable too, and beside it stand the true value (`os.s18.true`) and what the mean would be
if all that is missing were 0, or the last survival that was estimable (`os.s18.bound.low`, `os.s18.bound.high`).
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtrial.characteristics.estimands import true_survival
from vtrial.characteristics.monte_carlo import not_estimable
from vtrial.evidence.facts import as_id
from vtrial.protocol.build import Protocol
from vtrial.trial.analysis.times import LANDMARKS, Curve, Estimate
from vtrial.trial.spec import Outcome

QUANTILES = (("q025", 0.025), ("q50", 0.5), ("q975", 0.975))


def name(protocol: Protocol, curve: Curve) -> str:
    """A curve's name in metrics: ``pfs``, ``pfs.450`` for a dose, ``dor.cr`` for a best response."""
    endpoint, group = curve
    if group == "all":
        return endpoint
    return f"{endpoint}.{as_id(protocol.doses[int(group[4:])])}" if group.startswith("dose") else f"{endpoint}.{group}"


def columns(protocol: Protocol, outcome: Outcome) -> dict[str, Any]:
    """Of each trial and curve: events, survival, and median with its limits (months or +inf; NaN: not estimable)."""
    found: dict[str, Any] = {
        "follow_up": outcome.follow_up,
        "retreated.n": outcome.retreated,
        "retreated.responses": outcome.responding_again,
    }
    for curve, estimate in outcome.curves.items():
        prefix = name(protocol, curve)
        found[f"{prefix}.events"] = estimate.events
        found |= {f"{prefix}.s{month}": survival for month, survival in _survival(estimate).items()}
        for part in ("median", "low", "high"):
            found[f"{prefix}.median{'' if part == 'median' else '.' + part}"] = getattr(estimate, part)
    return found


def rows(
    protocol: Protocol, outcome: Outcome, mean: Callable[..., Any], quantile: Callable[..., Any], *, seed: int
) -> Iterator[dict[str, object]]:
    """Of each curve: quantiles over trials of the median, its limits and their width, how often these are not reached
    or not estimable, survival, events. Before them follow-up and retreatment.

    mean, quantile: make a row of a metric's name and one value a trial; NaN, not estimable, has no rank.
    """
    for label, q in QUANTILES:
        yield quantile(f"follow_up.{label}", outcome.follow_up.astype(float), q)
    yield mean("retreated.n", outcome.retreated.astype(float))
    yield mean("retreated.responses", outcome.responding_again.astype(float))

    @cache
    def truth() -> dict[Curve, NDArray[np.float64]]:
        return true_survival(protocol, tuple(outcome.curves), seed=seed)

    for curve, estimate in outcome.curves.items():
        prefix = name(protocol, curve)
        yield mean(f"{prefix}.n", estimate.size.astype(float))
        yield mean(f"{prefix}.events", estimate.events.astype(float))
        for part in ("median", "low", "high"):
            metric = f"{prefix}.median" if part == "median" else f"{prefix}.median.{part}"
            values = getattr(estimate, part)
            for label, q in QUANTILES:
                yield quantile(f"{metric}.{label}", values.astype(float), q)
            yield mean(f"{metric}.nr", np.isinf(values).astype(float), proportion=True)
            yield mean(f"{metric}.ne", np.isnan(values).astype(float), proportion=True)
        yield quantile(f"{prefix}.median.width.q50", _width(estimate), 0.5)
        last = np.where(estimate.size > 0, estimate.last, 1.0).astype(float)
        for place, (month, survival) in enumerate(_survival(estimate).items()):
            values, metric = survival.astype(float), f"{prefix}.s{month}"
            yield mean(metric, values, rate=True)
            yield from not_estimable(metric, values, 0.0, last, mean, partial(_true_of, truth, curve, place))


def _true_of(truth: Callable[[], dict[Curve, NDArray[np.float64]]], curve: Curve, place: int) -> Any:
    return tuple(truth()[curve][place])


def _width(estimate: Estimate) -> NDArray[np.float64]:
    """The width of each trial's interval of the median: +inf without an upper limit, NaN without a lower one."""
    with np.errstate(invalid="ignore"):
        width = (estimate.high - estimate.low).astype(float)
    return np.where(np.isnan(estimate.low), np.nan, np.where(np.isinf(estimate.high), np.inf, width))


def _survival(estimate: Estimate) -> dict[int, NDArray[np.float32]]:
    """Survival at each landmark, by month."""
    return {month: estimate.survival[:, k] for k, month in enumerate(LANDMARKS)}
