"""Cells of a sweep against its first: they meet the same patients, so a difference is known better than its parts.

Two things are not known of a difference: what finitely many trials leave open (its Monte Carlo error and limits), and
what the data leave open of the truth (its spread over the worlds of a posterior). Each has columns of its own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vtrial._support.arrays import Array
from vtrial.characteristics.metric import Metric
from vtrial.characteristics.monte_carlo import clustered_mcse, independent, interval
from vtrial.characteristics.table import exact_by_world, true_by_world
from vtrial.model.vocabulary import ALL_ARMS, CLOSES, NE_SHARE, OUTCOMES, status_of
from vtrial.protocol.build import Protocol
from vtrial.scenario import Scenario
from vtrial.trial.analysis.kaplan_meier import Z95

WORLDS = ("worlds_low", "worlds_high", "probability_positive")
COLUMNS = (
    *("cell", "arm", "metric", "difference", "mcse", "mc_low", "mc_high", "status"),
    *(*WORLDS, "trials", "method"),
)
LEVEL = 0.95  # of the interval over worlds


def table(
    scenario: Scenario, protocols: Sequence[Protocol], trials: pd.DataFrame, metrics: Mapping[str, Metric]
) -> pd.DataFrame:
    """Each cell minus the first, metric by metric.

    protocols, trials: of all cells; metrics: of their tables, by name.

    difference; mcse, mc_low, mc_high: its Monte Carlo error and 95% limits, paired by trial where simulated, by world
    where exact. worlds_low, worlds_high: the interval that holds the difference in 95% of the posterior's worlds;
    probability_positive: the share of worlds in which it is above 0. These three are of true rates (`<endpoint>.true`,
    and `<endpoint>.rate`, whose true value that is, where no look can stop a trial) and of what is known exactly in
    each world, such as power; empty elsewhere, and where the two cells do not share their worlds. Medians of times are
    left out: not estimable is no number. One further column for each swept key.
    """
    first, *others = protocols
    seed = scenario.design.simulation.seed
    rows: list[dict[str, Any]] = []
    columns = scenario.columns
    by_cell = {cell: part for cell, part in trials.groupby("cell", sort=True)}
    compared = [metric for metric in metrics.values() if metric.compared]
    base = _numbers(by_cell[0], compared)
    for place, protocol in enumerate(others, start=1):
        here = _numbers(by_cell[place], compared)
        most = max((first, protocol), key=lambda p: p.worlds.size)
        draws = (np.arange(len(by_cell[0])) % most.worlds.size).astype(np.int64)
        exact = {row["metric"]: row for row in _exact(first, protocol, place, seed)}
        looks = first.plan.looks or protocol.plan.looks
        found: list[dict[str, Any]] = []
        for metric in [name for name in here if name in base]:
            difference = here[metric] - base[metric]
            some = np.isfinite(difference)
            if not some.any():
                continue
            if some.mean() < 1 - NE_SHARE:  # a mean over trials that leave some out is biased
                found.append(_row(place, metric, math.nan, math.nan, int(some.sum()), "simulated"))
                continue
            mcse = clustered_mcse(difference[some], draws[some], most.worlds.size, most.ess)
            row = _row(place, metric, float(difference[some].mean()), mcse, int(some.sum()), "simulated")
            if mcse == 0.0 and metrics[metric].proportion:
                apart = independent(int(some.sum()), most.worlds.size, most.ess)
                row |= _limits_of_agreement(row["difference"], apart)
            of_truth = exact.get(f"{metric.removesuffix('.rate')}.true") if metric.endswith(".rate") else None
            if of_truth is not None and not looks:
                row |= {name: of_truth[name] for name in WORLDS}
            found.append(row)
        rows += [row | columns[place] for row in (*found, *exact.values())]
    return pd.DataFrame(rows, columns=[*COLUMNS, *scenario.column_names])


def share_worlds(one: Protocol, other: Protocol) -> bool:
    """Whether world k is the same state of knowledge in both: the same draw of one posterior, moved alike."""
    worlds = (one.design.world, other.design.world)
    return (
        one.worlds.size == other.worlds.size
        and worlds[0].study == worlds[1].study
        and worlds[0].discount == worlds[1].discount
        and worlds[0].truth == worlds[1].truth
    )


def _exact(first: Protocol, protocol: Protocol, place: int, seed: int) -> list[dict[str, Any]]:
    """Rows of true rates and of all that is known exactly in both cells."""
    rows: list[dict[str, Any]] = []
    values: list[dict[str, Array]] = []
    ess: list[float] = []
    for one in (first, protocol):
        worlds, found, effective = exact_by_world(one, seed)
        values.append(true_by_world(one, worlds) | found)
        ess.append(effective)
    paired = share_worlds(first, protocol)
    for metric in [name for name in values[1] if name in values[0]]:
        before, after = values[0][metric], values[1][metric]
        if not (np.isfinite(before).all() and np.isfinite(after).all()):
            continue
        alone = before.size == 1 and after.size == 1
        if paired or alone:
            difference = after - before
            mcse = 0.0 if alone else float(difference.std() / math.sqrt(min(ess)))
        else:  # of worlds that know nothing of each other
            difference = np.array([after.mean() - before.mean()])
            mcse = float(np.hypot(before.std() / math.sqrt(ess[0]), after.std() / math.sqrt(ess[1])))
        row = _row(place, metric, float(difference.mean()), mcse, 0, "exact")
        if difference.size > 1:
            low, high = np.quantile(difference, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
            row |= dict(zip(WORLDS, (float(low), float(high), float((difference > 0.0).mean())), strict=True))
        rows.append(row)
    return rows


def _row(cell: int, metric: str, difference: float, mcse: float, trials: int, method: str) -> dict[str, Any]:
    """A row without what is known over worlds. Of one trial alone no error is known, nor limits."""
    limits = (difference - Z95 * mcse, difference + Z95 * mcse)
    over_worlds = dict.fromkeys(WORLDS, math.nan).values()
    values = (
        *(cell, ALL_ARMS, metric, difference, mcse, *limits, status_of(difference)),
        *(*over_worlds, trials, method),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _limits_of_agreement(difference: float, trials: int) -> dict[str, float]:
    """95% limits of a mean of differences from -1 to 1 that is the same in all of so many trials."""
    apart = interval(0.0, 0.0, trials)[1]
    return {"mc_low": difference - apart * (1.0 + difference), "mc_high": difference + apart * (1.0 - difference)}


def _numbers(trials: pd.DataFrame, compared: list[Metric]) -> dict[str, np.ndarray]:
    """What is averaged over trials, by metric, float64 (trials,)."""
    names = {metric.name for metric in compared}
    found = {name: trials[name].to_numpy(float) for name in trials.columns if name in names}
    if "outcome" in trials:
        possible = [then for then in OUTCOMES if then != CLOSES or (trials["outcome"] == then).any()]
        found |= {f"stop.{then}": (trials["outcome"] == then).to_numpy(float) for then in possible}
    return found
