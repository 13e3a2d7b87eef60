"""What follows from what: totals and their parts, denominators and what was counted."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from vtrial.evidence.facts import as_id
from vtrial.evidence.printed import Printed

_LIMITS = {"low": min, "high": max}  # of all doses together: the least of the doses', the largest


def dose_sums(evidence: Printed) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each count of all doses together, and the same at each dose, where they are of the same patients."""
    facts = evidence.facts
    for total in facts.index[facts.index.str.endswith(".all") & facts["count"].notna()]:
        parts = tuple(f"{total.removesuffix('.all')}.{as_id(dose)}" for dose in evidence.doses)
        same_kind = all(p in facts.index and facts.at[p, "statistic"] == "count" for p in parts)
        if same_kind and (total == "infused.all" or facts.at[total, "n"] == facts.loc[list(parts), "n"].sum()):
            yield total, parts


def relations(evidence: Printed) -> list[tuple[str, ...]]:
    """Facts of which any follows from the others: totals with their parts, the same count printed twice."""
    found = [(total, *parts) for total, parts in dose_sums(evidence)]
    found += [(total, *parts) for total, parts in evidence.priors.sum.items()]
    facts = evidence.facts
    found += [(fact, fact.removesuffix(".ci")) for fact in facts.index if fact.endswith(".ci")]
    if len(evidence.doses) == 1:
        found += [(fact, twin) for fact in facts.index if (twin := evidence.twin(fact)) in facts.index]
    return [one for one in found if all(fact in facts.index for fact in one)]


def depending(evidence: Printed, held: Collection[str]) -> dict[str, str]:
    """The totals (`derived`) that tell what is held back, and the fact that they tell of."""
    found: dict[str, str] = {}
    waiting, every = list(held), relations(evidence)
    while waiting:
        fact = waiting.pop(0)
        for other in (other for one in every if fact in one for other in one):
            if other not in held and other not in found and evidence.facts.at[other, "use"] == "derived":
                found[other] = found.get(fact, fact)
                waiting.append(other)
    return found


def denominators(evidence: Printed, held: Mapping[str, str]) -> dict[str, str]:
    """The facts whose denominator is a count that is held back, and that count: onset of CRS is of those with CRS."""
    found: dict[str, str] = {}
    counts: Any = evidence.facts["count"]
    stems = {stem_of(evidence, fact): fact for fact in held if counts[fact] >= 0}
    for fact, label in evidence.facts["population"].items():
        described = evidence.priors.population.get(str(label))
        counted = str(label) if described is None else described.has
        if (
            counted not in ("enrolled", "infused")
            and counted in stems
            and (described is None or not described.evaluated)
        ):
            found[str(fact)] = stems[counted]
    return found


def stem_of(evidence: Printed, fact: str) -> str:
    """A fact's id without dose and "all"."""
    stem = fact.removesuffix(".ci").removesuffix(".all")
    for dose in evidence.doses:
        stem = stem.removesuffix(f".{as_id(dose)}")
    return stem


def follows(evidence: Printed, read: Collection[str]) -> set[str]:
    """The facts that follow by arithmetic from those that were read and from the study's design."""
    facts, every = evidence.facts, relations(evidence)
    known = set(read) | set(facts.index[facts["use"] == "context"])
    grown = True
    while grown:
        new = {lost[0] for one in every if len(lost := [fact for fact in one if fact not in known]) == 1}
        grown = bool(new)
        known |= new
    return known - set(read)


def limits_that_follow(evidence: Printed, read: Collection[str]) -> set[tuple[str, str]]:
    """The ends of ranges of all doses together that are the least or the largest of the doses' own: (fact, column)."""
    facts, found = evidence.facts, set()
    for fact in facts.index[facts["statistic"].isin(["median_range", "range"]) & facts.index.str.endswith(".all")]:
        parts = [f"{fact.removesuffix('.all')}.{as_id(dose)}" for dose in evidence.doses]
        if not set(parts) <= set(read):
            continue
        for column, end in _LIMITS.items():
            values = [float(v) for v in facts.loc[parts, column]]
            if not np.isnan(values).any() and end(values) == facts.at[fact, column]:
                found.add((fact, column))
    return found
