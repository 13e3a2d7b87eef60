"""Tests whose alpha is spent over looks, at the numbers that the looks really had. Host."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vtrial._support.errors import InputError
from vtrial.boundaries.one_sample_sequential import crossing_counts
from vtrial.boundaries.spending import spent
from vtrial.scenario import TestSection
from vtrial.scenario.rules import SpendingRule
from vtrial.workflows.monitor.bounds import Analyses, Found, exact_counts, normal_bounds
from vtrial.workflows.monitor.data import Analysis
from vtrial.workflows.monitor.tables import Tables, missing, planned_patients

_CLASSICAL = "-classical"  # families without a spending function end so


@dataclass(frozen=True)
class _Stage:
    """One analysis of a test. place: among all. rules: its spending rules there, by what they decide. number: patients,
    or events; planned: of the design, None where it does not say. share: of the final information."""

    analysis: Analysis
    place: int
    rules: dict[str, int]
    number: int
    planned: float | None
    share: float


def rework(tables: Tables, test: TestSection, analyses: Sequence[Analysis], *, last: Analysis) -> None:
    """The test's bounds at its analyses, at their actual information, where that is not as planned; and which futility
    bounds were crossed by a trial that went on: if they bind, the bounds are those that do not count on them.

    last: the last analysis of the data.
    """
    stages = _stages(tables, test, analyses)
    if not stages:
        return
    gone = _missing(tables, test, analyses)
    deviating = [stage for stage in stages if stage.planned is None or stage.number != stage.planned]
    found = [_bounds(tables, test, stages, code, binding=test.binding) for code in range(tables.sets)]
    crossed = _crossed(tables, test, stages, found[0], last)
    if crossed and test.binding:
        found = [_bounds(tables, test, stages, code, binding=False) for code in range(tables.sets)]
    for k in crossed:
        how = "; the bounds are those that do not count on a stop there" if test.binding else ", which does not bind"
        place = min(stages[k].place + 1, len(analyses) - 1)
        tables.say(
            place, f"the trial went on past the futility bound of '{test.name}' at '{stages[k].analysis.name}'{how}"
        )
        tables.overruled.add(stages[k].rules["futility"])
    if not deviating and not gone and not (crossed and test.binding):
        return
    for k, stage in enumerate(stages):
        _put(tables, test, stage, [bounds[k] for bounds in found])
    _say(tables, test, stages, deviating, gone)


def _say(
    tables: Tables, test: TestSection, stages: Sequence[_Stage], deviating: Sequence[_Stage], gone: Sequence[str]
) -> None:
    """What the answer says of bounds at actual information."""
    if gone:
        names = ", ".join(f"'{name}'" for name in gone)
        tables.say(stages[-1].place, f"'{test.name}' has spent nothing at {names}")
        tables.assuming.add(stages[-1].place)
    for stage in deviating:
        tables.assuming.add(stage.place)
        if not stage.analysis.last and not _classical(test):
            spends = f"'{test.name}' spends alpha at {stage.share:.3f} of its information at '{stage.analysis.name}'"
            tables.say(stage.place, spends)
    if stages[-1].analysis.last and (deviating or gone):
        tables.say(stages[-1].place, f"'{test.name}' spends at the end what alpha is left")


def _classical(test: TestSection) -> bool:
    return str(test.spending).endswith(_CLASSICAL)


def _missing(tables: Tables, test: TestSection, analyses: Sequence[Analysis]) -> list[str]:
    return [
        section.name
        for _, section in missing(tables, analyses)
        if any(
            isinstance(rule, SpendingRule) and rule.test == test.name and rule.then == "success"
            for rule in section.rule
        )
    ]


def _stages(tables: Tables, test: TestSection, analyses: Sequence[Analysis]) -> list[_Stage]:
    found: list[_Stage] = []
    most = float(test.events) if test.events is not None else None
    for place, analysis in enumerate(analyses):
        rules = {
            tables.protocol.plan.rules[r].then: r
            for r in tables.rules_at(analysis)
            if isinstance(written := tables.written(r), SpendingRule) and written.test == test.name
        }
        stated = [written.information for r in rules.values() if isinstance(written := tables.written(r), SpendingRule)]
        information = next((share for share in stated if share is not None), None)
        if not rules and not analysis.last:
            continue
        planned: float | None
        if not test.timed:
            number, planned, total = analysis.n, planned_patients(tables, analysis), tables.protocol.levels.planned
        else:
            number, planned, total = analysis.events(test.endpoint), _planned_events(test, analysis), most
            if planned is not None and information is not None and most is None:
                most = total = planned / information
        if analysis.last:
            share = 1.0 if total is None else number / total
            planned = (total if test.timed else planned) or number
        elif information is not None and (planned or total is None):
            share = information * number / planned if planned else information
        else:
            assert total is not None
            share = number / total
        share = max(share, found[-1].share) if found else share
        found.append(_Stage(analysis, place, rules, number, planned, share))
    return found


def _planned_events(test: TestSection, analysis: Analysis) -> float | None:
    if analysis.last or analysis.section is None or not analysis.section.when.events:
        return None
    return analysis.section.when.events.get(test.endpoint)  # type: ignore[call-overload]


@dataclass(frozen=True)
class _Bound:
    """What decides at one analysis: counts on the test's own side, or normal quantiles."""

    success: float
    futility: float
    z: float
    z_futility: float


def _bounds(tables: Tables, test: TestSection, stages: Sequence[_Stage], code: int, *, binding: bool) -> list[_Bound]:
    """The bounds of the test at its stages, once a set of tests has been rejected."""
    levels, number = tables.protocol.levels, len(stages)
    alpha = levels.alpha(test.name, code)
    last = np.array([stage.analysis.last for stage in stages])
    share = np.array([stage.share for stage in stages])
    never, none = np.full(number, np.nan), np.zeros(number, bool)
    asked = Analyses(share, never, never, none, never)
    if alpha > 0.0:
        claims = last | np.array(["success" in stage.rules for stage in stages])
        asked = replace(asked, claims=claims, binding=binding, **_alpha(tables, test, stages, code, alpha))
        if test.beta is not None:
            stops = np.array(["futility" in stage.rules for stage in stages])
            kind = test.beta_spending or test.spending
            beta = spent(np.minimum(share, 1.0), test.beta, kind, test.beta_gamma)  # type: ignore[arg-type]
            drift = 0.0 if test.method == "exact" else levels.normal(test.name, code).drift or 0.0
            asked = replace(asked, beta=np.where(stops, beta, np.nan), drift=drift)
    try:
        if test.method == "exact":
            return _exact(test, stages, asked)
        return _normal(test, stages, normal_bounds(asked))
    except InputError as problem:
        raise InputError(f"{stages[-1].analysis.place}: test '{test.name}': {problem}") from None


def _alpha(
    tables: Tables, test: TestSection, stages: Sequence[_Stage], code: int, alpha: float
) -> dict[str, NDArray[np.float64]]:
    """Cumulative alpha by each stage; of a family without a spending function the planned bounds, and all of it at the
    end."""
    last = np.array([stage.analysis.last for stage in stages])
    share = np.array([stage.share for stage in stages])
    if not _classical(test):
        spends = spent(np.minimum(share, 1.0), alpha, test.spending, test.gamma)  # type: ignore[arg-type]
        return {"alpha": np.where(last, alpha, spends), "z": np.full(len(stages), np.nan)}
    z = np.full(len(stages), np.nan)
    for k, stage in enumerate(stages):
        if "success" in stage.rules:
            z[k] = tables.protocol.levels.normal(test.name, code).efficacy[_place(tables, test, stage)]
    claims = last | np.isfinite(z)
    kept = Analyses(share, np.where(last, alpha, 0.0), z, claims, np.full(len(stages), np.nan))
    used = normal_bounds(kept).alpha
    return {"alpha": np.where(last, alpha, used), "z": z}


def _place(tables: Tables, test: TestSection, stage: _Stage) -> int:
    """The stage's place among the looks at which the test spends."""
    assert tables.protocol.looks is not None
    names = [
        section.name
        for section in tables.protocol.looks.sections
        if any(isinstance(rule, SpendingRule) and rule.test == test.name for rule in section.rule)
    ]
    return names.index(stage.analysis.name)


def _exact(test: TestSection, stages: Sequence[_Stage], asked: Analyses) -> list[_Bound]:
    less = test.alternative == "less"
    n = np.array([stage.number for stage in stages])
    null, assumed = (None if rate is None else 1.0 - rate if less else rate for rate in (test.null, test.assumed))
    assert null is not None
    found = exact_counts(asked, n, null, assumed)
    high, low = (n - part if less else part for part in (found.efficacy, found.futility))
    return [_Bound(high[k], low[k], np.nan, np.nan) for k in range(n.size)]


def _normal(test: TestSection, stages: Sequence[_Stage], found: Found) -> list[_Bound]:
    bounds: list[_Bound] = []
    for k, stage in enumerate(stages):
        z, low = float(found.efficacy[k]), float(found.futility[k])
        if test.timed:
            bounds.append(_Bound(z, low, z, low))
            continue
        count, most = (
            float(crossing_counts(stage.number, edge, test.null, test.alternative, then))
            for edge, then in ((z, "success"), (low, "futility"))
        )
        bounds.append(_Bound(count, most, z, low))
    return bounds


def _crossed(
    tables: Tables, test: TestSection, stages: Sequence[_Stage], bounds: Sequence[_Bound], last: Analysis
) -> list[int]:
    """The stages whose futility bound was crossed by a trial that went on, before any efficacy bound."""
    found: list[int] = []
    for k, stage in enumerate(stages):
        if stage.analysis is last:
            continue
        for then, limit in (("success", bounds[k].success), ("futility", bounds[k].futility)):
            if then not in stage.rules:
                continue
            rule = tables.protocol.plan.rules[stage.rules[then]]
            seen = (
                stage.analysis.value(rule.time)
                if rule.time
                else stage.analysis.count(tables.watched(stage.rules[then]))
            )
            if rule.side.reached(seen, limit):
                if then == "success":
                    return found
                found.append(k)
    return found


def _put(tables: Tables, test: TestSection, stage: _Stage, by_set: Sequence[_Bound]) -> None:
    for then, r in stage.rules.items():
        values = [bound.success if then == "success" else bound.futility for bound in by_set]
        tables.z[r] = by_set[0].z if then == "success" else by_set[0].z_futility
        if test.timed:
            tables.set_limit(r, values)
        else:
            tables.set_rule(r, stage.number, [int(value) for value in values])
    if stage.analysis.last:
        ends = [bound.success for bound in by_set]
        if test.timed:
            tables.z_finals[test.name] = ends
        else:
            tables.set_final(test.name, stage.number, [int(value) for value in ends])
