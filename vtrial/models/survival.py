"""Time to event: the multi-state model of `vtrial.multistate`, fitted to what a trial published of it.

A published Kaplan-Meier median with its limits is data about an estimate: of patients who were seen at visits, entered
one after another, and were followed until a data cut. The likelihood goes through all three. Median and limits say
where the estimated curve crosses one half, and the levels at which Brookmeyer and Crowley's log-log limits (Biometrics
1982, doi 10.2307/2530286) cross it. The estimate at those times is taken as jointly Gaussian about the documented
curve, each cell (best response and dose) contributing its own independent increments with Greenwood's variance at the
numbers at risk that accrual leaves; overlapping groups (all patients, one dose, one depth) are correlated through
the cells that they share. The probability that the crossing falls into the reported tenth of a month is the
density of the curve at that level times the fall of the curve over it. A limit that was not estimable says that the
curve had not come down to its level when follow-up ended. Counts of deaths by cause and time are multinomial in the
model's state occupancy at each patient's potential follow-up; a median (range) is the probability of the
reported order statistics. Simulation-based calibration (`make calibrate`) shows how good the approximation is.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
from numpy.polynomial import polynomial
from pytensor.link.jax.ops import wrap_jax
from scipy.optimize import brentq

from vtrial.curves import Rate
from vtrial.evidence import Evidence
from vtrial.evidence.times import MEDIANS, TimeSummaries
from vtrial.multistate import DEPTHS, MONTHS, Schedule, documented, latent, response_visits

HALF = 0.05  # a reported month is rounded to a tenth
_EDGES = np.arange(0.5, 25.0)  # between them stands one visit's window
_RIDGE = 1e-5
_FEWEST = 0.3  # 1 / sqrt of the fewest patients (11) for whom the levels of limits are worked out


def build(evidence: Evidence, told: TimeSummaries, discount: float) -> pm.Model:
    """The joint model: one vector `survival` (rate,), the numbers of `curves.Rate`.

    The likelihood is one JAX function: PyTensor compiles it as one operation in seconds, piece by piece in minutes.
    """
    prior = [evidence.priors.survival[rate.name.lower()] for rate in Rate]
    data = arrays(told)
    schedule, x = told.schedule, np.asarray(evidence.log2_doses)

    @wrap_jax
    def likelihood(rates: Any) -> Any:
        return log_likelihood(rates, x, data, schedule)

    with pm.Model(coords={"rate": [rate.name.lower() for rate in Rate]}) as model:
        rates = pm.Normal(
            "survival",
            mu=pm.Data("survival_mean", np.array([p.mean for p in prior]), dims="rate"),
            sigma=pm.Data("survival_sd", np.array([p.sd for p in prior]), dims="rate"),
            dims="rate",
        )
        pm.Potential("evidence", pm.Data("discount", float(discount)) * likelihood(rates))
    return model


def log_likelihood(rates: Any, x: Any, data: Mapping[str, Any], schedule: Schedule) -> Any:
    """Log probability of the summaries (`arrays`), given rates (rate,) and log2 doses x (doses,)."""
    return sum(term(rates, x, data, schedule) for term in (_medians, _deaths, _ranges, _retreatment))


def arrays(told: TimeSummaries) -> dict[str, np.ndarray]:
    """Everything that may change between two trials, as arrays of fixed shape."""
    times, level, open_, known = [], [], [], []
    for fact in MEDIANS:
        median, low, high = told.medians[fact]
        ended = _end(told, *fact)
        for kind, t in ((1, low), (0, median), (2, high)):
            first_open = np.isinf(t) and not (known and len(open_) % 3 and open_[-1])
            times.append(t if np.isfinite(t) else ended)
            level.append(kind)
            known.append(float(np.isfinite(t)))
            open_.append(float(first_open))
    t = np.array(times)
    is_dor = np.repeat([time == "dor" for time, _ in MEDIANS], 3)
    clock = t + np.where(is_dor, 1.0, 0.0)
    first = np.where(clock[:, None] <= clock[None, :], np.arange(len(t))[:, None], np.arange(len(t))[None, :])
    edges = np.where(np.array(known)[:, None] > 0, t[:, None] + np.array([-HALF, HALF]), t[:, None]).ravel()
    grid = np.concatenate([_EDGES, edges])  # of PFS; duration of response is wanted at the reported times alone
    share = np.clip(clock[:, None] - (_EDGES[:-1] - 0.0)[None, :], 0.0, 1.0)
    low, high = told.follow_up
    middle = (_EDGES[:-1] + 0.5)[None, :]
    spread = np.maximum(high - low, 1e-6)[:, None]
    risk = np.clip((high[:, None] - middle) / spread, 0.0, 1.0) * np.exp(-told.new_therapy * middle)
    months = MONTHS[None, :]
    points = low[:, None] + (np.arange(20) + 0.5) / 20 * (high - low)[:, None]
    occupancy = np.clip(1 - np.abs(points[:, :, None] - months[None]), 0, None).mean(1)
    visits = told.schedule
    return {
        "sizes": told.sizes,
        "pfs": grid,
        "dor": edges,
        "visits_by": visits.by(grid),
        "visits_since": visits.since(edges),
        "level": np.array(level),
        "known": np.array(known),
        "open": np.array(open_),
        "first": first,
        "share": share,
        "risk": np.maximum(risk, 1e-3),
        "occupancy": occupancy,
        "response_by": visits.by(_rounding(told.response)),
        "complete_by": visits.by(_rounding(told.complete)),
        "deaths": np.array([*told.deaths, told.crs_deaths, told.dead_at_12], float),
        "dead_at_top": np.array(float(told.dead_at_top)),
        "retreated": np.array(told.retreated, float),
        "retreatment_range": np.array(told.retreatment_range, float),
    }


def _rounding(told: tuple[float, float, float]) -> np.ndarray:
    """Edges of the reported tenths of median, shortest and longest."""
    values = np.where(np.isfinite(told), told, 1.0)
    return (values[:, None] + np.array([-HALF, HALF])).ravel()


def _end(told: TimeSummaries, time: str, group: str) -> float:
    """When follow-up of a group has run out: the last visit that about five of its patients can have had, months."""
    sizes = told.sizes * _mask(group, told.sizes.shape[1])
    visits = np.array(told.schedule.months)
    low, high = told.follow_up
    had = np.clip((high[:, None] - visits) / np.maximum(high - low, 1e-6)[:, None], 0.0, 1.0)
    reached = visits[(sizes.sum(0)[:, None] * had).sum(0) >= 5.0]
    last = float(reached[-1]) if len(reached) else float(visits[0])
    return last + 0.5 - (1.0 if time == "dor" else 0.0)


def _mask(group: str, doses: int) -> np.ndarray:
    """The cells that belong to a group, (depths, doses)."""
    mask = np.zeros((4, doses))
    if group == "all":
        mask[:] = 1.0
    elif group == "top":
        mask[:, -1] = 1.0
    else:
        mask[DEPTHS.index(group)] = 1.0
    return mask


class _At:
    """The times of the published summaries, as `multistate.documented` asks for them."""

    def __init__(self, shared: Mapping[str, Any], schedule: Schedule) -> None:
        self.schedule = schedule
        self.pfs, self.dor = shared["pfs"], shared["dor"]
        self.visits_by, self.visits_since = shared["visits_by"], shared["visits_since"]


def _medians(rates: Any, x: Any, shared: Mapping[str, Any], schedule: Schedule) -> Any:
    """Log probability of the reported Kaplan-Meier medians and limits."""
    pfs, dor = documented(rates, x, _At(shared, schedule), jnp)
    doses = shared["sizes"].shape[1]
    dor = jnp.concatenate([jnp.ones((1, doses, dor.shape[2])), dor], axis=0)
    edges, stats = len(_EDGES), 3 * len(MEDIANS)
    sizes = shared["sizes"]
    # increments of the variance of each cell's log estimate, on the clock of PFS
    inverse = 1.0 / jnp.maximum(pfs[:, :, :edges], 1e-4)
    step = (inverse[:, :, 1:] - inverse[:, :, :-1]) / jnp.maximum(sizes, 0.25)[:, :, None] / shared["risk"][None]
    variance = (step[:, :, None, :] * shared["share"][None, None]).sum(-1)  # (depths, doses, statistics)
    is_dor = np.repeat([time == "dor" for time, _ in MEDIANS], 3)
    masks = np.repeat(np.stack([_mask(group, doses) for _, group in MEDIANS]), 3, axis=0)
    members = masks.transpose(1, 2, 0) * sizes[:, :, None]
    part = members / jnp.maximum(members.sum((0, 1)), 0.25)
    both = jnp.where(is_dor[None, None, :, None], *(c.reshape((4, doses, stats, 2)) for c in (dor, pfs[:, :, edges:])))
    curve = (part[..., None] * both).sum((0, 1))  # (statistics, 2): before and after the reported tenth
    before, after = curve[:, 0], curve[:, 1]
    middle = 0.5 * (before + after)
    weighted = part * both.mean(-1)
    at_first = variance[:, :, shared["first"]]
    covariance = (weighted[:, :, :, None] * weighted[:, :, None, :] * at_first).sum((0, 1))
    own = jnp.diagonal(covariance)
    # the level that the estimate must cross for median and limits, at the group's effective number of patients
    effective = middle * (1.0 - middle) / jnp.maximum(own, 1e-8)
    level = _levels(jnp.clip(1.0 / jnp.sqrt(effective), 0.03, _FEWEST), shared["level"])
    known, open_ = shared["known"], shared["open"]
    gap = before - after
    noise = gap**2 / 12.0 + _RIDGE + 1e4 * (1.0 - known)
    factor = jnp.linalg.cholesky(covariance + jnp.diag(noise))
    residual = level - middle
    white = jax.scipy.linalg.solve_triangular(factor, residual * known, lower=True)
    half_log = jnp.log(jnp.diagonal(factor))
    density = -0.5 * (white**2).sum() - (half_log - (1.0 - known) * 0.5 * np.log(1e4)).sum()
    fall = (known * jnp.log(jnp.maximum(gap, 0.0) + 1e-6)).sum()
    # not estimable: the estimate stands above its level when follow-up ends, given the others
    back = jax.scipy.linalg.solve_triangular(factor.T, white, lower=False)
    mean = middle + jnp.dot(covariance, back * known)
    mixed = jax.scipy.linalg.solve_triangular(factor, covariance * known[:, None], lower=True)
    spread = jnp.sqrt(jnp.maximum(own - (mixed**2).sum(0), 1e-4))
    above = (open_ * jax.scipy.special.log_ndtr((mean - level) / spread)).sum()
    return density + fall + above


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


def _deaths(rates: Any, x: Any, shared: Mapping[str, Any], schedule: Schedule) -> Any:
    """Deaths by cause and time: multinomial in the occupancy at each patient's potential follow-up."""
    _, without, after = latent(rates, x, schedule, jnp)
    sizes = shared["sizes"]
    share = sizes / sizes.sum()
    at_end = shared["occupancy"][None]
    pp_cell, ae_cell = (after * at_end).sum(-1), (without * at_end).sum(-1)
    early = (share * (without[:, :, 2] * 0.84 + without[:, :, 1] * 0.16)).sum()
    by_six, by_twelve = (share * without[:, :, 6]).sum(), (share * (without + after)[:, :, 12]).sum()
    post, adverse = (share * pp_cell).sum(), (share * ae_cell).sum()
    late, dead = adverse - by_six, post + adverse
    n = sizes.sum()
    counts = shared["deaths"]
    n_early, n_middle, n_late, n_post = (counts[k] for k in range(4))
    n_early = n_early - counts[4]
    total = n_early + n_middle + n_late + n_post
    ll = _binomial(total, n, dead)
    ll += n_early * jnp.log(early / dead) + n_middle * jnp.log((by_six - early) / dead)
    ll += n_late * jnp.log(late / dead) + n_post * jnp.log(post / dead)
    # of those dead by the cut: how many by month 12, beyond those that are early by their cause
    soon, fixed = counts[5] - counts[4], n_early + n_middle
    ll += _binomial(soon - fixed, n_late + n_post, (by_twelve - by_six) / (late + post))
    top = (sizes * (pp_cell + ae_cell))[:, -1].sum() / (n * dead)
    return ll + _binomial(shared["dead_at_top"], total, top)


def _binomial(count: Any, n: Any, p: Any) -> Any:
    p = jnp.clip(p, 1e-7, 1 - 1e-7)
    return count * jnp.log(p) + (n - count) * jnp.log1p(-p)


def _ranges(rates: Any, x: Any, shared: Mapping[str, Any], schedule: Schedule) -> Any:
    """Median (range) of the documented times to first response and to CR: probability of the order statistics."""
    first, both = response_visits(rates, schedule, jnp)
    ll = 0.0
    for weights, by, n in (
        (first, shared["response_by"], shared["sizes"][1:].sum()),
        (both.sum(0), shared["complete_by"], shared["sizes"][3].sum()),
    ):
        m0, m1, s0, s1, l0, l1 = (jnp.clip(jnp.dot(weights, by)[k], 1e-7, 1 - 1e-7) for k in range(6))
        gap = m1 - m0
        variance = 0.25 / n + gap**2 / 12.0
        ll += jnp.log(gap + 1e-7) - 0.5 * (0.5 - 0.5 * (m0 + m1)) ** 2 / variance - 0.5 * jnp.log(variance)
        ll += jnp.log((1 - s0) ** n - (1 - s1) ** n + 1e-9) + jnp.log(l1**n - l0**n + 1e-9)
    return ll


def _retreatment(rates: Any, x: Any, shared: Mapping[str, Any], schedule: Schedule) -> Any:
    """Retreated of those whose progression the trial saw, responses of those, shortest and longest response."""
    alive, without, _ = latent(rates, x, schedule, jnp)
    sizes = shared["sizes"]
    progressed = ((1.0 - alive - without) * shared["occupancy"][None]).sum(-1)
    p = (sizes * progressed).sum() / sizes.sum() * jax.nn.sigmoid(rates[Rate.RETREATED])
    retreated, responded = shared["retreated"][0], shared["retreated"][1]
    ll = _binomial(retreated, sizes.sum(), p)
    ll += _binomial(responded, retreated, jax.nn.sigmoid(rates[Rate.RETREATMENT_RESPONSE]))
    low, high = shared["retreatment_range"][0], shared["retreatment_range"][1]
    sigma = jnp.exp(rates[Rate.RETREATMENT_SIGMA])
    z0, z1 = ((jnp.log(t) - rates[Rate.RETREATMENT_MEDIAN]) / sigma for t in (low, high))
    between = jnp.maximum(0.5 * (jax.scipy.special.erf(z1 / np.sqrt(2)) - jax.scipy.special.erf(z0 / np.sqrt(2))), 1e-9)
    order = -0.5 * (z0**2 + z1**2) - 2 * jnp.log(sigma) + jnp.maximum(responded - 2.0, 0.0) * jnp.log(between)
    return ll + jnp.where(responded > 1.5, order, 0.0)
