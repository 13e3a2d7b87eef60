"""Times over the trials of one protocol, by month: Kaplan-Meier curves, and the states in which patients truly are.

Times are months since infusion, for duration of response since the response.
"""

import math

import numpy as np
import pandas as pd

from vtrial._support.arrays import Array
from vtrial._support.errors import InputError
from vtrial.engine import run as engine
from vtrial.model.endpoints import TIME_ENDPOINTS, TimeEndpoint
from vtrial.model.parameters import DAYS
from vtrial.model.vocabulary import NE_SHARE
from vtrial.protocol.build import Protocol

TRIALS_OF_CURVES = 300  # whose curves are shown
TRIALS_OF_STATES = 100
TRIALS_OF_LANDMARK = 500  # whose survival at a published month is computed again
KEPT = 1.0 - NE_SHARE  # curves are shown as far as that of more of their trials is not estimable
STEP = 0.25  # months

MEDIAN, HALF, MOST, AT_RISK = "median over trials", "50% of trials", "95% of trials", "at risk"
STATES = ("no response, not progressed", "in response, below CR", "in CR", "progressed, alive", "dead")


def endpoints(protocol: Protocol) -> tuple[TimeEndpoint, ...]:
    """The endpoints with a curve of all patients: progression-free survival first."""
    order: tuple[TimeEndpoint, ...] = ("pfs", "dor", "os")
    return tuple(endpoint for endpoint in order if (endpoint, "all") in protocol.plan.curves)


def survival(protocol: Protocol, endpoint: str, *, trials: int, where: str) -> pd.DataFrame:
    """The trials' Kaplan-Meier curves of an endpoint by month: median and bands over trials, and patients at risk.

    Columns: month, what (`MEDIAN`, `HALF`, `MOST`, `AT_RISK`), low and high: shares, of the bands from and to; of
    `AT_RISK` the median number over trials at each month. Of the first `TRIALS_OF_CURVES` of `trials`, and of those in
    which anybody is in the analysis; to the last month at which `KEPT` of them have a curve. Raises `InputError` where
    no curve of the endpoint is estimated, or nobody is in any analysis.
    """
    if endpoint not in endpoints(protocol):
        known = ", ".join(endpoints(protocol)) or "none"
        raise InputError(f"{where}: no curve of '{endpoint}' is estimated (there are: {known})")
    curve = (endpoint, "all")
    reach = ceiling(float(protocol.numbers.calendar.schedule[-1]) + 3.0, 3)  # type: ignore[union-attr]
    months = np.arange(0.0, reach + STEP / 2, STEP)
    found = engine.curves_on_days(
        protocol.plan, protocol.numbers, protocol.worlds, [round(month * DAYS) for month in months],
        curves=(curve,), seed=protocol.design.simulation.seed, start=0, count=min(TRIALS_OF_CURVES, trials),
    )  # fmt: skip
    shares, at_risk = found[curve]
    some = at_risk[:, 0] > 0
    if not some.any():
        raise InputError(f"{where}: nobody is in the analysis of '{endpoint}' in the first trials")
    shares, at_risk = shares[some], at_risk[some]
    last = max(int(np.sum((~np.isnan(shares)).mean(axis=0) >= KEPT)), 1)
    quantiles = np.nanquantile(shares[:, :last], (0.025, 0.25, 0.5, 0.75, 0.975), axis=0)
    parts = [
        pd.DataFrame({"month": months[:last], "what": what, "low": quantiles[low], "high": quantiles[high]})
        for what, low, high in ((MOST, 0, 4), (HALF, 1, 3), (MEDIAN, 2, 2))
    ]
    shown = months <= ceiling(float(months[last - 1]), 3)
    middle = np.median(at_risk[:, shown], axis=0)
    parts.append(pd.DataFrame({"month": months[shown], "what": AT_RISK, "low": middle, "high": middle}))
    return pd.concat(parts, ignore_index=True)


def at_month(protocol: Protocol, endpoint: TimeEndpoint, month: float, *, trials: int) -> Array:
    """Kaplan-Meier survival at a month in each of the first `TRIALS_OF_LANDMARK` of `trials`, (trials,)."""
    curve = (endpoint, "all")
    found = engine.curves_on_days(
        protocol.plan, protocol.numbers, protocol.worlds, [round(month * DAYS)], curves=(curve,),
        seed=protocol.design.simulation.seed, start=0, count=min(TRIALS_OF_LANDMARK, trials),
    )  # fmt: skip
    return found[curve][0][:, 0]


def states(protocol: Protocol, *, trials: int, where: str) -> pd.DataFrame:
    """Mean share of the infused in each state by month. Columns: month, state, layer (0 lowest), share.

    Of the first `TRIALS_OF_STATES` of `trials`, to the longest follow-up at the cut; within it as everything truly is,
    whether or not the cut has seen it. Raises `InputError` where times are not simulated, or nobody is infused.
    """
    refuse_without_times(protocol, where)
    count, seed = min(TRIALS_OF_STATES, trials), protocol.design.simulation.seed
    cohort, seen = engine.observed(protocol.plan, protocol.numbers, protocol.worlds, seed=seed, start=0, count=count)
    months = np.arange(0.0, max(ceiling(float(seen.follow_up.max()) / DAYS, 3), 3) + STEP / 2, STEP)
    path, someone = cohort.path, cohort.infused.any(axis=1)
    assert path is not None
    if not someone.any():
        raise InputError(f"{where}: nobody is infused in the first {count} trials")
    rows = []
    for month in months:
        day = month * DAYS
        state = np.zeros(cohort.infused.shape, int)
        for k, reached in enumerate(
            (
                (path.response_day > 0) & (path.response_day <= day),
                (path.cr_day > 0) & (path.cr_day <= day),
                path.progression <= month,
                path.death <= month,
            ),
            1,
        ):
            state[reached] = k
        of = cohort.infused[someone]
        for k, name in enumerate(STATES):
            share = ((state[someone] == k) & of).sum(axis=1) / of.sum(axis=1)
            rows.append({"month": month, "state": name, "layer": len(STATES) - k, "share": float(share.mean())})
    return pd.DataFrame(rows)


def refuse_without_times(protocol: Protocol, where: str) -> None:
    """Raise `InputError` where times are not simulated."""
    if not protocol.plan.curves:
        raise InputError(f"{where}: times to an event are not simulated (endpoints: {', '.join(TIME_ENDPOINTS)})")


def ceiling(months: float, step: int) -> int:
    """The next multiple of a number of months."""
    return step * math.ceil(months / step - 1e-9)
