"""An endpoint of one trial, sorted once, and the groups of its patients. Pure JAX; no batch axis.

A group is a set of codes (say dose and depth of response), so all groups share the sort.
Ties: deaths before censorings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

CODES = 32  # codes are 0 to 31
LATEST = 2**25 - 2  # days that fit into a key
EVERYONE = np.uint32(2**32 - 1)  # the group of all codes

_ABSENT = 2**31 - 1


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ordered:
    """An endpoint of one trial in order of time. key: int32 (patients,), day, censoring and code in one number."""

    key: Any

    @property
    def days(self) -> Any:
        """Days, int32 (patients,), ascending; those outside the analysis come last, after `LATEST`."""
        return self.key >> 6

    @property
    def event(self) -> Any:
        """Whether the day is that of an event, bool (patients,)."""
        return (self.key & 32) == 0

    @property
    def last(self) -> Any:
        """Whether nobody after has the same day, bool (patients,)."""
        return jnp.concatenate([self.days[1:] != self.days[:-1], jnp.ones(1, bool)])


def prepare(time: Any, event: Any, code: Any = None, mask: Any = None) -> Ordered:
    """Sort an endpoint, arrays (patients,): time int32 whole days, event bool, code int32 0 to 31, mask: analysed."""
    zero = jnp.zeros_like(time, jnp.int32)
    code = zero if code is None else jnp.asarray(code, jnp.int32)
    key = (jnp.clip(time, 0, LATEST) << 6) | jnp.where(event, 0, 32) | code
    key = key if mask is None else jnp.where(mask, key, _ABSENT)
    return Ordered(jnp.sort(key.astype(jnp.int32)))


def group_of(codes: Sequence[int]) -> np.uint32:
    """The group of the patients with any of these codes: one bit a code."""
    if not all(0 <= code < CODES for code in codes):
        raise ValueError(f"codes are 0 to {CODES - 1}: {list(codes)}")
    return np.uint32(sum(1 << code for code in set(codes)))


def belongs(key: Any, group: Any) -> Any:
    """Whether patients with these keys are in a group, bool, shape of `key`. group: uint32, see `group_of`."""
    bit = jnp.right_shift(jnp.asarray(group, jnp.uint32), (key & (CODES - 1)).astype(jnp.uint32)) & jnp.uint32(1)
    return (bit == 1) & (key != _ABSENT)


def members(ordered: Ordered, group: Any = EVERYONE) -> Any:
    """Who is in a group, bool (patients,), in the order of `ordered`."""
    return belongs(ordered.key, group)


def size(ordered: Ordered, group: Any = EVERYONE) -> Any:
    """How many patients are in a group, int32."""
    return jnp.sum(members(ordered, group), dtype=jnp.int32)


def events(ordered: Ordered, group: Any = EVERYONE) -> Any:
    """How many patients of a group have the event, int32."""
    return jnp.sum(members(ordered, group) & ordered.event, dtype=jnp.int32)


def latest(ordered: Ordered, group: Any = EVERYONE) -> Any:
    """A group's last time at risk, int32 day; -1 where nobody is in it."""
    return jnp.max(jnp.where(members(ordered, group), ordered.days, jnp.int32(-1)))


def at_risk(ordered: Ordered, group: Any, days: Sequence[Any]) -> Any:
    """How many of a group are at risk just before each day, int32 (days,)."""
    member, time = members(ordered, group), ordered.days
    return stack([jnp.sum(member & (time >= day), dtype=jnp.int32) for day in days], jnp.int32)


def stack(values: list[Any], dtype: Any = jnp.float32) -> Any:
    """The values as one array, empty where there are none."""
    return jnp.stack(values) if values else jnp.zeros(0, dtype)
