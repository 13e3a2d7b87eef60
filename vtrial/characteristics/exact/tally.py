"""What looks and the final analysis decide of every state of a trial, and with what probability. Host, float64."""

import numpy as np
from numpy.typing import NDArray

from vtrial._support.arrays import Array, Counts
from vtrial.boundaries.binomial import tail
from vtrial.boundaries.intervals import proportion_interval
from vtrial.characteristics import stopping
from vtrial.characteristics.estimation import LEVEL, estimated_endpoints
from vtrial.characteristics.exact.fixed import null_is_true, true_rates
from vtrial.characteristics.exact.joint import Part, part_of
from vtrial.model.endpoints import Endpoint, Watched
from vtrial.model.vocabulary import CLOSES, OUTCOMES
from vtrial.model.world import World
from vtrial.protocol.build import Protocol
from vtrial.trial.decisions import RulePlan

_SUCCESS, _CLOSED = (1 + OUTCOMES.index(then) for then in ("success", CLOSES))


class Tally:
    """What has been decided so far, in each world. Arguments: see `vtrial.characteristics.exact.sequential.Walk`.

    Tables are probabilities by count of each endpoint, (first, second, worlds).
    """

    def __init__(
        self, protocol: Protocol, axes: tuple[Part, ...], extra: Part | None, within: int, worlds: World
    ) -> None:
        self.protocol, self.axes, self.extra, self.within, self.worlds = protocol, axes, extra, within, worlds
        self.plan = protocol.plan
        self.names = [test.name for test in self.plan.tests]
        self.stopped: dict[tuple[int, str], Array] = {}  # by look and outcome
        self.rejected: dict[int, Array] = {}  # by set of rejected tests, when the trial has ended
        self.evaluated, self.success = np.zeros(worlds.size), np.zeros(worlds.size)
        self.needed = sum(1 << self.names.index(name) for name in stopping.success_tests(protocol))
        # Bias and coverage of rates are known where patients in the analysis are all there are.
        self.estimated = {} if self.plan.in_calendar else self._followed_to_the_end()
        self.mean = {axis: np.zeros(worlds.size) for axis in self.estimated}
        self.covered = {axis: np.zeros(worlds.size) for axis in self.estimated}

    def _followed_to_the_end(self) -> dict[int, tuple[Endpoint, Array]]:
        """Axes that are counted to the last patient: the endpoint, and its true rate in each world."""
        tested = {part_of(Watched(test.endpoint)): test.endpoint for test in self.plan.tests}  # type: ignore[arg-type]
        return {
            axis: (tested[part], true_rates(self.protocol, tested[part], self.worlds))  # type: ignore[arg-type]
            for axis, part in enumerate(self.axes)
            if part in tested and tested[part] in estimated_endpoints(self.protocol)
        }

    def _estimate(self, n: int, ended: Array, weight: Array) -> None:
        """Add the estimates of trials that end with n patients. ended: (first, second, worlds)."""
        if n == 0:
            return
        for axis, (_, true) in self.estimated.items():
            mass = ended.sum(1 - axis)[: n + 1] * weight
            x = np.arange(len(mass))
            low, high = proportion_interval(x, n, method="clopper-pearson", level=LEVEL)
            self.mean[axis] += (x / n) @ mass
            self.covered[axis] += (mass * ((low[:, None] <= true) & (true <= high[:, None]))).sum(0)

    def _grid(self, table: Array, part: Part) -> Counts:
        """The count of an endpoint in each cell of a table, (first, second)."""
        axis = self.axes.index(part)
        return np.arange(table.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1)) + np.zeros(
            table.shape[:2], np.int64
        )

    def _settle(self, k: int, n: int, table: Array, code: int) -> tuple[Counts, Counts]:
        """At a look: the set of rejected tests, and 1 + place of what is decided (0: nothing), in each cell. Where harm
        voids the look's claims the set stays as it was."""
        numbers, rules = self.protocol.numbers.looks, [r for r in enumerate(self.plan.rules) if r[1].look == k]
        assert numbers is not None
        codes = np.full(table.shape[:2], code, np.int64)
        entries = [r for r, rule in enumerate(self.plan.rules) if rule.test]  # as `numbers.shown` has them
        linked = [(r, rule) for r, rule in rules if rule.test]
        significant: dict[int, NDArray[np.bool_]] = {}
        for _ in linked:  # each may free another
            for r, rule in linked:
                t = self.names.index(rule.test)
                others = codes & ~(1 << t)
                bounds = numbers.shown[entries.index(r), :, n]
                bound = bounds[others] if self.plan.graph else bounds[0]
                x = self._grid(table, part_of(self.plan.watched[rule.watched]))
                shown = rule.side.reached(x, bound) & self._free(t, codes)
                significant[r] = shown
                codes = codes | np.where(shown, 1 << t, 0)
        void = np.zeros(table.shape[:2], bool)
        for r, rule in rules:
            if rule.void:
                void |= self._fires(r, rule, n, table)
        codes = np.where(void, code, codes)
        return codes, self._decided(k, n, table, codes, rules, significant)

    def _fires(self, r: int, rule: RulePlan, n: int, table: Array) -> NDArray[np.bool_]:
        """Whether a rule fires by its own bound, in each cell."""
        numbers = self.protocol.numbers.looks
        assert numbers is not None
        x, bound = self._grid(table, part_of(self.plan.watched[rule.watched])), numbers.bounds[r, n]
        return rule.side.reached(x, bound)

    def _decided(
        self,
        k: int,
        n: int,
        table: Array,
        codes: Counts,
        rules: list[tuple[int, RulePlan]],
        significant: dict[int, NDArray[np.bool_]],
    ) -> Counts:
        decided = np.zeros(table.shape[:2], np.int64)
        best = np.full(table.shape[:2], len(OUTCOMES))
        for r, rule in rules:
            fired = significant[r] if rule.test else self._fires(r, rule, n, table)
            for name in rule.tests:
                fired = fired & ((codes >> self.names.index(name)) & 1 == 1)
            first = fired & (rule.rank < best)
            best, decided = np.where(first, rule.rank, best), np.where(first, 1 + OUTCOMES.index(rule.then), decided)
        return decided

    def _free(self, t: int, codes: Counts) -> NDArray[np.bool_]:
        """Whether the test that a test waits for has been rejected."""
        after = self.plan.tests[t].after
        return np.ones(codes.shape, bool) if not after else (codes >> self.names.index(after)) & 1 == 1

    def look(self, k: int, n: int, alive: dict[int, Array], reach: Array, within: Array | None) -> dict[int, Array]:
        """Hold a look: take out what stops, and sort what goes on by the tests rejected. Where it closes enrolment the
        final analysis follows, of the n infused."""
        on: dict[int, Array] = {}
        for code, table in alive.items():
            codes, decided = self._settle(k, n, table, code)
            stops = (decided > 0) & (decided < len(OUTCOMES))
            for then in range(1, len(OUTCOMES)):
                here = decided == then
                if here.any():
                    self._add(self.stopped, (k, OUTCOMES[then - 1]), table[here].sum(0) * reach)
            if stops.any() and self.estimated:
                self._estimate(n, np.where(stops[:, :, None], table, 0.0), reach)
            self.evaluated += n * table[stops].sum(0) * reach
            for new in np.unique(codes):
                mine = codes == new
                if (closed := mine & (decided == _CLOSED)).any():
                    self._tested(n, np.where(closed[:, :, None], table, 0.0), int(new), reach, within)
                if (ended := mine & stops & (decided != _CLOSED)).any():
                    self._add(self.rejected, int(new), table[ended].sum(0) * reach)
                    good = ended if self._succeeds(int(new)) else ended & (decided == _SUCCESS)
                    self.success += table[good].sum(0) * reach
                if (mine & ~stops).any():
                    self._add(on, int(new), np.where((mine & ~stops)[:, :, None], table, 0.0))
        return on

    def end(self, n: int, alive: dict[int, Array], weight: Array, within: Array | None) -> None:
        """The final analysis of a trial of n infused, which has a probability in each world."""
        for code, table in alive.items():
            self._tested(n, table, code, weight, within)
            self.evaluated += n * table.sum((0, 1)) * weight
            self._estimate(n, table, weight)

    def _tested(self, n: int, table: Array, code: int, weight: Array, within: Array | None) -> None:
        """Do the tests of a final analysis, and what looks at it decide."""
        codes = np.full(table.shape[:2], code, np.int64)
        extra: tuple[int, Array] | None = None
        if self.extra is not None:
            assert within is not None
            extra = self._of_extra(n, table, within)
        for _ in self.names:
            for t, test in enumerate(self.plan.tests):
                part = part_of(Watched(test.endpoint))  # type: ignore[arg-type]
                bounds = self.protocol.numbers.bounds[test.name]
                if part == self.extra:
                    continue
                others = codes & ~(1 << t)
                bound = bounds[others, n] if self.plan.graph else bounds[n]
                x = self._grid(table, part)
                shown = test.side.reached(x, bound) & self._free(t, codes)
                codes = codes | np.where(shown, 1 << t, 0)
        acted = self._final_rules(n, table, codes, weight) == _SUCCESS
        for new in np.unique(codes):
            mass = np.where((codes == new)[:, :, None], table, 0.0)
            parts = {int(new): mass}
            if extra is not None and np.all(self._free(extra[0], np.full((1, 1), new))):
                parts = {int(new) | 1 << extra[0]: mass * extra[1]}
                parts[int(new)] = mass - parts[int(new) | 1 << extra[0]]
            for rejected, part in parts.items():
                self._add(self.rejected, rejected, part.sum((0, 1)) * weight)
                good = part if self._succeeds(rejected) else np.where(acted[:, :, None], part, 0.0)
                self.success += good.sum((0, 1)) * weight

    def _succeeds(self, rejected: int) -> bool:
        """Whether a set of rejected tests holds all that success needs."""
        return self.needed > 0 and rejected & self.needed == self.needed

    def _final_rules(self, n: int, table: Array, codes: Counts, weight: Array) -> Counts:
        """What looks at the end decide, 1 + place of it in each cell, 0 for nothing; where several do, the first in
        order."""
        decided = np.zeros(table.shape[:2], np.int64)
        which = np.full(table.shape[:2], -1)
        for k in (k for k, look in enumerate(self.plan.looks) if look.final):
            rules = [r for r in enumerate(self.plan.rules) if r[1].look == k]
            now = self._decided(k, n, table, codes, rules, {})
            first = (decided == 0) & (now > 0)
            decided, which = np.where(first, now, decided), np.where(first, k, which)
        for k in np.unique(which[which >= 0]):
            for then in range(1, len(OUTCOMES) + 1):
                here = (decided == then) & (which == k)
                if here.any():
                    self._add(self.stopped, (int(k), OUTCOMES[then - 1]), table[here].sum(0) * weight)
        return decided

    def _of_extra(self, n: int, table: Array, within: Array) -> tuple[int, Array]:
        """The test of `extra`, and P(it reaches its bound | the count of the endpoint that it is a part of), broadcast
        over a table."""
        parts = [part_of(Watched(test.endpoint)) for test in self.plan.tests]  # type: ignore[arg-type]
        t = parts.index(self.extra)  # type: ignore[arg-type]
        alternative, bound = self.plan.tests[t].alternative, int(self.protocol.numbers.bounds[self.names[t]][n])
        r = np.arange(table.shape[self.within])[:, None]
        chance = tail(bound if alternative == "greater" else bound + 1, r, within[None, :])
        chance = chance if alternative == "greater" else 1.0 - chance
        return t, chance[:, None, :] if self.within == 0 else chance[None, :, :]

    @staticmethod
    def _add(into: dict, key: object, mass: Array) -> None:
        into[key] = into[key] + mass if key in into else mass

    def metrics(self) -> dict[str, Array]:
        """All metrics, by name."""
        none = np.zeros(self.worlds.size)
        found: dict[str, Array] = {}
        for t, name in enumerate(self.names):
            found[f"{name}.reject"] = sum((m for code, m in self.rejected.items() if code >> t & 1), none)
        if self.names:
            false = {t: null_is_true(self.protocol, test, self.worlds) for t, test in enumerate(self.plan.tests)}
            error = none.copy()
            for code, mass in self.rejected.items():
                wrong = np.zeros(self.worlds.size, bool)
                for t, is_true in false.items():
                    wrong |= is_true if code >> t & 1 else False
                error += np.where(wrong, mass, 0.0)
            found["familywise.error"] = error
        if stopping.has_success(self.protocol):
            found["success"] = self.success
        if not self.plan.looks:
            return {name: np.clip(value, 0.0, 1.0) for name, value in found.items()}
        for then in stopping.outcomes(self.protocol):
            found[f"stop.{then}"] = sum((m for (_, what), m in self.stopped.items() if what == then), none)
        for section, places in stopping.groups(self.protocol).items():
            for k in [None, *places] if len(places) > 1 else [None]:
                name = section if k is None else self.plan.looks[k].name
                for then in stopping.decided_by(self.protocol, places if k is None else [k]):
                    mine = [
                        m
                        for (look, what), m in self.stopped.items()
                        if what == then and (look in places if k is None else look == k)
                    ]
                    found[f"stop.{name}.{then}"] = sum(mine, none)
        found = {name: np.clip(value, 0.0, 1.0) for name, value in found.items()}
        for axis, (endpoint, true) in self.estimated.items():
            found[f"{endpoint}.bias"] = self.mean[axis] - true
            found[f"{endpoint}.coverage"] = self.covered[axis]
        found["n.evaluated"] = self.evaluated
        if not self.plan.in_calendar:
            found["n.infused"] = self.evaluated
            if not self.plan.attrition:
                found["n.enrolled"] = self.evaluated
        return found
