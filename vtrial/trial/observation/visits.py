"""What a data cut shows of each patient's path: response, progression-free and overall survival. Pure JAX.

Everything seen is in whole days since infusion.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtrial.model.parameters import DAYS
from vtrial.trial.patients.course import NEVER, Path, Visits


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Seen:
    """What is seen at the cut, arrays (patients,): int32 days since infusion and bool masks; 0 and False elsewhere.

    infused_by_cut: who is in the analysis. follow_up: infusion to cut. response: best response documented, index;
    response_day, cr_day, progression_day: of the visits that document them, 0 where none has. pfs, os, dor: time and
    whether it ended in an event; duration of response runs from the response and is 0 without one.
    retreated_seen: retreated for a documented progression (None where not drawn).
    """

    infused_by_cut: Any
    follow_up: Any
    response: Any
    response_day: Any
    cr_day: Any
    progression_day: Any
    pfs_time: Any
    pfs_event: Any
    dor_time: Any
    dor_event: Any
    os_time: Any
    os_event: Any
    retreated_seen: Any


def cut_month(months_after: Any, infused: Any, infusion_month: Any) -> Any:
    """Calendar month of a cut `months_after` the last infusion; scalar. infused, infusion_month: (patients,)."""
    return jnp.max(jnp.where(infused, infusion_month, 0.0)) + months_after


def whole_day(months: Any) -> Any:
    """The day since infusion on which something at `months` happens: rounded up, 1 to `NEVER`, int32."""
    return jnp.clip(jnp.ceil(months * DAYS), 1.0, float(NEVER)).astype(jnp.int32)


def seen(
    path: Path,
    infused: Any,
    response: Any,
    infusion_month: Any,
    cut_month: Any,
    *,
    censor_missed: bool,
    censor_new_therapy: bool,
) -> Seen:
    """What the cut at calendar month `cut_month` shows; see `seen_after`. infusion_month: float32 (patients,)."""
    follow_up = jnp.floor(jnp.clip((cut_month - infusion_month) * DAYS, -1.0, float(NEVER - 1))).astype(jnp.int32)
    return seen_after(
        path, infused, response, follow_up, censor_missed=censor_missed, censor_new_therapy=censor_new_therapy
    )


def seen_after(
    path: Path, infused: Any, response: Any, follow_up: Any, *, censor_missed: bool, censor_new_therapy: bool
) -> Seen:
    """What is seen of patients followed for `follow_up` days, int32 (patients,), below 0: not yet infused.

    infused: bool (patients,). response: best response ever, int32 (patients,).

    Visits are attended if not missed, by the cut and by the day of death. Progression is seen at the first one at
    or after it; until a CR is seen, its patient counts as VGPR. PFS ends with a documented progression or a death,
    else it is censored at the last attended visit (day 0 if none). censor_missed: an event directly after two or more
    missed visits is censored at the last attended visit before them. censor_new_therapy: so is one after a new
    therapy has begun, at the last attended visit by then. Those alive are censored for OS at their last attended visit.
    """
    present = infused & (follow_up >= 0)
    death_day = whole_day(path.death)
    last_day = jnp.where(present, jnp.minimum(follow_up, death_day), 0)
    # Never at the visit that starts its clock, whatever the rounding of months to days.
    due = jnp.maximum(path.progression * DAYS, jnp.maximum(path.response_day, path.cr_day).astype(jnp.float32) + 0.5)
    therapy_day = whole_day(path.new_therapy)

    def walk(state: tuple[Any, ...], visit: Visits) -> tuple[tuple[Any, ...], None]:
        alive, before, in_therapy, missed, documented = state
        day = visit.day
        in_time = day <= last_day
        attended, unprogressed = in_time & ~visit.missed, documented == 0
        progressed = attended & unprogressed & (day.astype(jnp.float32) >= due)
        free = attended & unprogressed & ~progressed
        return (
            jnp.where(attended, day, alive),
            jnp.where(free, day, before),
            jnp.where(free & (day <= therapy_day), day, in_therapy),
            jnp.where(free, 0, missed + (in_time & visit.missed & unprogressed).astype(jnp.int32)),
            jnp.where(progressed, day, documented),
        ), None

    # One walk along the schedule. Last attended visit; the same before progression, and by the start of a new therapy;
    # visits missed since; the visit that documents progression.
    state = (jnp.zeros_like(last_day),) * 5
    state, _ = jax.lax.scan(walk, state, path.visits.in_turn)
    alive, before, in_therapy, missed, documented = state

    died = present & (death_day <= follow_up)
    event_day = jnp.where(documented > 0, documented, death_day)
    event = (documented > 0) | died
    if censor_missed:
        event = event & (missed < 2)
    pfs_time = jnp.where(event, event_day, before)
    if censor_new_therapy:
        begun = therapy_day < pfs_time
        event = event & ~begun
        pfs_time = jnp.where(begun, in_therapy, pfs_time)

    responded = present & (path.response_day > 0) & (path.response_day <= last_day)
    complete = responded & (path.cr_day > 0) & (path.cr_day <= last_day)
    retreated = None
    if path.retreated is not None:
        retreated = path.retreated & (documented > 0) & (death_day > documented)
    return Seen(
        infused_by_cut=present,
        follow_up=jnp.where(present, follow_up, 0),
        response=jnp.where(responded, jnp.where(complete, response, jnp.minimum(response, 2)), 0),
        response_day=jnp.where(responded, path.response_day, 0),
        cr_day=jnp.where(complete, path.cr_day, 0),
        progression_day=documented,
        pfs_time=pfs_time,
        pfs_event=event,
        dor_time=jnp.where(responded, pfs_time - path.response_day, 0),
        dor_event=responded & event,
        os_time=jnp.where(died, death_day, alive),
        os_event=died,
        retreated_seen=retreated,
    )
