"""What replications of a study print, and where the published numbers stand among them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from vtrial.boundaries.intervals import proportion_interval
from vtrial.engine import run as engine
from vtrial.evidence import Evidence
from vtrial.fitting.inputs import used
from vtrial.model.descriptors import CORE_MEASURES
from vtrial.model.posterior import Posterior
from vtrial.model.vocabulary import NOT_ESTIMABLE, status_of
from vtrial.model.world import World
from vtrial.protocol.build import prepare
from vtrial.scenario.as_run import as_run
from vtrial.trial import run as trial
from vtrial.trial.analysis import published, times
from vtrial.trial.analysis.published import Asked
from vtrial.trial.observation.record import followed as followed_for
from vtrial.trial.spec import Numbers, Plan
from vtrial.workflows.replication.coverage import COUNTS, CURVES, NUMBERS, Coverage, Covered

COLUMNS = (
    "fact", "system", "published", "published_low", "published_high", "predicted", "low95", "high95", "percentile",
    "inside95", "status", "use", "number", "sharpness", "not_reached", "not_estimable", "reason",
)  # fmt: skip
# The numbers of a fact, and the column of the table in which each stands as printed.
PRINTED = {"value": "published", "low": "published_low", "high": "published_high"}
_NEAR = 1e-9  # numbers that are equal as printed


@dataclass(frozen=True)
class Replica:
    """What is asked of one replication (`vtrial.engine.run.Look`)."""

    asked: Asked
    followed: tuple[tuple[float, float], ...]

    def __call__(self, key: Any, world: World, numbers: Numbers, plan: Plan) -> dict[str, Any]:
        """Counts, numbers and curves of one trial."""
        cohort, seen, record = trial.at_cut(key, world, numbers, plan)
        spans = tuple(followed_for(seen, cohort.infusion_month, *span) for span in self.followed)  # type: ignore[arg-type]
        found: dict[str, Any] = {}
        if self.asked.counts:
            found[COUNTS] = published.counts(record, cohort.dose, spans, self.asked)
        if self.asked.numbers:
            found[NUMBERS] = published.medians(record, cohort.dose, spans, self.asked)
        if plan.curves and seen is not None:
            found[CURVES] = times.estimates_at(seen, cohort.dose, plan.curves)
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
    places: dict[str, int] = dict.fromkeys((COUNTS, NUMBERS), 0)
    gathered = []
    for one in found.covered:
        if one.kind == CURVES:
            curve, what = one.what
            estimate = drawn[CURVES][curve]
            if what == "median":
                parts = (estimate.median, estimate.low, estimate.high)
                numbers = {n: _tenths(part) for n, part in zip(PRINTED, parts, strict=True)}
            else:
                numbers = {"value": np.round(estimate.survival[:, what].astype(float), 2)}
        else:
            place = places[one.kind]
            places[one.kind] += 1
            columns = [np.asarray(a)[:, place].astype(float) for a in drawn[one.kind]]
            row: Any = evidence.facts.loc[one.fact]
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
    *,
    only: frozenset[str] | None = None,
) -> pd.DataFrame:
    """The table: a row for each published number that is simulated, and one for each fact that is not (`reason`).

    in_mean_world: the same in the posterior-mean world, for sharpness. only: these facts.
    """
    rows, use = [], used(evidence)
    for fact in map(str, evidence.facts.index):
        if only is not None and fact not in only:
            continue
        row: Any = evidence.facts.loc[fact]
        common = {"fact": fact, "system": row["system"], "use": use.kind(fact, str(row["use"]))}
        if fact in found.not_covered:
            rows.append(common | {"reason": found.not_covered[fact]} | _printed(row))
            continue
        for number, values in drawn[fact].items():
            other = None if in_mean_world is None else in_mean_world[fact][number]
            told = float(_printed(row)[PRINTED[number]])
            kind = {"number": number, "use": use.kind(fact, str(row["use"]), number)}
            rows.append(common | kind | _printed(row) | _placed(told, values, other))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _printed(row: pd.Series) -> dict[str, float]:
    value = row["count"] / row["n"] if row["count"] >= 0 and row["n"] > 0 else row["value"]
    return {"published": value, "published_low": row["low"], "published_high": row["high"]}


def _placed(told: float, values: np.ndarray, in_mean_world: np.ndarray | None) -> dict[str, object]:
    """Where a published number stands among those of the replications."""
    missing = float(np.isnan(values).mean())
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        return {"reason": "in no replication had anybody what it is counted in", "status": NOT_ESTIMABLE}
    low, middle, high = (float(values[min(int(q * len(values)), len(values) - 1)]) for q in (0.025, 0.5, 0.975))
    below = np.searchsorted(values, told - _NEAR, side="left")
    upto = np.searchsorted(values, told + _NEAR, side="right") if np.isfinite(told) else len(values)
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
        "inside95": bool(low - _NEAR <= told <= high + _NEAR),
        "sharpness": sharpness,
        "not_reached": lost,
        "not_estimable": missing,
        "status": status_of(middle),
        "reason": "",
    }
