"""The median of a time in one world, as unlimited follow-up would estimate it: what estimates after a stop aim at."""

import numpy as np

from vtrial import engine
from vtrial.curves import DAYS
from vtrial.estimate.times import TimeEndpoint
from vtrial.protocol import Protocol, in_worlds
from vtrial.scenario import Cell

TRIALS = 400  # pooled: with 128 patients in each some 50,000, a median to within a few days
MONTHS = 60  # of follow-up after the last infusion


def true_medians(protocol: Protocol, endpoints: tuple[TimeEndpoint, ...], *, seed: int) -> dict[TimeEndpoint, float]:
    """Months, by endpoint; inf where fewer than half have the event within `MONTHS`.

    The mean over trials of Kaplan-Meier curves that nobody's data cut ends, same visits and reasons of censoring. The
    protocol has one world, which no trial moves.
    """
    design = protocol.design
    calendar = design.calendar.model_copy(update={"data_cut": {"months_after_last_infusion": float(MONTHS)}})
    simulation = design.simulation.model_copy(update={"endpoints": list(endpoints), "flags": []})
    open_ended = design.model_copy(
        update={"look": [], "test": [], "multiplicity": None, "calendar": calendar, "simulation": simulation}
    )
    ready = in_worlds(Cell(0, {}, open_ended), protocol.evidence, protocol.worlds, where="open-ended")
    days = list(range(1, round(MONTHS * DAYS)))
    found = engine.curves_on_days(
        ready.plan,
        ready.numbers,
        ready.worlds,
        days,
        curves=tuple((endpoint, "all") for endpoint in endpoints),
        seed=seed,
        start=0,
        count=TRIALS,
    )
    medians: dict[TimeEndpoint, float] = {}
    for endpoint in endpoints:
        mean = found[endpoint, "all"][0].astype(np.float64).mean(axis=0)
        below = np.flatnonzero(mean <= 0.5)
        medians[endpoint] = days[below[0]] / DAYS if below.size else np.inf
    return medians
