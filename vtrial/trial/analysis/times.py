"""The endpoints that are times to an event: their curves in numbers, and how they are tested. Pure JAX."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.parameters import DAYS
from vtrial.trial.analysis import kaplan_meier, log_rank
from vtrial.trial.analysis.kaplan_meier import EVERYONE
from vtrial.trial.observation.visits import Seen

# A curve: its endpoint, and its group: "all", a best response seen ("none", "pr", "vgpr", "cr"), or "dose<index>".
Curve = tuple[TimeEndpoint, str]
DEPTHS = ("none", "pr", "vgpr", "cr")
LANDMARKS = (6, 12, 18)  # months at which survival is estimated


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Benchmark:
    """What a test of a time compares with.

    hazard: cumulative hazard of the benchmark by day, float32 (days,), for "log-rank". median: float32 days, for
    "median". z: the one-sided normal quantile of alpha, float32.
    """

    hazard: Any
    median: Any
    z: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Estimate:
    """One Kaplan-Meier curve in numbers.

    size, events: int32. median, low, high: float32 months with 95% log-log limits (Brookmeyer and Crowley 1982, doi
    10.2307/2530286), +inf where not reached. survival: float32 (landmarks,). latest: the last time at risk, float32
    months. last: survival then, float32. NaN is not estimable: survival after the last time at risk unless it is 0, and
    everything of a group without patients.
    """

    size: Any
    events: Any
    median: Any
    low: Any
    high: Any
    survival: Any
    latest: Any
    last: Any


def prepared(seen: Seen, dose: Any, endpoints: set[TimeEndpoint]) -> dict[TimeEndpoint, kaplan_meier.Ordered]:
    """Each endpoint sorted once; patients carry their dose's index and best response as a code."""
    code = jnp.minimum(dose, 7) * 4 + seen.response
    found: dict[TimeEndpoint, kaplan_meier.Ordered] = {}
    for endpoint in sorted(endpoints):
        mask = seen.infused_by_cut & (seen.response > 0) if endpoint == "dor" else seen.infused_by_cut
        time, event = getattr(seen, f"{endpoint}_time"), getattr(seen, f"{endpoint}_event")
        found[endpoint] = kaplan_meier.prepare(time, event, code, mask)
    return found


def group_of(group: str) -> Any:
    """The codes of a group, as `prepared` writes them."""
    if group == "all":
        return EVERYONE
    if group.startswith("dose"):
        return kaplan_meier.group_of([4 * int(group[4:]) + depth for depth in range(4)])
    return kaplan_meier.group_of([4 * dose + DEPTHS.index(group) for dose in range(8)])


def codes_of(curves: tuple[Curve, ...], endpoints: Sequence[TimeEndpoint]) -> tuple[Any, Any]:
    """Curves as data: the place of each one's endpoint among `endpoints`, int32 (curves,), and its group, uint32."""
    of = [endpoints.index(endpoint) for endpoint, _ in curves]
    return np.array(of, np.int32), np.array([group_of(group) for _, group in curves], np.uint32)


def over_curves(
    ordered: Sequence[kaplan_meier.Ordered], codes: tuple[Any, Any], look: Callable[[kaplan_meier.Ordered, Any], Any]
) -> Any:
    """What `look` gives of each curve's endpoint and group, one curve after the other; arrays (curves, ...).

    ordered: the endpoints that `codes` speak of (`codes_of`). One walk is compiled, however many curves there are: the
    same walk over and over was most of a program.
    """
    keys = jnp.stack([one.key for one in ordered])
    return jax.lax.map(lambda code: look(kaplan_meier.Ordered(keys[code[0]]), code[1]), codes)


def estimates(ordered: dict[TimeEndpoint, kaplan_meier.Ordered], curves: tuple[Curve, ...]) -> dict[Curve, Estimate]:
    """The estimates of several curves."""
    found = over_curves(list(ordered.values()), codes_of(curves, list(ordered)), _estimate)
    return {curve: jax.tree.map(lambda array, k=k: array[k], found) for k, curve in enumerate(curves)}


def estimates_at(seen: Seen, dose: Any, curves: tuple[Curve, ...]) -> dict[Curve, Estimate]:
    """The estimates of several curves of what was seen, each endpoint sorted once."""
    return estimates(prepared(seen, dose, {endpoint for endpoint, _ in curves}), curves)


def _estimate(ordered: kaplan_meier.Ordered, group: Any) -> Estimate:
    """The estimates of the curve of a group."""
    days = [jnp.int32(round(month * DAYS)) for month in LANDMARKS]
    summary = kaplan_meier.summary(ordered, group, probs=(0.5,), days=days)
    followed = summary.latest.astype(jnp.float32) / jnp.float32(DAYS)
    quantiles = summary.quantiles
    return Estimate(
        size=summary.size,
        events=summary.events,
        median=quantiles.estimate[0] / jnp.float32(DAYS),
        low=quantiles.low[0] / jnp.float32(DAYS),
        high=quantiles.high[0] / jnp.float32(DAYS),
        survival=summary.survival,
        latest=jnp.where(summary.size > 0, followed, jnp.float32(jnp.nan)),
        last=summary.last,
    )


def shown(ordered: dict[TimeEndpoint, kaplan_meier.Ordered], test: Any, benchmark: Benchmark) -> Any:
    """Whether a test of a time rejects by itself, bool: a longer time than the benchmark's is shown.

    "median" rejects where the lower limit lies above the benchmark's median; one that is not reached does only where
    follow-up passes that median. Greenwood's error is 0 at a survival of 1: where nobody had the event by the
    benchmark's median, the n patients then at risk must be enough for the exact test of that (2 ** -n at most alpha).
    At a survival of 0 there are no limits: a curve that passes 1/2 by falling to 0 has no lower limit, and what is not
    estimable does not reject.
    """
    if test.method == "log-rank":
        result = log_rank.one_sample(ordered[test.endpoint], EVERYONE, benchmark.hazard)
        return (result.expected > 0) & (result.z <= -benchmark.z)
    of = ordered[test.endpoint]
    null = benchmark.median
    low = kaplan_meier.quantiles(of, z=benchmark.z).low[0]
    beyond = jnp.where(jnp.isinf(low), kaplan_meier.latest(of).astype(jnp.float32) > null, low > null)
    somebody, day = kaplan_meier.members(of), of.days.astype(jnp.float32)
    none_yet = ~jnp.any(somebody & of.event & (day <= null))
    left = jnp.sum(somebody & (day >= null), dtype=jnp.int32).astype(jnp.float32)
    enough = left * jnp.float32(math.log(2)) >= -norm.logcdf(-benchmark.z)
    return beyond & (~none_yet | enough)


def at_look(ordered: dict[TimeEndpoint, kaplan_meier.Ordered], rule: Any, benchmarks: Any, limit: Any) -> Any:
    """What a rule on a time compares with its limit at a look, float32: the Kaplan-Meier median in days (+inf where not
    reached), or the normal statistic of the one-sample log-rank test of `rule.of`, positive for longer times.

    NaN, at which no rule fires, where it is not estimable: nobody is in the analysis, or nothing is expected yet; and a
    median that is not reached where follow-up does not pass the `limit` (days) that it is to be at least.

    rule: see `vtrial.trial.decisions.RulePlan`.
    """
    endpoint, method = rule.time
    missing = jnp.float32(jnp.nan)
    if method == "median":
        of = ordered[endpoint]
        median = kaplan_meier.quantiles(of).estimate[0]
        short = jnp.isinf(median) & (kaplan_meier.latest(of).astype(jnp.float32) < limit)
        return jnp.where(short, missing, median) if rule.side.upper else median
    result = log_rank.one_sample(ordered[endpoint], EVERYONE, benchmarks[rule.of].hazard)
    return jnp.where(result.expected > 0, -result.z, missing)


def median_follow_up(seen: Seen) -> Any:
    """Median of infusion to death or last contact, float32 months; NaN where nobody is in the analysis."""
    ordered = jnp.sort(jnp.where(seen.infused_by_cut, seen.os_time, jnp.int32(2**30)))
    n = jnp.sum(seen.infused_by_cut, dtype=jnp.int32)
    middle = ordered[jnp.maximum((n - 1) // 2, 0)] + ordered[jnp.minimum(n // 2, ordered.shape[0] - 1)]
    return jnp.where(n > 0, middle.astype(jnp.float32) / jnp.float32(2 * DAYS), jnp.float32(jnp.nan))
