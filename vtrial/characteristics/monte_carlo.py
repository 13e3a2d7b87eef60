"""Rows of the table of characteristics: an estimate over trials, its Monte Carlo error and its 95% interval."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from vtrial.design.intervals import proportion_interval
from vtrial.estimate.kaplan_meier import Z95
from vtrial.model.vocabulary import ALL_ARMS, NE_SHARE, status_of

COLUMNS = ("cell", "arm", "metric", "estimate", "mcse", "mc_low", "mc_high", "status", "trials", "method")

Array = NDArray[np.float64]
Row = dict[str, object]


def row(metric: str, estimate: float, mcse: float, low: float, high: float, trials: int, method: str) -> Row:
    """A figure of the whole trial. low, high: its 95% Monte Carlo interval."""
    values = (ALL_ARMS, metric, estimate, mcse, low, high, status_of(estimate), trials, method)
    return dict(zip(COLUMNS[1:], values, strict=True))


def missing_share(values: Array, among: NDArray[np.bool_] | None = None) -> float:
    """The share of trials whose value is not estimable (NaN). among: the trials that it is about."""
    missing = np.isnan(values) if among is None else np.isnan(values[among])
    return float(missing.mean()) if missing.size else 0.0


def not_estimable(
    metric: str,
    values: Array,
    lowest: float | Array,
    highest: float | Array,
    mean: Callable[..., Row],
    true: Callable[[], tuple[float, float, int]] | None,
) -> Iterator[Row]:
    """What is reported of a mean that leaves out trials: their share; and above `NE_SHARE`, in its place, its bounds
    and the true value.

    lowest, highest: what the values that are missing could be, (trials,) or one number. true: the true value, its Monte
    Carlo error and the trials that it is from, 0 where it is exact; called where it is needed.
    """
    missing = np.isnan(values)
    yield mean(f"{metric}.ne", missing.astype(float), proportion=True)
    if missing_share(values) <= NE_SHARE:
        return
    for part, edge in (("low", lowest), ("high", highest)):
        yield mean(f"{metric}.bound.{part}", np.where(missing, edge, values))
    if true is not None:
        value, mcse, trials = true()
        low, high = value - Z95 * mcse, value + Z95 * mcse
        yield row(f"{metric}.true", value, mcse, low, high, int(trials), "simulated" if trials else "exact")


def clustered_mcse(values: Array, draws: NDArray[np.int64], worlds: int, ess: float) -> float:
    """Monte Carlo standard error of the mean of `values`, of trials that share worlds (`draws`, 0 .. worlds - 1).

    One world: the usual SD / sqrt(trials). Many: residuals are summed by world (trials in one world are alike),
    and what autocorrelation of the worlds adds (draws of effective number `ess`) comes on top: the error never
    falls below SD over worlds / sqrt(ess), however many trials run.
    """
    n = len(values)
    if n < 2:
        return math.nan
    residual = values - values.mean()
    if worlds == 1:
        return float(values.std(ddof=1) / math.sqrt(n))
    sums = np.bincount(draws, weights=residual, minlength=worlds)
    sizes = np.bincount(draws, minlength=worlds)
    clusters = int((sizes > 0).sum())
    variance = float((sums**2).sum()) / n**2 * clusters / max(clusters - 1, 1)
    # Variance between worlds, from pairs of trials in one world; where there are few pairs, its upper bound.
    pairs = float((sizes * (sizes - 1)).sum())
    if pairs >= 1000:
        within = float((sums**2).sum() - (residual**2).sum()) / pairs
        between = min(max(within, 0.0), float(residual.var()))
    else:
        between = float(residual.var())
    extra = between * max(0.0, 1.0 / ess - 1.0 / worlds)
    floor = between / ess
    return math.sqrt(max(variance + extra, floor))


def interval(estimate: float, mcse: float, trials: int) -> tuple[float, float]:
    """95% Monte Carlo interval of a probability: Wilson's, at the number of trials that the error is worth."""
    if math.isnan(estimate):
        return math.nan, math.nan
    varies = mcse > 0 and 0.0 < estimate < 1.0
    worth = estimate * (1.0 - estimate) / mcse**2 if varies else float(trials)
    low, high = proportion_interval(estimate * worth, worth, method="wilson")
    return float(low), float(high)


def quantile(metric: str, values: Array, q: float) -> Row:
    """A quantile over trials; its error from the order statistics that hold it with 95% confidence."""
    n = len(values)
    if n == 0:
        return row(metric, math.nan, math.nan, math.nan, math.nan, 0, "simulated")
    ordered = np.sort(values)
    half = Z95 * math.sqrt(n * q * (1 - q))
    low = float(ordered[max(0, math.floor(n * q - half) - 1)])
    high = float(ordered[min(n - 1, math.ceil(n * q + half))])
    below, above = ordered[math.floor((n - 1) * q)], ordered[math.ceil((n - 1) * q)]
    estimate = float(np.quantile(ordered, q)) if np.isfinite(above) else float(above if above != below else below)
    mcse = (high - low) / (2 * Z95) if math.isfinite(high) else math.inf
    return row(metric, estimate, mcse, low, high, n, "simulated")
