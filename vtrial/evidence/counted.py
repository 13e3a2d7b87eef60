"""What facts.csv counts of the flags and measures that priors.toml describes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vtrial._support.errors import InputError
from vtrial.evidence.facts import as_id
from vtrial.evidence.flags import fact_at, gathered, quoted, stems_in, value_at
from vtrial.evidence.priors import FlagEntry
from vtrial.evidence.study import Evidence


@dataclass(frozen=True)
class Cell:
    """A published count of a drawn flag: at the dose of index `column`, or of all doses together (-1).

    parent: the flag whose probability multiplies this one's, where the count is of everybody; else "".
    """

    flag: str
    column: int
    count: float
    n: float
    parent: str = ""


@dataclass(frozen=True)
class Reported:
    """A published median with its range (NaN where not given) of a measure, at a dose or of all (-1)."""

    measure: str
    column: int
    n: float
    median: float
    low: float
    high: float


def cells(evidence: Evidence) -> Iterator[Cell]:
    """What was counted of each drawn flag; 0 of 0 where that is held back. Raises `InputError` for what cannot be."""
    where = str(evidence.folder / "priors.toml")
    of_flag = {flag.name: flag for flag in evidence.flags.drawn}
    problems: list[str] = []
    for system, section in evidence.priors.flags.items():
        for one in section.drawn:
            if one.name not in of_flag:
                continue
            at = f"[flags.{system}] '{one.name}'"
            for column in range(len(evidence.doses)) if of_flag[one.name].columns else (-1,):
                with gathered(problems):
                    yield _cell(evidence, one, column, at)
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}")


def _cell(evidence: Evidence, one: FlagEntry, column: int, at: str) -> Cell:
    counted = one.count or one.name
    of = one.of or f"n({quoted(stems_in(counted, at)[0])})"
    pair = evidence.term(lambda: (value_at(counted, evidence, column, at), value_at(of, evidence, column, at)))
    count, n = pair or (0.0, 0.0)
    if not 0 <= count <= n:
        dose = "all doses" if column < 0 else f"dose {as_id(evidence.doses[column])}"
        raise InputError(f"{at}: {count:g} of {n:g} at {dose} cannot be; the facts contradict each other")
    return Cell(one.name, column, count, n, one.given if one.unconditional else "")


def reported(evidence: Evidence) -> Iterator[Reported]:
    """What was reported of each measure; of nobody where that is held back. Raises `InputError` for what cannot be."""
    where = str(evidence.folder / "priors.toml")
    problems: list[str] = []
    for measure in evidence.flags.measures:
        for column in range(len(evidence.doses)) if measure.columns else (-1,):
            with gathered(problems):
                yield _reported(evidence, measure.name, column)
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}")


def _reported(evidence: Evidence, measure: str, column: int) -> Reported:
    at = f"[measure] '{measure}'"
    fact = fact_at(evidence, measure, column, at)
    if (statistic := evidence.facts.at[fact, "statistic"]) not in ("median_range", "median"):
        raise InputError(f"{at}: {fact} is a {statistic}; a median is needed")
    numbers = evidence.term(lambda: tuple(evidence.number(fact, c) for c in ("n", "value", "low", "high")))
    if numbers is None:
        return Reported(measure, column, 0.0, np.nan, np.nan, np.nan)
    if not numbers[0] > 0:
        raise InputError(f"{at}: {fact} does not say of how many patients (n)")
    return Reported(measure, column, *numbers)
