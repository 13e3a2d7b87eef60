"""scenario -> Result: find or fit the posterior, run every cell, write the folder.

The folder holds characteristics.csv, differences.csv (of a sweep), trials.parquet, scenario.toml (as run), report.html
and manifest.json, which names the others with their hashes; `vtrial._support.folders` writes it whole or not at all.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pandas as pd

from vtrial._support import paths
from vtrial._support.errors import InputError
from vtrial._support.folders import MANIFEST, Part, check_writable, save, save_file
from vtrial.characteristics import plausibility
from vtrial.characteristics.table import exact_by_world, operating_characteristics, trials_table, true_by_world
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol
from vtrial.report.headline.looks import check_answer, check_names
from vtrial.scenario import Scenario, as_scenario
from vtrial.scenario.written import as_toml
from vtrial.workflows.cells import prepared, simulated
from vtrial.workflows.files import (
    CHARACTERISTICS,
    DIFFERENCES,
    REPORT,
    SCENARIO,
    TRIALS,
    provenance,
    table_part,
    text_part,
)

if TYPE_CHECKING:
    from vtrial.report.charts.rates import Chart

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
        from vtrial.workflows import comparisons

        return comparisons.table(self)

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
        from vtrial.report.headline.answer import sentence

        return sentence(self)

    def cohort(self, trial: int = 0, *, cell: int = 0) -> pd.DataFrame:
        """The patients of one simulated trial, a row each: as they truly are, and their times as seen at the data cut.

        Raises `InputError` for a trial or cell that is not there.
        """
        from vtrial.report.tables.patients import cohort_table

        protocol = self.protocols[self._there(cell)]
        return cohort_table(protocol, seed=self.scenario.design.simulation.seed, trial=_trial(trial))

    def _there(self, cell: int) -> int:
        if not 0 <= cell < len(self.protocols):
            raise InputError(f"cell {cell} is not there (0 to {len(self.protocols) - 1})")
        return cell

    def plot_fit(self) -> "Chart":
        """Published against fitted rates by dose."""
        from vtrial.report.charts import rates

        return rates.fit(self)

    def plot_power(self) -> "Chart":
        """Rejection probabilities over what was swept. Raises `InputError` where nothing was."""
        from vtrial.report.charts import rates

        return rates.power(self)

    def plot_survival(self, endpoint: str = "pfs", *, cell: int = 0) -> "Chart":
        """Kaplan-Meier curves of an endpoint ("pfs", "dor", "os") over the trials, beside the published median.

        Raises `InputError` for a cell that is not there, or where no curve of the endpoint is estimated.
        """
        from vtrial.report.charts import survival

        return survival.fan(self, endpoint, cell=self._there(cell))

    def plot_patients(self, trial: int = 0, *, cell: int = 0) -> "Chart":
        """The patients of one simulated trial as its data cut shows them, a bar each (a swimmer plot).

        Raises `InputError` for a trial or cell that is not there, or where times are not simulated.
        """
        from vtrial.report.charts import swimmer

        return swimmer.swimmer(self, _trial(trial), cell=self._there(cell))

    def plot_states(self, *, cell: int = 0) -> "Chart":
        """The share of patients in each state over time, as it truly is. Raises `InputError` as `plot_patients`."""
        from vtrial.report.charts import survival

        return survival.states(self, cell=self._there(cell))

    def story(self, trial: int = 0, *, cell: int = 0) -> pd.DataFrame:
        """What each look of one simulated trial saw, a row a rule; see `vtrial.workflows.trial_log.story_of`.

        Raises `InputError` for a trial or cell that is not there, or a design without looks.
        """
        from vtrial.workflows.trial_log import story_of

        protocol, seed = self.protocols[self._there(cell)], self.scenario.design.simulation.seed
        return story_of(protocol, seed=seed, trial=_trial(trial), where=self.scenario.where)

    def plot_story(self, trial: int = 0, *, cell: int = 0) -> "Chart":
        """`story` as a chart: what was seen against the bounds. Raises `InputError` as it does."""
        from vtrial.report.charts import trial_log

        return trial_log.story(self.story(trial, cell=cell), trial)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report, one self-contained HTML file, whole or not at all."""
        from vtrial.report.page import html

        return save_file(path, text_part(REPORT, lambda: html(self)).write)

    def parts(self) -> list[Part]:
        """The files of `save`, but for manifest.json."""
        from vtrial.report.page import html

        return [
            table_part(CHARACTERISTICS, self.characteristics),
            *([table_part(DIFFERENCES, self.differences())] if self.scenario.swept else []),
            Part(TRIALS, lambda path: self.trials.to_parquet(path, index=False)),
            text_part(SCENARIO, lambda: as_toml(self.scenario.raw)),
            text_part(REPORT, lambda: html(self)),
        ]

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write the folder `out`, whole or not at all; `vtrial.load_result` reads it back.

        Raises `InputError` where a file of somebody else's would be lost, `OutputError` where it cannot be written.
        """
        return save(out, self.parts(), self.manifest)

    def __repr__(self) -> str:
        return f"<vtrial.Result of '{self.scenario.name}': {self.answer()}>"

    def _repr_html_(self) -> str:
        from vtrial.report.headline.answer import notebook

        return notebook(self)


def run(
    scenario: Scenario | str | os.PathLike[str] | dict[str, Any],
    *,
    trials: int | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Result:
    """Run a scenario: a shipped name, a file, data in the structure of its TOML, or a loaded `Scenario`.

    trials, seed: in place of the scenario's. out: folder to write (nothing is written without it). progress:
    called with (what, done, all).

    Raises `InputError` for a scenario that cannot be run, `FitError` for a fit that did not converge.
    """
    scenario = as_scenario(scenario)
    changes = {"simulation.trials": trials, "simulation.seed": seed}
    if changes := {key: value for key, value in changes.items() if value is not None}:
        scenario = scenario.replace(changes)
    keep_compiled_programs()
    read, posteriors, protocols = prepared(scenario, progress)
    check_names(protocols, scenario.where)
    check_answer(scenario.design, protocols, scenario.where)
    if out is not None:
        check_writable(out, FILES)
    simulation = scenario.design.simulation
    tables: dict[int, pd.DataFrame] = {}
    trial_tables: dict[int, pd.DataFrame] = {}
    swept = scenario.columns
    done, total = 0, simulation.trials * len(scenario.cells)

    def step(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress("simulating", done, total)

    for cell, protocol, outcome in simulated(scenario, protocols, step):
        to_the_end = True if outcome.decision is None else outcome.decision.end == len(protocol.plan.looks)
        if protocol.plan.target == "infused" and np.any((outcome.infused < protocol.size) & to_the_end):
            raise InputError(
                f"{scenario.where}: [cohort] infused = {protocol.size} was not reached with {protocol.plan.capacity} "
                "enrolled in some trial: attrition is too high"
            )
        tables[cell.number] = operating_characteristics(
            protocol, outcome, cell=cell.number, swept=swept[cell.number], seed=simulation.seed
        )
        trial_tables[cell.number] = trials_table(protocol, outcome, cell=cell.number)
    in_order = range(len(scenario.cells))  # cells that were simulated together come together
    result = Result(
        scenario=scenario,
        evidence=read,
        posteriors=posteriors,
        protocols=tuple(protocols),
        characteristics=pd.concat([tables[k] for k in in_order], ignore_index=True),
        trials=pd.concat([trial_tables[k] for k in in_order], ignore_index=True),
        manifest=_asked(scenario) | provenance(read, posteriors),
        warnings=plausibility.warnings(protocols, scenario.cells),
    )
    if out is not None:
        result.save(out)
    return result


def _trial(number: int) -> int:
    if not 0 <= number < 2**32:
        raise InputError(f"trial {number} is not there (from 0)")
    return number


def _asked(scenario: Scenario) -> dict[str, Any]:
    """What was run, as a manifest says it."""
    return {
        "scenario": scenario.name,
        "title": scenario.design.title,
        "seed": scenario.design.simulation.seed,
        "trials": scenario.design.simulation.trials,
        "cells": len(scenario.cells),
        "scenario_sha256": scenario.sha256,
    }


def keep_compiled_programs() -> None:
    """Let JAX keep compiled programs beside the posteriors, if it can, unless the user keeps them elsewhere."""
    if jax.config.jax_compilation_cache_dir is None:
        try:
            check_writable(paths.cache_folder() / "jax")
        except InputError:
            return
        jax.config.update("jax_compilation_cache_dir", str(paths.cache_folder() / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
