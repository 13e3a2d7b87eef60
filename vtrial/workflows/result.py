"""What a scenario answered, and the folder of files that it is written as.

The folder holds characteristics.csv, differences.csv (of a sweep), trials.parquet, scenario.toml (as run), report.html
and manifest.json, which names the others with their hashes; `vtrial._support.folders` writes it whole or not at all.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from vtrial._support.errors import InputError
from vtrial._support.folders import MANIFEST, Part, save, save_file
from vtrial.characteristics import over_time
from vtrial.model.endpoints import TimeEndpoint
from vtrial.scenario.written import as_toml
from vtrial.workflows import views
from vtrial.workflows.files import (
    CHARACTERISTICS,
    DIFFERENCES,
    REPORT,
    SCENARIO,
    TRIALS,
    table_part,
    text_part,
)
from vtrial.workflows.patients import as_seen, cohort_table
from vtrial.workflows.result_data import ResultData
from vtrial.workflows.trial_log import story_of

if TYPE_CHECKING:
    from vtrial.workflows.views import Chart

FILES = (CHARACTERISTICS, TRIALS, SCENARIO, REPORT, MANIFEST)  # and DIFFERENCES, of a sweep


@dataclass(frozen=True, repr=False)
class Result(ResultData):
    """What a scenario answered, as `ResultData` holds it, and how it shows itself."""

    def answer(self) -> str:
        """The answer in one sentence, with numbers and their Monte Carlo errors."""
        return views.answer(self)

    def cohort(self, trial: int = 0, *, cell: int = 0) -> pd.DataFrame:
        """The patients of one simulated trial, a row each: as they truly are, and their times as seen at the data cut.

        Raises `InputError` for a trial or cell that is not there.
        """
        protocol = self.protocols[self.there(cell)]
        return cohort_table(protocol, seed=self.scenario.design.simulation.seed, trial=_trial(trial))

    def plot_fit(self) -> "Chart":
        """Published against fitted rates by dose."""
        return views.fit(self)

    def plot_power(self) -> "Chart":
        """Rejection probabilities over what was swept. Raises `InputError` where nothing was."""
        return views.power(self)

    def plot_survival(self, endpoint: str = "pfs", *, cell: int = 0) -> "Chart":
        """Kaplan-Meier curves of an endpoint ("pfs", "dor", "os") over the trials, beside the published median.

        Raises `InputError` for a cell that is not there, or where no curve of the endpoint is estimated.
        """
        protocol = self.protocols[self.there(cell)]
        trials = self.scenario.design.simulation.trials
        curves = over_time.survival(protocol, endpoint, trials=trials, where=self.scenario.where)
        return views.survival(curves, self.evidence, cast("TimeEndpoint", endpoint))

    def plot_patients(self, trial: int = 0, *, cell: int = 0) -> "Chart":
        """The patients of one simulated trial as its data cut shows them, a bar each (a swimmer plot).

        Raises `InputError` for a trial or cell that is not there, or where times are not simulated.
        """
        protocol, seed = self.protocols[self.there(cell)], self.scenario.design.simulation.seed
        return views.patients(as_seen(protocol, seed=seed, trial=_trial(trial), where=self.scenario.where))

    def plot_states(self, *, cell: int = 0) -> "Chart":
        """The share of patients in each state over time, as it truly is. Raises `InputError` as `plot_patients`."""
        protocol = self.protocols[self.there(cell)]
        trials = self.scenario.design.simulation.trials
        return views.states(over_time.states(protocol, trials=trials, where=self.scenario.where))

    def story(self, trial: int = 0, *, cell: int = 0) -> pd.DataFrame:
        """What each look of one simulated trial saw, a row a rule; see `vtrial.workflows.trial_log.story_of`.

        Raises `InputError` for a trial or cell that is not there, or a design without looks.
        """
        protocol, seed = self.protocols[self.there(cell)], self.scenario.design.simulation.seed
        return story_of(protocol, seed=seed, trial=_trial(trial), where=self.scenario.where)

    def plot_story(self, trial: int = 0, *, cell: int = 0) -> "Chart":
        """`story` as a chart: what was seen against the bounds. Raises `InputError` as it does."""
        return views.trial_log(self.story(trial, cell=cell), trial)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report, one self-contained HTML file, whole or not at all."""
        return save_file(path, text_part(REPORT, lambda: views.page(self)).write)

    def parts(self) -> list[Part]:
        """The files of `save`, but for manifest.json."""
        return [
            table_part(CHARACTERISTICS, self.characteristics),
            *([table_part(DIFFERENCES, self.differences())] if self.scenario.swept else []),
            Part(TRIALS, lambda path: self.trials.to_parquet(path, index=False)),
            text_part(SCENARIO, lambda: as_toml(self.scenario.raw)),
            text_part(REPORT, lambda: views.page(self)),
        ]

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write the folder `out`, whole or not at all; `vtrial.load_result` reads it back.

        Raises `InputError` where a file of somebody else's would be lost, `OutputError` where it cannot be written.
        """
        return save(out, self.parts(), self.manifest)

    def __repr__(self) -> str:
        return f"<vtrial.Result of '{self.scenario.name}': {self.answer()}>"

    def _repr_html_(self) -> str:
        return views.notebook(self)


def _trial(number: int) -> int:
    if not 0 <= number < 2**32:
        raise InputError(f"trial {number} is not there (from 0)")
    return number
