"""Whether a study's facts and priors fit: each problem in words, all of a file at once."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial.evidence.arithmetic import dose_sums
from vtrial.evidence.counted import cells, reported
from vtrial.evidence.facts import as_id
from vtrial.evidence.priors import correlation_matrix
from vtrial.evidence.reading import CHECK, NUMBERS
from vtrial.evidence.study import Evidence
from vtrial.model.dose_response import STEPS_OF
from vtrial.model.parameters import Rate
from vtrial.model.vocabulary import correlation_names

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


def check(evidence: Evidence) -> None:
    """Raise `InputError` that names everything in which the study's two files contradict themselves or each other."""
    facts, priors = evidence.folder / "facts.csv", evidence.folder / "priors.toml"
    stop(_of_doses(evidence), facts)
    stop([*_of_sums(evidence), *_of_missing(evidence)], facts)
    stop(_of_models(evidence), facts)
    stop(_of_priors(evidence), priors)


def stop(problems: Iterable[str], where: Path) -> None:
    """Raise `InputError` with all of the problems of a file, if there are any."""
    if found := list(dict.fromkeys(problems)):
        raise InputError(f"{where}: {'; '.join(found)}")


def _of_doses(evidence: Evidence) -> Iterator[str]:
    """The facts `infused.<dose>`, from which the study's doses are read, name each dose once, as a count."""
    facts = evidence.facts
    sizes = facts.index[facts.index.str.fullmatch(r"infused\.[\d.]+")]
    if not len(sizes):
        yield "no fact 'infused.<dose>' says how many were infused at each dose"
    for fact in map(str, sizes):
        text = fact.removeprefix("infused.")
        if text.count(".") > 1 or not float(text) > 0 or text != as_id(float(text)):
            yield f"{fact}: '{text}' is not a dose; write a plain number above 0, such as infused.300"
        elif (statistic := facts.at[fact, "statistic"]) != "count":
            yield f"{fact} is a {statistic}; a count of patients infused is needed"
    for fact in [*sizes, *facts.index[facts.index.str.startswith("date.")]]:
        if facts.at[fact, "use"] == CHECK:
            yield f"{fact} cannot be held back ('{CHECK}'), since the study's design is read off it; write 'context'"


def _of_sums(evidence: Evidence) -> Iterator[str]:
    """Doses add up to the total, and so does every sum listed in priors.toml; what is the same is said alike."""
    facts = evidence.facts
    for total, parts in dose_sums(evidence):
        yield from _of_sum(facts, total, parts)
    listed_in = evidence.folder / "priors.toml"
    for total, listed in evidence.priors.sum.items():
        if absent := [p for p in (total, *listed) if p not in facts.index]:
            stop([f"[sum] '{total}' names '{absent[0]}', which is not in facts.csv"], listed_in)
        yield from _of_sum(facts, total, tuple(listed))
        for part in listed:
            n = _number(facts, part, "n")
            if n not in (facts.at[total, "n"], _patients(facts, total)) or n != _number(facts, listed[0], "n"):
                yield (
                    f"{part} is of {n:g}; as a part of {total} ({_patients(facts, total):g} of "
                    f"{facts.at[total, 'n']:g}) it must be of one of these, as the other parts are"
                )
    for fact in facts.index[facts.index.str.endswith(".all")] if len(evidence.doses) == 1 else ():
        if (twin := evidence.twin(fact)) != fact and twin in facts.index:
            for column in NUMBERS:
                one, other = _number(facts, fact, column), _number(facts, twin, column)
                if one != other and not np.isnan(one) and not np.isnan(other):
                    yield f"{fact} has {column} {one:g} and {twin} {other:g}, which in a study of one dose are the same"


def _of_sum(facts: pd.DataFrame, total: str, parts: tuple[str, ...]) -> Iterator[str]:
    added = sum(_patients(facts, part) for part in parts)
    if added != _patients(facts, total):
        terms = " + ".join(f"{part} {_patients(facts, part):g}" for part in parts)
        yield f"{terms} = {added:g}, but {total} is {_patients(facts, total):g}"


def _patients(facts: pd.DataFrame, fact: str) -> float:
    """How many patients a fact speaks of: its count, or the value of a number."""
    count = _number(facts, fact, "count")
    return count if count >= 0 else _number(facts, fact, "value")


def _number(facts: pd.DataFrame, fact: str, column: str) -> float:
    return float(facts.at[fact, column])  # type: ignore[arg-type]


def _of_missing(evidence: Evidence) -> Iterator[str]:
    """What no study can do without."""
    for system in ("disposition", "response"):
        if system not in evidence.systems:
            for fact in evidence.reads(system):
                if fact not in evidence.facts.index:
                    near = evidence.near(fact)
                    hint = f" (the nearest that is there is '{near}')" if near else ""
                    yield f"fact '{fact}' is missing; the model of {system} cannot do without it{hint}"


def _of_models(evidence: Evidence) -> Iterator[str]:
    """What the models read must be of the right kind, and must not contradict itself."""
    wrong = list(_of_kinds(evidence))
    yield from wrong
    if wrong:
        return
    for part, whole in _NESTED:
        for dose in evidence.doses:
            fact, above = evidence.at_dose(part, dose), evidence.at_dose(whole, dose)
            if {fact, above} <= set(evidence.facts.index):
                (count, n), (most, n_above) = evidence.count(fact), evidence.count(above)
                if count > most or n != n_above:
                    yield f"{fact} ({count} of {n}) does not fit {above} ({most} of {n_above})"
    shallow = sum(evidence.counts("orr")[0]) - sum(evidence.counts("cr")[0])
    if (vgpr := evidence.count("vgpr.all")[0]) > shallow:
        yield f"vgpr.all is {vgpr}, but only {shallow} patients had a response short of CR"
    for system in ("crs", "neurotoxicity"):
        if system in evidence.systems:
            graded = sum(evidence.count(f"{system}.grade{grade}.all")[0] for grade in (3, 4, 5))
            severe = int(sum(evidence.counts(f"{system}3")[0]))
            if graded != severe:
                yield f"{system} grades 3, 4 and 5 add up to {graded}, {system}3 to {severe}"
    if "mrd" in evidence.systems:
        yield from _of_mrd(evidence)
    if "survival" in evidence.systems:
        yield from _of_times(evidence)


def _of_kinds(evidence: Evidence) -> Iterator[str]:
    """Each fact that a model reads is of the kind that it reads, and its row says the dose that its id does."""
    for system in evidence.systems:
        for fact in evidence.reads(system):
            kind = next((kind for begins, kind in _KINDS.items() if fact.startswith(begins)), "count")
            if (statistic := evidence.facts.at[fact, "statistic"]) != kind:
                yield f"{fact} is a {statistic}; the model of {system} reads a {kind}"
            elif kind != "date":
                yield from _of_denominator(evidence, fact)


def _of_denominator(evidence: Evidence, fact: str) -> Iterator[str]:
    """A fact's id and its column `dose` say the same; a fact on infused patients is of those infused at its dose."""
    dose, named = str(evidence.facts.at[fact, "dose"]), fact.split(".", 1)[1]
    at_one = [(d, n) for d, n in zip(evidence.doses, evidence.infused, strict=True) if as_id(d) == named]
    one = as_id(evidence.doses[0]) if len(evidence.doses) == 1 else None  # which is then the same as "all"
    if dose not in ("all", one) if one else (dose == "all") is bool(at_one) or (at_one and float(dose) != at_one[0][0]):
        yield f"{fact} stands in a row of dose '{dose}'"
    infused = at_one[0][1] if at_one else sum(evidence.infused)
    n = _size(evidence, fact)
    if evidence.facts.at[fact, "population"] == "infused" and n != infused and not np.isnan(n):
        yield f"{fact} is of {n:g} infused patients, but {infused} were infused"


def _of_priors(evidence: Evidence) -> Iterator[str]:
    """What priors.toml lacks of what the facts need, and what it says of flags, measures and correlations."""
    needed = [f"intercept.{step.name.lower()}" for system in evidence.systems for step in STEPS_OF[system]]
    if "survival" in evidence.systems:
        needed += [*(f"survival.{rate.name.lower()}" for rate in Rate), "visits", "calendar"]
    for name in needed:
        section, _, entry = name.partition(".")
        found = getattr(evidence.priors, section)
        if found is None or (entry and entry not in found):
            yield f"[{name}] is missing, and the facts need it"
    of_everybody = {flag.name for flag in evidence.flags.drawn if flag.given == ("name", "infused")}
    for name in evidence.priors.covariate:
        if name not in of_everybody and name not in evidence.undescribed:
            yield (
                f'[covariate."{name}"] is no flag that is drawn of every infused patient'
                f" (these are: {', '.join(sorted(of_everybody)) or 'none'})"
            )
    list(cells(evidence))  # what they contradict is raised
    list(reported(evidence))
    named = correlation_names()
    unknown = [name for name in evidence.priors.correlation if name not in named]
    for name in unknown:
        yield f"[correlation] has no '{name}' (allowed: {', '.join(named)})"
    if not unknown:
        where = str(evidence.folder / "priors.toml")
        correlation_matrix({name: c.value for name, c in evidence.priors.correlation.items()}, where)


def _of_mrd(evidence: Evidence) -> Iterator[str]:
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


def _of_times(evidence: Evidence) -> Iterator[str]:
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


def _size(evidence: Evidence, fact: str) -> float:
    """A fact's denominator, NaN where it has none."""
    return _number(evidence.facts, evidence.find(fact), "n")
