"""The multi-state model in closed form: what is true over time, and what visits document of it.

One set of formulas for the fit (JAX, which has gradients) and for answers about a world (NumPy): `xp` says which.
Arrays have axes *depth* (none, PR, VGPR, CR), *dose*, and time. A progression, a response and a CR are documented at
the first attended visit at or after it; the closed form puts latent times between nominal visits and documented
ones about them, spread by the window. Progression-free time runs from infusion (none), the documented first
response (PR, VGPR) or the documented CR, so that response precedes progression in every patient.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jax.scipy.special import erf as jax_erf
from scipy.special import erf as scipy_erf

from vtrial.model.parameters import EARLY, MIDDLE, WEEK, Rate

DEPTHS = ("none", "pr", "vgpr", "cr")
MONTHS = np.sort(np.append(np.arange(0.0, 26.0), EARLY))  # grid of the latent curves


@dataclass(frozen=True)
class Schedule:
    """Scheduled visits (months, ascending), each within `window` of its month (triangular), `missed` of them missed."""

    months: tuple[float, ...]
    window: float
    missed: float

    @cached_property
    def starts(self) -> np.ndarray:
        """Where progression-free time can begin: infusion and each visit, (visits + 1,)."""
        return np.array([0.0, *self.months])

    @cached_property
    def delay(self) -> np.ndarray:
        """P(documented at visit k | due at visit i), (visits, visits): the next attended one."""
        k = len(self.months)
        late = np.arange(k)[None, :] - np.arange(k)[:, None]
        p = np.where(late >= 0, (1 - self.missed) * self.missed ** np.maximum(late, 0), 0.0)
        p[:, -1] += 1.0 - p.sum(1)
        return p

    def by(self, t: np.ndarray) -> np.ndarray:
        """P(a visit falls at or before t): (visits, times)."""
        return triangular((np.asarray(t)[None, :] - np.array(self.months)[:, None]) / self.window)

    def since(self, t: np.ndarray) -> np.ndarray:
        """P(visit l falls at most t after visit j): (visits j, visits l, times)."""
        v = np.array(self.months)
        return _difference((np.asarray(t)[None, None, :] - (v[None, :] - v[:, None])[:, :, None]) / self.window)

    def tilted_by(self, t: np.ndarray) -> np.ndarray:
        """Mean of how late a visit comes, in windows, where it falls at or before t (else 0): (visits, times)."""
        return _triangular_mean((np.asarray(t)[None, :] - np.array(self.months)[:, None]) / self.window)

    def tilted_since(self, t: np.ndarray) -> np.ndarray:
        """The same of the time between visits j and l: (visits j, visits l, times)."""
        v = np.array(self.months)
        return _difference_mean((np.asarray(t)[None, None, :] - (v[None, :] - v[:, None])[:, :, None]) / self.window)

    @cached_property
    def dates(self) -> np.ndarray:
        """Dates that a visit may have, months, (visits, dates): middles of equal parts of its window."""
        parts = (np.arange(_PARTS) + 0.5) / _PARTS * 2.0 - 1.0
        return np.maximum(np.array(self.months)[:, None] + self.window * parts, 1e-3)

    @cached_property
    def weights(self) -> np.ndarray:
        """Probability of each such date, (dates,)."""
        return np.diff(triangular(np.linspace(-1.0, 1.0, _PARTS + 1)))

    def dated_by(self, t: np.ndarray) -> np.ndarray:
        """P(a visit has this date, at or before t), (visits, dates, times)."""
        edges = np.array(self.months)[:, None] + self.window * np.linspace(-1.0, 1.0, _PARTS + 1)
        before = np.minimum(edges[:, :, None], np.asarray(t)[None, None])
        return np.diff(triangular((before - np.array(self.months)[:, None, None]) / self.window), axis=1)

    def within(self, t: np.ndarray, power: int) -> np.ndarray:
        """P(a time between two visits falls at or before t), its density rising by power - 1: (visits, times)."""
        end, gap = self.starts[1:, None], np.diff(self.starts)[:, None]
        return np.clip((np.asarray(t)[None, :] - end) / gap + 1.0, 0.0, 1.0) ** power


def triangular(y: np.ndarray) -> np.ndarray:
    """Distribution function of the triangular distribution on (-1, 1)."""
    y = np.clip(y, -1.0, 1.0)
    return np.where(y < 0, 0.5 * (1 + y) ** 2, 1 - 0.5 * (1 - y) ** 2)


_PARTS = 20
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


_NODES = np.concatenate([(_NODES - 1) / 2, (_NODES + 1) / 2])
_WEIGHTS = np.concatenate([_WEIGHTS, _WEIGHTS]) / 2 * (1 - np.abs(_NODES))


def _triangular_mean(y: np.ndarray) -> np.ndarray:
    """Its mean where it is at most y, else 0."""
    y = np.clip(y, -1.0, 1.0)
    return y**2 / 2 - np.abs(y) ** 3 / 3 - 1 / 6


def _difference(y: np.ndarray) -> np.ndarray:
    """Distribution function of the difference of two such."""
    return np.sum(_WEIGHTS * triangular(np.asarray(y)[..., None] + _NODES), axis=-1)


def _difference_mean(y: np.ndarray) -> np.ndarray:
    """Its mean where it is at most y, else 0."""
    at = np.asarray(y)[..., None] + _NODES
    return np.sum(_WEIGHTS * (_triangular_mean(at) - _NODES * triangular(at)), axis=-1)


def _lognormal(t: np.ndarray, median: Any, sigma: Any, xp: Any) -> Any:
    """P(lognormal <= t); t > 0, constants. median, sigma: logs."""
    cdf = scipy_erf if xp is np else jax_erf
    return 0.5 * (1.0 + cdf((np.log(t) - median) / (math.sqrt(2.0) * xp.exp(sigma))))


def response_by(rates: Any, schedule: Schedule, xp: Any) -> tuple[Any, Any]:
    """P(a first response is there), P(a CR is there) at the dates of each visit, (visits, dates)."""
    t = schedule.dates
    return (
        _lognormal(t, rates[Rate.RESPONSE_MEDIAN], rates[Rate.RESPONSE_SIGMA], xp),
        _lognormal(t, rates[Rate.CR_MEDIAN], rates[Rate.CR_SIGMA], xp),
    )


def response_visits(rates: Any, schedule: Schedule, xp: Any) -> tuple[Any, Any]:
    """P(first response documented at visit j), (visits,), and P(response at j, CR at k), (visits, visits)."""
    k = len(schedule.months)
    first, complete = (_at_visits(by, schedule, xp) for by in response_by(rates, schedule, xp))
    later, same = np.triu(np.ones((k, k)), 1), np.eye(k)
    by_then = xp.dot(np.tril(np.ones((k, k))), complete)
    return first, first[:, None] * (complete[None, :] * later + by_then[None, :] * same)


def _at_visits(by: Any, schedule: Schedule, xp: Any) -> Any:
    cdf = xp.dot(by, schedule.weights)
    due = cdf - xp.concatenate([np.zeros(1), cdf[:-1]])
    last = np.zeros(len(schedule.months))
    last[-1] = 1.0
    return xp.dot(due + last * (1.0 - cdf[-1]), schedule.delay)


def cumulative_death(rates: Any, t: Any, xp: Any) -> Any:
    """Cumulative hazard of death without progression by t months since infusion, (times,)."""
    spans = (
        xp.minimum(t, EARLY),
        xp.minimum(xp.maximum(t, EARLY), MIDDLE) - EARLY,
        xp.maximum(t, MIDDLE) - MIDDLE,
    )
    hazards = (Rate.DEATH_EARLY, Rate.DEATH_MIDDLE, Rate.DEATH_LATE)
    return sum(xp.exp(rates[h]) * span for h, span in zip(hazards, spans, strict=True))


def _scale(rates: Any, x: np.ndarray, xp: Any) -> Any:
    """Cumulative hazard of progression is scale * t ** shape; (depths, doses)."""
    shape = xp.exp(rates[Rate.SHAPE])
    medians = rates[Rate.NONE : Rate.CR + 1]
    return math.log(2.0) * xp.exp(rates[Rate.DOSE] * x)[None, :] * xp.exp(-shape * medians)[:, None]


def _power(rates: Any, t: np.ndarray, xp: Any) -> Any:
    """t ** shape for constants t, 0 where t <= 0."""
    shape = xp.exp(rates[Rate.SHAPE])
    return np.where(t > 0, 1.0, 0.0) * xp.exp(shape * np.log(np.maximum(t, 1e-6)))


def _starts(first: Any, both: Any, k: int, xp: Any) -> list[Any]:
    """Distribution of where progression-free time begins, by depth: (visits + 1,) each."""
    none = np.eye(k + 1)[0]
    response = xp.concatenate([np.zeros(1), first])
    return [none, response, response, xp.concatenate([np.zeros(1), both.sum(0)])]


@dataclass(frozen=True)
class Flows:
    """What happens between visits to those who start at infusion or at a visit, as probabilities.

    documented: documented progression at visit l. dead: death without progression between visits l - 1 and l, even
    over the interval. dead_after: death after a progression that no visit had documented, likewise, rising over it.
    later: how much likelier a visit is to document progression when it comes a window later (it had more time).
    Each (depths, doses, starts, visits): starts are infusion and the visits. weights: distribution of the start, by
    depth, (depths, starts). both: P(response at visit j, CR at visit k), (visits, visits).
    """

    documented: Any
    dead: Any
    dead_after: Any
    later: Any
    weights: Any
    both: Any


def flows(rates: Any, x: np.ndarray, schedule: Schedule, xp: Any, crs: float = 0.0) -> Flows:
    """Flows between visits, by best response and dose. rates: (rates,); x: log2 doses, (doses,).

    crs: share of patients whom CRS kills, evenly from the start until day 56, or in a week where less is left.
    """
    t = schedule.starts
    left, spared, weights, both = _by_start(rates, x, schedule, t, xp)
    due = (1.0 - crs) * (left[..., :-1] - left[..., 1:]) * (0.5 * (spared[:, :-1] + spared[:, 1:]))
    dead = (1.0 - crs) * (0.5 * (left[..., :-1] + left[..., 1:])) * (spared[:, :-1] - spared[:, 1:])
    dead = dead + crs * np.diff(np.clip((t - t[:, None]) / np.maximum(EARLY - t[:, None], WEEK), 0.0, 1.0), axis=1)
    before = 1.0 - xp.exp(-0.5 * xp.exp(rates[Rate.DEATH_AFTER]) * (t[1:] - t[:-1]))
    seen = (1.0 - before) * due
    later = xp.minimum((1.0 - crs) * schedule.window * _density(rates, x, schedule, left[..., 1:], xp), due)
    later = (1.0 - schedule.missed) * (1.0 - before) * spared[:, 1:] * later
    return Flows(xp.dot(seen, schedule.delay), dead, due * before, later, weights, both)


def _density(rates: Any, x: np.ndarray, schedule: Schedule, left: Any, xp: Any) -> Any:
    """Density of latent progression at each visit, by start, (depths, doses, starts, visits)."""
    since = np.array(schedule.months)[None, :] - schedule.starts[:, None]
    hazard = _scale(rates, x, xp)[:, :, None, None] * _power(rates, since, xp)[None, None]
    return left * hazard * xp.exp(rates[Rate.SHAPE]) / np.where(since > 0, since, 1.0)


def documented(rates: Any, x: np.ndarray, schedule: Schedule, t: np.ndarray, xp: Any) -> Any:
    """P(alive and without documented progression at months t since infusion), (depths, doses, times)."""
    flow = flows(rates, x, schedule, xp)
    lost = 0.0
    for part, by in (
        (flow.documented, schedule.by(t)),
        (flow.later, schedule.tilted_by(t)),
        (flow.dead, schedule.within(t, 1)),
        (flow.dead_after, schedule.within(t, 2)),
    ):
        lost = lost + xp.dot((flow.weights[:, None, :, None] * part).sum(2), by)
    return 1.0 - lost


def progression_free(rates: Any, x: np.ndarray, schedule: Schedule, t: np.ndarray, xp: Any) -> Any:
    """P(alive and without latent progression at months t since infusion), (depths, doses, times)."""
    left, spared, weights, _ = _by_start(rates, x, schedule, t, xp)
    return (weights[:, None, :, None] * left * spared).sum(2)


def _by_start(rates: Any, x: np.ndarray, schedule: Schedule, t: np.ndarray, xp: Any) -> tuple[Any, Any, Any, Any]:
    """P(no latent progression by t), (depths, doses, starts, times); P(not dead without), (starts, times); starts."""
    since = t[None, :] - schedule.starts[:, None]
    left = xp.exp(-_scale(rates, x, xp)[:, :, None, None] * _power(rates, since, xp)[None, None])
    death = cumulative_death(rates, t, xp)[None, :] - cumulative_death(rates, schedule.starts, xp)[:, None]
    first, both = response_visits(rates, schedule, xp)
    return left, xp.exp(-xp.maximum(death, 0.0)), xp.stack(_starts(first, both, len(schedule.months), xp)), both


def latent(rates: Any, x: np.ndarray, schedule: Schedule, xp: Any) -> tuple[Any, Any, Any]:
    """At each of `MONTHS`: P(alive, not progressed), P(dead without progression), P(dead after it).

    Arrays (depths, doses, months). Progression here is the latent one; steps of a month, death after progression
    from the middle of the step.
    """
    hazard = xp.exp(rates[Rate.DEATH_AFTER])
    middle = 0.5 * (MONTHS[1:] + MONTHS[:-1])
    lag = np.maximum(MONTHS[None, :] - middle[:, None], 0.0)  # (step of progression, month)
    left, spared, weights, _ = _by_start(rates, x, schedule, MONTHS, xp)
    of = weights[:, None, :, None]
    alive = (of * left * spared).sum(2)
    progress = (of * (left[..., :-1] - left[..., 1:]) * (0.5 * (spared[:, :-1] + spared[:, 1:]))).sum(2)
    lost = (of * (0.5 * (left[..., :-1] + left[..., 1:])) * (spared[:, :-1] - spared[:, 1:])).sum(2)
    upper = np.triu(np.ones((len(MONTHS) - 1, len(MONTHS) - 1)))
    without = xp.concatenate([0.0 * lost[..., :1], xp.dot(lost, upper)], axis=-1)
    return alive, without, xp.dot(progress, 1.0 - xp.exp(-hazard * lag))
