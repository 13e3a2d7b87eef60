"""The paper's own numbers against the predictive distribution: the study run again, thousands of times, as it was run.

Each published number stands beside what as many replications of the study print of it: computed as the paper computed
it, in the same population, at the same cut. A count is compared as a share of its own denominator, which varies from
replication to replication where it did in the study.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from vtrial import engine, trial
from vtrial.conduct.record import followed as followed_for
from vtrial.curves import DAYS
from vtrial.design.intervals import proportion_interval
from vtrial.estimate import published, times
from vtrial.estimate.published import EVERY_DOSE, Asked, Group
from vtrial.estimate.times import LANDMARKS, Curve
from vtrial.evidence import Evidence
from vtrial.evidence.facts import as_id
from vtrial.evidence.flags import condition
from vtrial.evidence.times import months_between
from vtrial.flags import CORE, CORE_MEASURES, names_in
from vtrial.posterior import Posterior
from vtrial.protocol import prepare
from vtrial.scenario.as_run import as_run
from vtrial.world import World

COLUMNS = (
    "fact", "system", "published", "published_low", "published_high", "predicted", "low95", "high95", "percentile",
    "inside95", "use", "number", "sharpness", "not_estimable", "reason",
)  # fmt: skip
COUNTS, NUMBERS, CURVES = "counts", "numbers", "curves"
_PLACES = {"value": 0, "low": 1, "high": 2}


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
    row = evidence.facts.loc[fact]
    statistic, use = str(row["statistic"]), str(row["use"])
    if use == "context":
        return "context: design, literature or a remark, not an outcome that is simulated"
    if str(row["system"]) == "disposition" and fact.split(".")[0] in ("infused", "not_infused", "leukapheresis"):
        return "fixed: the replication enrols and infuses as many as the study did"
    dose = EVERY_DOSE
    if row["dose"] != "all":
        dose = [as_id(d) for d in evidence.doses].index(str(row["dose"]))
    stem = _stem(evidence, fact)
    if statistic in ("km_median", "km_survival"):
        return _on_curve(evidence, fact, stem, dose)
    if statistic not in ("count", "proportion_ci", "median_range", "median", "range"):
        return f"a {statistic}, which is not simulated"
    known = {*_simulated(evidence), *evidence.flags.names}
    is_count = statistic in ("count", "proportion_ci")
    measures = {**{m.name: "" for m in evidence.flags.measures}, **CORE_MEASURES}
    if stem not in (known if is_count else measures):
        return "no model describes it" if stem not in CORE else f"no facts on {CORE[stem]}, which it needs"
    group = _group(evidence, fact, dose, followed)
    if isinstance(group, str):
        return group
    needs = [*names_in(group.has), stem] if stem not in CORE_MEASURES else [*names_in(group.has), CORE_MEASURES[stem]]
    for name in needs:
        for core in evidence.flags.needs(name):
            if core not in known:
                return f"no facts on {CORE[core]}, which it needs"
    return Covered(fact, COUNTS if is_count else NUMBERS, (stem, group))


def _simulated(evidence: Evidence) -> list[str]:
    """The flags of the core that the study's facts allow."""
    return [name for name, system in CORE.items() if system in evidence.systems]


def _stem(evidence: Evidence, fact: str) -> str:
    """A fact's id without dose and "all"."""
    stem = fact.removesuffix(".ci").removesuffix(".all")
    for dose in evidence.doses:
        stem = stem.removesuffix(f".{as_id(dose)}")
    return stem


def _on_curve(evidence: Evidence, fact: str, stem: str, dose: int) -> Covered | str:
    if "survival" not in evidence.systems:
        return "no facts on survival, which it needs"
    endpoint, _, rest = stem.partition(".")
    row = evidence.facts.loc[fact]
    group = f"dose{dose}" if dose >= 0 else (rest if rest in times.DEPTHS else "all")
    if endpoint not in times.TIME_ENDPOINTS:
        return "no model describes it"
    if row["statistic"] == "km_median":
        return Covered(fact, CURVES, ((endpoint, group), "median"))
    if row["time"] not in LANDMARKS:
        return f"survival is estimated at {', '.join(map(str, LANDMARKS))} months"
    return Covered(fact, CURVES, ((endpoint, group), LANDMARKS.index(int(row["time"]))))


def _group(evidence: Evidence, fact: str, dose: int, followed: list[tuple[float, float]]) -> Group | str:
    """Who a fact is counted in."""
    row, where = evidence.facts.loc[fact], str(evidence.folder / "priors.toml")
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
    if label in ("cr", "pr", "vgpr", "crs", "neurotoxicity"):
        return Group(("name", label), dose)
    return f"its population '{label}' is not described in priors.toml"


def _cut(evidence: Evidence, day: str) -> float:
    """Calendar month of a cut given as a date: the study's own where there is none."""
    if not day:
        return months_between(evidence, "data_cutoff")
    first = date.fromisoformat(str(evidence.facts.at["date.first_enrolment", "published"]))
    return (date.fromisoformat(day) - first).days / DAYS


@dataclass(frozen=True)
class Replica:
    """What is asked of one replication (`vtrial.engine.Look`)."""

    asked: Asked
    followed: tuple[tuple[float, float], ...]

    def __call__(self, key: Any, world: World, numbers: trial.Numbers, plan: trial.Plan) -> dict[str, Any]:
        """Counts, numbers and curves of one trial."""
        cohort = trial.enrol(key, world, numbers, plan)
        seen = trial.seen_at_cut(cohort, numbers, plan) if cohort.path is not None else None
        record = trial.recorded(key, cohort, seen, world, numbers, plan)
        spans = tuple(followed_for(seen, cohort.infusion_month, *span) for span in self.followed)  # type: ignore[arg-type]
        found: dict[str, Any] = {}
        if self.asked.counts:
            found[COUNTS] = published.counts(record, cohort.dose, spans, self.asked)
        if self.asked.numbers:
            found[NUMBERS] = published.medians(record, cohort.dose, spans, self.asked)
        if plan.curves and seen is not None:
            ordered = times.prepared(seen, cohort.dose, {endpoint for endpoint, _ in plan.curves})
            found[CURVES] = {curve: times.estimate(ordered, curve) for curve in plan.curves}
        return found


def predicted(
    evidence: Evidence,
    posterior: Posterior,
    found: Coverage,
    *,
    trials: int,
    seed: int,
    mean_world: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """By fact and number ("value", "low", "high"): what each replication prints, float64 (trials,); NaN of nobody.

    mean_world: in the one world at the posterior mean, instead of the worlds of the posterior.
    """
    scenario = as_run(evidence)
    if mean_world:
        scenario = scenario.replace({"world.truth": "posterior-mean"})
    asked = found.asked
    protocol = prepare(scenario.cells[0], evidence, posterior, where=scenario.where, also=asked.names)
    described = protocol.plan.described
    cores = {core for name in asked.names if name not in CORE_MEASURES for core in described.needs(name)}
    plan = replace(
        protocol.plan, endpoints=(), tests=(), curves=found.curves, flags=tuple(sorted(cores)) or ("infused",)
    )
    drawn = engine.simulate(
        plan,
        protocol.numbers,
        protocol.worlds,
        seed=seed,
        trials=trials,
        look=Replica(asked, found.followed),
        progress=progress,
    )
    return {one.fact: numbers for one, numbers in _by_fact(evidence, found, drawn)}


def _by_fact(evidence: Evidence, found: Coverage, drawn: dict[str, Any]) -> list[tuple[Covered, dict[str, np.ndarray]]]:
    places = dict.fromkeys((COUNTS, NUMBERS), 0)
    gathered = []
    for one in found.covered:
        if one.kind == CURVES:
            curve, what = one.what
            estimate = drawn[CURVES][curve]
            if what == "median":
                numbers = {n: _tenths(getattr(estimate, {"value": "median"}.get(n, n))) for n in _PLACES}
            else:
                numbers = {"value": np.round(estimate.survival[:, what].astype(float), 2)}
        else:
            place = places[one.kind]
            places[one.kind] += 1
            columns = [np.asarray(a)[:, place].astype(float) for a in drawn[one.kind]]
            row = evidence.facts.loc[one.fact]
            numbers = _of_count(row, *columns) if one.kind == COUNTS else _of_median(row, columns)
        gathered.append((one, numbers))
    return gathered


def _tenths(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return np.where(np.isfinite(values), np.round(np.where(np.isfinite(values), values, 0.0), 1), values)


def _of_count(row: pd.Series, count: np.ndarray, n: np.ndarray) -> dict[str, np.ndarray]:
    share = np.divide(count, n, out=np.full(len(n), np.nan), where=n > 0)
    numbers = {"value": share}
    if row["statistic"] == "proportion_ci":
        low, high = proportion_interval(count, np.maximum(n, 1), method=str(row["method"]), level=float(row["level"]))  # type: ignore[arg-type]
        numbers |= {"low": np.round(low, 2), "high": np.round(high, 2)}
    return numbers


def _of_median(row: pd.Series, columns: list[np.ndarray]) -> dict[str, np.ndarray]:
    middle, low, high, _ = columns
    decimals = 1 if row["unit"] == "months" else 6
    numbers = {n: np.round(v, decimals) for n, v in (("value", middle), ("low", low), ("high", high))}
    return {n: v for n, v in numbers.items() if row[n] == row[n]}


def compared(
    evidence: Evidence,
    found: Coverage,
    drawn: dict[str, dict[str, np.ndarray]],
    in_mean_world: dict[str, dict[str, np.ndarray]] | None = None,
) -> pd.DataFrame:
    """The table: a row for each published number that is simulated, and one for each fact that is not (`reason`)."""
    rows = []
    for fact in map(str, evidence.facts.index):
        row = evidence.facts.loc[fact]
        common = {"fact": fact, "system": row["system"], "use": row["use"]}
        if fact in found.not_covered:
            rows.append(common | {"reason": found.not_covered[fact]} | _printed(row))
            continue
        for number, values in drawn[fact].items():
            other = None if in_mean_world is None else in_mean_world[fact][number]
            rows.append(common | {"number": number} | _printed(row) | _placed(_published(row, number), values, other))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _printed(row: pd.Series) -> dict[str, object]:
    value = row["count"] / row["n"] if row["count"] >= 0 and row["n"] > 0 else row["value"]
    return {"published": value, "published_low": row["low"], "published_high": row["high"]}


def _published(row: pd.Series, number: str) -> float:
    if number == "value" and row["count"] >= 0 and row["n"] > 0:
        return float(row["count"]) / float(row["n"])
    return float(row[number])


def _placed(told: float, values: np.ndarray, in_mean_world: np.ndarray | None) -> dict[str, object]:
    """Where a published number stands among those of the replications."""
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        return {"reason": "in no replication had anybody what it is counted in"}
    low, middle, high = (float(values[min(int(q * len(values)), len(values) - 1)]) for q in (0.025, 0.5, 0.975))
    near = 1e-9
    below = np.searchsorted(values, told - near, side="left")
    upto = np.searchsorted(values, told + near, side="right") if np.isfinite(told) else len(values)
    if not np.isfinite(told):
        below = int(np.isfinite(values).sum())
    lost = float(np.isinf(values).mean())
    sharpness = np.nan
    if in_mean_world is not None and lost == 0:
        other = in_mean_world[~np.isnan(in_mean_world)]
        if len(other) and np.isfinite(other).all() and other.std() > 0:
            sharpness = float(values.std() / other.std())
    return {
        "predicted": middle,
        "low95": low,
        "high95": high,
        "percentile": float((below + upto) / 2 / len(values)),
        "inside95": bool(low - near <= told <= high + near),
        "sharpness": sharpness,
        "not_estimable": lost,
        "reason": "",
    }
