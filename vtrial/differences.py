"""Cells of a sweep against its first: they meet the same patients, so a difference is known better than its parts."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vtrial.characteristics import clustered_mcse
from vtrial.decisions import CLOSES, OUTCOMES
from vtrial.estimate.kaplan_meier import Z95
from vtrial.model.vocabulary import ALL_ARMS, NE_SHARE, status_of

if TYPE_CHECKING:
    from vtrial.result import Result

COLUMNS = ("cell", "arm", "metric", "difference", "mcse", "mc_low", "mc_high", "status", "trials", "method")


def table(result: "Result") -> pd.DataFrame:
    """Each cell minus the first, metric by metric: difference, its own Monte Carlo error, 95% interval.

    Paired by trial where simulated; of exact values where both have no error. Medians of times are left out: not
    estimable is no number. One further column for each swept key.
    """
    first, *others = result.protocols
    rows: list[dict[str, Any]] = []
    columns = result.scenario.columns
    by_cell = {cell: part for cell, part in result.trials.groupby("cell", sort=True)}
    exact: Any = result.characteristics[result.characteristics["method"] == "exact"]
    base = _numbers(by_cell[0])
    known = exact[exact["cell"] == 0].set_index("metric")
    for place, protocol in enumerate(others, start=1):
        here = _numbers(by_cell[place])
        most = max((first, protocol), key=lambda p: p.worlds.size)
        draws = (np.arange(len(by_cell[0])) % most.worlds.size).astype(np.int64)
        swept = columns[place]
        found: list[dict[str, Any]] = []
        for metric in [name for name in here if name in base]:
            difference = here[metric] - base[metric]
            some = np.isfinite(difference)
            if not some.any():
                continue
            if some.mean() < 1 - NE_SHARE:  # a mean over trials that leave some out is biased
                found.append(_row(place, metric, math.nan, math.nan, int(some.sum()), "simulated"))
                continue
            estimate = float(difference[some].mean())
            mcse = clustered_mcse(difference[some], draws[some], most.worlds.size, most.ess)
            found.append(_row(place, metric, estimate, mcse, int(some.sum()), "simulated"))
        for _, row in exact[exact["cell"] == place].iterrows():
            if row["metric"] in known.index and row["mcse"] == 0.0 == known.loc[row["metric"], "mcse"]:
                estimate = float(row["estimate"] - known.loc[row["metric"], "estimate"])
                found.append(_row(place, row["metric"], estimate, 0.0, 0, "exact"))
        rows += [row | swept for row in found]
    return pd.DataFrame(rows, columns=[*COLUMNS, *result.scenario.column_names])


def _row(cell: int, metric: str, estimate: float, mcse: float, trials: int, method: str) -> dict[str, Any]:
    half = 0.0 if math.isnan(mcse) else Z95 * mcse
    limits = (estimate - half, estimate + half)
    values = (cell, ALL_ARMS, metric, estimate, mcse, *limits, status_of(estimate), trials, method)
    return dict(zip(COLUMNS, values, strict=True))


def _numbers(trials: pd.DataFrame) -> dict[str, np.ndarray]:
    """What is averaged over trials, by metric, float64 (trials,)."""
    found = {
        name: trials[name].to_numpy(float)
        for name in trials.columns
        if name.endswith((".reject", ".rate"))
        or name in ("success", "n.enrolled", "n.infused", "n.evaluated", "duration")
    }
    if "outcome" in trials:
        possible = [then for then in OUTCOMES if then != CLOSES or (trials["outcome"] == then).any()]
        found |= {f"stop.{then}": (trials["outcome"] == then).to_numpy(float) for then in possible}
    return found
