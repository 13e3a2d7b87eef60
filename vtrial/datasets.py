"""One virtual trial as data sets named and shaped after CDISC ADaM: ADSL, ADRS, ADTTE, ADAE, and ADCH for all else.

They are for rehearsing programs on, not for submission: variables that the simulation knows nothing of are left out,
and what is published in no number (the day on which an adverse event begins) stays missing. Dates count from the
study's first enrolment. ADCH, which is none of CDISC's, holds every other flag and measure, a row a patient and
parameter.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from vtrial import engine, evidence, trial
from vtrial.conduct.visits import Seen
from vtrial.curves import DAYS
from vtrial.errors import InputError
from vtrial.estimate.times import TIME_ENDPOINTS
from vtrial.estimate.times import WORDS as TIMES
from vtrial.evidence import Evidence
from vtrial.flags import DELIVERED, EXPANSION, Condition, holds
from vtrial.outputs import writable, write
from vtrial.posterior import posterior_of
from vtrial.protocol import Protocol, prepare
from vtrial.result import keep_compiled_programs
from vtrial.scenario import Scenario, check_cost, load_scenario
from vtrial.world import World

NAMES = ("ADSL", "ADRS", "ADTTE", "ADAE", "ADCH")
RESPONSES = ("NR", "PR", "VGPR", "CR")
GRADES = ("", "1-2", "3", "4", "5")
ANY, SEVERE = ".any", ".grade3_4"  # end the names of flags that are adverse events
START = date(2025, 1, 1)  # of a study that does not say when it began

# Variables' labels, as XPT files carry them.
LABELS = {
    "STUDYID": "Study Identifier", "USUBJID": "Unique Subject Identifier", "SUBJID": "Subject Identifier for the Study",
    "ARM": "Description of Planned Arm", "TRT01P": "Planned Treatment for Period 01",
    "TRT01PN": "Planned Treatment for Period 01 (N)",
    "DOSE": "Target Dose", "DOSEDEL": "Dose Delivered", "DOSEU": "Dose Units",
    "ENRLFL": "Enrolled Population Flag", "SAFFL": "Safety Population Flag", "ENRLDT": "Date of Enrollment",
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


@dataclass(frozen=True)
class _Trial:
    """What is known of one simulated trial, arrays (patients,) of those enrolled, in order of enrolment."""

    protocol: Protocol
    cohort: Any
    seen: Seen | None
    flags: dict[str, np.ndarray]
    measures: dict[str, np.ndarray]
    start: date

    @property
    def enrolled(self) -> np.ndarray:
        """Numbers of the patients enrolled."""
        return np.flatnonzero(self.cohort.enrolled)

    def infusion(self, patient: int) -> date | None:
        """The day of infusion."""
        if not self.cohort.infused[patient] or self.cohort.infusion_month is None:
            return None
        return self.start + timedelta(days=int(np.floor(self.cohort.infusion_month[patient] * DAYS)))

    def day(self, patient: int, since_infusion: float) -> date | None:
        """A day after infusion as a date."""
        infused = self.infusion(patient)
        return None if infused is None else infused + timedelta(days=int(since_infusion))

    def subject(self, patient: int) -> dict[str, object]:
        """The variables that identify a patient."""
        study = self.protocol.evidence.study.upper()
        return {"STUDYID": study, "USUBJID": f"{study}-{patient + 1:04d}"}


def _look(key: Any, world: World, numbers: trial.Numbers, plan: trial.Plan) -> Any:
    cohort = trial.enrol(key, world, numbers, plan)
    seen = trial.seen_at_cut(cohort, numbers, plan) if cohort.path is not None else None
    return cohort, seen, trial.recorded(key, cohort, seen, world, numbers, plan)


def datasets(scenario: Scenario | str | os.PathLike[str], *, trial: int = 0, cell: int = 0) -> dict[str, pd.DataFrame]:
    """The data sets of one simulated trial of a scenario, by name (ADSL, ADRS, ADTTE, ADAE, ADCH).

    The patients are those of that trial in `vtrial.run`, and give its counts and medians. A data set of which the study
    has no facts is left out. Raises `InputError` for a trial or cell that is not there.
    """
    asked = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    if not 0 <= cell < len(asked.cells):
        raise InputError(f"cell {cell} is not there (0 to {len(asked.cells) - 1})")
    if not 0 <= trial < 2**32:
        raise InputError(f"trial {trial} is not there (from 0)")
    keep_compiled_programs()
    one = _simulated(asked, cell, trial)
    found = {"ADSL": pd.DataFrame(_subjects(one))}
    for name, rows in (("ADRS", _responses), ("ADTTE", _times), ("ADAE", _adverse_events), ("ADCH", _characteristics)):
        table = pd.DataFrame(list(rows(one)))
        if len(table):
            found[name] = table
    return {name: _with_dates(table) for name, table in found.items()}


def _with_dates(table: pd.DataFrame) -> pd.DataFrame:
    """Dates as `datetime.date`, missing ones as None."""
    for column in table.columns[table.columns.str.endswith("DT")]:
        table[column] = table[column].astype(object).where(table[column].notna(), None)
    return table


def _simulated(asked: Scenario, cell: int, number: int) -> _Trial:
    design = asked.cells[cell].design
    read = evidence.load(design.world.study)
    check_cost(asked, design.cohort.enrolled or design.cohort.infused or 1)
    posterior = posterior_of(read, discount=design.world.discount)
    needs = {core for name in read.describable for core in read.flags.needs(name)} | set(read.core_flags)
    also = (*read.describable, EXPANSION, DELIVERED)
    scenario = asked.replace({"simulation.flags": sorted(needs), "simulation.endpoints": None})
    widest = max(
        prepare(one, read, posterior, where=asked.where).plan.capacity for one in scenario.cells
    )  # a trial's patients are those of its run, in which all cells have room for the largest
    protocol = prepare(scenario.cells[cell], read, posterior, where=asked.where, capacity=widest, also=also)
    found = engine.each(
        _look, protocol.plan, protocol.numbers, protocol.worlds, seed=design.simulation.seed, start=number
    )
    cohort, seen, record = jax.tree.map(lambda a: a[0], found)
    facts = read.facts["published"]
    start = date.fromisoformat(str(facts["date.first_enrolment"])) if "date.first_enrolment" in facts.index else START
    return _Trial(protocol, cohort, seen, record.flags, record.measures, start)


def _subjects(one: _Trial) -> Iterator[dict[str, object]]:
    """ADSL: a row a patient."""
    protocol, cohort = one.protocol, one.cohort
    unit, arm = protocol.evidence.priors.dose.unit, protocol.design.arm[0].name
    for patient in one.enrolled:
        infused = bool(cohort.infused[patient])
        dose = protocol.doses[min(int(cohort.dose[patient]), len(protocol.doses) - 1)]
        row: dict[str, object] = one.subject(patient) | {
            "SUBJID": f"{patient + 1:04d}",
            "ARM": arm,
            "TRT01P": f"{arm} {dose:g}",
            "TRT01PN": dose,
            "DOSE": dose if infused else np.nan,
            "DOSEU": unit,
            "ENRLFL": "Y",
            "SAFFL": _yes(infused),
            "TRTSDT": one.infusion(patient),
        }
        if one.seen is not None:
            died = bool(one.flags["deaths"][patient])
            row |= {
                "DCUTDT": one.day(patient, float(one.seen.follow_up[patient])),
                "DTHFL": "Y" if died else "",
                "DTHDT": one.day(patient, float(one.seen.os_time[patient])) if died else None,
            }
        if DELIVERED in one.measures:
            share = float(one.measures[DELIVERED][patient])
            row["DOSEDEL"] = round(dose * share, 1) if infused else np.nan
        if "baseline.age" in one.measures:
            row |= {"AGE": float(one.measures["baseline.age"][patient]) if infused else np.nan, "AGEU": "YEARS"}
        if "baseline.male" in one.flags:
            row["SEX"] = ("M" if one.flags["baseline.male"][patient] else "F") if infused else "U"
        yield row


def _yes(value: object) -> str:
    return "Y" if value else "N"


def _parameter(one: _Trial, patient: int, code: str, words: str) -> dict[str, object]:
    return one.subject(patient) | {"PARAMCD": code, "PARAM": words}


def _responses(one: _Trial) -> Iterator[dict[str, object]]:
    """ADRS: best response at full follow-up and at the cut, MRD, response at each visit attended by the cut."""
    cohort, seen = one.cohort, one.seen
    if cohort.response is None:
        return
    for patient in map(int, np.flatnonzero(cohort.infused)):
        best = int(cohort.response[patient])
        yield _parameter(one, patient, "BOR", "Best Overall Response at Full Follow-up") | _of(best)
        if "mrd.evaluable" in one.flags and best == 3:
            known = bool(cohort.mrd_evaluable[patient])
            shown = ("NEGATIVE" if cohort.mrd_negative[patient] else "POSITIVE") if known else "NOT EVALUABLE"
            yield _parameter(one, patient, "MRD", "Minimal Residual Disease in Complete Response") | {
                "AVAL": float(shown == "NEGATIVE") if known else np.nan,
                "AVALC": shown,
            }
        if seen is None or not seen.infused_by_cut[patient]:
            continue
        yield _parameter(one, patient, "CBOR", "Best Overall Response by the Data Cut") | _of(
            int(seen.response[patient])
        )
        yield from _visits(one, patient)


def _of(best: int) -> dict[str, object]:
    return {"AVAL": float(best), "AVALC": RESPONSES[best]}


def _visits(one: _Trial, patient: int) -> Iterator[dict[str, object]]:
    """Overall response at each attended visit until progression.

    Until a CR is documented its patient counts as VGPR.
    """
    seen, visits = one.seen, one.cohort.path.visits
    assert seen is not None
    last = min(float(seen.follow_up[patient]), float(np.ceil(one.cohort.path.death[patient] * DAYS)))
    assert one.protocol.numbers.calendar is not None
    for k, month in enumerate(np.asarray(one.protocol.numbers.calendar.schedule)):
        day = int(visits.day[patient, k])
        if visits.missed[patient, k] or day > last:
            continue
        progressed, responded = int(seen.progression_day[patient]), int(seen.response_day[patient])
        best = min(int(one.cohort.response[patient]), 2)
        if progressed and day >= progressed:
            shown = "PD"
        elif (complete := int(seen.cr_day[patient])) and day >= complete:
            shown = "CR"
        elif responded and day >= responded:
            shown = RESPONSES[best]
        else:
            shown = "NR"
        yield _parameter(one, patient, "OVR", "Overall Response at Visit") | {
            "AVAL": float(RESPONSES.index(shown)) if shown != "PD" else -1.0,
            "AVALC": shown,
            "AVISIT": f"Month {month:g}",
            "AVISITN": float(month),
            "ADT": one.day(patient, day),
            "ADY": day + 1.0,
        }
        if shown == "PD":
            return


def _times(one: _Trial) -> Iterator[dict[str, object]]:
    """ADTTE: months, and whether the time was censored (CNSR 1) or ended in an event (0)."""
    if (seen := one.seen) is None:
        return
    for endpoint in TIME_ENDPOINTS:
        there = seen.infused_by_cut & (seen.response > 0) if endpoint == "dor" else seen.infused_by_cut
        time, event = getattr(seen, f"{endpoint}_time"), getattr(seen, f"{endpoint}_event")
        for patient in map(int, np.flatnonzero(there)):
            start = float(seen.response_day[patient]) if endpoint == "dor" else 0.0
            died = bool(event[patient]) and start + float(time[patient]) != float(seen.progression_day[patient])
            happened = "DEATH" if endpoint == "os" or died else "DOCUMENTED PROGRESSION"
            censored = "LAST KNOWN ALIVE" if endpoint == "os" else "LAST ADEQUATE ASSESSMENT"
            yield _parameter(one, patient, endpoint.upper(), TIMES[endpoint].title()) | {
                "AVAL": float(time[patient]) / DAYS,
                "AVALU": "MONTHS",
                "CNSR": 0 if event[patient] else 1,
                "EVNTDESC": happened if event[patient] else censored,
                "STARTDT": one.day(patient, start),
                "ADT": one.day(patient, start + float(time[patient])),
                "ADY": start + float(time[patient]) + 1.0,
            }


def _adverse_events(one: _Trial) -> Iterator[dict[str, object]]:
    """ADAE: a row a patient and event, with the worst grade. CRS and neurotoxicity have days, the others do not."""
    for patient in map(int, np.flatnonzero(one.cohort.infused)):
        for system, words in (("crs", "Cytokine release syndrome"), ("neurotoxicity", "Neurotoxicity")):
            grade = getattr(one.cohort, system)
            if grade is None or grade[patient] == 0:
                continue
            row = _event(one, patient, words, system, GRADES[int(grade[patient])])
            if f"{system}.onset" in one.measures:
                onset = float(one.measures[f"{system}.onset"][patient])
                row |= {"ASTDT": one.day(patient, onset), "ASTDY": onset + 1.0}
                if f"{system}.duration" in one.measures and grade[patient] < 4:
                    end = onset + float(one.measures[f"{system}.duration"][patient]) - 1.0
                    row |= {"AENDT": one.day(patient, end), "AENDY": end + 1.0}
            row["AESDTH"] = "Y" if grade[patient] == 4 else "N"
            yield row
        for flag in one.protocol.evidence.flags.drawn:
            event = flag.name.removesuffix(ANY)
            severe = one.flags.get(f"{event}{SEVERE}")
            if flag.name.endswith(ANY) and severe is not None and one.flags[flag.name][patient]:
                words = event.split(".")[-1].replace("_", " ").capitalize()
                yield _event(one, patient, words, flag.system, "3-4" if severe[patient] else "1-2")


def _event(one: _Trial, patient: int, words: str, system: str, grade: str) -> dict[str, object]:
    return one.subject(patient) | {
        "AETERM": words.upper(),
        "AEDECOD": words,
        "AECAT": system.upper(),
        "AETOXGR": grade,
        "ATOXGRN": float(grade[0]),
        "TRTEMFL": "Y",
        "ASTDT": None,
        "ASTDY": np.nan,
        "AENDT": None,
        "AENDY": np.nan,
        "AESDTH": "N",
    }


def _system(one: _Trial, name: str) -> str:
    drawn = {flag.name: flag.system for flag in one.protocol.evidence.flags.drawn}
    return drawn.get(name, name.split(".")[0])


def _characteristics(one: _Trial) -> Iterator[dict[str, object]]:
    """ADCH: every flag and measure that the study describes. A code is the parameter's number in the study's list."""
    flags, measures = one.protocol.evidence.flags, one.protocol.evidence.flags.measures
    described = {f.name: f"F{k + 1:03d}" for k, f in enumerate((*flags.drawn, *flags.derived)) if f.name in one.flags}
    of_enrolled = {name for name in described if "enrolled" in flags.needs(name)}
    units = {m.name: _unit(one.protocol.evidence, m.name) for m in measures}
    for patient in one.enrolled:
        for name, code in described.items():
            if not one.cohort.infused[patient] and name not in of_enrolled:
                continue
            value = bool(one.flags[name][patient])
            yield _parameter(one, patient, code, name) | {
                "PARCAT1": _system(one, name).upper(),
                "AVAL": float(value),
                "AVALC": _yes(value),
                "AVALU": "",
            }
        for k, measure in enumerate(measures):
            if measure.name in one.measures and _has(one, measure.given, patient):
                value = float(one.measures[measure.name][patient])
                yield _parameter(one, patient, f"M{k + 1:03d}", measure.name) | {
                    "PARCAT1": measure.system.upper(),
                    "AVAL": value,
                    "AVALC": f"{value:g}",
                    "AVALU": units[measure.name].upper(),
                }
        if EXPANSION in one.measures and one.cohort.infused[patient]:
            value = float(one.measures[EXPANSION][patient])
            yield _parameter(one, patient, "EXPANS", EXPANSION) | {
                "PARCAT1": "KINETICS",
                "AVAL": value,
                "AVALC": f"{value:.3g}",
                "AVALU": "RELATIVE",
            }


def _has(one: _Trial, given: Condition, patient: int) -> bool:
    return bool(holds(given, lambda name: one.flags[name])[patient])


def _unit(read: Evidence, name: str) -> str:
    at = read.facts.index.str.startswith(f"{name}.")
    return str(read.facts.loc[at, "unit"].iloc[0]) if at.any() else ""


def save(tables: dict[str, pd.DataFrame], out: str | os.PathLike[str]) -> Path:
    """Write each data set as Parquet, CSV and XPT (SAS transport, version 5). Raises `InputError`."""
    import pyreadstat

    folder = writable(out)
    for name, table in tables.items():
        stem = folder / name.lower()
        write(stem.with_suffix(".parquet"), lambda t, table=table: table.to_parquet(t, index=False))
        write(stem.with_suffix(".csv"), lambda t, table=table: table.to_csv(t, index=False, lineterminator="\n"))
        labels = [LABELS[column] for column in table.columns]
        options = {"table_name": name, "file_label": f"Virtual trial: {name}", "column_labels": labels}
        write(
            stem.with_suffix(".xpt"),
            lambda t, table=table, options=options: pyreadstat.write_xport(
                table,  # type: ignore[arg-type]
                str(t),
                file_format_version=5,
                **options,
            ),
        )
    return folder
