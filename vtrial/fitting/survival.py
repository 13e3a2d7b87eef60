"""Time to event: the multi-state model of `vtrial.model.multistate`, fitted to what a trial published of it.

A published Kaplan-Meier median with its limits is data about an estimate: of patients who were seen at visits, entered
one after another, and were followed until a data cut. The likelihood goes through all three: `visit_process` has the
curve that such a trial estimates, `km_likelihood` the probability of what it reports. Counts of deaths by cause and
time are multinomial in the model's state occupancy at each patient's potential follow-up; a median (range) is the
probability of the reported order statistics. The likelihood is an approximation; what simulated trials show of its bias
is taken off the posterior (`bias_correction`), and simulation-based calibration (`make calibrate`) shows how good the
result is.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
from pytensor.link.jax.ops import wrap_jax

from vtrial.evidence import Evidence
from vtrial.evidence.times import TimeSummaries, published
from vtrial.fitting import km_likelihood
from vtrial.fitting.visit_process import Grid, expected, seen_complete
from vtrial.model.multistate import MONTHS, Flows, Schedule, flows, latent, response_by
from vtrial.model.parameters import EARLY, Rate
from vtrial.model.streams import HostStream, host_rng

HALF = 0.05  # a reported month is rounded to a tenth


def build(evidence: Evidence, told: TimeSummaries, discount: float) -> pm.Model:
    """The joint model: one vector `survival` (rate,), the numbers of `parameters.Rate`.

    The likelihood is one JAX function: PyTensor compiles it as one operation in seconds, piece by piece in minutes.
    """
    mean, sd = evidence.survival_prior
    data = arrays(told)
    schedule, x = told.schedule, np.asarray(evidence.log2_doses)

    @wrap_jax
    def likelihood(rates: Any) -> Any:
        return log_likelihood(rates, x, data, schedule)

    with pm.Model(coords={"rate": [rate.name.lower() for rate in Rate]}) as model:
        rates = pm.Normal(
            "survival",
            mu=pm.Data("survival_mean", mean, dims="rate"),
            sigma=pm.Data("survival_sd", sd, dims="rate"),
            dims="rate",
        )
        pm.Potential("evidence", pm.Data("discount", float(discount)) * likelihood(rates))
    return model


# The facts that each part of the likelihood is about, by the beginning of their ids.
_ABOUT = {
    "medians": ("dor.", "pfs."),
    "deaths": ("deaths.", "os.", "crs."),
    "ranges": ("response.",),
    "retreatment": ("retreatment.",),
}


def impossible(evidence: Evidence, expected: np.ndarray) -> list[str]:
    """The facts that have no probability under any rates: those without which the rest has one, where there are such.

    expected: as of `published`.
    """
    mean, sd = evidence.survival_prior
    points = mean + 0.5 * sd * host_rng(0, HostStream.STARTS).normal(size=(8, len(mean)))
    x = np.asarray(evidence.log2_doses)

    def lost(read: Evidence, *, slope: bool) -> set[str]:
        told = published(read.for_models(), expected)
        data, grid = arrays(told), Grid(told.schedule)

        def of(rates: Any) -> dict[str, Any]:
            return terms(rates, x, data, grid)

        found = jax.jit(jax.vmap(jax.jacrev(of) if slope else of))(points)
        finite = {name: np.isfinite(np.asarray(part)).reshape(len(points), -1).all(1) for name, part in found.items()}
        return {name for name, ok in finite.items() if not ok.any()}

    slope = not (parts := lost(evidence, slope=False))
    parts = parts or lost(evidence, slope=True)
    facts = [f for f in evidence.reads("survival") if any(f.startswith(_ABOUT[part]) for part in parts)]
    without = {fact: evidence.without_facts([fact]) for fact in facts if evidence.spared(fact)}
    alone = {fact: _left(less, expected) for fact, less in without.items() if not lost(less, slope=slope) & parts}
    fewest = [fact for fact, left in alone.items() if left == max(alone.values())]  # not what takes others with it
    return fewest or facts or ["those on times together"]


def _left(evidence: Evidence, expected: np.ndarray) -> int:
    """How many facts the model of times reads."""
    seen = evidence.for_models()
    assert seen.ledger is not None
    published(seen, expected)
    return len(seen.ledger.read)


def log_likelihood(rates: Any, x: Any, data: Mapping[str, Any], schedule: Schedule) -> Any:
    """Log probability of the summaries (`arrays`), given rates (rate,) and log2 doses x (doses,)."""
    return sum(terms(rates, x, data, Grid(schedule)).values())


def terms(rates: Any, x: Any, data: Mapping[str, Any], grid: Grid) -> dict[str, Any]:
    """The parts of the log likelihood, by name."""
    flow = flows(rates, x, grid.schedule, jnp, data["crs"])
    of = expected(flow, grid, data["goes_on"], data["follows"], data["sizes"])
    share = seen_complete(flow, data["follows"], data["sizes"])[-1]
    return {
        "medians": km_likelihood.log_likelihood(of, grid, data),
        "deaths": _deaths(rates, x, data, grid, share),
        "ranges": _ranges(rates, data, grid.schedule),
        "retreatment": _retreatment(rates, flow, data),
    }


def arrays(told: TimeSummaries) -> dict[str, np.ndarray]:
    """Everything that may change between two trials, as arrays of fixed shape."""
    low, high = told.follow_up
    points = low[:, None] + (np.arange(20) + 0.5) / 20 * (high - low)[:, None]
    right = np.clip(np.searchsorted(MONTHS, points), 1, len(MONTHS) - 1)
    share = (points - MONTHS[right - 1]) / (MONTHS[right] - MONTHS[right - 1])
    each = np.eye(len(MONTHS))
    visits = told.schedule
    found = {
        "sizes": told.sizes,
        **km_likelihood.arrays(told),
        "occupancy": ((1 - share)[..., None] * each[right - 1] + share[..., None] * each[right]).mean(1),
        "response_by": visits.dated_by(_rounding(told.response)),
        "complete_by": visits.dated_by(_rounding(told.complete)),
        "deaths": np.array([*told.deaths, told.crs_deaths, told.dead_at_12], float),
        "crs": np.array((told.crs_deaths + 0.5) / (told.sizes.sum() + 1.0)),
        "dead_at_top": np.array(float(told.dead_at_top)),
        "retreated": np.array(told.retreated, float),
        "retreatment_range": np.array(told.retreatment_range, float),
    }
    known = {
        "response_by": told.response[0],
        "complete_by": told.complete[0],
        "soon": told.dead_at_12,
        "retreated": told.retreated[0],
        "responded": told.retreated[1],
        "retreatment_range": told.retreatment_range[0],
    }
    unknown = [name for name, value in known.items() if np.isnan(value)]
    if "retreated" in unknown:  # of whom nobody knows who responded
        unknown.append("responded")
    return {name: np.nan_to_num(v) if name in ("deaths", "retreated") else v for name, v in found.items()} | {
        f"{name}_unknown": np.array(1.0)
        for name in unknown  # by its name alone: the terms that it leaves out are static
    }


def _rounding(told: tuple[float, float, float]) -> np.ndarray:
    """Edges of the reported tenths of median, shortest and longest."""
    values = np.where(np.isfinite(told), told, 1.0)
    return (values[:, None] + np.array([-HALF, HALF])).ravel()


def _deaths(rates: Any, x: Any, data: Mapping[str, Any], grid: Grid, unseen: Any) -> Any:
    """Deaths by cause and time: multinomial in the occupancy at each patient's potential follow-up.

    unseen: share of the VGPR whose CR the cut hides, (doses,): of these nobody has died.
    """
    _, without, after = latent(rates, x, grid.schedule, jnp)
    alive_for_ever = np.eye(4)[2][:, None] * unseen
    sizes = data["sizes"] * (1.0 - alive_for_ever)
    share = sizes / data["sizes"].sum()
    at_end = data["occupancy"][None]
    pp_cell, ae_cell = (after * at_end).sum(-1), (without * at_end).sum(-1)
    month = {m: int(np.searchsorted(MONTHS, m)) for m in (EARLY, 6.0, 12.0)}
    early, by_six = ((share * without[:, :, month[m]]).sum() for m in (EARLY, 6.0))
    by_twelve = (share * (without + after)[:, :, month[12.0]]).sum()
    post, adverse = (share * pp_cell).sum(), (share * ae_cell).sum()
    late, dead = adverse - by_six, post + adverse
    n_early, n_middle, n_late, n_post, of_crs, soon = (data["deaths"][k] for k in range(6))
    n_early = n_early - of_crs
    n = data["sizes"].sum() - of_crs
    total = n_early + n_middle + n_late + n_post
    ll = _binomial(total, n, dead)
    ll += n_early * jnp.log(early / dead) + n_middle * jnp.log((by_six - early) / dead)
    ll += n_late * jnp.log(late / dead) + n_post * jnp.log(post / dead)
    if "soon_unknown" not in data:
        # of those dead by the cut: how many by month 12, beyond those that are early by their cause
        soon = soon - of_crs - n_early - n_middle
        ll += _binomial(soon, n_late + n_post, (by_twelve - by_six) / (late + post))
    top = (share * (pp_cell + ae_cell))[:, -1].sum() / dead
    told = jnp.isfinite(data["dead_at_top"])  # else it was not published
    return ll + jnp.where(told, _binomial(jnp.where(told, data["dead_at_top"], 0.0), total, top), 0.0)


def _binomial(count: Any, n: Any, p: Any) -> Any:
    p = jnp.clip(p, 1e-7, 1 - 1e-7)
    return count * jnp.log(p) + (n - count) * jnp.log1p(-p)


def _ranges(rates: Any, data: Mapping[str, Any], schedule: Schedule) -> Any:
    """Median (range) of the documented times to first response and to CR: probability of the order statistics."""
    first, complete = response_by(rates, schedule, jnp)
    sizes = data["sizes"]
    follows = data["follows"][1:]  # beyond each visit, (visits, doses)
    ll = 0.0
    for by, name, who in ((first, "response_by", sizes[1:].sum(0)), (first * complete, "complete_by", sizes[3])):
        if f"{name}_unknown" in data:
            continue
        dated = data[name]
        n = jnp.maximum(who.sum(), 1.0)
        seen = (follows * who).sum(1) / n
        documented = _dated(by, schedule) * seen[:, None]
        reported = jnp.einsum("jq,jqs->s", documented, dated) / (documented * schedule.weights).sum()
        m0, m1, s0, s1, l0, l1 = (jnp.clip(reported[k], 1e-7, 1 - 1e-7) for k in range(6))
        gap = m1 - m0
        variance = 0.25 / n + gap**2 / 12.0
        middle = jnp.log(gap + 1e-7) - 0.5 * (0.5 - 0.5 * (m0 + m1)) ** 2 / variance - 0.5 * jnp.log(variance)
        ends = jnp.log((1 - s0) ** n - (1 - s1) ** n + 1e-9) + jnp.log(l1**n - l0**n + 1e-9)
        ll += jnp.where(who.sum() > 0.5, middle + ends, 0.0)  # nobody says nothing
    return ll


def _dated(by: Any, schedule: Schedule) -> Any:
    """P(documented at a visit of this date), from the probability to be there by then, (visits, dates)."""
    k, missed = len(schedule.months), schedule.missed
    late = np.arange(k)[:, None] - np.arange(k)[None, :]
    earlier = np.where(late > 0, (1 - missed) * missed ** np.maximum(late - 1, 0), 0.0)
    until = jnp.dot(earlier, jnp.dot(by, schedule.weights))  # documented before this visit
    return (1 - missed) * (by - until[:, None])


def _retreatment(rates: Any, flow: Flows, data: Mapping[str, Any]) -> Any:
    """Retreated of those whose progression the trial saw, responses of those, shortest and longest response."""
    sizes = data["sizes"]
    seen = (flow.weights[:, None, :, None] * flow.documented).sum(2) * data["follows"][1:].T  # (depths, doses, visits)
    p = (sizes * seen.sum(-1)).sum() / sizes.sum() * jax.nn.sigmoid(rates[Rate.RETREATED])
    retreated, responded = data["retreated"][0], data["retreated"][1]
    if "retreated_unknown" in data:
        return 0.0
    ll = _binomial(retreated, sizes.sum(), p)
    if "responded_unknown" in data:
        return ll
    ll += _binomial(responded, retreated, jax.nn.sigmoid(rates[Rate.RETREATMENT_RESPONSE]))
    if "retreatment_range_unknown" in data:
        return ll
    low, high = data["retreatment_range"][0], data["retreatment_range"][1]
    sigma = jnp.exp(rates[Rate.RETREATMENT_SIGMA])
    z0, z1 = ((jnp.log(t) - rates[Rate.RETREATMENT_MEDIAN]) / sigma for t in (low, high))
    between = jnp.maximum(0.5 * (jax.scipy.special.erf(z1 / np.sqrt(2)) - jax.scipy.special.erf(z0 / np.sqrt(2))), 1e-9)
    order = -0.5 * (z0**2 + z1**2) - 2 * jnp.log(sigma) + jnp.maximum(responded - 2.0, 0.0) * jnp.log(between)
    return ll + jnp.where(responded > 1.5, order, 0.0)
