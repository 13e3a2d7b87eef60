"""scenario -> Result: find or fit the posterior, run every cell, make the tables."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial._support.folders import check_writable
from vtrial.characteristics import plausibility
from vtrial.characteristics.metrics import check_answer, check_names
from vtrial.characteristics.table import operating_characteristics, trials_table
from vtrial.scenario import Scenario, as_scenario
from vtrial.workflows.cells import prepared, simulated
from vtrial.workflows.compiled_programs import keep_compiled_programs
from vtrial.workflows.files import provenance
from vtrial.workflows.result import FILES, Result


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
