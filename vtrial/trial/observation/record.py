"""What a trial's records say of each patient at the data cut: the core's flags and measures, and the study's.

Pure JAX.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtrial.model.descriptors import CORE, Derived, Drawn, Flags, holds
from vtrial.model.parameters import DAYS, EARLY, MIDDLE
from vtrial.trial.observation.visits import Seen
from vtrial.trial.patients.cohort import FATAL, Cohort
from vtrial.trial.patients.course import Path

EARLY_DAYS = round(EARLY * DAYS)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Record:
    """flags: bool masks; measures: float32, of whoever the measure is given to; both (patients,), by name."""

    flags: dict[str, Any]
    measures: dict[str, Any]


def record(cohort: Cohort, seen: Seen | None, described: Flags, hits: dict[str, Any], values: dict[str, Any]) -> Record:
    """Every flag of the core that was simulated, and those described. seen: None where times are not simulated.

    hits, values: of `vtrial.trial.patients.flags`.
    """
    flags, measures = core(cohort, seen)
    by_name: dict[str, Drawn | Derived] = {flag.name: flag for flag in (*described.drawn, *described.derived)}

    def value(name: str) -> Any:
        if name not in flags:
            flag = by_name[name]
            if isinstance(flag, Derived):
                flags[name] = holds(flag.condition, value)
            else:
                flags[name] = hits[name] & holds(flag.given, value)
        return flags[name]

    for name in by_name:
        value(name)
    return Record(flags, measures | values)


def core(cohort: Cohort, seen: Seen | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Flags and measures of the core, as far as they were simulated."""
    present = cohort.infused if seen is None else seen.infused_by_cut
    response = cohort.response if seen is None else seen.response
    flags: dict[str, Any] = {"enrolled": cohort.enrolled, "infused": present}
    if response is not None:
        flags |= {name: present & mask for name, mask in _depths(response).items()}
    if cohort.mrd_evaluable is not None and response is not None:
        flags["mrd.evaluable"] = flags["cr"] & cohort.mrd_evaluable
        flags["mrd.negative"] = flags["mrd.evaluable"] & cohort.mrd_negative
    for system in ("crs", "neurotoxicity"):
        if (grade := getattr(cohort, system)) is not None:
            # Grade 5 is a death: at a cut before it, the worst grade so far is 4.
            fatal = grade == FATAL if seen is None else (grade == FATAL) & seen.os_event
            levels = {
                "": grade > 0,
                "3": grade > 1,
                ".grade3": grade == 2,
                ".grade4": (grade >= 3) & ~fatal,
                ".grade5": fatal,
            }
            flags |= {f"{system}{level}": present & mask for level, mask in levels.items()}
    if seen is None:
        return flags, {}
    path = cohort.path
    assert path is not None
    flags |= {"progressed": present & (seen.progression_day > 0), **deaths(seen, path)}
    months = {
        "response.time_to_first": seen.response_day,
        "response.time_to_cr": seen.cr_day,
        "follow_up": seen.os_time,
    }
    measures = {name: day.astype(jnp.float32) / jnp.float32(DAYS) for name, day in months.items()}
    if seen.retreated_seen is not None:
        flags["retreatment.retreated"] = present & seen.retreated_seen
        flags["retreatment.response"] = flags["retreatment.retreated"] & path.retreatment_response
        measures["retreatment.duration_of_response"] = path.retreatment_duration
    assert set(flags) <= set(CORE)
    return flags, {name: _tenths(value) for name, value in measures.items()}


def deaths(seen: Seen, path: Path) -> dict[str, Any]:
    """Deaths seen at the cut, all and by cause and time, masks (patients,) of JAX or NumPy, whichever is given.

    A death of toxicity counts as early, as published of CRS.
    """
    died, after = seen.infused_by_cut & seen.os_event, path.progression < path.death
    early = died & ~after & ((seen.os_time <= EARLY_DAYS) | path.died_of_toxicity)
    middle = died & ~after & ~early & (path.death <= MIDDLE)
    return {
        "deaths": died,
        "deaths.related_ae_within_8_weeks": early,
        "deaths.related_ae_8_weeks_to_6_months": middle,
        "deaths.unrelated_ae_after_6_months": died & ~after & ~early & ~middle,
        "deaths.progressed": died & after,
    }


def _depths(response: Any) -> dict[str, Any]:
    return {
        "orr": response > 0,
        "vgpr_or_better": response > 1,
        "cr": response == 3,
        "vgpr": response == 2,
        "pr": response == 1,
    }


def _tenths(months: Any) -> Any:
    """Rounded to a tenth, as times in months are printed."""
    return jnp.round(months * 10.0) / jnp.float32(10.0)


def followed(seen: Seen, infusion_month: Any, months: Any, cut: Any) -> Any:
    """Who had `months` of follow-up by the calendar month `cut`, alive and without documented progression by then."""
    day = jnp.round(months * DAYS).astype(jnp.int32)
    in_time = seen.infused_by_cut & (infusion_month + months <= cut)
    progressed = (seen.progression_day > 0) & (seen.progression_day <= day)
    return in_time & ~progressed & ~(seen.os_event & (seen.os_time <= day))
