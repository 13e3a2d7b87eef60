"""Cells of a sweep that share their patients: the first n of a trial are the trial of n, so one simulation serves all.

Of such cells only what is asked of the patients differs: how many, the bounds, the looks.
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from vtrial.protocol.build import Protocol
from vtrial.trial.spec import Numbers, Plan

_OWN = ("size", "bounds", "looks")  # what may differ


def alike(protocols: list[Protocol]) -> list[list[int]]:
    """Places of the cells that can be simulated together, in order; a cell that cannot stands alone."""
    groups: list[list[int]] = []
    for place, protocol in enumerate(protocols):
        for group in groups:
            if _share(protocols[group[0]], protocol):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def together(cells: list[Numbers]) -> tuple[Numbers, dict[str, Any]]:
    """The numbers of the largest cell, and those of each, stacked (cells, ...): what `trial.run.run_each` wants."""
    largest = max(cells, key=lambda numbers: int(numbers.size))
    each = {name: jax.tree.map(lambda *rows: np.stack(rows), *(getattr(n, name) for n in cells)) for name in _OWN}
    return largest, each


def _share(one: Protocol, other: Protocol) -> bool:
    """Whether two cells have the same patients, but for how many, and ask of counts alone."""
    return (
        one.plan == other.plan
        and _prefix(one.plan, len(one.doses))
        and _same(one.worlds, other.worlds)
        and _same(*(replace(p.numbers, size=0, bounds={}, looks=None) for p in (one, other)))
    )


def _prefix(plan: Plan, doses: int) -> bool:
    counts = not (plan.curves or plan.flags or plan.in_calendar or "survival" in plan.systems)
    return counts and (plan.allocation == "random" or (plan.allocation == "sequential" and doses == 1))


def _same(one: Any, other: Any) -> bool:
    left, right = jax.tree.flatten(one), jax.tree.flatten(other)
    return left[1] == right[1] and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(left[0], right[0], strict=True)
    )
