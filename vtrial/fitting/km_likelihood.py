"""Log probability of published Kaplan-Meier medians and their limits.

A median says where the estimated curve crosses one half; a limit, where it crosses the level at which Brookmeyer and
Crowley's log-log limit (Biometrics 1982, doi 10.2307/2530286) of that many patients crosses one half. That a
crossing falls into the reported tenth of a month has the density of the estimate at the level, times the fall of
its mean over the tenth. Between two crossings the patients left are binomial, of as many as Greenwood's variance says:
without censoring this is the density of order statistics. Groups that share patients (all, one dose, one depth)
are joined by a Gaussian copula of the events that they share. A limit that was not estimable says that the
estimate had not come down to its level when follow-up ended.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import polynomial
from scipy.optimize import brentq
from scipy.special import gammaln

from vtrial.evidence.times import MEDIANS, TimeSummaries
from vtrial.fitting.visit_process import TENTHS, Expected, Grid, curve, observation, steps
from vtrial.model.multistate import DEPTHS, Schedule

IS_DOR = np.repeat([time == "dor" for time, _ in MEDIANS], 3)  # by low, median, high
KINDS = np.tile([1, 0, 2], len(MEDIANS))  # of level: of the lower limit, of the median, of the upper limit
_HALF_WIDTH = 20  # tenths of a month on either side, over which a plateau at one half may reach
_GONE = 9  # so many censored patients less one are counted one by one
_RIDGE = 0.02  # taken off correlations, which are rounded
_FEWEST = 0.3  # 1 / sqrt of the fewest patients (11) for whom the levels of limits are worked out


def arrays(told: TimeSummaries) -> dict[str, np.ndarray]:
    """Medians and limits, by `MEDIANS` and low, median, high: (statistics,); sizes and observation."""
    tenth, open_, known = [], [], []
    for time, group in MEDIANS:
        median, low, high = told.medians[time, group]
        closed = True
        for t in (low, median, high):
            estimable = bool(np.isfinite(t))
            closed = closed and not np.isnan(t)  # not published says nothing
            tenth.append(min(round(10 * t), TENTHS - 1) if estimable else TENTHS - 1)
            known.append(float(estimable))
            open_.append(float(not estimable and closed))  # the first that was not estimable implies the others
            closed = estimable
    groups = np.stack([mask(group, told.sizes.shape[1]) for _, group in MEDIANS])
    return {
        "tenth": np.array(tenth),
        "known": np.array(known),
        "open": np.array(open_),
        "groups": groups,
        "lattice": np.concatenate([_lattice(round(float((told.sizes * g).sum()))) for g in groups]),
        "ends": np.stack([_ends(told.schedule, time) for time, _ in MEDIANS]),
        "even": np.array([1.0 - round(float((told.sizes * g).sum())) % 2 for g in groups]),
        "clocks": told.schedule.by(0.1 * np.array(tenth) + IS_DOR),
        "goes_on": observation(told.schedule, told.follow_up, told.new_therapy),
        "follows": observation(told.schedule, told.follow_up, 0.0)[0::2],
    }


def mask(group: str, doses: int) -> np.ndarray:
    """The cells that belong to a group, (depths, doses)."""
    cells = np.zeros((len(DEPTHS), doses))
    if group == "all":
        cells[:] = 1.0
    elif group == "top":
        cells[:, -1] = 1.0
    else:
        cells[DEPTHS.index(group)] = 1.0
    return cells


@cache
def _lattice(n: int) -> np.ndarray:
    """Levels of lower limit, median and upper limit in n, n - 1, ... patients none of whom is censored, (3, _GONE).

    Events are counted: a limit is the time of the first event after which the band has crossed one half.
    """
    found = np.full((3, _GONE), np.nan)
    for gone in range(_GONE):
        left = n - gone
        survival = 1.0 - np.arange(1, max(left, 1)) / max(left, 1)
        if len(survival) > _GONE:
            width = 1.959964 * np.sqrt((1.0 - survival) / (survival * left)) / -np.log(survival)
            for row, sign in ((0, 1.0), (2, -1.0)):
                crossed = np.log(-np.log(survival)) + sign * width >= np.log(np.log(2.0))
                if crossed.any():
                    found[row, gone] = 1.0 - (np.argmax(crossed) + 0.5) / left
    found[1] = 0.5
    return found


def _on_lattice(smooth: Any, censored: Any, lattice: Any) -> Any:
    """Level, averaged over how many are censored before, of mean `censored`; `smooth` where that is not in `_GONE`."""
    gone = np.arange(float(_GONE))
    weight = jnp.exp(gone * jnp.log(censored + 1e-9)[:, None] - censored[:, None] - gammaln(gone + 1.0))
    known = jnp.isfinite(lattice)
    weight = jnp.where(known, weight, 0.0)
    return (weight * jnp.where(known, lattice, 0.0)).sum(1) + (1.0 - weight.sum(1)) * smooth


@cache
def _ends(schedule: Schedule, time: str) -> np.ndarray:
    """Tenth of a month after each visit's window, on the clock of a time, (visits,)."""
    months = np.array(schedule.months) + schedule.window - (schedule.months[0] if time == "dor" else 0.0)
    return np.clip(np.round(10.0 * months).astype(int), 1, TENTHS - 1)


def log_likelihood(of: Expected, grid: Grid, data: Mapping[str, Any]) -> Any:
    """Log probability of the medians and limits in `arrays`."""
    sizes, tenth, known = (data[name] for name in ("sizes", "tenth", "known"))
    members = data["groups"] * sizes  # (groups, depths, doses)
    n = jnp.maximum(members.sum((1, 2)), 0.5)
    mean, greenwood, uncensored = _curves(of, grid, members, n)
    at, rank = np.repeat(np.arange(len(MEDIANS)), 3), np.tile(np.arange(3), len(MEDIANS))
    before, after = mean[at, tenth], mean[at, tenth + 1]
    survival, gap = 0.5 * (before + after), before - after
    summed = 0.5 * (greenwood[at, tenth] + greenwood[at, tenth + 1])
    effective = (1.0 - survival) / (survival * jnp.maximum(summed, 1e-8))
    smooth = _levels(1.0 / jnp.sqrt(jnp.clip(effective, 1.0 / _FEWEST**2, 1000.0)), KINDS)
    level = _on_lattice(smooth, -jnp.log(uncensored[at, tenth]), data["lattice"])

    # from one crossing to the next: what is left of those at risk is binomial
    def since_last(values: Any, first: float) -> Any:
        return jnp.where(rank == 0, first, jnp.roll(values, 1))

    fell = jnp.maximum(since_last(survival, 1.0) - survival, (gap + since_last(gap, 0.0)) / 6.0) + 1e-9
    fell = jnp.minimum(fell, 0.999 * since_last(survival, 1.0))
    left = 1.0 - fell / since_last(survival, 1.0)
    wanted = level / since_last(level, 1.0)
    size = (1.0 - left) / (left * jnp.maximum(summed - since_last(summed, 0.0), 1e-8))
    size = size * since_last(level, 1.0) / since_last(survival, 1.0)  # at risk: those whom the last crossing left
    size = jnp.clip(size, 1.0, n[at]) / _stratified(of, members, data["clocks"], rank)
    # density of an order statistic: the events before it and those left after it, less what is rounded by levels
    events = jnp.maximum(size * (1.0 - wanted) - np.where(rank == 0, 0.5, 1.0), 0.1)
    others = jnp.maximum(size * wanted - 0.5, 0.1)
    binomial = events * jnp.log(1.0 - left) + others * jnp.log(left) - _betaln(events + 1.0, others + 1.0)
    binomial = binomial - jnp.log(since_last(survival, 1.0))
    share = data["even"] * uncensored[np.arange(len(MEDIANS)), tenth[1::3]]
    gap = gap.at[1::3].set(_reported(gap[1::3], mean, n, share, tenth[1::3]))
    crossed = (known * (binomial + jnp.log(gap + 1e-7))).sum()
    distance = 2.0 * jnp.sqrt(size) * (_arcsin(left) - _arcsin(wanted))
    above = _not_estimable(mean, greenwood, n, (survival, summed, level), data)
    return crossed + above + _shared(of, members, distance * known, known, data["clocks"], rank)


def _not_estimable(mean: Any, greenwood: Any, n: Any, crossed: tuple[Any, ...], data: Mapping[str, Any]) -> Any:
    """Log probability that the first of a group's limits that is open was never reached.

    The estimate stood above its level at the end of every visit: as probable as at the visit where that is least so.
    crossed: survival, Greenwood's sum and level by statistic, of which the one before the open one counts.
    """
    groups = np.arange(len(MEDIANS))
    open_ = data["open"].reshape(-1, 3)
    row = 3 * groups + jnp.argmax(open_, axis=1)
    first = row % 3 == 0
    starts = zip(crossed, (1.0, 0.0, 1.0), strict=True)
    survival, summed, level = (jnp.where(first, start, values[row - 1])[:, None] for values, start in starts)
    since = jnp.where(first, 0, jnp.asarray(data["tenth"])[row - 1])[:, None]
    ends = data["ends"]  # (groups, visits)
    then, total = (jnp.take_along_axis(values, ends, axis=1) for values in (mean, greenwood))
    effective = (1.0 - then) / (then * jnp.maximum(total, 1e-8))
    kind = jnp.array(KINDS)[row][:, None]
    wanted = _levels(1.0 / jnp.sqrt(jnp.clip(effective, 1.0 / _FEWEST**2, 1000.0)), kind) / level
    left = jnp.clip(then / survival, 1e-4, 0.999)
    size = jnp.clip((1.0 - left) / (left * jnp.maximum(total - summed, 1e-8)), 1.0, n[:, None])
    distance = 2.0 * jnp.sqrt(size) * (_arcsin(left) - _arcsin(jnp.minimum(wanted, 0.999)))
    least = jnp.where(ends > since + 1, distance, 10.0).min(1)
    return (open_.max(1) * jax.scipy.special.log_ndtr(least)).sum()


def _curves(of: Expected, grid: Grid, members: Any, n: Any) -> list[Any]:
    """Mean curve, Greenwood's sum and P(nobody censored) of each group, duration of response first as in MEDIANS."""
    dor, pfs = np.flatnonzero(IS_DOR[::3]), np.flatnonzero(~IS_DOR[::3])
    share = members / n[:, None, None]
    found = [
        curve(jnp.einsum("grd,frds->fgs", who, events), jnp.einsum("grd,rds->gs", who, censored), matrices, n[mine])
        for mine, who, events, censored, matrices in (
            (dor, share[dor][:, 1:], of.dor_events, of.dor_censored, grid.dor),
            (pfs, share[pfs], of.events, of.censored, grid.pfs),
        )
    ]
    return [jnp.concatenate(both) for both in zip(*found, strict=True)]


def _stratified(of: Expected, members: Any, clocks: Any, rank: np.ndarray) -> Any:
    """Variance of those left from one crossing to the next, over the binomial one, (statistics,).

    At most 1: how many patients each cell has is known, and cells differ.
    """
    at = np.repeat(np.arange(len(MEDIANS)), 3)
    events, at_risk = steps(of)
    hazard = jnp.clip(events / jnp.maximum(at_risk, 1e-3), 0.0, 0.95)
    left = jnp.exp(jnp.einsum("rdl,ls->srd", jnp.log1p(-hazard), clocks))
    before = jnp.where(rank[:, None, None] == 0, 1.0, jnp.roll(left, 1, axis=0))
    part = members[at] * before
    part = part / jnp.maximum(part.sum((1, 2), keepdims=True), 1e-6)
    stays = jnp.clip(left / jnp.maximum(before, 1e-9), 0.0, 1.0)
    whole = (part * stays).sum((1, 2))
    within = (part * stays * (1.0 - stays)).sum((1, 2))
    ratio = jnp.clip(within / jnp.maximum(whole * (1.0 - whole), 1e-9), 0.5, 1.0)
    return jnp.where(rank == 0, ratio, 1.0)


def _shared(of: Expected, members: Any, distance: Any, known: Any, clocks: Any, rank: np.ndarray) -> Any:
    """Log of the Gaussian copula of groups that share patients, at standardised distances (statistics,).

    What two estimates have in common are the events of common cells in the time that both their steps cover.
    """
    at = np.repeat(np.arange(len(MEDIANS)), 3)
    events, at_risk = steps(of)
    whole = jnp.maximum(jnp.einsum("grd,rdl->gl", members, at_risk), 0.5)[at]
    until = clocks.T  # share of visit l by then, (statistics, visits)
    since = jnp.where(rank[:, None] == 0, 0.0, jnp.roll(until, 1, axis=0))
    both = jnp.minimum(until[:, None], until[None]) - jnp.maximum(since[:, None], since[None])
    cells = jnp.einsum("grd,hrd,rdl->ghl", (members > 0) * 1.0, members, events)[at][:, at]
    covariance = (jnp.maximum(both, 0.0) * cells / whole[:, None] / whole[None]).sum(-1) + 1e-6 * jnp.eye(len(at))
    sd = jnp.sqrt(jnp.diagonal(covariance))
    pairs = known[:, None] * known[None] * (1.0 - jnp.eye(len(at))) * (1.0 - _RIDGE)
    factor = jnp.linalg.cholesky(covariance / sd[:, None] / sd[None] * pairs + jnp.eye(len(at)))
    white = jax.scipy.linalg.solve_triangular(factor, distance, lower=True)
    return 0.5 * (distance**2 - white**2).sum() - jnp.log(jnp.diagonal(factor)).sum()


def _reported(gap: Any, mean: Any, n: Any, share: Any, tenth: Any) -> Any:
    """Probability per unit density that a median is reported so: the fall of the mean over its tenth, (groups,).

    Where the estimate stands at exactly one half, the median is the middle of that plateau: of an even number of
    patients, nobody of whom was censored before (share). Its ends are events k tenths before and after.
    """
    fall = mean[:, :-1] - mean[:, 1:]
    centre = 0.5 * (mean[:, :-1] + mean[:, 1:])
    k, n = np.arange(1, _HALF_WIDTH + 1), n[:, None]

    def at(values: Any, where: Any) -> Any:
        return jnp.take_along_axis(values, jnp.clip(where, 0, TENTHS - 1), axis=1)

    start, end = tenth[:, None] - k, tenth[:, None] + k
    last = at(fall, end) + 0.5 * (at(fall, end - 1) + at(fall, end + 1))
    plateau = (n * at(fall, start) * last * jnp.exp(-n * (at(centre, start) - at(centre, end)))).sum(1)
    events = n[:, 0] * gap + 1e-6
    same = gap * (1.0 + jnp.expm1(-events) / events)
    following = 0.5 * at(fall, tenth[:, None] + 1)[:, 0] * events * jnp.exp(-0.5 * events)
    return (1.0 - share) * gap + share * (plateau + same + following)


def _betaln(a: Any, b: Any) -> Any:
    return jax.scipy.special.gammaln(a) + jax.scipy.special.gammaln(b) - jax.scipy.special.gammaln(a + b)


def _arcsin(p: Any) -> Any:
    return jnp.arcsin(jnp.sqrt(jnp.clip(p, 1e-4, 1.0 - 1e-4)))


def _level_table() -> list[np.ndarray]:
    """Polynomials in 1 / sqrt(n): the logit of the level at which the log-log lower and upper limit cross one half."""
    u = np.linspace(0.03, _FEWEST, 60)
    target = np.log(np.log(2.0))
    found = []
    for sign in (1.0, -1.0):

        def excess(p: float, size: float, sign: float = sign) -> float:
            return np.log(-np.log(p)) + sign * 1.959964 * size * np.sqrt((1 - p) / p) / -np.log(p) - target

        outwards = 0.5 + sign * np.linspace(1e-9, 0.4999, 2000)
        levels = []
        for size in u:
            crossed = int(np.argmax(np.sign([excess(p, size) for p in outwards]) != sign))  # first change of sign
            levels.append(brentq(excess, *sorted(outwards[crossed - 1 : crossed + 1]), args=(size,)))
        found.append(levels)
    return [polynomial.polyfit(u, np.log(p) - np.log1p(-np.array(p)), 6) for p in map(np.array, found)]


_LEVELS = _level_table()


def _levels(u: Any, kind: Any) -> Any:
    lower, upper = (sum(float(c) * u**k for k, c in enumerate(p)) for p in _LEVELS)
    logit = jnp.where(kind == 1, lower, jnp.where(kind == 2, upper, 0.0))
    return jax.nn.sigmoid(logit)
