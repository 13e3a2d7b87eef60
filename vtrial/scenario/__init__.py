"""scenarios/*.toml -> Scenario: the only reader and validator of scenarios.

A scenario is one design question. `sections` lists every key with what is allowed and its default; `sweep`
lays out the cells.
"""

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from vtrial._support import paths
from vtrial._support.errors import InputError
from vtrial._support.validation import first_problem, plain_data, read_toml
from vtrial.scenario import sweep
from vtrial.scenario.sections import Design, TestSection
from vtrial.scenario.solve import SolveSection

__all__ = ["Cell", "Design", "Scenario", "TestSection", "as_scenario", "check_cost", "from_dict", "load_scenario"]

MAX_PATIENT_TRIALS = 1e11
MAX_ROWS = 20_000_000  # trials times cells: a row each is kept
MAX_PATIENTS = 10_000  # in one trial: some hundreds of trials are held in memory at once


class _File(Design):
    sweep: dict[str, Any] = Field(default={})
    solve: SolveSection | None = None


@dataclass(frozen=True)
class Cell:
    """One cell of a sweep: its number, the swept values by key, and the design that they make."""

    number: int
    swept: dict[str, Any]
    design: Design


@dataclass(frozen=True)
class Scenario:
    """A validated scenario.

    name: of the file, without ending. where: for messages. design: without the sweep. cells: at least one; with a
    sweep, one for each point of its grid. solve: what `vtrial.solve` is to find. raw: the data as written.
    """

    name: str
    where: str
    design: Design
    cells: tuple[Cell, ...]
    raw: dict[str, Any]
    solve: SolveSection | None = None

    @property
    def swept(self) -> list[str]:
        """The keys that are swept."""
        return list(self.cells[0].swept)

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The swept values of each cell as columns of a table."""
        return sweep.columns([cell.swept for cell in self.cells])

    @property
    def column_names(self) -> list[str]:
        """The columns of all cells, in order."""
        return list(dict.fromkeys(name for row in self.columns for name in row))

    @property
    def sha256(self) -> str:
        """Hash of the scenario's data."""
        return hashlib.sha256(json.dumps(self.raw, sort_keys=True, default=str).encode()).hexdigest()

    def cell(self, number: int) -> Cell:
        """One of the cells. Raises `InputError` where it is not there."""
        if not 0 <= number < len(self.cells):
            raise InputError(f"{self.where}: cell {number} is not there (0 to {len(self.cells) - 1})")
        return self.cells[number]

    def replace(self, changes: Mapping[str, Any]) -> "Scenario":
        """The scenario with some keys changed, addressed as a sweep does: ``{"cohort.enrolled": 200}``.

        Raises `InputError` as reading a file does.
        """
        raw = copy.deepcopy(self.raw)
        sweep.put_all(raw, changes, self.where)
        return from_dict(raw, name=self.name, where=self.where)


def load_scenario(scenario: str | os.PathLike[str]) -> Scenario:
    """Read and check a scenario: a shipped name, or a TOML file.

    Raises `InputError` that names file and key, what was given and what is allowed.
    """
    file = paths.scenario_file(scenario)
    where = str(scenario) if os.path.isfile(scenario) else f"scenarios/{file.name}"
    raw = read_toml(file, where)
    if not raw:
        raise InputError(f"{where}: is empty; a scenario needs at least one [[arm]] or [[test]]")
    return from_dict(raw, name=file.stem, where=where)


def as_scenario(given: Scenario | str | os.PathLike[str] | Mapping[str, Any]) -> Scenario:
    """A scenario however it is given: loaded, a shipped name, a file, or data. Raises `InputError`."""
    if isinstance(given, Scenario):
        return given
    return from_dict(given) if isinstance(given, Mapping) else load_scenario(given)


def from_dict(raw: Mapping[str, Any], *, name: str = "scenario", where: str = "scenario") -> Scenario:
    """Check a scenario given as data, in the structure of its TOML. Raises `InputError`."""
    data = plain_data(raw, where)
    whole = _validated(_File, data, where)
    assert isinstance(whole, _File)
    without = {key: value for key, value in data.items() if key not in ("sweep", "solve")}
    design = _validated(Design, without, where)
    cells = []
    for number, swept in enumerate(sweep.grid(whole.sweep, where)):
        changed = copy.deepcopy(without)
        sweep.put_all(changed, swept, where)
        cells.append(
            Cell(
                number,
                swept,
                _validated(Design, changed, f"{where}: [sweep] {sweep.in_words(swept)}" if swept else where),
            )
        )
    return Scenario(name=name, where=where, design=design, cells=tuple(cells), raw=data, solve=whole.solve)


def _validated(model: type[Design], data: dict[str, Any], where: str) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error, model, data)}") from None


def check_cost(scenario: Scenario, capacity: int) -> None:
    """Refuse what would take too long. Raises `InputError` that says what it would cost."""
    trials, cells = scenario.design.simulation.trials, len(scenario.cells)
    cost = float(trials) * capacity * cells
    if cost > MAX_PATIENT_TRIALS:
        raise InputError(
            f"{scenario.where}: {trials:,} trials of {capacity:,} patients in {cells} cells are {cost:.1e} "
            f"patient-trials, about {cost / 5e6 / 3600:,.0f} hours on two cores (at most {MAX_PATIENT_TRIALS:.0e})"
        )
    if trials * cells > MAX_ROWS:
        raise InputError(
            f"{scenario.where}: {trials:,} trials in {cells} cells are {trials * cells:,} rows to keep, about "
            f"{trials * cells * 300 / 2**30:,.0f} GB of memory (at most {MAX_ROWS:,})"
        )
    if capacity > MAX_PATIENTS:
        raise InputError(
            f"{scenario.where}: trials of {capacity:,} patients do not fit into memory (at most {MAX_PATIENTS:,})"
        )
