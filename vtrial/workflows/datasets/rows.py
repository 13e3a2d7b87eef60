"""The rows of each data set, of one simulated trial."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from vtrial.evidence import Evidence
from vtrial.model.descriptors import DELIVERED, EXPANSION, holds
from vtrial.model.endpoints import TIME_ENDPOINTS
from vtrial.model.endpoints import TIME_WORDS as TIMES
from vtrial.model.parameters import DAYS
from vtrial.protocol.build import Protocol
from vtrial.trial.observation.visits import Seen
from vtrial.trial.patients.cohort import FATAL

RESPONSES = ("NR", "PR", "VGPR", "CR")
GRADES = ("", "1-2", "3", "4", "5")
ANY, SEVERE = ".any", ".grade3_4"  # end the names of flags that are adverse events


@dataclass(frozen=True)
class Trial:
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

    @property
    def deaths(self) -> np.ndarray | None:
        """Deaths by the cut; without times those of toxicity, whose day is not known; None where none is simulated."""
        if self.seen is not None:
            return self.flags["deaths"]
        return None if self.cohort.fatal is None else self.cohort.infused & self.cohort.fatal

    def subject(self, patient: int) -> dict[str, object]:
        """The variables that identify a patient."""
        study = self.protocol.evidence.study.upper()
        return {"STUDYID": study, "USUBJID": f"{study}-{patient + 1:04d}"}


def subjects(one: Trial) -> Iterator[dict[str, object]]:
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
            row["DCUTDT"] = one.day(patient, float(one.seen.follow_up[patient]))
        if (deaths := one.deaths) is not None:
            died = bool(deaths[patient])
            dated = died and one.seen is not None
            row |= {
                "DTHFL": "Y" if died else "",
                "DTHDT": one.day(patient, float(one.seen.os_time[patient])) if dated else None,  # type: ignore[union-attr]
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


def _parameter(one: Trial, patient: int, code: str, words: str) -> dict[str, object]:
    return one.subject(patient) | {"PARAMCD": code, "PARAM": words}


def responses(one: Trial) -> Iterator[dict[str, object]]:
    """ADRS: best response at full follow-up and at the cut, MRD, response at each visit attended by the cut.

    Who dies early keeps the best response, which was documented before the death (`trial.patients.cohort.Cohort`).
    """
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


def _visits(one: Trial, patient: int) -> Iterator[dict[str, object]]:
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


def times(one: Trial) -> Iterator[dict[str, object]]:
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


def adverse_events(one: Trial) -> Iterator[dict[str, object]]:
    """ADAE: a row a patient and event, with the worst grade. CRS and neurotoxicity have days, the others do not.

    Grade 5 is a death by the cut: whose death lies after it has grade 4 so far.
    """
    for patient in map(int, np.flatnonzero(one.cohort.infused)):
        for system, words in (("crs", "Cytokine release syndrome"), ("neurotoxicity", "Neurotoxicity")):
            grade = getattr(one.cohort, system)
            if grade is None or grade[patient] == 0:
                continue
            fatal = int(grade[patient]) == FATAL and one.deaths is not None and bool(one.deaths[patient])
            row = _event(one, patient, words, system, GRADES[min(int(grade[patient]), FATAL if fatal else FATAL - 1)])
            if f"{system}.onset" in one.measures:
                onset = float(one.measures[f"{system}.onset"][patient])
                row |= {"ASTDT": one.day(patient, onset), "ASTDY": onset + 1.0}
                if f"{system}.duration" in one.measures and grade[patient] < FATAL:
                    end = onset + float(one.measures[f"{system}.duration"][patient]) - 1.0
                    row |= {"AENDT": one.day(patient, end), "AENDY": end + 1.0}
            row["AESDTH"] = _yes(fatal)
            yield row
        for flag in one.protocol.evidence.flags.drawn:
            event = flag.name.removesuffix(ANY)
            severe = one.flags.get(f"{event}{SEVERE}")
            if flag.name.endswith(ANY) and severe is not None and one.flags[flag.name][patient]:
                words = event.split(".")[-1].replace("_", " ").capitalize()
                yield _event(one, patient, words, flag.system, "3-4" if severe[patient] else "1-2")


def _event(one: Trial, patient: int, words: str, system: str, grade: str) -> dict[str, object]:
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


def characteristics(one: Trial) -> Iterator[dict[str, object]]:
    """ADCH: every flag and measure that the study describes. A code is the parameter's number in the study's list."""
    flags, measures = one.protocol.evidence.flags, one.protocol.evidence.flags.measures
    described = {f.name: f"F{k + 1:03d}" for k, f in enumerate((*flags.drawn, *flags.derived)) if f.name in one.flags}
    of_enrolled = {name for name in described if "enrolled" in flags.needs(name)}
    systems = {flag.name: flag.system for flag in flags.drawn}
    units = {m.name: _unit(one.protocol.evidence, m.name) for m in measures}
    given = {m.name: holds(m.given, one.flags.__getitem__) for m in measures if m.name in one.measures}
    for patient in one.enrolled:
        for name, code in described.items():
            if not one.cohort.infused[patient] and name not in of_enrolled:
                continue
            value = bool(one.flags[name][patient])
            yield _parameter(one, patient, code, name) | {
                "PARCAT1": systems.get(name, name.split(".")[0]).upper(),
                "AVAL": float(value),
                "AVALC": _yes(value),
                "AVALU": "",
            }
        for k, measure in enumerate(measures):
            if measure.name in given and given[measure.name][patient]:
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


def _unit(read: Evidence, name: str) -> str:
    at = read.facts.index.str.startswith(f"{name}.")
    return str(read.facts.loc[at, "unit"].iloc[0]) if at.any() else ""
