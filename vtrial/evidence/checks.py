"""What the models read must be of the right kind, and must not contradict itself."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtrial.errors import InputError
from vtrial.evidence.facts import as_id

if TYPE_CHECKING:
    from vtrial.evidence import Evidence

# (part, whole): at each dose, no more patients have the first than the second.
_NESTED = (("cr", "orr"), ("crs3", "crs"), ("neurotoxicity3", "neurotoxicity"))

# What the facts that the models read are; all others are counts. By the beginning of their id.
_KINDS = {
    "dor.": "km_median",
    "pfs.": "km_median",
    "os.": "km_survival",
    "response.time_to_": "median_range",
    "retreatment.duration_of_response.": "range",
    "date.": "date",
}


def check_models_facts(evidence: "Evidence") -> None:
    """What the models read must not contradict itself. Raises `InputError`."""
    where = evidence.folder / "facts.csv"
    for system in evidence.systems:
        for fact in evidence.reads(system):
            kind = next((kind for begins, kind in _KINDS.items() if fact.startswith(begins)), "count")
            if (statistic := evidence.facts.at[fact, "statistic"]) != kind:
                raise InputError(f"{where}: {fact} is a {statistic}; the model of {system} reads a {kind}")
            if kind != "date":
                _check_denominator(evidence, fact, where)
    for part, whole in _NESTED:
        for dose in evidence.doses:
            fact, above = f"{part}.{as_id(dose)}", f"{whole}.{as_id(dose)}"
            if {fact, above} <= set(evidence.facts.index):
                (count, n), (most, n_above) = evidence.count(fact), evidence.count(above)
                if count > most or n != n_above:
                    raise InputError(f"{where}: {fact} ({count} of {n}) does not fit {above} ({most} of {n_above})")
    shallow = sum(evidence.counts("orr")[0]) - sum(evidence.counts("cr")[0])
    if (vgpr := evidence.count("vgpr.all")[0]) > shallow:
        raise InputError(f"{where}: vgpr.all is {vgpr}, but only {shallow} patients had a response short of CR")
    for system in ("crs", "neurotoxicity"):
        if system in evidence.systems:
            graded = sum(evidence.count(f"{system}.grade{grade}.all")[0] for grade in (3, 4, 5))
            severe = int(sum(evidence.counts(f"{system}3")[0]))
            if graded != severe:
                raise InputError(f"{where}: {system} grades 3, 4 and 5 add up to {graded}, {system}3 to {severe}")
    for problem in _of_mrd(evidence) if "mrd" in evidence.systems else ():
        raise InputError(f"{where}: {problem}")
    for problem in _of_times(evidence) if "survival" in evidence.systems else ():
        raise InputError(f"{where}: {problem}")


def _check_denominator(evidence: "Evidence", fact: str, where: Path) -> None:
    """A fact's id and its column `dose` say the same; a fact on infused patients is of those infused at its dose."""
    dose, named = str(evidence.facts.at[fact, "dose"]), fact.split(".", 1)[1]
    at_one = [(d, n) for d, n in zip(evidence.doses, evidence.infused, strict=True) if as_id(d) == named]
    if (dose == "all") is bool(at_one) or (at_one and float(dose) != at_one[0][0]):
        raise InputError(f"{where}: {fact} stands in a row of dose '{dose}'")
    infused = at_one[0][1] if at_one else sum(evidence.infused)
    n = _size(evidence, fact)
    if evidence.facts.at[fact, "population"] == "infused" and n != infused and not np.isnan(n):
        raise InputError(f"{where}: {fact} is of {n:g} infused patients, but {infused} were infused")


def _of_mrd(evidence: "Evidence") -> Iterator[str]:
    """What the facts on minimal residual disease contradict."""
    (evaluable, of_cr), (negative, of_evaluable) = (
        evidence.count("mrd.evaluable.all"),
        evidence.count("mrd.negative.all"),
    )
    if of_evaluable != evaluable or of_cr != sum(evidence.counts("cr")[0]):
        yield "the denominators of mrd.evaluable.all and mrd.negative.all do not follow on"
    for fact in evidence.facts.index[evidence.facts.index.str.fullmatch(r"mrd\.negative_in_\w+\.all(\.ci)?")]:
        if (count := evidence.facts.at[fact, "count"]) != negative:
            yield f"{fact} is {count:g}, but mrd.negative.all is {negative}"


def _of_times(evidence: "Evidence") -> Iterator[str]:
    """What the facts on times contradict: patients that the counts do not know, and dates in the wrong order."""
    orr, cr = (int(sum(evidence.counts(endpoint)[0])) for endpoint in ("orr", "cr"))
    vgpr, retreated = (evidence.count(fact)[0] for fact in ("vgpr.all", "retreatment.retreated.all"))
    known = {
        "dor.pr": orr - cr - vgpr,
        "dor.vgpr": vgpr,
        "dor.cr": cr,
        "response.time_to_first.all": orr,
        "response.time_to_cr.all": cr,
        "retreatment.response.all": retreated,
        "retreatment.duration_of_response.all": evidence.count("retreatment.response.all")[0],
    }
    for fact, patients in known.items():
        if (n := _size(evidence, fact)) != patients and not np.isnan(n):
            yield f"{fact} is of {n:g} patients, but there were {patients}"
    early, of_crs = (evidence.count(f)[0] for f in ("deaths.related_ae_within_8_weeks.all", "crs.grade5.all"))
    if of_crs > early:
        yield f"crs.grade5.all is {of_crs}, but deaths.related_ae_within_8_weeks.all, which holds them, is {early}"
    dates = [f"date.{event}" for event in ("first_enrolment", "last_enrolment", "data_cutoff")]
    days = [date.fromisoformat(str(evidence.facts.at[name, "published"])) for name in dates]
    for before, after, first, then in zip(dates[:-1], dates[1:], days[:-1], days[1:], strict=True):
        if not first < then:
            yield f"{after} ({then}) is not after {before} ({first})"


def _size(evidence: "Evidence", fact: str) -> float:
    """A fact's denominator, NaN where it has none."""
    return float(evidence.facts.at[fact, "n"])  # type: ignore[arg-type]
