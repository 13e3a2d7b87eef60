"""What a decision on actual numbers says, in sentences. Host."""

from collections.abc import Mapping, Sequence
from typing import Any

from vtrial.model.vocabulary import CLOSES
from vtrial.scenario import TestSection
from vtrial.scenario.wording import claim
from vtrial.workflows.monitor.data import Analysis, Data
from vtrial.workflows.monitor.tables import Tables


def sentence(
    tables: Tables,
    data: Data,
    entries: Sequence[Analysis],
    stop: int | None,
    outcome: str,
    rejected: Mapping[str, bool],
    fired: Sequence[Mapping[str, Any]],
    *,
    assumes: bool,
) -> str:
    """What follows, and on what it stands.

    stop: the place of the analysis that ended the trial, None where none did. fired: rows of rules that fired.
    """
    last, tests = entries[-1], tables.protocol.tests
    parts: list[str] = []
    if stop is not None:
        by = ", ".join(row["rule"] for row in fired if row["look"] == entries[stop].name and row["then"] == outcome)
        closed = outcome == CLOSES
        words = (
            f"enrolment ends at '{entries[stop].name}'"
            if closed
            else f"the trial stops at '{entries[stop].name}' for {outcome}"
        )
        parts.append(f"{words} ({by})")
        if closed and not last.last:
            parts.append("the final analysis is of those enrolled by then")
        after = [one for one in entries[stop + 1 :] if not (closed and one.last)]
        if after:
            claimed = [test for test in tests if rejected[test.name] and outcome == "success"]
            parts += [_over_run(tables, test, entries[stop], last) for test in claimed]
            parts += [] if claimed else ["what came after does not count"]
    elif not last.last:
        rules = [f"'{row['rule']}' ({row['then']})" for row in fired if row["look"] == last.name]
        parts.append(f"the trial goes on after '{last.name}'" + (f"; fired: {', '.join(rules)}" if rules else ""))
    elif outcome:
        parts.append(f"the final analysis says {outcome}")
    elif not tests:
        parts.append("no look stops the trial, and the design has no test at the end")
    if last.last or any(rejected.values()):
        parts += [_claimed(test, rejected[test.name]) for test in tests]
    reach = len(entries) - 1 if stop is None else stop
    counted = [i for i, one in enumerate(entries) if i <= reach or (outcome == CLOSES and one.last)]
    remarks = ["; ".join(parts), *dict.fromkeys(words for i, words in tables.remarks if i in counted)]
    if assumes:
        affirmed = (
            "as the data affirm"
            if data.timing_independent_of_results
            else "which the data do not affirm (timing_independent_of_results = true)"
        )
        remarks.append(f"this assumes that numbers and timing did not follow results, {affirmed}")
    return " ".join(f"{words[:1].upper()}{words[1:]}." for words in remarks)


def _claimed(test: TestSection, rejected: bool) -> str:
    return f"{claim(test, test.null)} is {'shown' if rejected else 'not shown'}"


def _over_run(tables: Tables, test: TestSection, crossing: Analysis, last: Analysis) -> str:
    """A claim is kept, and the estimate is given at the crossing and with those who came after."""
    words = f"'{test.name}' keeps its claim over the patients of '{last.name}'"
    if test.timed:
        pairs = [one.seen.log_rank.get(test.endpoint) for one in (crossing, last)]  # type: ignore[call-overload]
        values = [f"{p.observed} events for {p.expected:g} expected" for p in pairs if p is not None]
    else:
        here = {tables.watched(r) for r in tables.rules_at(crossing) if tables.protocol.plan.rules[r].of == test.name}
        first = next((name for name in (test.endpoint, *sorted(here)) if name in crossing.seen.counts), None)
        second = next((name for name in (test.endpoint, first) if name in last.seen.counts), None)
        values = [
            f"{one.count(name)} of {one.n} ({one.count(name) / one.n:.1%})"
            for one, name in ((crossing, first), (last, second))
            if name is not None
        ]
    if len(values) < 2:
        return words
    return f"{words}: {values[0]} without them, {values[1]} with them"
