"""Tests and rules by planned counts, at the numbers that their looks really had. Host."""

from collections.abc import Sequence

import numpy as np

from vtrial.boundaries.binomial import tail
from vtrial.scenario import TestSection
from vtrial.scenario.rules import CountRule
from vtrial.workflows.monitor.bounds import Stages
from vtrial.workflows.monitor.data import Analysis
from vtrial.workflows.monitor.tables import Tables, missing, planned_patients


def rework_test(tables: Tables, test: TestSection, analyses: Sequence[Analysis]) -> None:
    """A test by a planned count, at the end of another number: by the conditional error of the plan where its looks
    were as planned (Koyama & Chen 2008, doi 10.1002/sim.3045), else refused."""
    _Counted(tables, test, analyses).rework()


class _Counted:
    def __init__(self, tables: Tables, test: TestSection, analyses: Sequence[Analysis]) -> None:
        self.tables, self.test = tables, test
        self.less = test.alternative == "less"
        self.null = 1.0 - test.null if self.less else test.null
        infused = test.population == "infused"
        self.planned = tables.protocol.levels.planned if infused else tables.protocol.design.cohort.enrolled
        self.looks = [(i, a) for i, a in enumerate(analyses) if not a.last and infused and self._rules(a)]
        self.end = next(((i, a) for i, a in enumerate(analyses) if a.last), None)
        gone = missing(tables, analyses) if infused else []
        self.gone = [section for k, section in gone if self._stops(k)]

    def _rules(self, analysis: Analysis) -> list[int]:
        """The rules of a look that count what the test does and end the trial."""
        return [r for r in self.tables.rules_at(analysis) if self._ends(r)]

    def _ends(self, r: int) -> bool:
        rule = self.tables.protocol.plan.rules[r]
        return self.tables.watched(r) == self.test.endpoint and rule.then != "consider"

    def _stops(self, look: int) -> bool:
        """Whether a look can end the trial without the test's claim, by its count."""
        rules = enumerate(self.tables.protocol.plan.rules)
        return any(rule.look == look and self._ends(r) and rule.test != self.test.name for r, rule in rules)

    def rework(self) -> None:
        assert self.test.count is not None
        for i, look in self.looks:
            planned = planned_patients(self.tables, look)
            if planned is not None and planned != look.n and any(self._by_count(r) for r in self._rules(look)):
                self._refuse(i, look, f"{look.n} patients at '{look.name}' where {planned} were planned")
        if self.end is None or self.planned is None:
            return
        i, end = self.end
        total = end.seen.infused if self.test.population == "infused" else end.seen.enrolled
        if total is None:
            return
        if self.gone:
            self._refuse(i, end, f"'{self.gone[0].name}' ({self.gone[0].when.infused} patients) is not in the data")
        elif total != self.planned:
            self._other_number(i, end, total)

    def _other_number(self, i: int, end: Analysis, total: int) -> None:
        """The count at the end of another number of patients than planned."""
        assert self.planned is not None
        words = f"{total} patients at the end where {self.planned} were planned"
        as_planned = all(planned_patients(self.tables, look) == look.n for _, look in self.looks)
        if not self.looks or not as_planned:
            return self._refuse(i, end, words)
        last = self.looks[-1][1]
        x = last.count(self.test.endpoint)
        x = last.n - x if self.less else x
        stages, count = self._stages(), self._planned_count()
        bound = stages.reworked(x, count, self.planned, total)
        bound = total - bound if self.less else bound
        size, by_plan = stages.size_reworked(count, self.planned, total), stages.size(self._same_count(total), total)
        self.tables.set_final(self.test.name, total, [bound] * self.tables.sets)
        self.tables.assuming.add(i)
        self.tables.say(
            i,
            f"'{self.test.name}' needs {self._way(bound)} of {total} by the conditional error of the plan "
            f"(size {size:.4f}; by the planned count {by_plan:.4f})",
        )
        return None

    def _refuse(self, i: int, analysis: Analysis, words: str) -> None:
        """Say why the planned count does not hold, and the size that it would have at the actual numbers."""
        stages, total = self._stages(), self.planned
        if self.end is not None:
            seen = self.end[1].seen
            total = seen.infused if self.test.population == "infused" else seen.enrolled
        size = "" if total is None else f" (it would have size {stages.size(self._same_count(total), total):.4f})"
        text = (
            f"{analysis.place}: the planned count of test '{self.test.name}', {self._way(self.test.count)}, does not "
        )
        self.tables.refused.setdefault(i, f"{text}hold for {words}{size}")

    def _way(self, count: int | None) -> str:
        return f"at most {count}" if self.less else f"{count} or more"

    def _planned_count(self) -> int:
        """The planned count, of those that speak for the claim."""
        assert self.planned is not None
        return self._same_count(self.planned)

    def _same_count(self, total: int) -> int:
        assert self.test.count is not None
        return total - self.test.count if self.less else self.test.count

    def _by_count(self, r: int) -> bool:
        return isinstance(self.tables.written(r), CountRule)

    def _stages(self) -> Stages:
        """The looks held, with the bounds that they had at their numbers."""
        low, high = [], []
        for _, look in self.looks:
            at_most, at_least = -1, look.n + 1
            for r in self._rules(look):
                rule, bound = self.tables.protocol.plan.rules[r], int(self.tables.rules[r, look.n])
                upward, bound = (not rule.side.upper, look.n - bound) if self.less else (rule.side.upper, bound)
                if upward and rule.test == self.test.name:
                    at_least = min(at_least, bound)
                elif not upward:
                    at_most = max(at_most, bound)
            low.append(at_most)
            high.append(max(at_least, at_most + 1))
        n = [look.n for _, look in self.looks]
        return Stages(self.null, *(np.array(part, np.int64) for part in (n, low, high)))


def rework_rule(tables: Tables, r: int, i: int, analysis: Analysis) -> None:
    """A rule by a planned count, at another number: decided where every way to the planned number agrees, else refused.

    More patients have the first of them among them, fewer become them: so many more, or fewer, have the endpoint at
    least and at most.
    """
    rule, planned = tables.written(r), planned_patients(tables, analysis)
    if not isinstance(rule, CountRule) or planned is None or planned == analysis.n:
        return
    n, x = analysis.n, analysis.count(tables.watched(r))
    upward = rule.at_least is not None
    bound = rule.at_least if rule.at_least is not None else rule.at_most
    assert bound is not None
    lowest, highest = (max(0, x - (n - planned)), min(x, planned)) if n > planned else (x, x + planned - n)
    always, never = (lowest >= bound, highest < bound) if upward else (highest <= bound, lowest > bound)
    if always or never:
        # The count of the actual number from which, or up to which, the planned one is certain.
        more = n - planned
        certain = bound + (max(more, 0) if upward == always else min(more, 0))
        tables.set_rule(r, n, [certain] * tables.sets)
        tables.say(
            i,
            f"{x} with {tables.watched(r)} of {n} settle that '{tables.protocol.plan.rules[r].name}' "
            f"({_way(rule)} of {planned}) {'fires' if always else 'does not fire'}",
        )
        return
    name = tables.protocol.plan.rules[r].name
    advice = f"give those of the first {planned}" if n > planned else f"wait for {planned}"
    size = _size(tables, rule, n, bound) if upward else ""
    tables.refused.setdefault(
        i,
        f"{analysis.place}: rule '{name}' is a planned count, {_way(rule)} of {planned}, and "
        f"{x} with {tables.watched(r)} of {n} do not settle it{size}; {advice}",
    )


def _way(rule: CountRule) -> str:
    return f"at most {rule.at_most}" if rule.at_least is None else f"{rule.at_least} or more"


def _size(tables: Tables, rule: CountRule, n: int, bound: int) -> str:
    """What probability the planned count would have at the actual number under its test's null."""
    test = next((test for test in tables.protocol.tests if test.name == rule.test), None)
    if test is None or test.timed:
        return ""
    return f" (the planned count would be met with probability {float(tail(bound, n, test.null)):.4f} at the null)"
