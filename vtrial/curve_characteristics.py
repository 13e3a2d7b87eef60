"""Kaplan-Meier estimates over trials -> operating characteristics.

"Not estimable" is +inf: a value of its own, above every number. It is counted (`pfs.median.ne`), takes its place in
quantiles, and is written "NE" in files; no mean is made of it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from vtrial.estimate.times import LANDMARKS, Curve
from vtrial.protocol import Protocol
from vtrial.trial import Outcome

NOT_ESTIMABLE = "NE"
QUANTILES = (("q025", 0.025), ("q50", 0.5), ("q975", 0.975))


def name(protocol: Protocol, curve: Curve) -> str:
    """A curve's name in metrics: ``pfs``, ``pfs.450`` for a dose, ``dor.cr`` for a best response."""
    endpoint, group = curve
    if group == "all":
        return endpoint
    return f"{endpoint}.{protocol.doses[int(group[4:])]:g}" if group.startswith("dose") else f"{endpoint}.{group}"


def columns(protocol: Protocol, outcome: Outcome) -> dict[str, Any]:
    """Of each trial and curve: events, and median with its limits (months, +inf where not estimable)."""
    found: dict[str, Any] = {"follow_up": outcome.follow_up}
    for curve, estimate in outcome.curves.items():
        prefix = name(protocol, curve)
        found[f"{prefix}.events"] = estimate.events
        found |= {f"{prefix}.s{month}": estimate.survival[:, k] for k, month in enumerate(LANDMARKS)}
        for part in ("median", "low", "high"):
            found[f"{prefix}.median{'' if part == 'median' else '.' + part}"] = getattr(estimate, part)
    return found


def rows(
    protocol: Protocol, outcome: Outcome, mean: Callable[..., Any], quantile: Callable[..., Any]
) -> Iterator[dict[str, object]]:
    """Of each curve: quantiles over trials of the median and its limits, P(not estimable), survival, events, width.

    mean, quantile: make a row of a metric's name and one value a trial.
    """
    for label, q in QUANTILES:
        yield quantile(f"follow_up.{label}", outcome.follow_up.astype(float), q)
    for curve, estimate in outcome.curves.items():
        prefix, some = name(protocol, curve), estimate.size > 0
        yield mean(f"{prefix}.n", estimate.size.astype(float))
        yield mean(f"{prefix}.events", estimate.events.astype(float))
        for part in ("median", "low", "high"):
            metric = f"{prefix}.median" if part == "median" else f"{prefix}.median.{part}"
            values = getattr(estimate, part).astype(float)
            for label, q in QUANTILES:
                yield quantile(f"{metric}.{label}", values, q)
            yield mean(f"{metric}.ne", np.isinf(values).astype(float), proportion=True)
        with np.errstate(invalid="ignore"):
            width = (estimate.high - estimate.low).astype(float)
        width = np.where(np.isfinite(estimate.high), width, np.inf)
        yield quantile(f"{prefix}.median.width.q50", width, 0.5)
        for k, month in enumerate(LANDMARKS):
            yield mean(f"{prefix}.s{month}", np.where(some, estimate.survival[:, k], np.nan).astype(float))


def not_estimable(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is written: NE in place of +inf."""
    shown = table.copy()
    for column in ("estimate", "low", "high"):
        if np.isinf(table[column]).any():
            shown[column] = table[column].astype(object).where(~np.isinf(table[column]), NOT_ESTIMABLE)
    return shown
