"""One virtual trial's patients: as a table, and as its data cut shows them over time."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial.characteristics.over_time import STATES, refuse_without_times
from vtrial.engine import run as engine
from vtrial.model.endpoints import TIME_ENDPOINTS
from vtrial.model.parameters import DAYS
from vtrial.protocol.build import Protocol
from vtrial.trial.observation.visits import Seen
from vtrial.trial.patients.response import BEST_RESPONSE
from vtrial.trial.patients.toxicity import WORST_GRADE

MOST_PATIENTS = 60
CENSORED = "PFS censored"


@dataclass(frozen=True)
class AsSeen:
    """The patients of one trial as its data cut shows them, at most `MOST_PATIENTS`, evenly spaced as they enrolled.

    infused: all who are infused by the cut. bars: the states in which each is seen, from, to (months since infusion).
    marks: what is seen of each, and when; the patients come in the order of how long they are known alive.
    """

    trial: int
    infused: int
    bars: pd.DataFrame
    marks: pd.DataFrame


def as_seen(protocol: Protocol, *, seed: int, trial: int, where: str) -> AsSeen:
    """A trial's patients over time. Raises `InputError` without times, or where nobody is infused by the cut."""
    refuse_without_times(protocol, where)
    both = engine.observed(protocol.plan, protocol.numbers, protocol.worlds, seed=seed, start=trial)
    cohort, seen = jax.tree.map(lambda a: a[0], both)
    there = np.flatnonzero(seen.infused_by_cut)
    if there.size == 0:
        raise InputError(f"{where}: in trial {trial} nobody is infused by the data cut")
    chosen = there[np.unique(np.linspace(0, there.size - 1, min(MOST_PATIENTS, there.size)).round().astype(int))]
    chosen = chosen[np.argsort(-seen.os_time[chosen], kind="stable")]
    bars, marks = [], []
    therapy = np.ceil(np.minimum(cohort.path.new_therapy, 1e5) * DAYS)
    for i in chosen:
        patient = {"patient": str(i + 1), "dose": f"{protocol.doses[int(cohort.dose[i])]:g}"}
        end, response, cr, progression = (
            int(v[i]) for v in (seen.os_time, seen.response_day, seen.cr_day, seen.progression_day)
        )
        turns = [(0, 0), *((day, k) for k, day in enumerate((response, cr, progression), 1) if day)]
        for (day, state), (until, _) in zip(turns, [*turns[1:], (end, 0)], strict=True):
            if until > day:
                bars.append(patient | {"from": day / DAYS, "to": until / DAYS, "state": STATES[state]})
        happened = [("response", response), ("CR", cr), ("progression", progression)]
        happened += [("death", end)] if seen.os_event[i] else [("last seen alive", end)]
        happened += [("new therapy", int(therapy[i]))] if therapy[i] <= min(end, progression or end) else []
        happened = [(what, day) for what, day in happened if day or what in ("death", "last seen alive")]
        happened += [] if seen.pfs_event[i] else [(CENSORED, int(seen.pfs_time[i]))]
        marks += [patient | {"what": what, "month": day / DAYS} for what, day in happened]
    return AsSeen(
        trial=trial,
        infused=there.size,
        bars=pd.DataFrame(bars, columns=["patient", "dose", "from", "to", "state"]),
        marks=pd.DataFrame(marks, columns=["patient", "dose", "what", "month"]),
    )


def cohort_table(protocol: Protocol, *, seed: int, trial: int) -> pd.DataFrame:
    """The enrolled patients of a trial, a row each, in order of enrolment.

    Columns: patient (from 1), dose, infused, best_response, mrd_negative (missing unless CR and evaluable), crs,
    neurotoxicity (worst grade), died_of_toxicity (whether one of these is 5; the best response stays, documented before
    the death); missing where a patient was not infused. A system that was not simulated has no
    column. Where times are simulated: infusion_month (since the first enrolment); in months since infusion, as it
    truly is and were everybody followed for ever, time_to_response and time_to_cr (of the visits that document them),
    progression and death, missing where it never comes; and what the data cut shows, pfs_months and pfs_event,
    dor_months and dor_event (since the response, of responders), os_months and os_event.
    """
    seen: Seen | None = None
    if protocol.plan.curves:
        both = engine.observed(protocol.plan, protocol.numbers, protocol.worlds, seed=seed, start=trial)
        cohort, seen = jax.tree.map(lambda a: a[0], both)
    else:
        cohort = engine.cohort(protocol.plan, protocol.numbers, protocol.worlds, seed=seed, trial=trial)
    infused = cohort.infused

    def named(levels: np.ndarray, names: tuple[str, ...]) -> pd.Series:
        words = pd.Series(pd.Categorical(np.array(names)[levels], categories=list(names), ordered=True))
        return words.where(pd.Series(infused))

    columns: dict[str, object] = {
        "patient": np.arange(1, len(infused) + 1),
        "dose": np.array(protocol.doses)[np.minimum(cohort.dose, len(protocol.doses) - 1)],
        "infused": infused,
    }
    if cohort.response is not None:
        columns["best_response"] = named(cohort.response, BEST_RESPONSE)
    if cohort.mrd_negative is not None:
        shown = infused & (cohort.response == len(BEST_RESPONSE) - 1) & cohort.mrd_evaluable
        columns["mrd_negative"] = pd.Series(cohort.mrd_negative).astype("boolean").where(pd.Series(shown))
    for system in ("crs", "neurotoxicity"):
        if (levels := getattr(cohort, system)) is not None:
            columns[system] = named(levels, WORST_GRADE)
    if cohort.fatal is not None:
        columns["died_of_toxicity"] = pd.Series(cohort.fatal).astype("boolean").where(pd.Series(infused))
    if seen is not None:
        columns |= _times(cohort, seen)
    return pd.DataFrame(columns)[cohort.enrolled].reset_index(drop=True)


def _times(cohort: Any, seen: Seen) -> dict[str, object]:
    """The columns of the times, months; missing where there is nothing to tell."""
    infused, path = pd.Series(cohort.infused), cohort.path

    def since(days: np.ndarray) -> np.ndarray:
        return np.where(days > 0, days / DAYS, np.inf)

    true = {
        "infusion_month": cohort.infusion_month,
        "time_to_response": since(path.response_day),
        "time_to_cr": since(path.cr_day),
        "progression": path.progression,
        "death": path.death,
    }
    columns: dict[str, object] = {}
    for name, months in true.items():
        columns[name] = pd.Series(months.astype(float)).where(infused & np.isfinite(months))
    for endpoint in ("pfs", *(e for e in TIME_ENDPOINTS if e != "pfs")):
        there = pd.Series(seen.infused_by_cut & (seen.response > 0) if endpoint == "dor" else seen.infused_by_cut)
        columns[f"{endpoint}_months"] = pd.Series(getattr(seen, f"{endpoint}_time") / DAYS).where(there)
        columns[f"{endpoint}_event"] = pd.Series(getattr(seen, f"{endpoint}_event")).astype("boolean").where(there)
    return columns
