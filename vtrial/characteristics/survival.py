"""Kaplan-Meier estimates over trials -> operating characteristics.

"Not estimable" is +inf: a value of its own, above every number. It is counted (`pfs.median.ne`), takes its place in
quantiles, and is written "NE" in files; no mean is made of it. So is the error of what may be not estimable, and the
survival of a group that no trial has a patient of.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtrial.estimate.times import LANDMARKS, Curve, Estimate
from vtrial.plan import Outcome
from vtrial.protocol import Protocol

QUANTILES = (("q025", 0.025), ("q50", 0.5), ("q975", 0.975))


def name(protocol: Protocol, curve: Curve) -> str:
    """A curve's name in metrics: ``pfs``, ``pfs.450`` for a dose, ``dor.cr`` for a best response."""
    endpoint, group = curve
    if group == "all":
        return endpoint
    return f"{endpoint}.{protocol.doses[int(group[4:])]:g}" if group.startswith("dose") else f"{endpoint}.{group}"


def columns(protocol: Protocol, outcome: Outcome) -> dict[str, Any]:
    """Of each trial and curve: events, survival (NaN without patients), median with its limits (months or +inf)."""
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
    protocol: Protocol, outcome: Outcome, mean: Callable[..., Any], quantile: Callable[..., Any]
) -> Iterator[dict[str, object]]:
    """Of each curve: quantiles over trials of the median and its limits, P(not estimable), survival, events, width.

    Before them follow-up and retreatment.

    mean, quantile: make a row of a metric's name and one value a trial.
    """
    for label, q in QUANTILES:
        yield quantile(f"follow_up.{label}", outcome.follow_up.astype(float), q)
    yield mean("retreated.n", outcome.retreated.astype(float))
    yield mean("retreated.responses", outcome.responding_again.astype(float))
    for curve, estimate in outcome.curves.items():
        prefix = name(protocol, curve)
        yield mean(f"{prefix}.n", estimate.size.astype(float))
        yield mean(f"{prefix}.events", estimate.events.astype(float))
        for part in ("median", "low", "high"):
            metric = f"{prefix}.median" if part == "median" else f"{prefix}.median.{part}"
            values = getattr(estimate, part).astype(float)
            for label, q in QUANTILES:
                yield quantile(f"{metric}.{label}", values[~np.isnan(values)], q)
            yield mean(f"{metric}.nr", np.isinf(values).astype(float), proportion=True)
            yield mean(f"{metric}.ne", np.isnan(values).astype(float), proportion=True)
        with np.errstate(invalid="ignore"):
            width = (estimate.high - estimate.low).astype(float)
        width = np.where(np.isfinite(estimate.high), width, np.inf)
        width[np.isnan(estimate.low)] = np.nan
        yield quantile(f"{prefix}.median.width.q50", width, 0.5)
        for month, survival in _survival(estimate).items():
            row = mean(f"{prefix}.s{month}", survival.astype(float))
            yield row if row["trials"] else row | dict.fromkeys(("estimate", "mcse", "low", "high"), math.inf)


def _survival(estimate: Estimate) -> dict[int, NDArray[np.float32]]:
    """Survival at each landmark, by month; NaN in a trial without patients of the group."""
    some = estimate.size > 0
    return {m: np.where(some, estimate.survival[:, k], np.float32(np.nan)) for k, m in enumerate(LANDMARKS)}
