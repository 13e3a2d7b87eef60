"""Bounds of a test at the numbers that a trial really had: alpha and beta spent at actual information, and conditional
error. Host, float64; pure mathematics.

The looks of a group-sequential test are `Analyses`, those held so far in order and the final one last where it was
held. Information is actual over the planned maximum; two analyses may have the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtrial._support.arrays import Array, Counts
from vtrial.boundaries.binomial import ROUNDING, tail
from vtrial.boundaries.brownian import Walk
from vtrial.boundaries.multistage import after

_SAME = 1e-9  # information that differs by less is the same


@dataclass(frozen=True)
class Analyses:
    """Looks held of one test, arrays (analyses,).

    information: actual over planned maximum, 0 or more, not falling. alpha: cumulative probability under the null that
    may have been used by then. z: a planned efficacy bound to be kept, nan where the bound is solved for alpha. claims:
    whether the test can be shown there. beta: cumulative, at `drift`, to be spent by then; nan where the look has no
    futility bound. drift: mean of z at information 1 under the alternative. binding: whether efficacy counts on a stop
    at the futility bound.
    """

    information: Array
    alpha: Array
    z: Array
    claims: NDArray[np.bool_]
    beta: Array
    drift: float = 0.0
    binding: bool = False


@dataclass(frozen=True)
class Found:
    """Bounds of a test, (analyses,). efficacy, futility: z (or counts); inf and -inf (n + 1 and -1) where nothing does.
    alpha: cumulative probability under the null of having crossed efficacy by then."""

    efficacy: NDArray[np.generic]
    futility: NDArray[np.generic]
    alpha: Array


def normal_bounds(asked: Analyses) -> Found:
    """Bounds of a normal statistic: a look has f(t) less what is spent, correlations are those of actual information.

    Two analyses at the same information are of the same statistic: the second has what its lower bound adds. Lan &
    DeMets 1983 (doi 10.1093/biomet/70.3.659). Raises `InputError` where more is to be spent than is left to go on.
    """
    t = asked.information
    number = t.size
    efficacy, futility, alpha = np.full(number, np.inf), np.full(number, -np.inf), np.zeros(number)
    levels = [float(t[k]) for k in range(number) if t[k] > 0 and (k == 0 or t[k] - t[k - 1] > _SAME or t[k - 1] <= 0)]
    null, alternative = (Walk(np.array(levels), drift) for drift in (0.0, asked.drift)) if levels else (None, None)
    used = missed = here = lost = 0.0  # here, lost: of used and missed, what is at this information
    high, low = np.inf, -np.inf
    for k in range(number):
        if t[k] <= 0 or null is None or alternative is None:
            continue
        if k > 0 and t[k - 1] > 0 and t[k] - t[k - 1] > _SAME:
            null.go_on(low if asked.binding else -np.inf, high)
            alternative.go_on(low, high)
            here, lost, high, low = 0.0, 0.0, np.inf, -np.inf
        if asked.claims[k]:
            share = float(asked.alpha[k]) - used
            z = float(asked.z[k]) if np.isfinite(asked.z[k]) else null.upper(here + share) if share > 0 else np.inf
            efficacy[k] = z
            if z < high:
                high, now = z, null.above(z)
                used, here = used + now - here, now
        if not np.isnan(asked.beta[k]):
            share = float(asked.beta[k]) - missed
            z = alternative.lower(lost + share) if share > 0 else -np.inf
            futility[k] = z = min(z, np.nextafter(high, -np.inf))
            if z > low:
                low, now = z, alternative.below(z)
                missed, lost = missed + now - lost, now
        alpha[k] = used
    return Found(efficacy, futility, alpha)


def exact_counts(asked: Analyses, n: Counts, null: float, alternative: float | None) -> Found:
    """The smallest counts whose exact probability of having been reached by each analysis is at most its alpha, and the
    largest for futility at the alternative's exact beta; for a test of `rate <= null`.

    n: (analyses,) patients, not falling. What one look leaves unspent is carried to the next.
    """
    number = n.size
    efficacy, futility, alpha = n + 1, np.full(number, -1), np.zeros(number)
    rates = np.array([null, null if alternative is None else alternative])
    alive, before, used, missed = np.ones((1, 2)), 0, 0.0, 0.0
    for k, size in enumerate(n.tolist()):
        alive = np.concatenate([alive, np.zeros((before + 1 - len(alive), 2))])
        alive, before = after(alive, size - before, rates), size
        if asked.claims[k]:
            above = np.append(np.cumsum(alive[::-1, 0])[::-1], 0.0)  # P(going on, count >= x)
            within = above <= (float(asked.alpha[k]) - used) * (1.0 + ROUNDING)
            reached = int(np.argmax(within)) if within[:-1].any() else size + 1
            efficacy[k] = reached
            if reached <= size:
                used += float(above[reached])
        if not np.isnan(asked.beta[k]):
            below = np.append(0.0, np.cumsum(alive[:, 1]))  # P(going on, count < x)
            stopped = int(np.count_nonzero(missed + below <= asked.beta[k] * (1.0 + ROUNDING))) - 1
            stopped = min(stopped, int(efficacy[k]))
            futility[k] = stopped - 1
            missed += float(below[stopped])
            alive[:stopped, 0 if asked.binding else 1 :] = 0.0
        alive[int(efficacy[k]) :] = 0.0
        alpha[k] = used
    return Found(efficacy, futility, alpha)


# --- a test by a planned count: stages with counts, then a last count


@dataclass(frozen=True)
class Stages:
    """A test of `rate <= null` by counts. n: (stages,) patients at looks. at_most, at_least: (stages,) counts that end
    it without, and with, its claim (-1 and n + 1: none)."""

    null: float
    n: Counts
    at_most: Counts
    at_least: Counts

    def size(self, count: int, total: int) -> float:
        """P(claim | null) where the last `total` patients need `count`."""
        claimed, going_on = self._before()
        x = np.arange(len(going_on))
        return claimed + float(going_on @ tail(count - x, total - self._last, self.null))

    def conditional_error(self, x: NDArray[np.int64] | int, count: int, total: int) -> NDArray[np.float64]:
        """P(claim at the end | x at the last stage, null) of the plan: `count` of `total`."""
        return tail(count - np.asarray(x, np.int64), total - self._last, self.null)

    def reworked(self, x: int, count: int, total: int, actual: int) -> int:
        """The count of `actual` patients that claims at the end, given x at the last stage: the smallest whose
        conditional probability under the null is at most that of the planned `count` of `total`.

        Koyama & Chen 2008 (doi 10.1002/sim.3045).
        """
        left = actual - self._last
        counts = np.arange(x, actual + 2)
        allowed = float(self.conditional_error(x, count, total)) * (1.0 + ROUNDING)
        return int(counts[np.argmax(tail(counts - x, left, self.null) <= allowed)]) if allowed < 1 else x

    def size_reworked(self, count: int, total: int, actual: int) -> float:
        """P(claim | null) where the last count is `reworked` for `actual` patients whatever the last stage's count."""
        claimed, going_on = self._before()
        for x in np.flatnonzero(going_on > 0):
            bound = self.reworked(int(x), count, total, actual)
            claimed += float(going_on[x] * tail(bound - x, actual - self._last, self.null))
        return claimed

    @property
    def _last(self) -> int:
        return int(self.n[-1]) if self.n.size else 0

    def _before(self) -> tuple[float, Array]:
        """P(claimed at a stage | null), and P(count, going on) after the last."""
        alive, claimed, before = np.ones((1, 1)), 0.0, 0
        for n, low, high in zip(self.n.tolist(), self.at_most.tolist(), self.at_least.tolist(), strict=True):
            alive = np.concatenate([alive, np.zeros((before + 1 - len(alive), 1))])
            alive, before = after(alive, n - before, np.array([self.null])), n
            alive[: max(low + 1, 0)] = 0.0
            claimed += float(alive[max(high, 0) :].sum())
            alive[max(high, 0) :] = 0.0
        return claimed, alive[:, 0]
