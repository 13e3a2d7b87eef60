"""One simulated trial with looks, told: what each look saw, each rule against its bound, what fired and what followed.

Host. The rules are judged by the same code as those of a real trial (`vtrial.protocol.evaluation`).
"""

import os
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial.characteristics.stopping import END
from vtrial.engine import run as engine
from vtrial.model.parameters import DAYS
from vtrial.model.vocabulary import CLOSES, OUTCOMES, in_figures
from vtrial.protocol.build import Protocol
from vtrial.protocol.evaluation import judge
from vtrial.scenario import Scenario, as_scenario
from vtrial.trial import run as trial
from vtrial.trial.observation.looks import Held
from vtrial.trial.spec import Outcome

COLUMNS = (
    "look", "month", "enrolled", "infused", "evaluated", "rule", "endpoint", "count", "n", "bound", "at_least",
    "value", "limit", "fires", "then", "held", "outcome", "words",
)  # fmt: skip


def story_of(protocol: Protocol, *, seed: int, trial: int, where: str = "scenario") -> pd.DataFrame:
    """A trial of a design with looks: a row for each look and rule in order of the looks, and one for each test at the
    final analysis (look "end"; one without a test where there is none).

    Columns: look; month (since the first enrolment; missing outside the calendar, or where the look never came);
    enrolled and infused (where the trial ended, and outside the calendar at each look), evaluated; rule (or test),
    endpoint, count, n, bound (the count at which it fires, missing where none does), at_least (from it on; else up to
    it); value and limit (of what the rule itself speaks of); fires; then; held (whether that was before the trial
    ended); outcome (what ended the trial, or its enrolment, there, or ""); words (what was seen against the bound).
    What a look that was not held would have seen is told where it came later, and missing where it never came.

    Raises `InputError` where there are no looks.
    """
    if not protocol.plan.looks:
        raise InputError(f"{where}: there is no [[look]], so a trial has no story; vtrial cohort shows its patients")
    outcome, held, values = _simulated(protocol, seed, trial)
    decision, plan = outcome.decision, protocol.plan
    assert decision is not None
    number, end = len(plan.looks), int(decision.end)
    closed = int(decision.outcome) == 1 + OUTCOMES.index(CLOSES)  # the final analysis is held all the same
    order = sorted(range(number), key=lambda k: (plan.looks[k].final, int(held.day[k]), k))
    before = [k for k in order if not plan.looks[k].final]
    ended = before.index(end) if end < number else len(before)
    rows: list[dict[str, object]] = []
    for place, k in enumerate(before):
        rows += _rules(protocol, k, outcome, held, values, place <= ended)
    names = [test.name for test in plan.tests] or [""]
    rows += [_test(protocol, name, outcome, end == number or closed) for name in names]
    for k in order[len(before) :]:
        rows += _rules(protocol, k, outcome, held, values, end == number)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("enrolled", "infused", "evaluated", "count", "n", "bound"), "Int64"))


def _simulated(protocol: Protocol, seed: int, number: int) -> tuple[Outcome, Held, dict[int, Any]]:
    plan = protocol.plan
    if not any(test.timed for test in plan.tests):
        plan = replace(plan, curves=(), flags=())
    told = engine.each(trial.story, plan, protocol.numbers, protocol.worlds, seed=seed, start=number)
    return jax.tree.map(lambda a: a[0], told)


def _rules(
    protocol: Protocol, k: int, outcome: Outcome, held: Held, values: dict[int, Any], before_end: bool
) -> list[dict[str, object]]:
    """The rows of one look. before_end: whether it was held, if it came."""
    plan, decision = protocol.plan, outcome.decision
    assert decision is not None
    came, ends = bool(held.comes[k]), int(decision.end)
    here = before_end and (ends == k or (plan.looks[k].final and ends == len(plan.looks)))
    rows: list[dict[str, object]] = []
    for r, rule in enumerate(plan.rules):
        if rule.look != k:
            continue
        row = _row(plan.looks[k].name, rule.name, rule.then, before_end and came)
        if plan.in_calendar:
            row["month"] = float(held.day[k]) / DAYS if came else np.nan
        elif came:
            row |= {"enrolled": int(held.day[k]), "infused": int(held.evaluated[k])}
        if here:
            row |= {"enrolled": int(outcome.enrolled), "infused": int(outcome.infused)}
            if plan.in_calendar and int(decision.outcome) == 1 + OUTCOMES.index(CLOSES):
                row["infused"] = pd.NA  # some of those enrolled wait for their infusion
        row["outcome"] = ["", *OUTCOMES][int(decision.outcome)] if here else ""
        if came:
            timed = rule.time is not None
            x, n = (None if timed else int(of[k, rule.watched]) for of in (held.counts, held.sizes))
            by_then = None if held.enrolled is None else int(held.enrolled[k])
            seen = judge(protocol, r, x, n, float(values[r]) if timed else np.nan, enrolled=by_then)
            fires = bool(decision.fired[r])
            words = seen.in_words
            if fires != seen.fires:
                test = next((test for test in plan.tests if test.name == rule.test), None)
                if test is not None and test.after and not fires:
                    words += f"; waits for '{test.after}'"
                else:
                    words += "; its alpha had grown by then" if fires else f"; '{rule.test}' has no alpha yet"
            if (
                fires
                and rule.test
                and any(other.void and other.look == k and decision.fired[q] for q, other in enumerate(plan.rules))
            ):
                words += "; not claimed, as harm was found"
            if fires and rule.tests and before_end and not here:
                words += f"; the trial goes on until {' and '.join(rule.tests)} have been rejected"
            row |= {
                "evaluated": int(held.evaluated[k]), "endpoint": seen.endpoint, "count": x, "n": n,
                "bound": seen.bound, "at_least": seen.side.upper, "value": seen.value, "limit": seen.limit,
                "fires": fires, "words": words,
            }  # fmt: skip
        rows.append(row)
    return rows


def _test(protocol: Protocol, name: str, outcome: Outcome, reached: bool) -> dict[str, object]:
    """The row of a test at the final analysis."""
    decision = outcome.decision
    assert decision is not None
    row = _row(END, name, "rejects" if name else "", reached)
    if not reached:
        return row | {"words": "not reached"}
    if outcome.months is not None:
        row["month"] = float(outcome.months)
    row |= {part: int(getattr(outcome, part)) for part in ("enrolled", "infused", "evaluated")}
    if not name:
        return row | {"words": "ends as planned"}
    test, fires = next(test for test in protocol.plan.tests if test.name == name), bool(decision.rejected[name])
    row |= {"endpoint": test.endpoint, "fires": fires}
    shown = "rejects" if fires else "does not reject"
    if test.timed:
        curve = outcome.curves[test.endpoint, "all"]  # type: ignore[index]
        value, low, high = (float(getattr(curve, part)) for part in ("median", "low", "high"))
        months = [in_figures(v) for v in (value, low, high)]
        return row | {"value": value, "words": f"median {months[0]} months ({months[1]} to {months[2]}): {shown}"}
    n, x = int(getattr(outcome, test.population)), int(outcome.counts[test.endpoint])  # type: ignore[index]
    bounds = protocol.numbers.bounds[name]
    if bounds.ndim > 1:  # under a graph: with the alpha of the other tests that were rejected
        names = [other.name for other in protocol.plan.tests]
        bounds = bounds[sum(2**t for t, other in enumerate(names) if other != name and decision.rejected[other])]
    bound, side = int(bounds[n]), test.side
    alone = side.reached(x, bound)
    there = side.attainable(bound, n)
    words = f"{x} of {n}, {f'rejects {side.in_words(bound)}' if there else f'cannot reject (no count of {n} does)'}"
    if alone and not fires:
        words += f"; waits for '{test.after}'"
    elif fires and not alone:
        words += "; rejected at a look"
    return row | {
        "count": x, "n": n, "bound": bound if there else pd.NA, "at_least": side.upper, "words": words,
    }  # fmt: skip


def _row(look: str, rule: str, then: str, held: bool) -> dict[str, object]:
    """A row of which nothing is known yet."""
    row: dict[str, object] = dict.fromkeys(COLUMNS, pd.NA)
    row |= {"look": look, "rule": rule, "then": then, "held": held, "value": np.nan, "limit": np.nan, "month": np.nan}
    return row | {"endpoint": "", "fires": False, "at_least": True, "outcome": "", "words": "the look never came"}


def in_words(table: pd.DataFrame, trial: int) -> str:
    """What happened, in a sentence, from the table of `story_of`."""
    stopping: Any = table[(table["outcome"] != "") & (table["look"] != END)]
    ended: Any = table[(table["look"] == END) & table["held"]]
    early: Any = stopping[stopping["fires"] & (stopping["then"] == stopping["outcome"])]
    if not early.empty and ended.empty:
        first = early.iloc[0]
        return (
            f"Trial {trial} stopped at '{first['look']}' {_at(first)} for {first['outcome']}: {_fired(early)}; "
            f"{first['enrolled']} patients were enrolled by then, {first['infused']} infused and {first['evaluated']} "
            "analysed"
        )
    tests: Any = ended[ended["rule"] != ""]
    first = ended.iloc[0]
    said = [f"'{row['rule']}' {'rejects' if row['fires'] else 'does not reject'}" for _, row in tests.iterrows()]
    if not early.empty and (stop := early.iloc[0])["outcome"] == CLOSES:
        return (
            f"Trial {trial} ended enrolment at '{stop['look']}' {_at(stop)}, with {stop['enrolled']} enrolled: "
            f"{_fired(early)}; the final analysis {_at(first)} is of {first['evaluated']}: {', '.join(said)}"
        )
    if not early.empty:
        said.append(f"it ends with '{early.iloc[0]['outcome']}': {_fired(early)}")
    result = f": {', '.join(said)}" if said else ""
    return (
        f"No look stopped trial {trial}, which ended {_at(first)} with {first['evaluated']} patients analysed{result}"
    )


def _at(row: Any) -> str:
    return f"in month {row['month']:.1f}" if np.isfinite(row["month"]) else f"after {row['enrolled']} patients enrolled"


def _fired(rows: Any) -> str:
    said = []
    for _, row in rows.iterrows():
        counted, comma, fires = row["words"].partition(",")
        with_what = f" with {row['endpoint']}" if pd.notna(row["count"]) else ""
        said.append(f"'{row['rule']}' {'counted' if with_what else 'saw'} {counted}{with_what}{comma}{fires}")
    return " and ".join(said)


def told(
    scenario: Scenario | str | os.PathLike[str], *, trial: int = 0, cell: int = 0, seed: int | None = None
) -> pd.DataFrame:
    """`story_of` a trial of a scenario, as it is in `vtrial.run`, without running the others.

    Raises `InputError` for a trial or cell that is not there, or where there are no looks.
    """
    from vtrial.workflows.cells import prepared
    from vtrial.workflows.compiled_programs import keep_compiled_programs

    asked = as_scenario(scenario)
    if seed is not None:
        asked = asked.replace({"simulation.seed": seed})
    design = asked.cell(cell).design
    if not 0 <= trial < 2**32:
        raise InputError(f"trial {trial} is not there (from 0)")
    if not design.look:
        raise InputError(
            f"{asked.where}: there is no [[look]], so a trial has no story; vtrial cohort shows its patients"
        )
    keep_compiled_programs()
    protocol = prepared(asked, None)[2][cell]
    return story_of(protocol, seed=asked.design.simulation.seed, trial=trial, where=asked.where)
