"""facts.csv -> which facts the simulator produces, how, and why it does not produce the others."""

from dataclasses import dataclass
from typing import Any

from vtrial.evidence import Evidence
from vtrial.evidence.arithmetic import stem_of
from vtrial.evidence.facts import as_id
from vtrial.evidence.flags import condition
from vtrial.evidence.times import months_between, months_until
from vtrial.model.descriptors import CORE, CORE_MEASURES, names_in
from vtrial.model.endpoints import TIME_ENDPOINTS
from vtrial.trial.analysis import times
from vtrial.trial.analysis.published import EVERY_DOSE, Asked, Group
from vtrial.trial.analysis.times import LANDMARKS, Curve

COUNTS, NUMBERS, CURVES = "counts", "numbers", "curves"


@dataclass(frozen=True)
class Covered:
    """How a fact is produced: what `kind` of statistic, which of them, and what each published number is of it."""

    fact: str
    kind: str
    what: Any


@dataclass(frozen=True)
class Coverage:
    """Which facts the simulator produces, and why it does not produce the others."""

    covered: tuple[Covered, ...]
    not_covered: dict[str, str]
    followed: tuple[tuple[float, float], ...]

    @property
    def asked(self) -> Asked:
        """Counts and numbers, in the order in which they are covered."""
        return Asked(*(tuple(c.what for c in self.covered if c.kind == kind) for kind in (COUNTS, NUMBERS)))

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The Kaplan-Meier curves that are read."""
        return tuple(dict.fromkeys(c.what[0] for c in self.covered if c.kind == CURVES))


def coverage(evidence: Evidence) -> Coverage:
    """What of the study's facts can be simulated."""
    covered, absent, followed = [], {}, []
    for fact in map(str, evidence.facts.index):
        found = _covered(evidence, fact, followed)
        if isinstance(found, Covered):
            covered.append(found)
        else:
            absent[fact] = found
    return Coverage(tuple(covered), absent, tuple(followed))


def _covered(evidence: Evidence, fact: str, followed: list[tuple[float, float]]) -> Covered | str:
    """How a fact is produced, or why it is not."""
    row: Any = evidence.facts.loc[fact]
    statistic, use = str(row["statistic"]), str(row["use"])
    if use == "context":
        return "context: design, literature or a remark, not an outcome that is simulated"
    if str(row["system"]) == "disposition" and fact.split(".")[0] in ("infused", "not_infused", "leukapheresis"):
        return "fixed: the replication enrols and infuses as many as the study did"
    dose = EVERY_DOSE
    if row["dose"] != "all":
        dose = [as_id(d) for d in evidence.doses].index(str(row["dose"]))
    stem = stem_of(evidence, fact)
    if statistic in ("km_median", "km_survival"):
        return _on_curve(evidence, fact, stem, dose)
    if statistic not in ("count", "proportion_ci", "median_range", "median", "range"):
        return f"a {statistic}, which is not simulated"
    known = {*evidence.core_flags, *evidence.flags.names}
    is_count = statistic in ("count", "proportion_ci")
    measures = {*(m.name for m in evidence.flags.measures), *CORE_MEASURES}
    if stem in CORE_MEASURES and not is_count and "survival" not in evidence.systems:
        return _needs(evidence, "survival")
    if "described" in evidence.unfitted and stem not in (*CORE, *CORE_MEASURES):
        return "flags and measures could not be fitted"
    if stem in evidence.undescribed:
        return evidence.undescribed[stem]
    if stem not in (known if is_count else measures):
        return "no model describes it" if stem not in CORE else _needs(evidence, CORE[stem])
    group = _group(evidence, fact, dose, followed)
    if isinstance(group, str):
        return group
    for name in (*names_in(group.has), CORE_MEASURES.get(stem, stem)):
        for core in evidence.flags.needs(name):
            if core not in known:
                return _needs(evidence, CORE[core])
    return Covered(fact, COUNTS if is_count else NUMBERS, (stem, group))


def _needs(evidence: Evidence, system: str) -> str:
    """Why a fact is not produced that needs a system which is not modelled."""
    why = evidence.reason(system)
    return f"no facts on {system}, which it needs" if why == "no facts" else f"needs {system}: {why}"


def _on_curve(evidence: Evidence, fact: str, stem: str, dose: int) -> Covered | str:
    if "survival" not in evidence.systems:
        return _needs(evidence, "survival")
    endpoint, _, rest = stem.partition(".")
    row: Any = evidence.facts.loc[fact]
    group = f"dose{dose}" if dose >= 0 else (rest if rest in times.DEPTHS else "all")
    if endpoint not in TIME_ENDPOINTS:
        return "no model describes it"
    if row["statistic"] == "km_median":
        return Covered(fact, CURVES, ((endpoint, group), "median"))
    if row["time"] not in LANDMARKS:
        return f"survival is estimated at {', '.join(map(str, LANDMARKS))} months"
    return Covered(fact, CURVES, ((endpoint, group), LANDMARKS.index(int(row["time"]))))


def _group(evidence: Evidence, fact: str, dose: int, followed: list[tuple[float, float]]) -> Group | str:
    """Who a fact is counted in."""
    row: Any = evidence.facts.loc[fact]
    where = str(evidence.folder / "priors.toml")
    label = str(row["population"])
    if label == "evaluable":
        if "survival" not in evidence.systems or row["time"] != row["time"]:
            return "who could be evaluated needs follow-up, which is not simulated"
        cut = _cut(evidence, str(row["cut"]))
        if (span := (float(row["time"]), cut)) not in followed:
            followed.append(span)
        return Group(("name", "infused"), dose, int(row["n"]), followed.index(span))
    if (population := evidence.priors.population.get(label)) is not None:
        at = f"{where}: [population.{label}]"
        return Group(condition(population.has, at), dose, int(row["n"]) if population.evaluated else 0)
    if label in (*CORE, *evidence.flags.names):
        return Group(("name", label), dose)
    return f"its population '{label}' is not described in priors.toml"


def _cut(evidence: Evidence, day: str) -> float:
    """Calendar month of a cut given as a date: the study's own where there is none."""
    return months_until(evidence, day) if day else months_between(evidence, "data_cutoff")
