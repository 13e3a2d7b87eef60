"""The file of a trial's actual numbers: what it holds, and whether the numbers can be. Raises `InputError`."""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vtrial.conduct.windows import watched
from vtrial.curves import DAYS
from vtrial.decisions import END
from vtrial.errors import InputError
from vtrial.validation import first_problem, read_toml

Count = Annotated[int, Field(ge=0)]


class _LogRank(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    observed: Count
    expected: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Seen(BaseModel):
    """What one look saw. name: of the look, or "end". infused: patients in its analysis. counts: with each endpoint.
    enrolled: for tests in the enrolled. median: Kaplan-Meier medians in months, by endpoint; median_low: their lower
    limits at the test's level. log_rank: events observed and expected under the benchmark, by endpoint."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = END
    infused: Annotated[int, Field(ge=1)]
    enrolled: Annotated[int, Field(ge=1)] | None = None
    counts: dict[str, Count] = {}
    median: dict[str, Annotated[float, Field(ge=0)]] = {}
    median_low: dict[str, Annotated[float, Field(ge=0)]] = {}
    log_rank: dict[str, _LogRank] = {}


class Data(BaseModel):
    """What a file of actual numbers holds: the looks held so far, in order. note: said with the answer."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    note: str = ""
    look: Annotated[list[Seen], Field(min_length=1)]

    @field_validator("look", mode="before")
    @classmethod
    def _one(cls, look: Any) -> Any:
        return [look] if isinstance(look, Mapping) else look


def read(data: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[Data, str]:
    """The data of a file, or given as data, and where they come from, for messages."""
    raw, where = (dict(data), "data") if isinstance(data, Mapping) else (read_toml(Path(data), str(data)), str(data))
    try:
        return Data.model_validate(raw), where
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error, Data, raw)}") from None


def check(seen: Seen, place: str) -> None:
    for name, count in seen.counts.items():
        try:
            watched(name)
        except ValueError as problem:
            raise InputError(f"{place}: counts: {problem}") from None
        if count > seen.infused:
            raise InputError(f"{place}: counts: {count} with {name} are more than the {seen.infused} patients")
    if seen.enrolled is not None and seen.enrolled < seen.infused:
        raise InputError(f"{place}: enrolled = {seen.enrolled} is fewer than infused = {seen.infused}")
    nested = (("orr", "vgpr", "cr", "mrd"), ("crs", "crs3", "crs4", "crs5"))
    nested = (*nested, ("neurotoxicity", "neurotoxicity3", "neurotoxicity4", "neurotoxicity5"))
    for family in nested:
        for window in {name.partition("@")[2] for name in seen.counts}:
            mine = [f"{name}@{window}" if window else name for name in family]
            known = [(name, seen.counts[name]) for name in mine if name in seen.counts]
            for (whole, most), (part, count) in itertools.pairwise(known):
                if count > most:
                    raise InputError(f"{place}: counts: {count} with {part} are more than the {most} with {whole}")


def count_of(seen: Seen, name: str, place: str) -> int:
    if name not in seen.counts:
        raise InputError(f"{place}: counts has no '{name}', which this look needs (given: {', '.join(seen.counts)})")
    return seen.counts[name]


def value_of(seen: Seen, time: tuple[str, str], place: str) -> float:
    """What a rule on a time compares: days, or a normal quantile that is positive for longer times."""
    endpoint, method = time
    if method == "median":
        if endpoint not in seen.median:
            raise InputError(f"{place}: median has no '{endpoint}', which this look needs (months; inf: not reached)")
        return seen.median[endpoint] * DAYS
    if endpoint not in seen.log_rank:
        raise InputError(
            f"{place}: log_rank has no '{endpoint}', which this look needs, such as "
            f"log_rank = {{ {endpoint} = {{ observed = 40, expected = 52.5 }} }}"
        )
    found = seen.log_rank[endpoint]
    return float((found.expected - found.observed) / np.sqrt(found.expected))
