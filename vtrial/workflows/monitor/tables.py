"""The tables of bounds of a protocol on the way from planned to actual numbers, and what is to be said of it. Host."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vtrial.protocol.build import Protocol
from vtrial.protocol.rule_bounds import patients_at
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import Rule
from vtrial.trial.decisions import entries_of
from vtrial.workflows.monitor.data import Analysis
from vtrial.workflows.monitor.possible import precedes


@dataclass
class Tables:
    """Bounds of a protocol's rules and tests, to be changed at actual numbers.

    rules: (rules, capacity + 1); shown: (entries of rules, sets, capacity + 1); limits: (rules on times, sets); finals:
    by test (..., capacity + 1); z_finals: by test of a time, (sets,). z: by rule, the normal quantile behind its bound.
    overruled: rules for futility that fired and did not end the trial. refused: why analyses cannot be decided, by
    place. remarks: what the answer says of an analysis, by place. assuming: places of those whose bounds stand on
    timing that did not follow results.
    """

    protocol: Protocol
    rules: NDArray[np.int32]
    shown: NDArray[np.int32]
    limits: NDArray[np.float32]
    finals: dict[str, NDArray[np.int32]]
    z_finals: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    z: dict[int, float] = field(default_factory=dict[int, float])
    overruled: set[int] = field(default_factory=set[int])
    refused: dict[int, str] = field(default_factory=dict[int, str])
    remarks: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    assuming: set[int] = field(default_factory=set[int])

    @classmethod
    def of(cls, protocol: Protocol) -> "Tables":
        """The planned bounds."""
        looks = protocol.numbers.looks
        finals = {test: np.array(bounds) for test, bounds in protocol.numbers.bounds.items()}
        if looks is None:
            none = np.zeros((0, 1), np.int32)
            return cls(protocol, none, none, none.astype(np.float32), finals)
        return cls(protocol, np.array(looks.bounds), np.array(looks.shown), np.array(looks.limits), finals)

    @property
    def sets(self) -> int:
        """How many sets of rejected tests have bounds of their own."""
        return self.protocol.levels.sets

    def written(self, r: int) -> Rule:
        """A rule as the scenario has it."""
        plan = self.protocol.plan.rules[r]
        return self.section(plan.look).rule_named(plan.name)

    def section(self, look: int) -> LookSection:
        """A look as the scenario has it."""
        assert self.protocol.looks is not None
        return self.protocol.looks.sections[look]

    def rules_at(self, analysis: Analysis) -> list[int]:
        """The rules of an analysis, by place."""
        return [r for r, rule in enumerate(self.protocol.plan.rules) if rule.look == analysis.look]

    def watched(self, r: int) -> str:
        """What a rule counts, by name; "" for a rule on a time."""
        rule = self.protocol.plan.rules[r]
        return "" if rule.time is not None else self.protocol.plan.watched[rule.watched].name

    def say(self, place: int, words: str) -> None:
        """Keep what the answer says of an analysis."""
        self.remarks.append((place, words))

    def set_rule(self, r: int, n: int, by_set: Sequence[int]) -> None:
        """A rule's count at n patients, for each set of rejected tests."""
        self.rules[r, n] = by_set[0]
        for place in self._entries(r):
            self.shown[place, :, n] = by_set

    def set_limit(self, r: int, by_set: Sequence[float]) -> None:
        """The limit of a rule on a time, for each set of rejected tests."""
        timed = [k for k, rule in enumerate(self.protocol.plan.rules) if rule.time is not None]
        self.limits[timed.index(r)] = by_set

    def set_final(self, test: str, n: int, by_set: Sequence[int]) -> None:
        """A test's count at the end of n patients, for each set of rejected tests."""
        self.finals[test][..., n] = by_set if self.finals[test].ndim > 1 else by_set[0]

    def _entries(self, r: int) -> list[int]:
        plan = self.protocol.plan
        of_rules = entries_of(plan.tests, plan.rules, len(plan.looks)).rule
        return [k for k, rule in enumerate(of_rules[of_rules >= 0]) if rule == r]

    def judging(self) -> Protocol:
        """The protocol with these bounds."""
        looks = self.protocol.numbers.looks
        if looks is not None:
            looks = replace(looks, bounds=self.rules, shown=self.shown, limits=self.limits)
        return replace(self.protocol, numbers=replace(self.protocol.numbers, bounds=self.finals, looks=looks))

    def deciding(self, sizes: dict[int, int]) -> Protocol:
        """The same with the rules that were overruled silent. sizes: patients, by look."""
        silent = Tables.of(self.judging())
        for r in self.overruled:
            rule = self.protocol.plan.rules[r]
            if rule.time is not None:
                silent.set_limit(r, [rule.side.beyond] * self.sets)
            else:
                n = sizes[rule.look]
                silent.set_rule(r, n, [rule.side.never(n)] * self.sets)
        return silent.judging()


def planned_patients(tables: Tables, analysis: Analysis) -> int | None:
    """How many patients the design has at an analysis, where it says so."""
    if analysis.last or analysis.section is None:
        return tables.protocol.levels.planned
    return patients_at(analysis.section, tables.protocol.levels.planned)


def missing(tables: Tables, analyses: Sequence[Analysis]) -> list[tuple[int, LookSection]]:
    """Looks that the design has before the last of the analyses and the data have not; calls that may never come are
    not missed."""
    if tables.protocol.looks is None or not analyses:
        return []
    given, last = {analysis.look for analysis in analyses}, analyses[-1]
    found: list[tuple[int, LookSection]] = []
    for k, section in enumerate(tables.protocol.looks.sections):
        if k in given or section.when.final or section.when.kind != "infused":
            continue
        due = last.last and section.when.infused <= last.n
        if due or any(other.section is not None and precedes(section, other.section) for other in analyses):
            found.append((k, section))
    return found
