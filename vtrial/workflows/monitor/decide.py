"""A trial's actual numbers against its design: the rules and tables that the simulation uses, on real data. Host."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pandas as pd

from vtrial import evidence as room
from vtrial._support.errors import InputError
from vtrial.characteristics import plausibility
from vtrial.model.dose_response import Step
from vtrial.model.vocabulary import CLOSES, OUTCOMES
from vtrial.model.world import World
from vtrial.protocol.build import Protocol, in_worlds
from vtrial.protocol.evaluation import judge
from vtrial.scenario import Cell, Scenario, as_scenario
from vtrial.scenario.sections import CohortSection
from vtrial.trial.decisions import Decision
from vtrial.trial.interim import compared
from vtrial.trial.observation.looks import Held
from vtrial.trial.patients.course import NEVER
from vtrial.workflows.monitor.adapted import at_actual
from vtrial.workflows.monitor.data import Analysis, Data, analyses, read
from vtrial.workflows.monitor.possible import check
from vtrial.workflows.monitor.tables import Tables
from vtrial.workflows.monitor.tested import tested
from vtrial.workflows.monitor.words import sentence

COLUMNS = ["look", "rule", "endpoint", "count", "n", "bound", "seen", "value", "limit", "fires", "then"]


@dataclass(frozen=True)
class Verdict:
    """What a design says of actual numbers. table: a row a rule and test. sentence: what follows, and on what.
    outcome: "success", "futility", "harm", "consider" or "" of the looks; rejected: whether each test has rejected;
    note: of the data. warnings: what should be known of the design as planned, as `vtrial.Result.warnings`."""

    table: pd.DataFrame
    sentence: str
    outcome: str
    rejected: dict[str, bool]
    note: str
    warnings: tuple[str, ...] = ()


def decide(
    scenario: Scenario | str | os.PathLike[str] | dict[str, Any],
    data: str | os.PathLike[str] | Mapping[str, Any],
    *,
    cell: int = 0,
) -> Verdict:
    """What a scenario's looks and tests decide on a trial's actual numbers.

    data: a TOML file, or the same as data: `[[look]]` tables in the order in which the looks were held, each with name,
    infused (patients in the analysis; or evaluable) and counts by endpoint; the final analysis is named "end". No model
    is fitted. Planned bounds are for planned numbers; at others they are worked out anew, see `adapted`.

    Raises `InputError` for data that the design cannot judge: an unknown look or endpoint, numbers that cannot be or
    are missing, and a planned count at other numbers than planned.
    """
    asked = as_scenario(scenario)
    chosen = asked.cell(cell)
    given, where = read(data)
    entries = analyses(given, chosen.design.looks, where)
    check(entries)
    seen = [one.seen for one in entries]
    most = max(max(s.infused or 0, s.evaluable or 0, s.enrolled or 0) for s in seen)
    protocol = _protocol(chosen, asked.where, most)
    if not protocol.tests and protocol.looks is None:
        raise InputError(f"{asked.where}: has neither looks nor tests, so there is nothing to decide")
    found = _verdict(protocol, given, entries, where)
    known = plausibility.warnings((protocol,), (chosen,))
    return replace(found, warnings=tuple(f"as planned: {text}" for text in known))


def _protocol(cell: Cell, where: str, capacity: int) -> Protocol:
    """The design with bounds for any number of patients; the worlds do not matter."""
    design = cell.design.model_copy(update={"cohort": CohortSection.model_validate(_plain(cell.design.cohort))})
    world = World(np.zeros((1, len(Step))), np.zeros((1, len(Step))))
    study = room.load(design.world.study, place=f"{where}: [world] study")
    return in_worlds(replace(cell, design=design), study, world, where=where, capacity=capacity, any_n=True)


def _plain(cohort: CohortSection) -> dict[str, Any]:
    return cohort.model_dump(exclude={"mix"})


def _verdict(protocol: Protocol, data: Data, entries: Sequence[Analysis], where: str) -> Verdict:
    whole, problem = _complete(protocol, entries)
    if not whole:
        raise InputError(problem)
    tables = at_actual(protocol, whole, last=entries[-1])
    rows, at_end = _rows(tables, whole)
    decision = _decision(tables, whole, at_end)
    outcome = ["", *OUTCOMES][int(decision.outcome)]
    places = [i for i, one in enumerate(whole) if one.look == int(decision.end) and not one.last]
    stop = places[0] if places else None
    # What counts: all up to the stop; where that ended enrolment alone, the final analysis too.
    counts = [stop is None or i <= stop or (outcome == CLOSES and one.last) for i, one in enumerate(whole)]
    if refused := [text for i, text in sorted(tables.refused.items()) if counts[i]]:
        raise InputError(refused[0])
    if problem and (stop is None or (outcome == CLOSES and entries[len(whole)].last)):
        raise InputError(problem)
    assuming = [whole[i].name for i in sorted(tables.assuming) if counts[i] and (stop is None or i <= stop)]
    if assuming and data.timing_independent_of_results is False:
        raise InputError(
            f"{where}: timing_independent_of_results = false: the numbers of '{assuming[0]}' are not as planned, and "
            "bounds at other numbers hold only where timing did not follow results"
        )
    after = {one.name for one, counted in zip(whole, counts, strict=True) if not counted}
    for row in rows:
        if row["look"] in after:
            row |= {"seen": f"{row['seen']}, after the stop", "fires": False}
    table = pd.DataFrame(rows, columns=COLUMNS)
    rejected = {test.name: bool(decision.rejected[test.name]) for test in protocol.tests}
    fired = [row for row in rows if row["fires"]]
    words = sentence(tables, data, entries, stop, outcome, rejected, fired, assumes=bool(assuming))
    return Verdict(table, words, outcome, rejected, data.note)


def _complete(protocol: Protocol, entries: Sequence[Analysis]) -> tuple[list[Analysis], str]:
    """The analyses up to the first that lacks a number which its rules and tests need, and what that lacks."""
    for i, one in enumerate(entries):
        try:
            for rule in protocol.plan.rules:
                if rule.look == one.look:
                    one.count(protocol.plan.watched[rule.watched].name) if rule.time is None else one.value(rule.time)
                    if rule.enrolled:
                        one.enrolled(rule.name)
            if one.last:
                for test in protocol.tests:
                    tested(protocol, test, one, {})
        except InputError as problem:
            return list(entries[:i]), str(problem)
    return list(entries), ""


def _rows(tables: Tables, whole: Sequence[Analysis]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """A row a rule and test, and whether each test shows its claim at the end, (sets,) under a graph."""
    judging, rows = tables.judging(), list[dict[str, Any]]()
    at_end: dict[str, Any] | None = None
    for i, one in enumerate(whole):
        for r in tables.rules_at(one) if i not in tables.refused else []:
            rule = judging.plan.rules[r]
            if rule.time is None:
                by_then = one.enrolled(rule.name) if rule.enrolled else None
                row = judge(judging, r, one.count(tables.watched(r)), one.n, enrolled=by_then)
            else:
                row = judge(judging, r, None, None, one.value(rule.time))
            limit = tables.z.get(r, row.limit)
            rows.append({name: getattr(row, name) for name in COLUMNS if name != "seen"} | {"seen": row.in_words})
            rows[-1]["limit"] = limit
        if one.last:
            at_end = {}
            for test in judging.tests:
                row, shows = tested(judging, test, one, tables.z_finals)
                rows.append(row)
                at_end[test.name] = shows
    return rows, at_end


def _decision(tables: Tables, whole: Sequence[Analysis], at_end: dict[str, Any] | None) -> Decision:
    """The decision of `vtrial.trial.decisions` on the looks held, in the order given."""
    plan = tables.protocol.plan
    looks = len(plan.looks)
    day, comes = np.full(looks, NEVER, np.int32), np.zeros(looks, bool)
    counts = np.zeros((looks, len(plan.watched)), np.int32)
    sizes, enrolled = np.zeros_like(counts), np.zeros(looks, np.int32)
    values = {r: np.nan for r, rule in enumerate(plan.rules) if rule.time is not None}
    for turn, one in enumerate(whole):
        if one.look is None:
            continue
        day[one.look], comes[one.look] = turn, True
        for r in tables.rules_at(one):
            rule = plan.rules[r]
            if rule.time is None:
                counts[one.look, rule.watched], sizes[one.look, rule.watched] = one.count(tables.watched(r)), one.n
            else:
                values[r] = one.value(rule.time)
            if rule.enrolled:
                enrolled[one.look] = one.enrolled(rule.name)
    held = Held(day, comes, sizes.max(axis=1, initial=0), counts, sizes, enrolled=enrolled)
    numbers = tables.deciding({one.look: one.n for one in whole if one.look is not None}).numbers
    with jax.enable_x64(False):
        found = compared(held, values, numbers, plan).decision(plan, at_end)
        return jax.tree.map(np.asarray, found)
