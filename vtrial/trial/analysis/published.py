"""What a paper would print of one trial: counts in a population, medians with ranges, Kaplan-Meier estimates.

Pure JAX.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from vtrial.model.descriptors import Condition, holds, names_in
from vtrial.trial.observation.record import Record

EVERY_DOSE = -1


@dataclass(frozen=True)
class Group:
    """Who is counted: those who have what `has` asks, at the dose of this index (or `EVERY_DOSE`).

    at_most: the first so many of them alone, 0 for all. followed: index into the masks of those who were followed for
    some months, or -1.
    """

    has: Condition
    dose: int = EVERY_DOSE
    at_most: int = 0
    followed: int = -1


@dataclass(frozen=True)
class Asked:
    """What is asked of a trial: counts (flag, group) and numbers (measure, group), each in order."""

    counts: tuple[tuple[str, Group], ...] = ()
    numbers: tuple[tuple[str, Group], ...] = ()

    @property
    def names(self) -> set[str]:
        """The flags and measures that it needs."""
        of = {name for name, _ in (*self.counts, *self.numbers)}
        return of | {name for _, group in (*self.counts, *self.numbers) for name in names_in(group.has)}


def members(record: Record, dose: Any, followed: tuple[Any, ...], group: Group) -> Any:
    """The patients of a group, bool (patients,)."""
    mask = holds(group.has, lambda name: record.flags[name])
    if group.dose != EVERY_DOSE:
        mask = mask & (dose == group.dose)
    if group.followed >= 0:
        mask = mask & followed[group.followed]
    if group.at_most:
        mask = mask & (jnp.cumsum(mask, dtype=jnp.int32) <= group.at_most)
    return mask


def counts(record: Record, dose: Any, followed: tuple[Any, ...], asked: Asked) -> tuple[Any, Any]:
    """How many of each group have the flag, and how many it has; int32 (counts,) each."""
    groups = list(dict.fromkeys(group for _, group in asked.counts))
    flags = list(dict.fromkeys(flag for flag, _ in asked.counts))
    who = jnp.stack([members(record, dose, followed, group) for group in groups])
    has = jnp.stack([record.flags[flag] for flag in flags])
    sizes = jnp.sum(who, axis=1, dtype=jnp.int32)
    row = jnp.array([groups.index(group) for _, group in asked.counts])
    both = who[row] & has[jnp.array([flags.index(flag) for flag, _ in asked.counts])]
    return jnp.sum(both, axis=1, dtype=jnp.int32), sizes[row]


def medians(record: Record, dose: Any, followed: tuple[Any, ...], asked: Asked) -> tuple[Any, Any, Any, Any]:
    """Median, minimum, maximum and number of patients of each measure in its group, (numbers,) each; NaN of nobody."""
    who = jnp.stack([members(record, dose, followed, group) for _, group in asked.numbers])
    value = jnp.stack([record.measures[name] for name, _ in asked.numbers])
    n = jnp.sum(who, axis=1, dtype=jnp.int32)
    ordered = jnp.sort(jnp.where(who, value, jnp.inf), axis=1)

    def at(place: Any) -> Any:
        return jnp.take_along_axis(ordered, jnp.maximum(place, 0)[:, None], axis=1)[:, 0]

    found = (0.5 * (at((n - 1) // 2) + at(n // 2)), at(jnp.zeros_like(n)), at(n - 1))
    middle, low, high = (jnp.where(n > 0, x, jnp.nan) for x in found)
    return middle, low, high, n
