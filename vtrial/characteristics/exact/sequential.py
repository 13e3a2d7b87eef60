"""Looks whose state is a count: enumerated, not simulated. Host, float64.

The trial is walked patient by patient; the state is how many so far have each of at most two endpoints, and which
tests have been rejected. An endpoint with a window and the same endpoint at full follow-up are two: seen by then, seen
later, never. A third may be tested at the end alone where it is a part of one that is counted (CR of responders).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from vtrial._support.arrays import Array
from vtrial.characteristics.exact.fixed import infused_numbers
from vtrial.characteristics.exact.joint import NoExactPath, Part, Patient, part_of
from vtrial.characteristics.exact.tally import Tally
from vtrial.model.endpoints import Watched
from vtrial.model.parameters import DAYS
from vtrial.model.world import World
from vtrial.protocol.build import Protocol

_CELLS = 1_000_000  # of state and worlds together, in one block of worlds


def probabilities(protocol: Protocol, worlds: World) -> dict[str, Array]:
    """Metrics of a design with looks in each world, float64 (worlds,), by name; empty where no exact path exists.

    Rejections, stops, patients analysed, familywise error; outside the calendar also enrolled and infused patients.
    Exact where looks are called by numbers infused, in an order that is certain, and count at most two endpoints
    (or three, see above); doses drawn at random, or one; no shifted mix, no rules or tests on times.
    """
    try:
        walk = Walk.planned(protocol)
    except NoExactPath:
        return {}
    block = max(1, _CELLS // walk.states)

    def part(first: int) -> dict[str, Array]:
        chosen = World(
            worlds.intercept[first : first + block],
            worlds.slope[first : first + block],
            None if worlds.survival is None else worlds.survival[first : first + block],
        )
        return walk.run(chosen)

    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            parts = list(pool.map(part, range(0, worlds.size, block)))
    except NoExactPath:
        return {}
    return {name: np.concatenate([found[name] for found in parts]) for name in parts[0]}


@dataclass(frozen=True)
class Walk:
    """How to walk a trial. axes: the endpoints that are counted, one or two. extra: one that is tested at the end
    alone, as a part of the axis `within`. order: the looks before the end, as they come."""

    protocol: Protocol
    axes: tuple[Part, ...]
    extra: Part | None
    within: int
    order: tuple[int, ...]

    @classmethod
    def planned(cls, protocol: Protocol) -> "Walk":
        """Raises `NoExactPath`."""
        plan, looks = protocol.plan, protocol.looks
        if plan.mix or (plan.allocation != "random" and len(protocol.doses) > 1):
            raise NoExactPath("patients differ in more than their luck")
        if any(test.timed or test.population != "infused" for test in plan.tests):
            raise NoExactPath("tests of times, or in the enrolled")
        if plan.closes and plan.in_calendar:
            raise NoExactPath("how many are enrolled when enrolment is closed depends on the calendar")
        if any(rule.time is not None for rule in plan.rules) or any(look.every for look in plan.looks):
            raise NoExactPath("times, or looks that take all who are evaluable")
        order = [k for k, look in enumerate(plan.looks) if not look.final]
        if any(plan.looks[k].when[0] != "infused" for k in order):
            raise NoExactPath("looks called by events or the calendar")
        numbers = protocol.numbers.looks
        if order:
            assert numbers is not None
            called = [(int(numbers.count[plan.looks[k].when[1]]), plan.looks[k].when[1]) for k in order]
            order = [k for _, k in sorted(zip(called, order, strict=True), key=lambda pair: pair[0][0])]
            waits = [int(numbers.follow_up[plan.looks[k].when[1]]) for k in order]
            if waits != sorted(waits):
                raise NoExactPath("looks whose order depends on the calendar")
            if looks is not None and looks.in_calendar:
                cut = float(protocol.numbers.calendar.cut)  # type: ignore[union-attr]
                if not plan.cut_after_last or max(waits) > np.floor(cut * DAYS):
                    raise NoExactPath("looks that the end may come before")
        at_looks = [part_of(asked) for asked in plan.watched]
        axes = list(dict.fromkeys(at_looks))
        extra, within = None, -1
        finals = list(dict.fromkeys(part_of(Watched(test.endpoint)) for test in plan.tests))  # type: ignore[arg-type]
        for part in sorted(finals, key=lambda part: (part.latent, part.level)):
            if part in axes:
                continue
            outer = [
                k for k, axis in enumerate(axes) if axis.latent == part.latent and axis.thin is None and not axis.mrd
            ]
            outer = [k for k in outer if axes[k].level <= part.level]
            if outer and extra is None and not plan.graph and _last(protocol, part):
                extra, within = part, max(outer, key=lambda k: axes[k].level)
            else:
                axes.append(part)
        if extra is not None and not all(_no_news(axis, axes[within]) for axis in axes):
            axes.append(extra)
            extra, within = None, -1
        if len(axes) > 2:
            raise NoExactPath("more than two endpoints")
        return cls(protocol, tuple(axes), extra, within, tuple(order))

    @property
    def states(self) -> int:
        """Cells of the largest table."""
        return (self.protocol.size + 1) ** len(self.axes)

    def run(self, worlds: World) -> dict[str, Array]:
        """The metrics in some worlds."""
        plan, patient = self.protocol.plan, Patient(self.protocol, worlds)
        tally, zero = Tally(self.protocol, self.axes, self.extra, self.within, worlds), np.zeros(worlds.size)
        p = [patient.probability(axis) for axis in self.axes]
        if len(self.axes) == 2:
            both = patient.probability(*self.axes)
            steps = {(1, 1): both, (1, 0): p[0] - both, (0, 1): p[1] - both}
            steps[0, 0] = 1.0 - p[0] - p[1] + both
        elif self.axes:
            steps = {(1, 0): p[0], (0, 0): 1.0 - p[0]}
        else:
            steps = {(0, 0): np.ones(worlds.size)}
        steps = {move: np.clip(value, 0.0, 1.0) for move, value in steps.items() if np.any(value > 0.0)}
        within = None
        if self.extra is not None:
            part = patient.probability(self.extra)
            within = np.divide(part, p[self.within], out=np.zeros_like(part), where=p[self.within] > 0)
        with np.errstate(over="ignore"):
            chances = worlds.probabilities(self.protocol.log2_doses, np)
        last = {n: weight + zero for n, weight in infused_numbers(self.protocol, chances)}
        numbers = self.protocol.numbers.looks
        at: dict[int, list[int]] = {}
        for k in self.order:
            assert numbers is not None
            at.setdefault(int(numbers.count[plan.looks[k].when[1]]), []).append(k)
        # P(at least n are infused): looks beyond the last patient do not come.
        reach: dict[int, Array] = {n: sum((w for size, w in last.items() if size >= n), zero) for n in at}
        dropped = self._dropped(at)
        alive: dict[int, Array] = {0: np.ones((1, 1, worlds.size))}
        for n in range(max(last) + 1):
            if n:
                alive = {code: _one_more(table, steps) for code, table in alive.items()}
            for k in at.get(n, []):
                alive = tally.look(k, n, alive, reach[n], within)
            if n in dropped:
                axis = dropped[n]
                alive = {code: table.sum(axis, keepdims=True) for code, table in alive.items()}
                steps = _without(steps, axis)
            if n in last:
                tally.end(n, alive, last[n], within)
            if not alive:
                break
        return tally.metrics()

    def _dropped(self, at: dict[int, list[int]]) -> dict[int, int]:
        """After how many patients an axis is asked for no more: place of the axis, by number of patients."""
        plan = self.protocol.plan
        finals = {part_of(Watched(test.endpoint)) for test in plan.tests}  # type: ignore[arg-type]
        found: dict[int, int] = {}
        for axis, part in enumerate(self.axes):
            looks = {rule.look for rule in plan.rules if part_of(plan.watched[rule.watched]) == part}
            at_end = any(plan.looks[k].final for k in looks) or part in finals or axis == self.within
            if not at_end:
                last = max(n for n, held in at.items() if looks & set(held))
                if last not in found:
                    found[last] = axis
        return found


def _without(steps: dict[tuple[int, int], Array], axis: int) -> dict[tuple[int, int], Array]:
    """The steps of one patient where an axis is counted no more."""
    found: dict[tuple[int, int], Array] = {}
    for move, p in steps.items():
        kept = (0, move[1]) if axis == 0 else (move[0], 0)
        found[kept] = found[kept] + p if kept in found else p
    return found


def _no_news(axis: Part, outer: Part) -> bool:
    """Whether an endpoint, given `outer`, says nothing of the deeper levels within it: it is a level up to that, as far
    as visits have documented it."""
    return axis == outer or (axis.latent == outer.latent and axis.level <= outer.level and not axis.mrd)


def _last(protocol: Protocol, part: Part) -> bool:
    """Whether tests of an endpoint are one, and no other waits for it."""
    mine = [test for test in protocol.plan.tests if part_of(Watched(test.endpoint)) == part]  # type: ignore[arg-type]
    waited = {test.after for test in protocol.plan.tests}
    asked = {name for rule in protocol.plan.rules for name in (*rule.tests, rule.test)}
    return len(mine) == 1 and mine[0].name not in waited | asked


def _one_more(table: Array, steps: dict[tuple[int, int], Array]) -> Array:
    """Counts after one more patient: tables (first endpoint, second endpoint, worlds)."""
    wide = any(move[1] for move in steps)
    a, b, worlds = table.shape
    more = np.zeros((a + 1 if any(move[0] for move in steps) else a, b + 1 if wide else b, worlds))
    for (i, j), p in steps.items():
        more[i : i + a, j : j + b] += table * p
    return more
