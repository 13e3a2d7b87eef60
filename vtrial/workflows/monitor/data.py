"""The file of a trial's actual numbers: what it holds, and which analysis of the design each entry is."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vtrial._support.errors import InputError, nearest
from vtrial._support.validation import first_problem, read_toml
from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.parameters import DAYS
from vtrial.model.vocabulary import END
from vtrial.scenario import MAX_PATIENTS
from vtrial.scenario.looks import LookSection

Count = Annotated[int, Field(ge=0)]
Analysed = Annotated[int, Field(ge=1, le=MAX_PATIENTS)]
Months = Annotated[float, Field(ge=0)]


class _LogRank(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    observed: Count
    expected: Annotated[float, Field(ge=1e-3, le=1e6)]


class Seen(BaseModel):
    """What one look saw. name: of the look, or "end". infused, or evaluable: patients in its analysis; of a look whose
    patients need follow-up, those who have it. counts: of them with each endpoint. enrolled: by then, for tests in the
    enrolled. median: Kaplan-Meier medians in months (inf: not reached), by endpoint; median_low: their lower limits at
    the test's level. log_rank: events observed and expected under the benchmark, by endpoint."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str | None = None
    infused: Analysed | None = None
    evaluable: Analysed | None = None
    enrolled: Analysed | None = None
    counts: dict[str, Count] = {}
    median: dict[TimeEndpoint, Months] = {}
    median_low: dict[TimeEndpoint, Months] = {}
    log_rank: dict[TimeEndpoint, _LogRank] = {}

    @property
    def patients(self) -> int:
        """How many patients the analysis has."""
        found = self.infused if self.evaluable is None else self.evaluable
        assert found is not None
        return found


class Data(BaseModel):
    """What a file of actual numbers holds: the looks held so far, in order. note: said with the answer.
    timing_independent_of_results: whether numbers and times of analyses were set without regard to results; None where
    the file does not say."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    note: str = ""
    timing_independent_of_results: bool | None = None
    look: Annotated[list[Seen], Field(min_length=1)]

    @field_validator("look", mode="before")
    @classmethod
    def _one(cls, look: Any) -> Any:
        return [look] if isinstance(look, Mapping) else look


@dataclass(frozen=True)
class Analysis:
    """One entry of the data. look: its place among the design's looks, None for the final analysis where that has no
    rules. section: the look. place: for messages."""

    name: str
    seen: Seen
    look: int | None
    section: LookSection | None
    place: str

    @property
    def last(self) -> bool:
        """Whether it is the final analysis."""
        return self.name == END

    @property
    def n(self) -> int:
        """How many patients it has."""
        return self.seen.patients

    def count(self, name: str) -> int:
        """How many of its patients have an endpoint. Raises `InputError` where that is not given."""
        if name not in self.seen.counts:
            given = f" (given: {', '.join(self.seen.counts)})" if self.seen.counts else ""
            raise InputError(f"{self.place}: counts has no '{name}', which this look needs{given}")
        return self.seen.counts[name]

    def enrolled(self, rule: str) -> int:
        """How many are enrolled by then, which a rule needs. Raises `InputError` where that is not given."""
        if self.seen.enrolled is None:
            raise InputError(
                f"{self.place}: enrolled is missing, which rule '{rule}' needs: it forecasts the test of them all"
            )
        return self.seen.enrolled

    def events(self, endpoint: str) -> int:
        """How many events of a time it has. Raises `InputError` where that is not given."""
        self.value((endpoint, "log-rank"))
        return self.seen.log_rank[endpoint].observed  # type: ignore[index]

    def value(self, time: tuple[str, str]) -> float:
        """What a rule on a time compares: days, or a normal quantile that is positive for longer times."""
        endpoint, method = time
        if method == "median":
            if endpoint not in self.seen.median:
                raise InputError(
                    f"{self.place}: median has no '{endpoint}', which this look needs (months; inf: not reached)"
                )
            return self.seen.median[endpoint] * DAYS  # type: ignore[index]
        if endpoint not in self.seen.log_rank:
            raise InputError(
                f"{self.place}: log_rank has no '{endpoint}', which this look needs, such as "
                f"log_rank = {{ {endpoint} = {{ observed = 40, expected = 52.5 }} }}"
            )
        found = self.seen.log_rank[endpoint]  # type: ignore[index]
        return float((found.expected - found.observed) / np.sqrt(found.expected))


def read(data: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[Data, str]:
    """The data of a file, or given as data, and where they come from, for messages. Raises `InputError`."""
    raw, where = (dict(data), "data") if isinstance(data, Mapping) else (read_toml(Path(data), str(data)), str(data))
    try:
        return Data.model_validate(raw), where
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error, Data, raw)}") from None


def analyses(data: Data, sections: Sequence[LookSection], where: str) -> list[Analysis]:
    """Which look of the design each entry is, in their order.

    Raises `InputError` for names that are missing, unknown or twice, for what comes after the end, and for patients
    that are not given as their look needs them.
    """
    names = [section.name for section in sections if not section.when.final]
    at_end = next((k for k, section in enumerate(sections) if section.when.final), None)
    found: list[Analysis] = []
    for number, seen in enumerate(data.look, start=1):
        if seen.name is None and names:
            raise InputError(f"{where}: [[look]] number {number} has no name (allowed: {', '.join([*names, END])})")
        name = seen.name or END
        place = f"{where}: [[look]] '{name}'"
        if found and found[-1].last:
            raise InputError(f"{place} comes after '{END}', which is the last")
        final = at_end is not None and name == sections[at_end].name
        if name != END and not final and name not in names:
            known = [*names, END]
            raise InputError(f"{place}: the design has no such look{nearest(name, known)} (known: {', '.join(known)})")
        if final:
            raise InputError(f"{place} is held at the final analysis, which is named '{END}'")
        if any(other.name == name for other in found):
            raise InputError(f"{place} is there twice")
        k = at_end if name == END else next(k for k, section in enumerate(sections) if section.name == name)
        section = None if k is None else sections[k]
        _patients_given(seen, section if name != END else None, place)
        found.append(Analysis(name, seen, k, section, place))
    return found


def _patients_given(seen: Seen, section: LookSection | None, place: str) -> None:
    if seen.evaluable is not None and (section is None or not section.when.timed):
        what = "the final analysis is of all infused" if section is None else "this look is at full follow-up"
        raise InputError(f"{place}: evaluable goes with a look whose patients need follow-up; {what}: give infused")
    if seen.infused is None and seen.evaluable is None:
        also = " (or evaluable)" if section is not None and section.when.timed else ""
        raise InputError(f"{place}: infused{also} is missing: how many patients it has")
