"""One virtual trial as data sets named and shaped after CDISC ADaM: ADSL, ADRS, ADTTE, ADAE, and ADCH for all else.

They are for rehearsing programs on, not for submission: variables that the simulation knows nothing of are left out,
and what is published in no number (the day on which an adverse event begins) stays missing. Dates count from the
study's first enrolment. ADCH, which is none of CDISC's, holds every other flag and measure, a row a patient and
parameter.
"""

import errno
import os
from datetime import date
from pathlib import Path
from typing import Any

import jax
import pandas as pd

from vtrial import evidence
from vtrial._support import folders
from vtrial._support.errors import InputError
from vtrial._support.folders import Part
from vtrial.engine import run as engine
from vtrial.fitting.cache import posterior_of
from vtrial.model.descriptors import DELIVERED, EXPANSION
from vtrial.protocol.build import prepare
from vtrial.scenario import Scenario, as_scenario, check_cost
from vtrial.scenario.written import as_toml
from vtrial.trial.run import at_cut
from vtrial.workflows.compiled_programs import keep_compiled_programs
from vtrial.workflows.datasets.rows import Trial, adverse_events, characteristics, responses, subjects, times
from vtrial.workflows.files import SCENARIO, provenance, text_part

NAMES = ("ADSL", "ADRS", "ADTTE", "ADAE", "ADCH")
START = date(2025, 1, 1)  # of a study that does not say when it began

# Variables' labels, as XPT files carry them.
LABELS = {
    "STUDYID": "Study Identifier", "USUBJID": "Unique Subject Identifier", "SUBJID": "Subject Identifier for the Study",
    "ARM": "Description of Planned Arm", "TRT01P": "Planned Treatment for Period 01",
    "TRT01PN": "Planned Treatment for Period 01 (N)",
    "DOSE": "Target Dose", "DOSEDEL": "Dose Delivered", "DOSEU": "Dose Units",
    "ENRLFL": "Enrolled Population Flag", "SAFFL": "Safety Population Flag",
    "TRTSDT": "Date of First Exposure to Treatment", "DCUTDT": "Date of Data Cut",
    "DTHFL": "Subject Death Flag", "DTHDT": "Date of Death", "AGE": "Age", "AGEU": "Age Units", "SEX": "Sex",
    "PARAM": "Parameter", "PARAMCD": "Parameter Code", "PARCAT1": "Parameter Category 1",
    "AVAL": "Analysis Value", "AVALC": "Analysis Value (C)", "AVALU": "Analysis Value Unit",
    "AVISIT": "Analysis Visit", "AVISITN": "Analysis Visit (N)", "ADT": "Analysis Date", "ADY": "Analysis Relative Day",
    "STARTDT": "Time to Event Origin Date", "CNSR": "Censor", "EVNTDESC": "Event or Censoring Description",
    "AETERM": "Reported Term for the Adverse Event", "AEDECOD": "Dictionary-Derived Term",
    "AECAT": "Category for Adverse Event",
    "AETOXGR": "Standard Toxicity Grade", "ATOXGRN": "Analysis Toxicity Grade (N)",
    "ASTDT": "Analysis Start Date", "ASTDY": "Analysis Start Relative Day", "AENDT": "Analysis End Date",
    "AENDY": "Analysis End Relative Day", "AESDTH": "Results in Death", "TRTEMFL": "Treatment Emergent Analysis Flag",
}  # fmt: skip


def datasets(scenario: Scenario | str | os.PathLike[str], *, trial: int = 0, cell: int = 0) -> dict[str, pd.DataFrame]:
    """The data sets of one simulated trial of a scenario, by name (ADSL, ADRS, ADTTE, ADAE, ADCH).

    The patients are those of that trial in `vtrial.run`, and give its counts and medians. A data set of which the study
    has no facts is left out. Raises `InputError` for a trial or cell that is not there.
    """
    asked = as_scenario(scenario)
    asked.cell(cell)
    if not 0 <= trial < 2**32:
        raise InputError(f"trial {trial} is not there (from 0)")
    keep_compiled_programs()
    one = _simulated(asked, cell, trial)
    found = {"ADSL": pd.DataFrame(subjects(one))}
    for name, rows in (("ADRS", responses), ("ADTTE", times), ("ADAE", adverse_events), ("ADCH", characteristics)):
        table = pd.DataFrame(list(rows(one)))
        if len(table):
            found[name] = table
    return {name: _with_dates(table) for name, table in found.items()}


def _with_dates(table: pd.DataFrame) -> pd.DataFrame:
    """Dates as `datetime.date`, missing ones as None."""
    for column in table.columns[table.columns.str.endswith("DT")]:
        table[column] = table[column].astype(object).where(table[column].notna(), None)
    return table


def _simulated(asked: Scenario, cell: int, number: int) -> Trial:
    design = asked.cells[cell].design
    read = evidence.load(design.world.study, place=f"{asked.where}: [world] study")
    check_cost(asked, design.cohort.enrolled or design.cohort.infused or 1)
    posterior = posterior_of(read, discount=design.world.discount)
    read = read.without_unfitted(posterior.unfitted)
    needs = {core for name in read.describable for core in read.flags.needs(name)} | set(read.core_flags)
    also = (*read.describable, EXPANSION, DELIVERED)
    scenario = asked.replace({"simulation.flags": sorted(needs), "simulation.endpoints": None})
    widest = max(
        prepare(one, read, posterior, where=asked.where).plan.capacity for one in scenario.cells
    )  # a trial's patients are those of its run, in which all cells have room for the largest
    protocol = prepare(scenario.cells[cell], read, posterior, where=asked.where, capacity=widest, also=also)
    seed = design.simulation.seed
    found = engine.each(at_cut, protocol.plan, protocol.numbers, protocol.worlds, seed=seed, start=number)
    cohort, seen, record = jax.tree.map(lambda a: a[0], found)
    facts = read.facts["published"]
    start = date.fromisoformat(str(facts["date.first_enrolment"])) if "date.first_enrolment" in facts.index else START
    return Trial(protocol, cohort, seen, record.flags, record.measures, start)


def save(
    tables: dict[str, pd.DataFrame],
    out: str | os.PathLike[str],
    *,
    scenario: Scenario | None = None,
    trial: int = 0,
    cell: int = 0,
) -> Path:
    """Write each data set as Parquet, CSV and XPT (SAS transport, version 5), the folder `out` whole or not at all.

    scenario, trial, cell: where the data sets come from, kept in the folder. Raises `InputError` where a file of
    somebody else's would be lost, `OutputError` where something cannot be written.
    """
    parts = [part for name, table in tables.items() for part in _parts(name, table)]
    manifest: dict[str, Any] = {"datasets": list(tables)}
    if scenario is not None:
        world = scenario.cell(cell).design.world
        read = evidence.load(world.study)
        manifest |= {"scenario": scenario.name, "seed": scenario.design.simulation.seed, "trial": trial, "cell": cell}
        manifest |= {"scenario_sha256": scenario.sha256}
        manifest |= provenance(read, {world.discount: posterior_of(read, discount=world.discount)})
        parts.append(text_part(SCENARIO, lambda: as_toml(scenario.raw)))
    return folders.save(out, parts, manifest)


def file_names() -> list[str]:
    """The files that `save` may write."""
    names = [f"{name.lower()}{ending}" for name in NAMES for ending in (".parquet", ".csv", ".xpt")]
    return [*names, SCENARIO, folders.MANIFEST]


def _parts(name: str, table: pd.DataFrame) -> list[Part]:
    stem = name.lower()
    return [
        Part(f"{stem}.parquet", lambda path: table.to_parquet(path, index=False)),
        Part(f"{stem}.csv", lambda path: table.to_csv(path, index=False, lineterminator="\n")),
        Part(f"{stem}.xpt", lambda path: _write_xpt(path, name, table)),
    ]


def _write_xpt(path: Path, name: str, table: pd.DataFrame) -> None:
    import pyreadstat

    pyreadstat.write_xport(
        table,  # type: ignore[arg-type]
        str(path),
        file_format_version=5,
        table_name=name,
        file_label=f"Virtual trial: {name}",
        column_labels=[LABELS[column] for column in table.columns],
    )
    written = pyreadstat.read_xport(str(path))[1]
    if written.number_rows != len(table):  # the writer says nothing of a full disk
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
