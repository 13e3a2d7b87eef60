"""What a scenario answered, and the folder of files that it is written as.

The folder holds characteristics.csv, differences.csv (of a sweep), trials.parquet, scenario.toml (as run), report.html
and manifest.json, which names the others with their hashes; `vtrial._support.folders` writes it whole or not at all.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from vtrial._support.errors import InputError
from vtrial._support.folders import MANIFEST, Part, save, save_file
from vtrial.characteristics import metrics, over_time
from vtrial.characteristics.metric import Metric
from vtrial.characteristics.table import exact_by_world, true_by_world
from vtrial.evidence import Evidence
from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol
from vtrial.scenario import Scenario
from vtrial.scenario.written import as_toml
from vtrial.workflows import comparisons, views
from vtrial.workflows.files import (
    CHARACTERISTICS,
    DIFFERENCES,
    REPORT,
    SCENARIO,
    TRIALS,
    table_part,
    text_part,
)
from vtrial.workflows.illustrations import Illustrations, illustrations
from vtrial.workflows.patients import as_seen, cohort_table
from vtrial.workflows.trial_log import story_of

if TYPE_CHECKING:
    from vtrial.workflows.views import Chart

FILES = (CHARACTERISTICS, TRIALS, SCENARIO, REPORT, MANIFEST)  # and DIFFERENCES, of a sweep


@dataclass(frozen=True, repr=False)
class Result:
    """What a scenario answered.

    characteristics: the tidy table of operating characteristics. trials: a row a trial and cell. protocols: the
    cells as they were run. manifest: provenance. warnings: what should be known beside the answer, a sentence each: a
    size above alpha, and what is almost surely a slip.
    """

    scenario: Scenario
    evidence: Evidence
    posteriors: dict[float, Posterior]
    protocols: tuple[Protocol, ...]
    characteristics: pd.DataFrame
    trials: pd.DataFrame
    manifest: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def posterior(self) -> Posterior:
        """The posterior of the first cell."""
        return self.posteriors[self.protocols[0].design.world.discount]

    def value(self, metric: str, *, cell: int = 0, method: str = "simulated") -> tuple[float, float]:
        """Estimate and Monte Carlo standard error of a metric. Raises `InputError` where there is none, or two."""
        table = self.characteristics
        row = table[(table["cell"] == cell) & (table["metric"] == metric) & (table["method"] == method)]
        if row.empty:
            known = ", ".join(dict.fromkeys(table["metric"]))
            raise InputError(f"there is no {method} metric '{metric}' in cell {cell} (metrics: {known})")
        if len(row) > 1:
            raise InputError(f"there are {len(row)} {method} metrics '{metric}' in cell {cell}")
        return float(row["estimate"].iloc[0]), float(row["mcse"].iloc[0])

    def differences(self) -> pd.DataFrame:
        """Each cell of a sweep minus the first: cells meet the same patients.

        Of each difference its Monte Carlo error and limits; of true rates and exact probabilities over the worlds of a
        posterior also the interval over worlds and the probability of being positive. Empty without a sweep. See
        `vtrial.workflows.comparisons.table`.
        """
        return self._differences.copy()

    @cached_property
    def _differences(self) -> pd.DataFrame:
        return comparisons.table(self)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that the tables can have, by name: what each is in words, and its unit."""
        return metrics.by_name(self.protocols)

    @cached_property
    def illustrations(self) -> Illustrations:
        """What the report shows beside the tables, of the first cell: simulated when first asked for."""
        return illustrations(self)

    def worlds(self, *, cell: int = 0) -> pd.DataFrame:
        """A row a world: its true rates, and what is known exactly of the design there (power against the true rate).

        Raises `InputError` for a cell that is not there.
        """
        protocol = self.protocols[self._there(cell)]
        seed = self.scenario.design.simulation.seed
        lived, found, _ = exact_by_world(protocol, seed)
        return pd.DataFrame(true_by_world(protocol, lived) | found)

    def answer(self) -> str:
        """The answer in one sentence, with numbers and their Monte Carlo errors."""
        return views.answer(self)

    def cohort(self, trial: int = 0, *, cell: int = 0) -> pd.DataFrame:
        """The patients of one simulated trial, a row each: as they truly are, and their times as seen at the data cut.

        Raises `InputError` for a trial or cell that is not there.
        """
        protocol = self.protocols[self._there(cell)]
        return cohort_table(protocol, seed=self.scenario.design.simulation.seed, trial=_trial(trial))

    def _there(self, cell: int) -> int:
        if not 0 <= cell < len(self.protocols):
            raise InputError(f"cell {cell} is not there (0 to {len(self.protocols) - 1})")
        return cell

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
        protocol = self.protocols[self._there(cell)]
        trials = self.scenario.design.simulation.trials
        curves = over_time.survival(protocol, endpoint, trials=trials, where=self.scenario.where)
        return views.survival(curves, self.evidence, cast("TimeEndpoint", endpoint))

    def plot_patients(self, trial: int = 0, *, cell: int = 0) -> "Chart":
        """The patients of one simulated trial as its data cut shows them, a bar each (a swimmer plot).

        Raises `InputError` for a trial or cell that is not there, or where times are not simulated.
        """
        protocol, seed = self.protocols[self._there(cell)], self.scenario.design.simulation.seed
        return views.patients(as_seen(protocol, seed=seed, trial=_trial(trial), where=self.scenario.where))

    def plot_states(self, *, cell: int = 0) -> "Chart":
        """The share of patients in each state over time, as it truly is. Raises `InputError` as `plot_patients`."""
        protocol = self.protocols[self._there(cell)]
        trials = self.scenario.design.simulation.trials
        return views.states(over_time.states(protocol, trials=trials, where=self.scenario.where))

    def story(self, trial: int = 0, *, cell: int = 0) -> pd.DataFrame:
        """What each look of one simulated trial saw, a row a rule; see `vtrial.workflows.trial_log.story_of`.

        Raises `InputError` for a trial or cell that is not there, or a design without looks.
        """
        protocol, seed = self.protocols[self._there(cell)], self.scenario.design.simulation.seed
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
