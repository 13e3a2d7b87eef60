"""Rows of the table of characteristics: an estimate over trials, its Monte Carlo error and its 95% interval."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from vtrial._support.arrays import Array
from vtrial.boundaries.intervals import proportion_interval
from vtrial.model.vocabulary import ALL_ARMS, NE_SHARE, status_of
from vtrial.trial.analysis.kaplan_meier import Z95

COLUMNS = ("cell", "arm", "metric", "estimate", "mcse", "mc_low", "mc_high", "status", "trials", "method")

_NORMAL = ndtri((np.arange(200) + 0.5) / 200)  # a standard normal, as 200 numbers

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


def independent(trials: int, worlds: int, ess: float) -> int:
    """How many trials count as independent where none differ: over worlds at most their effective number."""
    return int(trials if worlds == 1 else min(trials, ess))


def interval(estimate: float, mcse: float, trials: int) -> tuple[float, float]:
    """95% Monte Carlo interval of a probability: Wilson's, at the number of trials that the error is worth.

    trials: those that count where all of them, or none, have it and no error can be seen: over worlds at most the
    worlds' effective number, since what happens in few worlds alone may be missed by all.
    """
    if math.isnan(estimate):
        return math.nan, math.nan
    varies = mcse > 0 and 0.0 < estimate < 1.0
    worth = estimate * (1.0 - estimate) / mcse**2 if varies else float(trials)
    low, high = proportion_interval(estimate * worth, worth, method="wilson")
    return (0.0 if estimate == 0.0 else float(low)), (1.0 if estimate == 1.0 else float(high))  # without rounding


def quantile_with_error(
    values: Array, q: float, draws: NDArray[np.int64], worlds: int, ess: float
) -> tuple[float, float, float, float]:
    """Return a quantile over trials that share worlds, its Monte Carlo standard error and 95% limits.

    values: (trials,), +inf for what is above every number. draws, worlds, ess: as in `clustered_mcse`. The error of the
    share of trials up to the quantile, clustered by world and floored as that of any share, is turned to order
    statistics: the limits are those at q - z error and q + z error (Woodruff, 1952,
    doi:10.1080/01621459.1952.10483443), the standard error is the SD of those at q + error x a standard normal, within
    the limits (as Maritz and Jarrett, 1978, doi:10.1080/01621459.1978.10480027). A limit beyond the smallest or the
    largest value is not known: NaN, as the error is then.
    """
    n = len(values)
    if n == 0:
        return math.nan, math.nan, math.nan, math.nan
    ordered = np.sort(values)
    rank = (n - 1) * q
    below, above = float(ordered[math.floor(rank)]), float(ordered[math.ceil(rank)])
    estimate = below + (above - below) * (rank - math.floor(rank)) if math.isfinite(above) else above
    error = _error_of_share(values, float(ordered[max(math.ceil(n * q) - 1, 0)]), q, draws, worlds, ess)
    if math.isnan(error):
        return estimate, math.nan, math.nan, math.nan
    first, last = math.floor(n * (q - Z95 * error)), math.ceil(n * (q + Z95 * error)) + 1  # ranks, from 1
    low = float(ordered[first - 1]) if first >= 1 else math.nan
    high = float(ordered[last - 1]) if last <= n else math.nan
    if math.isnan(low) or math.isnan(high):
        return estimate, math.nan, low, high
    if math.isinf(high):
        return estimate, math.inf, low, high
    ranks = np.clip(np.ceil(n * (q + error * _NORMAL)).astype(np.int64), first, last)
    return estimate, float(ordered[ranks - 1].std()), low, high


def _error_of_share(values: Array, at: float, q: float, draws: NDArray[np.int64], worlds: int, ess: float) -> float:
    """Return the standard error of the share of trials with a value up to `at`, were that share q.

    Ties may put more trials than q up to `at`, and fewer below it: the nearer of the two tells how alike the trials of
    one world are. Where neither does (all values are equal) all trials of a world count as one.
    """
    n = len(values)
    sides = [side for side in (values <= at, values < at) if 0 < side.sum() < n]
    if n < 2:
        return math.nan
    if not sides:
        return math.sqrt(q * (1.0 - q) / min(n, worlds, ess) if worlds > 1 else q * (1.0 - q) / n)
    side = min(sides, key=lambda one: abs(float(one.mean()) - q)).astype(float)
    share = float(side.mean())
    return clustered_mcse(side, draws, worlds, ess) * math.sqrt(q * (1.0 - q) / (share * (1.0 - share)))
