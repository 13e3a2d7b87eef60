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

from vtrial.curves import EARLY, MIDDLE, Rate

DEPTHS = ("none", "pr", "vgpr", "cr")
MONTHS = np.arange(0.0, 26.0)  # grid of the latent curves


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
        return _triangular((np.asarray(t)[None, :] - np.array(self.months)[:, None]) / self.window)

    def since(self, t: np.ndarray) -> np.ndarray:
        """P(visit l falls at most t after visit j): (visits j, visits l, times)."""
        v = np.array(self.months)
        return _difference((np.asarray(t)[None, None, :] - (v[None, :] - v[:, None])[:, :, None]) / self.window)


def _triangular(y: np.ndarray) -> np.ndarray:
    """Distribution function of the triangular distribution on (-1, 1)."""
    y = np.clip(y, -1.0, 1.0)
    return np.where(y < 0, 0.5 * (1 + y) ** 2, 1 - 0.5 * (1 - y) ** 2)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def _difference(y: np.ndarray) -> np.ndarray:
    """Distribution function of the difference of two such."""
    nodes = np.concatenate([(_NODES - 1) / 2, (_NODES + 1) / 2])
    weights = np.concatenate([_WEIGHTS, _WEIGHTS]) / 2 * (1 - np.abs(nodes))
    return np.sum(weights * _triangular(np.asarray(y)[..., None] + nodes), axis=-1)


def _lognormal(t: np.ndarray, median: Any, sigma: Any, xp: Any) -> Any:
    """P(lognormal <= t); t > 0, constants. median, sigma: logs."""
    cdf = scipy_erf if xp is np else jax_erf
    return 0.5 * (1.0 + cdf((np.log(t) - median) / (math.sqrt(2.0) * xp.exp(sigma))))


def response_visits(rates: Any, schedule: Schedule, xp: Any) -> tuple[Any, Any]:
    """P(first response documented at visit j), (visits,), and P(response at j, CR at k), (visits, visits)."""
    v = np.array(schedule.months)
    k = len(v)
    first = _at_visits(_lognormal(v, rates[Rate.RESPONSE_MEDIAN], rates[Rate.RESPONSE_SIGMA], xp), schedule, xp)
    complete = _at_visits(_lognormal(v, rates[Rate.CR_MEDIAN], rates[Rate.CR_SIGMA], xp), schedule, xp)
    later, same = np.triu(np.ones((k, k)), 1), np.eye(k)
    by_then = xp.dot(np.tril(np.ones((k, k))), complete)
    return first, first[:, None] * (complete[None, :] * later + by_then[None, :] * same)


def _at_visits(cdf: Any, schedule: Schedule, xp: Any) -> Any:
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


@dataclass(frozen=True)
class Times:
    """Times at which documented curves are wanted, months, and the visits' share in them (constants).

    pfs: since infusion. dor: since the documented first response.
    """

    schedule: Schedule
    pfs: np.ndarray
    dor: np.ndarray

    @cached_property
    def visits_by(self) -> np.ndarray:
        return self.schedule.by(self.pfs)

    @cached_property
    def visits_since(self) -> np.ndarray:
        return self.schedule.since(self.dor)


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


def documented(rates: Any, x: np.ndarray, times: Any, xp: Any) -> tuple[Any, Any]:
    """Documented PFS (depths, doses, times.pfs) and duration of response (PR, VGPR, CR; doses, times.dor).

    The probability to be without documented progression, and alive. times: a `Times`, or anything with its arrays
    `visits_by` and `visits_since`, symbolic ones too.
    """
    schedule = times.schedule
    k = len(schedule.months)
    gaps = np.array(schedule.months)[None, :] - schedule.starts[:, None]
    left = xp.exp(-_scale(rates, x, xp)[:, :, None, None] * _power(rates, gaps, xp)[None, None])
    due = xp.concatenate([1.0 - left[..., :1], left[..., :-1] - left[..., 1:]], axis=-1)
    first, both = response_visits(rates, schedule, xp)
    pfs, dor = [], []
    for depth, start in enumerate(_starts(first, both, k, xp)):
        seen = xp.dot((start[None, :, None] * due[depth]).sum(1), schedule.delay)  # (doses, visits)
        free = 1.0 - (seen[:, :, None] * times.visits_by[None]).sum(1)
        began = 0.0 if depth == 0 else 1.0
        alive = cumulative_death(rates, times.pfs, xp) - cumulative_death(rates, np.full(1, began), xp)
        pfs.append(free * xp.exp(-xp.maximum(alive, 0.0))[None, :])
        if depth:
            if depth < 3:
                by_start = first[None, :, None] * due[depth, :, 1:, :]
            else:
                by_start = (both[None, :, :, None] * due[depth, :, None, 1:, :]).sum(2)
            seen_since = (by_start[:, :, :, None] * schedule.delay[None, None]).sum(2)
            lost = (seen_since[:, :, :, None] * times.visits_since[None]).sum(2).sum(1)
            death = cumulative_death(rates, times.dor + 1.0, xp) - cumulative_death(rates, np.ones(1), xp)
            dor.append((1.0 - lost) * xp.exp(-death)[None, :])
    return xp.stack(pfs), xp.stack(dor)


def progression_free(
    rates: Any, x: np.ndarray, schedule: Schedule, t: np.ndarray, xp: Any
) -> tuple[list[Any], list[Any]]:
    """By depth: P(no latent progression by t), (doses, times), and P(not dead without it), (times,)."""
    since = t[None, :] - schedule.starts[:, None]
    left = xp.exp(-_scale(rates, x, xp)[:, :, None, None] * _power(rates, since, xp)[None, None])
    first, both = response_visits(rates, schedule, xp)
    free, spared = [], []
    for depth, start in enumerate(_starts(first, both, len(schedule.months), xp)):
        began = np.full(1, 0.0 if depth == 0 else 1.0)
        death = cumulative_death(rates, t, xp) - cumulative_death(rates, began, xp)
        free.append((start[None, :, None] * left[depth]).sum(1))
        spared.append(xp.exp(-xp.maximum(death, 0.0)))
    return free, spared


def latent(rates: Any, x: np.ndarray, schedule: Schedule, xp: Any) -> tuple[Any, Any, Any]:
    """At each of `MONTHS`: P(alive, not progressed), P(dead without progression), P(dead after it).

    Arrays (depths, doses, months). Progression here is the latent one; steps of a month, death after progression
    from the middle of the month.
    """
    hazard = xp.exp(rates[Rate.DEATH_AFTER])
    lag = np.maximum(MONTHS[None, :] - (MONTHS[1:, None] - 0.5), 0.0)  # (month of progression, month)
    died = 1.0 - xp.exp(-hazard * lag)
    alive, without, after = [], [], []
    for free, spared in zip(*progression_free(rates, x, schedule, MONTHS, xp), strict=True):
        both_free = free * spared[None, :]
        progress = (free[:, :-1] - free[:, 1:]) * (0.5 * (spared[:-1] + spared[1:]))[None, :]
        lost = 0.5 * (free[:, :-1] + free[:, 1:]) * (spared[:-1] - spared[1:])[None, :]
        upper = np.triu(np.ones((len(MONTHS) - 1, len(MONTHS) - 1)))
        without.append(xp.concatenate([0.0 * lost[:, :1], xp.dot(lost, upper)], axis=1))
        after.append(xp.dot(progress, died))
        alive.append(both_free)
    return xp.stack(alive), xp.stack(without), xp.stack(after)
