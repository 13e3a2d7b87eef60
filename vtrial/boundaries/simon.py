"""Simon's two-stage designs of a one-sample test of a rate, by exact search."""

from dataclasses import dataclass

import numpy as np

from vtrial._support.arrays import Array
from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import ROUNDING, inside, tail, whole


@dataclass(frozen=True)
class TwoStage:
    """The drug is not promising at `r1` or fewer of the first `n1`, nor at `r` or fewer of all `n`.

    expected_n, pet: mean number of patients and probability of stopping after the first stage, at the null.
    alpha, power: exact probability of more than r at the null and at the alternative.
    """

    r1: int
    n1: int
    r: int
    n: int
    expected_n: float
    pet: float
    alpha: float
    power: float


@dataclass(frozen=True)
class SimonDesigns:
    """optimal: smallest expected number at the null; minimax: smallest maximum; admissible: those between them that are
    best for some weighting of the two (Jung et al. 2004), by increasing n."""

    optimal: TwoStage
    minimax: TwoStage
    admissible: tuple[TwoStage, ...]


def simon_designs(*, null: float, alternative: float, alpha: float, power: float, max_n: int = 300) -> SimonDesigns:
    """Simon's optimal and minimax two-stage designs (1989, doi 10.1016/0197-2456(89)90015-9), and the admissible ones
    (Jung, Lee, Kim & George 2004, doi 10.1002/sim.1600).

    null < alternative: rates. alpha, power: the exact type I error is at most, and the exact power at least, this.
    Every design of up to `max_n` patients that could be better is looked at; the search ends earlier where none can.

    Raises `InputError` for rates not in order, numbers outside 0 to 1, and where no design has at most max_n patients.
    """
    if not inside("null", null) < inside("alternative", alternative):
        raise InputError(f"null is {null} and alternative {alternative}; the alternative must be above the null")
    inside("alpha", alpha)
    inside("power", power)
    if alpha >= power:
        raise InputError(f"power is {power}; it must be above alpha, {alpha}")
    search = _Search(null, alternative, alpha, power, int(whole("max_n", max_n, least=2)))
    best = search.run()
    if not best:
        raise InputError(
            f"no two-stage design of at most {max_n} patients has alpha {alpha} and power {power} for {null} against "
            f"{alternative}; allow more with max_n"
        )
    return SimonDesigns(optimal=best[-1], minimax=best[0], admissible=_hull(best)[1:-1])


class _Search:
    def __init__(self, null: float, alternative: float, alpha: float, power: float, max_n: int) -> None:
        self.alpha, self.power, self.max_n = alpha * (1.0 + ROUNDING), power * (1.0 - ROUNDING), max_n
        self.rates = (null, alternative)
        n, x = np.arange(max_n + 1)[:, None], np.arange(max_n + 2)
        self.tails = tuple(tail(x, n, rate) for rate in self.rates)  # [n, x]: P(X >= x)
        # The largest count at which one stage of n may stop: stopping there must leave the power.
        self.most = (self.tails[1] >= self.power).sum(axis=1) - 2
        self.pet = 1.0 - self.tails[0][np.arange(max_n + 1), self.most + 1]  # at the null, and no more than this

    def run(self) -> list[TwoStage]:
        """The best design of each n whose expected number is below that of every smaller n."""
        found: list[TwoStage] = []
        expected = np.inf
        for n in range(self._least(), self.max_n + 1):
            n1 = np.arange(1, n)
            bound = np.where(self.most[1:n] >= 0, n1 + (1.0 - self.pet[1:n]) * (n - n1), np.inf)
            if n > expected + 1 and bound.min() >= expected:
                break  # and for every larger n too
            best = None
            for first in n1[np.argsort(bound, kind="stable")]:
                if bound[first - 1] >= expected:
                    break
                design = self._best(int(first), n)
                if design is not None and design.expected_n < expected - 1e-9:
                    best, expected = design, design.expected_n
            if best is not None:
                found.append(best)
        return found

    def _least(self) -> int:
        """The n from which the most powerful test of its size, which may draw lots, has the power: no design of fewer
        patients can have it."""
        for n in range(2, self.max_n + 1):
            critical = int(np.argmax(self.tails[0][n] <= self.alpha))
            at_null, at_alternative = (t[n, critical - 1] - t[n, critical] for t in self.tails)
            lots = (self.alpha - self.tails[0][n, critical]) / at_null
            if self.tails[1][n, critical] + lots * at_alternative >= self.power:
                return n
        return self.max_n + 1

    def _best(self, n1: int, n: int) -> TwoStage | None:
        """The design of n1 and n with the largest r1 that has size and power, which has the smallest expected number;
        of its r the smallest, which has the most power."""
        most = int(self.most[n])
        x, r = np.arange(n1 + 1), np.arange(most + 1)
        need = np.clip(r + 1 - x[:, None], 0, n - n1 + 1)
        rejects: list[Array] = []
        for tails in self.tails:
            chance = tails[n1, : n1 + 1] - tails[n1, 1 : n1 + 2]
            joint = chance[:, None] * tails[n - n1][need]
            rejects.append(np.cumsum(joint[:0:-1], axis=0)[::-1])  # [r1, r]: P(X1 > r1 and X > r)
        fits = (rejects[0] <= self.alpha) & (rejects[1] >= self.power)
        rows = np.flatnonzero(fits.any(axis=1))
        if not rows.size:
            return None
        r1 = int(rows[-1])
        last = max(int(np.argmax(fits[r1])), r1)  # no r below r1 differs from it
        pet = float(1.0 - self.tails[0][n1, r1 + 1])
        return TwoStage(
            r1, n1, last, n, n1 + (1.0 - pet) * (n - n1), pet, float(rejects[0][r1, last]), float(rejects[1][r1, last])
        )


def _hull(designs: list[TwoStage]) -> tuple[TwoStage, ...]:
    """Those on the lower convex hull of expected number by n; n rises and the expected number falls along the list."""
    hull: list[TwoStage] = []
    for design in designs:
        while len(hull) > 1 and _above(hull[-2], hull[-1], design):
            hull.pop()
        hull.append(design)
    return tuple(hull)


def _above(left: TwoStage, middle: TwoStage, right: TwoStage) -> bool:
    """Whether the middle one is on or above the line between the other two."""
    slope = (right.expected_n - left.expected_n) / (right.n - left.n)
    return middle.expected_n >= left.expected_n + slope * (middle.n - left.n)
