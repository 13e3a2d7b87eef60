"""What looks and a graph make of the tests: the bounds of each at each look and at the end. Host, float64.

A test without looks keeps its own bounds. One whose alpha is spent over looks has a bound at each of them and, at the
end, what is left. Alpha is spent where a look has the test's own `spending` rule for success, beta where it has one for
futility; what a look without the rule would have spent is carried to the next that has it. Under a graph each bound
exists for every set of tests already rejected (bit t: test t).
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from vtrial._support.arrays import Counts
from vtrial._support.errors import InputError
from vtrial.boundaries.multiplicity import graph_levels
from vtrial.boundaries.one_sample import critical_counts
from vtrial.boundaries.one_sample_sequential import SequentialDesign, crossing_counts, refuse_certain, sequential_design
from vtrial.boundaries.spending import Bounds, spending_bounds
from vtrial.scenario import Design, TestSection
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import SpendingRule

ALPHA = 0.025  # one-sided; the paper gives nulls and order, not alpha
FAR = 0.1  # by which a stated share of information may differ from that of the patients, or events, of its look


@dataclass(frozen=True)
class Levels:
    """Bounds of the tests of a design. planned: patients at the final analysis, None where that varies."""

    design: Design
    planned: int | None
    where: str
    _kept: dict[tuple[str, int], Bounds] = field(default_factory=dict[tuple[str, int], Bounds])
    _exact: dict[tuple[str, int], SequentialDesign] = field(default_factory=dict[tuple[str, int], SequentialDesign])

    @cached_property
    def names(self) -> list[str]:
        """The tests in the order in which they are done."""
        return [test.name for test in self.design.ordered_tests()]

    @property
    def sets(self) -> int:
        """How many sets of rejected tests have bounds of their own."""
        return 2 ** len(self.names) if self.design.multiplicity is not None else 1

    @cached_property
    def _sections(self) -> list[LookSection]:
        return self.design.looks

    def _test(self, name: str) -> TestSection:
        return next(test for test in self.design.test if test.name == name)

    def alpha(self, name: str, rejected: int) -> float:
        """One-sided level of a test once a set of tests has been rejected; 0 for one that has none yet."""
        shared = self.design.multiplicity
        if shared is None or self._test(name).method == "count":
            stated = self._test(name).alpha
            return ALPHA if stated is None else stated
        return self._alphas[rejected, self.names.index(name)]

    @cached_property
    def _alphas(self) -> NDArray[np.float64]:
        shared = self.design.multiplicity
        assert shared is not None
        weights = {name: shared.weights.get(name, 0.0) for name in self.names}
        return graph_levels(weights, shared.transitions, alpha=shared.alpha)[1]

    def looks(self, name: str) -> list[tuple[LookSection, list[SpendingRule]]]:
        """The looks at which a test's alpha or beta is spent, with its rules there."""
        found: list[tuple[LookSection, list[SpendingRule]]] = []
        for look in self._sections:
            rules = [rule for rule in look.rule if isinstance(rule, SpendingRule) and rule.test == name]
            if rules:
                found.append((look, rules))
        return found

    def _at(self, name: str, then: str) -> list[bool]:
        """Whether each of a test's looks has its rule for success, or for futility."""
        return [any(rule.then == then for rule in rules) for _, rules in self.looks(name)]

    def final(self, name: str, n: Counts, rejected: int) -> Counts:
        """The count at which a test of a rate rejects at the end, in the shape of n."""
        test, level = self._test(name), self.alpha(name, rejected)
        if self.looks(name):
            if level == 0.0:
                return _never(n, test)
            return self._counts(test, n, rejected, -1, "success")
        if test.method == "count":
            assert test.count is not None
            n = np.asarray(n, np.int64)
            if test.alternative == "less":
                return np.where(n > 0, np.minimum(test.count, n), -1)
            return np.where(n > 0, np.minimum(test.count, n + 1), n + 1)
        if test.method != "posterior" and level == 0.0:
            return _never(n, test)
        return critical_counts(
            n,
            null=test.null,
            method=test.method,  # type: ignore[arg-type]
            alternative=test.alternative,
            alpha=None if test.method == "posterior" else level,
            prior=tuple(test.prior) if test.prior else (1.0, 1.0),  # type: ignore[arg-type]
            probability=test.probability,
        )

    def at_look(self, name: str, look: str, n: Counts, then: str, rejected: int) -> Counts:
        """The count at which a test's spending rule fires at a look, in the shape of n."""
        test = self._test(name)
        if self.alpha(name, rejected) == 0.0:
            return _never(n, test, success=then == "success")
        return self._counts(test, n, rejected, self._place(name, look), then)

    def z_final(self, name: str, rejected: int) -> float:
        """The normal quantile that a test of a time must exceed at the end."""
        level = self.alpha(name, rejected)
        if level == 0.0:
            return np.inf
        return float(self.normal(name, rejected).efficacy[-1]) if self.looks(name) else float(norm.isf(level))

    def z_at_look(self, name: str, look: str, then: str, rejected: int) -> float:
        """The same at a look; for futility, that at or below which it stops."""
        if self.alpha(name, rejected) == 0.0:
            return np.inf if then == "success" else -np.inf
        bounds = self.normal(name, rejected)
        return float((bounds.efficacy if then == "success" else bounds.futility)[self._place(name, look)])

    def _place(self, name: str, look: str) -> int:
        return [section.name for section, _ in self.looks(name)].index(look)

    def information(self, name: str) -> list[float]:
        """The information fractions of a test's looks, 1 at the end.

        Raises `InputError` where they are not known, do not ascend, or are far from the numbers given.
        """
        found: list[float] = []
        for look, rules in self.looks(name):
            place = f"{self.where}: [[look]] '{look.name}'"
            stated = sorted({rule.information for rule in rules if rule.information is not None})
            share, of = self._share(look, name)
            if len(stated) > 1:
                raise InputError(f"{place}: information of '{name}' is stated as {stated}; one look has one share")
            if not stated and (share is None or self._test(name).timed):
                raise InputError(
                    f"{place}: what share of the final information of '{name}' it has is not known; say so "
                    "(information = 0.5, for example)"
                )
            here: float = stated[0] if stated else share  # type: ignore[assignment]
            found.append(here)
            if here >= 1.0 or found != sorted(set(found)):
                raise InputError(f"{place}: information of '{name}' is {found}; it must ascend and stay below 1")
            if share is not None and abs(here - share) > FAR and (look.analyse == "called" or here < share):
                raise InputError(
                    f"{place}: information of '{name}' is stated as {here:g}, and {of} are {share:.3f} of it; leave it "
                    f"out, or state that share (within {FAR:g})"
                )
        return [*found, 1.0]

    def _share(self, look: LookSection, name: str) -> tuple[float | None, str]:
        """The share of a test's final patients, or of the events expected at its end, that a look has, and in words;
        None where that is not known."""
        test = self._test(name)
        if test.timed:
            count = (look.when.events or {}).get(test.endpoint)  # type: ignore[call-overload]
            if count is None or test.events is None:
                return None, ""
            return count / test.events, f"{count} of {test.events} events"
        if look.when.kind != "infused" or self.planned is None:
            return None, ""
        return look.when.infused / self.planned, f"{look.when.infused} of {self.planned} patients"

    def normal(self, name: str, rejected: int) -> Bounds:
        """Bounds of the normal statistic of a test, at its looks and at the end."""
        if (name, rejected) not in self._kept:
            test = self._test(name)
            assert test.spending is not None
            beta: dict[str, object] = {}
            if test.beta is not None:
                beta = {
                    "beta": test.beta,
                    "beta_kind": test.beta_spending or test.spending,
                    "beta_gamma": test.beta_gamma,
                    "drift": self._drift(test),
                    "binding": test.binding,
                }
            information = self.information(name)
            try:
                found = spending_bounds(
                    information,
                    self.alpha(name, rejected),
                    test.spending,
                    test.gamma,
                    **beta,  # type: ignore[arg-type]
                    efficacy_at=self._at(name, "success"),
                    futility_at=self._at(name, "futility"),
                )
                self._refuse_certain(test, found)
            except InputError as problem:
                raise InputError(f"{self.where}: [[test]] '{name}': {problem}") from None
            self._kept[name, rejected] = found
        return self._kept[name, rejected]

    def _refuse_certain(self, test: TestSection, bounds: Bounds) -> None:
        """Refuse counts at the end that every outcome meets that a binding futility bound lets go on."""
        if test.timed or self.planned is None or not test.binding or test.beta is None:
            return
        null = test.null if test.alternative == "greater" else 1.0 - test.null
        numbers = [look.when.infused if look.when.kind == "infused" else 0 for look, _ in self.looks(test.name)]
        low = crossing_counts(np.array(numbers), bounds.futility[:-1], null, "greater", "futility")
        high = crossing_counts(self.planned, bounds.efficacy[-1], null, "greater", "success")
        refuse_certain(int(high), int(low.max(initial=-1)), self.planned)

    def _drift(self, test: TestSection) -> float:
        """The mean of the statistic at the end where the assumed rate, or median, is true."""
        assert test.assumed is not None
        if test.timed:
            assert test.events is not None
            return float(np.log(test.assumed / test.null) * np.sqrt(test.events))
        if self.planned is None:
            raise InputError(f"{self.where}: [[test]] '{test.name}': beta needs a fixed number of patients at the end")
        way = 1.0 if test.alternative == "greater" else -1.0
        return float(way * (test.assumed - test.null) * np.sqrt(self.planned / (test.null * (1 - test.null))))

    def _counts(self, test: TestSection, n: Counts, rejected: int, place: int, then: str) -> Counts:
        """Counts from the bounds of a test with looks; place -1: at the end."""
        if test.method == "exact":
            found = self._exactly(test, rejected)
            row = (found.at_least if then == "success" else found.at_most)[place]
            row = found.looks[place] - row if test.alternative == "less" else row
            return np.where(n == found.looks[place], row, _never(n, test, success=then == "success"))
        bounds = self.normal(test.name, rejected)
        z = (bounds.efficacy if then == "success" else bounds.futility)[place]
        return crossing_counts(n, z, test.null, test.alternative, then)

    def _exactly(self, test: TestSection, rejected: int) -> SequentialDesign:
        """The exact design of a test at its looks; of "less" that of patients without the endpoint."""
        if (test.name, rejected) in self._exact:
            return self._exact[test.name, rejected]
        looks = [look for look, _ in self.looks(test.name)]
        numbers = [look.when.infused for look in looks]
        if self.planned is None or None in numbers or any(look.analyse == "all" for look in looks):
            raise InputError(
                f"{self.where}: [[test]] '{test.name}': method = \"exact\" with looks needs fixed numbers of "
                'patients ([cohort] infused, analyse = "called"); or method = "normal"'
            )
        less, information = test.alternative == "less", self.information(test.name)
        try:
            found = sequential_design(
                [*numbers, self.planned],
                null=1.0 - test.null if less else test.null,
                alternative=None if test.assumed is None else 1.0 - test.assumed if less else test.assumed,
                alpha=self.alpha(test.name, rejected),
                kind=test.spending,  # type: ignore[arg-type]
                gamma=test.gamma,
                method="exact",
                beta=test.beta,
                beta_kind=None if test.beta is None else test.beta_spending or test.spending,  # type: ignore[arg-type]
                beta_gamma=test.beta_gamma,
                binding=test.binding,
                information=information,
                efficacy_at=self._at(test.name, "success"),
                futility_at=self._at(test.name, "futility"),
            )
        except InputError as problem:
            raise InputError(f"{self.where}: [[test]] '{test.name}': {problem}") from None
        self._exact[test.name, rejected] = found
        return found


def _never(n: Counts, test: TestSection, *, success: bool = True) -> Counts:
    return (test.side if success else test.side.other).never(np.asarray(n, np.int64))
