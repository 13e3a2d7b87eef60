"""When a trial is looked at, and whom each look can judge. Pure JAX.

Days are whole days since the first enrolment. Patients are taken in order of infusion, those infused on one day in
order of their number. A look that never comes has day `NEVER`.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from vtrial.model.endpoints import LANDMARKS, Watched
from vtrial.model.parameters import DAYS
from vtrial.trial.observation import visits
from vtrial.trial.observation.visits import Seen
from vtrial.trial.patients.cohort import Cohort
from vtrial.trial.patients.course import NEVER

# What calls a look: ("infused", i), ("month", i), ("events", i, endpoint), ("any", (...)), ("all", (...)), ("final",).
# i is a place in `LookNumbers.count`.
When = tuple[Any, ...]

_NUMBER = 14  # bits of a patient's number in a key
_LAST = 2**31 - 1


@dataclass(frozen=True)
class LookPlan:
    """What of a look is structure, its name apart. every: it takes all who are evaluable, not only those calling it."""

    name: str = field(compare=False)
    when: When
    every: bool = False

    @property
    def final(self) -> bool:
        """Whether it is held at the final analysis."""
        return self.when[0] == "final"


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LookNumbers:
    """Arrays int32. count: patients, events, or the day of the calendar that calls, (conditions,). follow_up: days that
    its patients must be followed, (conditions,). needed: days that each look's patients must be followed, (looks,).
    bounds: by rule and n, (rules, capacity + 1). shown: by entry, set of rejected tests, and n, see
    `vtrial.trial.decisions`. limits: of rules on times, float32 (rules on times, sets). by_enrolled: of forecasts
    of those enrolled by the day of a look, by n and their number, (such rules, capacity + 1, capacity + 1).
    """

    count: Any
    follow_up: Any
    needed: Any
    bounds: Any
    shown: Any
    limits: Any
    by_enrolled: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Held:
    """The looks of a trial, arrays (looks,): day; whether it comes before the final analysis (those at it: True);
    evaluated: patients analysed. counts, sizes: patients with each watched endpoint, of how many, (looks, watched).
    mine: who is analysed, bool (looks, patients); enrolled: patients enrolled by its day; None outside the calendar.
    """

    day: Any
    comes: Any
    evaluated: Any
    counts: Any
    sizes: Any
    mine: Any = None
    enrolled: Any = None


@dataclass(frozen=True)
class Days:
    """Calendar days of each patient, int32 (patients,): enrolment, infusion; and the keys by which they are ordered."""

    enrolment: Any
    infusion: Any
    key: Any


def days_of(cohort: Cohort) -> Days:
    """The calendar of a cohort in whole days."""
    enrolment, infusion = (
        jnp.floor(month * DAYS).astype(jnp.int32) for month in (cohort.enrolment_month, cohort.infusion_month)
    )
    number = jnp.arange(infusion.shape[0], dtype=jnp.int32)
    key = jnp.where(cohort.infused, (infusion << _NUMBER) | number, _LAST)
    return Days(enrolment, infusion, key)


def reached(cohort: Cohort, asked: Watched, documented: Seen | None = None) -> Any:
    """Who has an endpoint, given that they are followed for its window, bool (patients,).

    documented: what follow-up without end documents, for landmarks.
    """
    endpoint = asked.endpoint
    if asked.toxic:
        return getattr(cohort, asked.system) >= asked.level
    if endpoint in LANDMARKS:
        assert documented is not None
        assert cohort.path is not None
        dead = visits.whole_day(cohort.path.death) <= asked.days
        if endpoint == "death":
            return dead
        progressed = (documented.progression_day > 0) & (documented.progression_day <= asked.days)
        return ~dead if endpoint == "os" else ~dead & ~progressed
    has = cohort.response >= asked.level
    if endpoint == "mrd":
        has = has & cohort.mrd_evaluable & cohort.mrd_negative
    if asked.window is None:
        return has
    assert cohort.path is not None
    return has & ((cohort.path.cr_day if endpoint in ("cr", "mrd") else cohort.path.response_day) <= asked.days)


def hold(
    looks: tuple[LookPlan, ...],
    watched: tuple[Watched, ...],
    numbers: LookNumbers,
    cohort: Cohort,
    days: Days,
    documented: Seen | None,
    final_day: Any,
) -> Held:
    """The looks of a trial with a calendar. final_day: of the final analysis, whose rules see all of the infused.

    A look's patients have been followed for `needed`; those with a longer window count once that is over.
    """
    ordered = jnp.sort(days.key)
    masks = [reached(cohort, asked, documented) for asked in watched]
    windows = [asked.days for asked in watched]

    def called(when: When) -> tuple[Any, Any]:
        """The day of a condition, and the last key that it takes (`_LAST` - 1 for everybody)."""
        kind, everybody = when[0], jnp.int32(_LAST - 1)
        if kind == "infused":
            count = numbers.count[when[1]]
            key = ordered[jnp.clip(count - 1, 0, ordered.shape[0] - 1)]
            there = (key < _LAST) & (count <= ordered.shape[0])
            return jnp.where(there, (key >> _NUMBER) + numbers.follow_up[when[1]], NEVER), key
        if kind == "month":
            return numbers.count[when[1]], everybody
        if kind == "events":
            assert documented is not None
            day, event = (getattr(documented, f"{when[2]}_{what}") for what in ("time", "event"))
            day = day + documented.response_day if when[2] == "dor" else day
            in_turn = jnp.sort(jnp.where(cohort.infused & event, days.infusion + day, NEVER))
            count = numbers.count[when[1]]
            there = count <= in_turn.shape[0]
            return jnp.where(there, in_turn[jnp.clip(count - 1, 0, in_turn.shape[0] - 1)], NEVER), everybody
        inner = [called(one) for one in when[1]]
        day, key = inner[0]
        for other_day, other_key in inner[1:]:
            takes = other_day < day if kind == "any" else other_day > day
            day, key = jnp.where(takes, other_day, day), jnp.where(takes, other_key, key)
        return day, key

    held: list[tuple[Any, ...]] = []
    for i, look in enumerate(looks):
        if look.final:
            day, mine, complete = final_day, cohort.infused, [cohort.infused] * len(watched)
        else:
            day, key = called(look.when)
            enough = [days.infusion + jnp.maximum(numbers.needed[i], window) <= day for window in windows]
            mine = cohort.infused & (days.infusion + numbers.needed[i] <= day)
            if not look.every:
                mine = mine & (days.key <= key)
            complete = [mine & window for window in enough]
        counts = [_number(whole & mask) for whole, mask in zip(complete, masks, strict=True)]
        comes = jnp.ones((), bool) if look.final else day <= jnp.minimum(final_day, NEVER - 1)
        enrolled = _number(cohort.enrolled & (days.enrolment <= day))
        held.append((day, comes, _number(mine), counts, [_number(whole) for whole in complete], mine, enrolled))
    day, comes, evaluated, counts, sizes, mine, enrolled = zip(*held, strict=True)
    stacked = [jnp.stack(part) for part in (day, comes, evaluated)]
    return Held(
        *stacked, counts=_table(counts), sizes=_table(sizes), mine=jnp.stack(mine), enrolled=jnp.stack(enrolled)
    )


def _table(rows: tuple[list[Any], ...]) -> Any:
    if not rows[0]:
        return jnp.zeros((len(rows), 0), jnp.int32)
    return jnp.stack([jnp.stack(row) for row in rows])


def _number(mask: Any) -> Any:
    return jnp.sum(mask, dtype=jnp.int32)


# --- looks at full follow-up, outside the calendar: patients in order of their number


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Running:
    """Numbers among the first n enrolled, n = 0 .. patients, int32 (patients + 1,): infused; with each endpoint, by
    name (those asked for at the end, and those watched at looks)."""

    infused: Any
    counts: dict[str, Any]


def running(cohort: Cohort, masks: dict[str, Any], *, all_infused: bool) -> Running:
    """Running numbers of a cohort and of masks of its patients. all_infused: whether everybody enrolled is."""
    masks = {name: cohort.infused & mask for name, mask in masks.items()}
    if not all_infused:
        masks["n"] = cohort.infused

    def one_more(before: Any, now: Any) -> tuple[Any, Any]:
        total = jax.tree.map(lambda number, has: number + has.astype(jnp.int32), before, now)
        return total, total

    # Many trials side by side take one step a patient: measured faster than cumulative sums.
    start = dict.fromkeys(masks, jnp.int32(0))
    _, totals = jax.lax.scan(one_more, start, masks)
    totals = {name: jnp.concatenate([jnp.zeros(1, jnp.int32), total]) for name, total in totals.items()}
    # Where everybody is infused the numbers are no trial's own, and are not drawn up for each.
    infused = jnp.arange(cohort.infused.shape[0] + 1, dtype=jnp.int32) if all_infused else totals.pop("n")
    return Running(infused, totals)


def place_of(numbers: Running, infused: Any, *, all_infused: bool) -> Any:
    """How many are enrolled once so many are infused, int32; more than there are where that never happens."""
    if all_infused:
        return infused
    return jnp.searchsorted(numbers.infused, infused, side="left").astype(jnp.int32)


def hold_in_turn(
    looks: tuple[LookPlan, ...],
    watched: tuple[Watched, ...],
    numbers: LookNumbers,
    seen: Running,
    end: Any,
    *,
    all_infused: bool,
) -> Held:
    """The looks of a trial without a calendar. end: how many are enrolled at the final analysis. The day of a look is
    the number of patients enrolled by then."""
    final = jnp.array([look.final for look in looks])
    count = jnp.stack([jnp.int32(0) if look.final else numbers.count[look.when[1]] for look in looks])
    place = jnp.where(final, end, place_of(seen, count, all_infused=all_infused))
    comes = final | (place <= end)
    place = jnp.minimum(place, end)
    evaluated = seen.infused[place]
    counts = [seen.counts[asked.name][place] for asked in watched]
    table = jnp.stack(counts, axis=1) if counts else jnp.zeros((len(looks), 0), jnp.int32)
    return Held(place, comes, evaluated, table, jnp.broadcast_to(evaluated[:, None], table.shape))
