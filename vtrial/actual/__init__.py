"""A trial's actual numbers against its design: the rules and tables that the simulation uses, on real data. Host."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from vtrial import evidence as room
from vtrial.actual.data import Data, Seen, check, count_of, read, value_of
from vtrial.cohort.survival import NEVER
from vtrial.conduct.looks import Held
from vtrial.curves import Step
from vtrial.decisions import CLOSES, END, OUTCOMES, Decision
from vtrial.errors import InputError, nearest
from vtrial.interim import compared
from vtrial.judged import Judged, judge
from vtrial.protocol import Protocol, in_worlds
from vtrial.scenario import Cell, Scenario, TestSection, as_scenario
from vtrial.scenario.sections import CohortSection
from vtrial.world import World


@dataclass(frozen=True)
class Verdict:
    """What a design says of actual numbers. table: a row a rule and test. sentence: what follows. outcome: "success",
    "futility", "harm", "consider" or "" of the looks; rejected: whether each test has rejected; note: of the data."""

    table: pd.DataFrame
    sentence: str
    outcome: str
    rejected: dict[str, bool]
    note: str


def decide(
    scenario: Scenario | str | os.PathLike[str] | dict[str, Any],
    data: str | os.PathLike[str] | Mapping[str, Any],
    *,
    cell: int = 0,
) -> Verdict:
    """What a scenario's looks and tests decide on a trial's actual numbers.

    data: a TOML file, or the same as data: `[[look]]` tables in the order in which the looks were held, each with name,
    infused (patients in the analysis) and counts by endpoint; the final analysis is named "end". No model is fitted.

    Raises `InputError` for data that the design cannot judge: an unknown look or endpoint, more patients with an
    endpoint than patients, a number that is missing.
    """
    asked = as_scenario(scenario)
    chosen = asked.cell(cell)
    told, where = read(data)
    most = max(max(seen.infused, seen.enrolled or 0) for seen in told.look)
    protocol = _protocol(chosen, asked.where, most)
    return _verdict(protocol, told, where)


def _protocol(cell: Cell, where: str, capacity: int) -> Protocol:
    """The design with bounds for any number of patients; the worlds do not matter."""
    design = cell.design.model_copy(update={"cohort": CohortSection.model_validate(_plain(cell.design.cohort))})
    world = World(np.zeros((1, len(Step))), np.zeros((1, len(Step))))
    study = room.load(design.world.study)
    return in_worlds(replace(cell, design=design), study, world, where=where, capacity=capacity, any_n=True)


def _plain(cohort: CohortSection) -> dict[str, Any]:
    return cohort.model_dump(exclude={"mix"})


def _verdict(protocol: Protocol, told: Data, where: str) -> Verdict:
    plan, names = protocol.plan, [look.name for look in protocol.plan.looks]
    order: list[int] = []
    rows: list[Judged] = []
    counts = np.zeros((len(names), len(plan.watched)), np.int32)
    sizes = np.zeros_like(counts)
    enrolled = np.zeros(len(names), np.int32)
    values: dict[int, float] = {}
    at_end: dict[str, bool] | None = None
    tests: list[dict[str, Any]] = []
    for seen in told.look:
        place = f"{where}: [[look]] '{seen.name}'"
        check(seen, place)
        if at_end is not None:
            raise InputError(f"{place} comes after '{END}', which is the last")
        finals = [k for k, look in enumerate(plan.looks) if look.final] if seen.name == END else []
        if seen.name != END and seen.name not in names:
            known = ", ".join([*names, END])
            raise InputError(f"{place}: the design has no such look{nearest(seen.name, names)} (known: {known})")
        held = finals if seen.name == END else [names.index(seen.name)]
        if set(held) & set(order):
            raise InputError(f"{place} is there twice")
        for k in held:
            order.append(k)
            for r, rule in enumerate(plan.rules):
                if rule.look != k:
                    continue
                if rule.time is None:
                    name = plan.watched[rule.watched].name
                    counts[k, rule.watched] = count_of(seen, name, place)
                    sizes[k, rule.watched] = seen.infused
                    by_then = None
                    if rule.enrolled:
                        by_then = enrolled[k] = _enrolled(seen, rule.name, place)
                    rows.append(judge(protocol, r, int(counts[k, rule.watched]), seen.infused, enrolled=by_then))
                else:
                    values[r] = value_of(seen, rule.time, place)
                    rows.append(judge(protocol, r, None, None, values[r]))
        if seen.name == END:
            at_end = {}
            for test in protocol.tests:
                row, shows = _test(protocol, test, seen, place)
                tests.append(row)
                at_end[test.name] = shows
    decision = _decision(protocol, order, counts, sizes, enrolled, values, at_end)
    return _said(protocol, told, rows, tests, decision, at_end is not None)


def _enrolled(seen: Seen, rule: str, place: str) -> int:
    if seen.enrolled is None:
        raise InputError(f"{place}: enrolled is missing, which rule '{rule}' needs: it forecasts the test of them all")
    return seen.enrolled


def _test(protocol: Protocol, test: TestSection, seen: Seen, place: str) -> tuple[dict[str, Any], Any]:
    """A test's row at the final analysis, and whether it shows its claim by itself, (sets,) under a graph."""
    row: dict[str, Any] = {"look": END, "rule": f"test {test.name}", "endpoint": test.endpoint, "then": "rejects"}
    if test.timed:
        if test.method == "median":
            low = seen.median_low.get(test.endpoint)
            if low is None:
                raise InputError(f"{place}: median_low has no '{test.endpoint}', which test '{test.name}' needs")
            return row | {
                "seen": f"lower limit {low:g} months, null {test.null:g}",
                "fires": low > test.null,
            }, low > test.null
        z = value_of(seen, (test.endpoint, "log-rank"), place)
        limits = [protocol.levels.z_final(test.name, code) for code in range(protocol.levels.sets)]
        shows = np.array([z >= limit for limit in limits])
        way = f"rejects from {limits[0]:.3f}" if np.isfinite(limits[0]) else "cannot reject"
        return row | {"seen": f"z = {z:.3f}, {way}", "fires": bool(shows[0])}, shows
    n = seen.infused if test.population == "infused" else seen.enrolled
    if n is None:
        raise InputError(f"{place}: enrolled is missing, which test '{test.name}' needs")
    x = count_of(seen, test.endpoint, place)
    bound = np.atleast_1d(protocol.numbers.bounds[test.name][..., n])
    shows = x >= bound if test.alternative == "greater" else x <= bound
    first = int(bound[0])
    there = first <= n if test.alternative == "greater" else first >= 0
    way = (
        (f"rejects from {first} on" if test.alternative == "greater" else f"up to {first}")
        if there
        else "cannot reject"
    )
    row |= {"count": x, "n": n, "bound": first if there else None, "fires": bool(shows[0])}
    return row | {"seen": f"{x} of {n}, {way}{_pvalue_of(test, x, n)}"}, shows


def _pvalue_of(test: TestSection, x: int, n: int) -> str:
    if test.method not in ("exact", "normal"):
        return ""
    greater = test.alternative == "greater"
    if test.method == "exact":
        p = binom.sf(x - 1, n, test.null) if greater else binom.cdf(x, n, test.null)
    else:
        z = (x - n * test.null) / np.sqrt(n * test.null * (1.0 - test.null))
        p = norm.sf(z) if greater else norm.cdf(z)
    return f" (one-sided p {'< 0.0001' if p < 1e-4 else f'= {p:.4f}'})"


def _decision(
    protocol: Protocol,
    order: list[int],
    counts: np.ndarray,
    sizes: np.ndarray,
    enrolled: np.ndarray,
    values: dict[int, float],
    at_end: dict[str, Any] | None,
) -> Decision:
    """The decision of `vtrial.decisions` on the looks held, in the order given."""
    plan, looks = protocol.plan, len(protocol.plan.looks)
    day, comes = np.full(looks, NEVER, np.int32), np.zeros(looks, bool)
    for turn, k in enumerate(order):
        day[k], comes[k] = turn, True
    held = Held(day, comes, sizes.max(axis=1, initial=0), counts, sizes, enrolled=enrolled)
    unseen = {r: np.nan for r, rule in enumerate(plan.rules) if rule.time is not None}
    with jax.enable_x64(False):
        found = compared(held, unseen | values, protocol.numbers, plan).decision(plan, at_end)
        return jax.tree.map(np.asarray, found)


def _said(
    protocol: Protocol, told: Data, rules: list[Judged], tests: list[dict[str, Any]], decision: Decision, ended: bool
) -> Verdict:
    rows: list[dict[str, Any]] = [
        {
            "look": row.look,
            "rule": row.rule,
            "endpoint": row.endpoint,
            "count": row.count,
            "n": row.n,
            "bound": row.bound,
            "seen": row.in_words,
            "value": row.value,
            "limit": row.limit,
            "fires": row.fires,
            "then": row.then,
        }
        for row in rules
    ]
    columns = ["look", "rule", "endpoint", "count", "n", "bound", "seen", "value", "limit", "fires", "then"]
    table = pd.DataFrame([*rows, *tests], columns=columns)
    rejected = {test.name: bool(decision.rejected[test.name]) for test in protocol.tests}
    outcome = ["", *OUTCOMES][int(decision.outcome)]
    stop, names = int(decision.end), [look.name for look in protocol.plan.looks]
    parts: list[str] = []
    if stop < len(names):
        fired = [r.rule for r in rules if r.look == names[stop] and r.fires and r.then == outcome]
        if outcome == CLOSES:
            parts.append(f"enrolment ends at '{names[stop]}' ({', '.join(fired)})")
            if not ended:
                parts.append("the final analysis is of those enrolled by then")
        else:
            parts.append(f"the trial stops at '{names[stop]}' for {outcome} ({', '.join(fired)})")
        given = [seen.name for seen in told.look]
        after = set(given[given.index(names[stop]) + 1 :])
        if after - ({END} if outcome == CLOSES else set()):
            parts.append("what came after does not count")
    elif not ended:
        fired = [f"'{r.rule}' ({r.then})" for r in rules if r.fires]
        parts.append(
            f"the trial goes on after '{told.look[-1].name}'" + (f"; fired: {', '.join(fired)}" if fired else "")
        )
    elif outcome:
        parts.append(f"the final analysis says {outcome}")
    shown = [_claimed(test, rejected[test.name]) for test in protocol.tests]
    if ended or any(rejected.values()):
        parts += shown
    sentence = "; ".join(parts)
    return Verdict(table, f"{sentence[:1].upper()}{sentence[1:]}.", outcome, rejected, told.note)


def _claimed(test: TestSection, rejected: bool) -> str:
    from vtrial.report.words import claim

    return f"{claim(test, test.null)} is {'shown' if rejected else 'not shown'}"
