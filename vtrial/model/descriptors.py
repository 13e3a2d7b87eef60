"""Flags and measures of a patient: what they are, and which follow from which.

A *flag* is a yes or no (male; diarrhea of any grade), a *measure* a number (age; days of CRS). The core of the
simulation knows some of both; the rest are what a study describes in priors.toml, drawn or derived. Pure Python: the
fit, the simulation and the reports share it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

# A condition, as nested tuples: ("name", x), ("not", c), ("and", c, d), ("or", c, d).
Condition = tuple[Any, ...]
Family = Literal["lognormal", "normal"]
Rounding = Literal["up", "nearest"]

# Flags that the core of the simulation knows of every patient at the data cut, and the system that each is read off.
CORE = {
    **dict.fromkeys(("enrolled", "infused"), "disposition"),
    **dict.fromkeys(("orr", "vgpr_or_better", "cr", "vgpr", "pr"), "response"),
    **dict.fromkeys(("mrd.evaluable", "mrd.negative"), "mrd"),
    **dict.fromkeys(("crs", "crs3", "crs.grade3", "crs.grade4", "crs.grade5"), "crs"),
    **dict.fromkeys(
        (
            "neurotoxicity",
            "neurotoxicity3",
            "neurotoxicity.grade3",
            "neurotoxicity.grade4",
            "neurotoxicity.grade5",
        ),
        "neurotoxicity",
    ),
    **dict.fromkeys(
        (
            "progressed",
            "deaths",
            "deaths.related_ae_within_8_weeks",
            "deaths.related_ae_8_weeks_to_6_months",
            "deaths.unrelated_ae_after_6_months",
            "deaths.progressed",
            "retreatment.retreated",
            "retreatment.response",
        ),
        "survival",
    ),
}
# The same of numbers, months.
CORE_MEASURES = {
    "response.time_to_first": "orr",
    "response.time_to_cr": "cr",
    "retreatment.duration_of_response": "retreatment.response",
    "follow_up": "infused",
}
# What is published as a window or as directions alone, and needs an entry of its own in priors.toml.
EXPANSION, DELIVERED = "kinetics.expansion", "dose.delivered"


@dataclass(frozen=True)
class Drawn:
    """A flag that is drawn, in the order of the file.

    given: who can have it. columns: whether its probability differs between the study's doses. number: of its stream.
    """

    name: str
    system: str
    given: Condition
    columns: bool
    number: int


@dataclass(frozen=True)
class Derived:
    """A flag that follows from others."""

    name: str
    condition: Condition


@dataclass(frozen=True)
class Measured:
    """A number of each patient who has what `given` asks.

    It is `above` + exp(normal) ("lognormal") or normal ("normal", at least `above`), reported in steps of `step`:
    rounded to the nearest, or up. columns: whether its location differs between the study's doses. number: of its
    stream.
    """

    name: str
    system: str
    given: Condition
    family: Family
    above: float
    step: float
    rounding: Rounding
    columns: bool
    number: int


@dataclass(frozen=True)
class Flags:
    """Everything that a study says of flags and measures, in an order in which nothing waits for a later one."""

    drawn: tuple[Drawn, ...] = ()
    derived: tuple[Derived, ...] = ()
    measures: tuple[Measured, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All flags but those of the core."""
        return (*(flag.name for flag in self.drawn), *(flag.name for flag in self.derived))

    @cached_property
    def by_name(self) -> "dict[str, Drawn | Derived | Measured]":
        """Each of them by its name."""
        return {one.name: one for one in (*self.drawn, *self.derived, *self.measures)}

    def needs(self, name: str) -> list[str]:
        """The flags of the core that a flag or measure depends on, itself if it is one."""
        if name in CORE:
            return [name]
        return list(dict.fromkeys(core for other in self._asks(name) for core in self.needs(other)))

    def _asks(self, name: str) -> list[str]:
        """The names in what a flag or measure asks or follows from."""
        of = self.by_name[name]
        return names_in(of.condition if isinstance(of, Derived) else of.given)

    def first(self, names: tuple[str, ...]) -> "Flags":
        """The same with some drawn flags in front."""
        return replace(self, drawn=tuple(sorted(self.drawn, key=lambda f: (f.name not in names, f.number))))

    def needed(self, wanted: Iterable[str]) -> "Flags":
        """Those that `wanted` flags and measures depend on, themselves included."""
        keep: set[str] = set()
        waiting = list(wanted)
        while waiting:
            name = waiting.pop()
            if name not in keep:
                keep.add(name)
                waiting += self._asks(name) if name in self.by_name else []
        return Flags(
            tuple(f for f in self.drawn if f.name in keep),
            tuple(f for f in self.derived if f.name in keep),
            tuple(m for m in self.measures if m.name in keep),
        )


def names_in(found: Condition) -> list[str]:
    """The flags that a condition speaks of."""
    if found[0] == "name":
        return [found[1]]
    return [name for part in found[1:] for name in names_in(part)]


def holds(found: Condition, value: Callable[[str], Any]) -> Any:
    """The value of a condition, given that of each name: masks of any array library."""
    match found[0]:
        case "name":
            return value(found[1])
        case "not":
            return ~holds(found[1], value)
        case "and":
            return holds(found[1], value) & holds(found[2], value)
        case _:
            return holds(found[1], value) | holds(found[2], value)
