"""Times as unlimited follow-up would estimate them: what the estimates at a data cut aim at."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vtrial._support.arrays import Array
from vtrial.engine import run as engine
from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.parameters import DAYS
from vtrial.protocol import calendar as timing
from vtrial.protocol.build import Protocol, in_worlds
from vtrial.scenario import Cell
from vtrial.trial.analysis.times import DEPTHS, LANDMARKS, Curve

TRIALS = 400  # pooled: with 128 patients in each some 50,000, a median to within a few days
BATCHES = 20  # of trials, whose spread gives the error of a pooled survival
MONTHS = (60, 180, 540)  # of follow-up after the last infusion: as long as it takes


def true_medians(protocol: Protocol, endpoints: tuple[TimeEndpoint, ...], *, seed: int) -> dict[TimeEndpoint, float]:
    """Months, by endpoint; inf where fewer than half have the event within the longest of `MONTHS` that visits allow,
    NaN where nobody is followed for so long.

    Of the Kaplan-Meier curve of all patients of many trials that no data cut ends, same visits and reasons of
    censoring. The protocol has one world, which no trial moves.
    """
    medians: dict[TimeEndpoint, float] = {}
    unreached: dict[TimeEndpoint, float] = {}
    for months in MONTHS:
        wanted: tuple[TimeEndpoint, ...] = tuple(e for e in endpoints if e not in medians)
        cell = _open_ended(protocol, wanted, months)
        reach = timing.longest_follow_up(cell.design, protocol.evidence, protocol.plan.capacity)
        between = timing.interval(cell.design, protocol.evidence)
        if not wanted or reach > timing.MOST_VISITS * between:
            break
        last = (months - between) * DAYS  # after the last visit deaths are known, and nobody is seen alive
        curves: tuple[Curve, ...] = tuple((endpoint, "all") for endpoint in wanted)
        for (endpoint, _), (time, event, _) in _pooled(protocol, cell, curves, seed=seed).items():
            days, survival, latest = kaplan_meier(time, event)
            below = np.flatnonzero(survival <= 0.5 + 1e-12)
            if below.size and days[below[0]] <= last:
                medians[endpoint] = float(days[below[0]]) / DAYS
            unreached[endpoint] = math.inf if latest >= months * DAYS - 1 else math.nan
    return {endpoint: medians.get(endpoint, unreached.get(endpoint, math.nan)) for endpoint in endpoints}


def true_survival(protocol: Protocol, curves: tuple[Curve, ...], *, seed: int) -> dict[Curve, Array]:
    """Survival at each of `LANDMARKS`, by curve: value, its Monte Carlo error, trials; float64 (landmarks, 3).

    As `true_medians`, averaged over the worlds of the protocol (those of the first `TRIALS` trials); groups by dose and
    best response are those of full follow-up. NaN where no patient was followed for so long.
    """
    found: dict[Curve, Array] = {}
    marks = [round(month * DAYS) for month in LANDMARKS]
    cell = _open_ended(protocol, tuple(dict.fromkeys(endpoint for endpoint, _ in curves)), MONTHS[0])
    for curve, (time, event, trial) in _pooled(protocol, cell, curves, seed=seed).items():
        whole = survival_at(time, event, marks)
        batches = [survival_at(time[of], event[of], marks) for of in (trial % BATCHES == k for k in range(BATCHES))]
        error = np.std(batches, axis=0, ddof=1) / math.sqrt(BATCHES)
        found[curve] = np.column_stack([whole, error, np.full(len(marks), float(TRIALS))])
    return found


def kaplan_meier(time: NDArray[np.int32], event: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Array, float]:
    """Days with events, survival from each on, and the last time at risk (-1 of nobody)."""
    if not len(time):
        return np.zeros(0, np.int64), np.zeros(0), -1.0
    latest = int(time.max())
    left = len(time) - np.concatenate([[0], np.cumsum(np.bincount(time, minlength=latest + 1))[:-1]])
    events = np.bincount(time[event], minlength=latest + 1)
    days = np.flatnonzero(events)
    return days, np.cumprod(1.0 - events[days] / left[days]), float(latest)


def survival_at(time: NDArray[np.int32], event: NDArray[np.bool_], marks: list[int]) -> Array:
    """Survival at each day of `marks`; NaN after the last time at risk, unless it is already 0."""
    days, survival, latest = kaplan_meier(time, event)
    heights = np.concatenate([[1.0], survival])
    at = heights[np.searchsorted(days, marks, side="right")]
    return np.where((np.asarray(marks) <= latest) | (at == 0.0), at, np.nan)


def _open_ended(protocol: Protocol, endpoints: tuple[TimeEndpoint, ...], months: int) -> Cell:
    """The design without looks and tests, cut so many months after the last infusion."""
    design = protocol.design
    world, cohort = design.world.model_copy(update={"effect": {}}), design.cohort.model_copy(update={"mix": {}})
    calendar = design.calendar.model_copy(update={"data_cut": {"months_after_last_infusion": float(months)}})
    simulation = design.simulation.model_copy(update={"endpoints": list(endpoints), "flags": []})
    open_ended = design.model_copy(
        update={
            "look": [],
            "test": [],
            "multiplicity": None,
            "world": world,
            "cohort": cohort,
            "calendar": calendar,
            "simulation": simulation,
        }
    )
    return Cell(0, {}, open_ended)


def _pooled(
    protocol: Protocol, cell: Cell, curves: tuple[Curve, ...], *, seed: int
) -> dict[Curve, tuple[NDArray, NDArray, NDArray]]:
    """By curve: time, event and trial of every patient of `TRIALS` trials without a data cut."""
    # The protocol's worlds hold the flags of its own mix of patients alone, in its own order.
    bare = replace(protocol.worlds, flags=None, measures=None, covariates=None, expansion=None)
    ready = in_worlds(cell, protocol.evidence, bare, where="open-ended", capacity=protocol.plan.capacity)
    plan = replace(ready.plan, described=protocol.plan.described, mix=protocol.plan.mix)
    cohort, seen = engine.observed(plan, ready.numbers, protocol.worlds, seed=seed, start=0, count=TRIALS)
    trial = np.broadcast_to(np.arange(TRIALS)[:, None], seen.response.shape)
    dose = np.broadcast_to(cohort.dose, seen.response.shape)
    found: dict[Curve, tuple[NDArray, NDArray, NDArray]] = {}
    for endpoint, group in curves:
        mask = seen.infused_by_cut & (seen.response > 0) if endpoint == "dor" else seen.infused_by_cut
        if group.startswith("dose"):
            mask = mask & (dose == int(group[4:]))
        elif group != "all":
            mask = mask & (seen.response == DEPTHS.index(group))
        time, event = getattr(seen, f"{endpoint}_time"), getattr(seen, f"{endpoint}_event")
        found[endpoint, group] = (time[mask], event[mask], trial[mask])
    return found
