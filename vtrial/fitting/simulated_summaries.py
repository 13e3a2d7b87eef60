"""Trials run as the study was, in given worlds, and what would be printed of each."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.evidence.times import MEDIANS, TimeSummaries
from vtrial.model.parameters import DAYS
from vtrial.model.world import World
from vtrial.protocol.build import in_worlds
from vtrial.scenario.as_run import as_run
from vtrial.trial.analysis.times import Curve, Estimate
from vtrial.trial.observation.record import deaths
from vtrial.trial.observation.visits import Seen
from vtrial.trial.patients.cohort import Cohort

CHUNK = 250  # trials that are held in memory at once

Trial = tuple[Cohort, Seen, dict[Curve, Estimate]]


def trials(evidence: Evidence, worlds: World, *, seed: int) -> Iterator[Trial]:
    """One trial in each world: patients, what is seen of them, curves; NumPy arrays without a leading axis."""
    scenario = as_run(evidence)
    protocol = in_worlds(scenario.cells[0], evidence, worlds, where=scenario.where)
    wanted: set[Curve] = {(time, _group(group, evidence)) for time, group in MEDIANS}  # type: ignore[misc]
    # The published deaths of toxicity are of CRS alone, and those of the fit's trials are counted as such.
    fatal = tuple(system for system in protocol.plan.fatal if system == "crs")
    curves = (*sorted(wanted), ("os", "all"))
    plan = replace(protocol.plan, endpoints=(), tests=(), fatal=fatal, curves=curves)
    for start in range(0, worlds.size, CHUNK):
        many = engine.estimated(plan, protocol.numbers, worlds, seed=seed, start=start, count=CHUNK)
        for row in range(min(CHUNK, worlds.size - start)):
            yield jax.tree.map(lambda values, row=row: values[row], many)


def summaries(evidence: Evidence, told: TimeSummaries, worlds: World, *, seed: int) -> list[TimeSummaries]:
    """What would be printed of one trial in each world; schedule, follow-up and assumptions as in `told`.

    What `told` does not know of the study, because it is held back, is not known of these trials either.
    """
    return [_as_known(printed(trial, told), told) for trial in trials(evidence, worlds, seed=seed)]


def _as_known(one: TimeSummaries, told: TimeSummaries) -> TimeSummaries:
    unknown = list(told.of_expected)
    sizes = one.sizes.copy()
    sizes[:, unknown] = told.sizes[:, unknown]
    blank: dict[str, Any] = {
        "medians": {k: told.medians[k] if np.isnan(told.medians[k][0]) else v for k, v in one.medians.items()}
    }
    for name in ("response", "complete", "dead_at_12", "dead_at_top", "retreated", "retreatment_range"):
        mine, known = getattr(one, name), getattr(told, name)
        if isinstance(known, tuple):
            blank[name] = tuple(np.nan if np.isnan(k) else v for v, k in zip(mine, known, strict=True))
        else:
            blank[name] = np.nan if np.isnan(known) else mine
    return replace(one, sizes=sizes, **blank)


def _group(group: str, evidence: Evidence) -> str:
    return f"dose{len(evidence.doses) - 1}" if group == "top" else group


def printed(trial: Trial, told: TimeSummaries) -> TimeSummaries:
    """What would be printed of a trial."""
    cohort, seen, curves = trial
    present, response, path = seen.infused_by_cut, seen.response, cohort.path
    assert path is not None
    doses = told.sizes.shape[1]

    def by_dose(mask: Any) -> np.ndarray:
        return np.array([(present & mask & (cohort.dose == d)).sum() for d in range(doses)], float)

    responders, complete = by_dose(response > 0), by_dose(response == 3)
    shallow = responders - complete
    vgpr = shallow * (present & (response == 2)).sum() / max(shallow.sum(), 1.0)
    medians = {}
    for time, group in MEDIANS:
        estimate = curves[time, f"dose{doses - 1}" if group == "top" else group]  # type: ignore[index]
        medians[time, group] = tuple(_months(v) for v in (estimate.median, estimate.low, estimate.high))
    died, early, middle, late, after = deaths(seen, path).values()
    alive = curves["os", "all"]
    s12 = round(float(alive.survival[1] if np.isfinite(alive.survival[1]) else alive.last), 2)
    retreated = present & seen.retreated_seen
    again = retreated & path.retreatment_response
    lasted = np.round(path.retreatment_duration[again].astype(float), 1)
    return replace(
        told,
        sizes=np.stack([by_dose(response == 0), shallow - vgpr, vgpr, complete]),
        medians=medians,
        response=_median_range(seen.response_day[present & (response > 0)]),
        complete=_median_range(seen.cr_day[present & (response == 3)]),
        dead_at_12=round((1 - s12) * present.sum()),
        deaths=(
            int(early.sum()),
            int(middle.sum()),
            int(late.sum()),
            int(after.sum()),
        ),
        crs_deaths=int((early & path.died_of_toxicity).sum()),
        dead_at_top=int((died & (cohort.dose == doses - 1)).sum()),
        retreated=(int(retreated.sum()), int(again.sum())),
        retreatment_range=(max(lasted.min(), 0.1), max(lasted.max(), 0.2)) if len(lasted) > 1 else (1.0, 2.0),
    )


def _months(value: Any) -> float:
    """Rounded to a tenth, as printed; +inf where it is not reached, or there is none."""
    return round(float(value), 1) if np.isfinite(value) else float("inf")


def _median_range(days: np.ndarray) -> tuple[float, float, float]:
    if not len(days):
        return 1.0, 1.0, 1.0  # nobody: `sizes` say so, and the likelihood does not look here
    return tuple(round(float(v) / DAYS, 1) for v in (np.median(days), days.min(), days.max()))  # type: ignore[return-value]
