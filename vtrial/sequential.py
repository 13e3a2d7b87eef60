"""What looks and a graph make of the tests: the bounds of each at each look and at the end. Host, float64.

A test without looks keeps its own bounds. One whose alpha is spent over looks has a bound at each of them and, at the
end, what is left. Under a graph each bound exists for every set of tests already rejected (bit t: test t).
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from vtrial.design.graph import graph_levels
from vtrial.design.one_sample import critical_counts
from vtrial.design.one_sample_sequential import crossing_counts, sequential_design
from vtrial.design.spending import Bounds, spending_bounds
from vtrial.errors import InputError
from vtrial.scenario import Design, TestSection
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import SpendingRule

ALPHA = 0.025  # one-sided; the paper gives nulls and order, not alpha

Table = NDArray[np.int64]


@dataclass(frozen=True)
class Levels:
    """Bounds of the tests of a design. planned: patients at the final analysis, None where that varies."""

    design: Design
    planned: int | None
    where: str
    _kept: dict[tuple[str, int], Bounds] = field(default_factory=dict[tuple[str, int], Bounds])

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

    def looks(self, name: str) -> list[tuple[LookSection, SpendingRule]]:
        """The looks at which a test's alpha or beta is spent, with one rule each."""
        found: list[tuple[LookSection, SpendingRule]] = []
        for look in self._sections:
            mine = [rule for rule in look.rule if isinstance(rule, SpendingRule) and rule.test == name]
            if mine:
                found.append((look, next((rule for rule in mine if rule.information is not None), mine[0])))
        return found

    def final(self, name: str, n: Table, rejected: int) -> Table:
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

    def at_look(self, name: str, look: str, n: Table, then: str, rejected: int) -> Table:
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
        """The information fractions of a test's looks, 1 at the end. Raises `InputError` where they are not known."""
        found: list[float] = []
        for look, rule in self.looks(name):
            place = f"{self.where}: [[look]] '{look.name}'"
            patients = look.when.infused if look.when.kind == "infused" else None
            if rule.information is not None:
                found.append(rule.information)
            elif patients is None or self.planned is None or self._test(name).timed:
                raise InputError(
                    f"{place}: what share of the final information of '{name}' it has is not known; say so "
                    "(information = 0.5, for example)"
                )
            else:
                found.append(patients / self.planned)
            if found[-1] >= 1.0 or found != sorted(set(found)):
                raise InputError(f"{place}: information of '{name}' is {found}; it must ascend and stay below 1")
        return [*found, 1.0]

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
                )
            except InputError as problem:
                raise InputError(f"{self.where}: [[test]] '{name}': {problem}") from None
            self._kept[name, rejected] = found
        return self._kept[name, rejected]

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

    def _counts(self, test: TestSection, n: Table, rejected: int, place: int, then: str) -> Table:
        """Counts from the bounds of a test with looks; place -1: at the end."""
        if test.method == "exact":
            looks = [look for look, _ in self.looks(test.name)]
            numbers = [look.when.infused for look in looks]
            if self.planned is None or None in numbers or any(look.analyse == "all" for look in looks):
                raise InputError(
                    f"{self.where}: [[test]] '{test.name}': method = \"exact\" with looks needs fixed numbers of "
                    'patients ([cohort] infused, analyse = "called"); or method = "normal"'
                )
            less = test.alternative == "less"
            sizes = np.array([*numbers, self.planned])
            found = sequential_design(
                sizes,
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
            )
            row = (found.at_least if then == "success" else found.at_most)[place]
            row = sizes[place] - row if less else row
            return np.where(n == sizes[place], row, _never(n, test, success=then == "success"))
        bounds = self.normal(test.name, rejected)
        z = (bounds.efficacy if then == "success" else bounds.futility)[place]
        return crossing_counts(n, z, test.null, test.alternative, then)


def _never(n: Table, test: TestSection, *, success: bool = True) -> Table:
    n = np.asarray(n, np.int64)
    return n + 1 if (test.alternative == "greater") == success else np.full(n.shape, -1)
