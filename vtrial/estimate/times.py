"""The endpoints that are times to an event: their curves in numbers, and how they are tested. Pure JAX."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from vtrial.conduct.visits import Seen
from vtrial.curves import DAYS
from vtrial.estimate import kaplan_meier, log_rank

TimeEndpoint = Literal["dor", "pfs", "os"]
TIME_ENDPOINTS: tuple[TimeEndpoint, ...] = get_args(TimeEndpoint)

WORDS: dict[TimeEndpoint, str] = {
    "dor": "duration of response",
    "pfs": "progression-free survival",
    "os": "overall survival",
}

# "log-rank": one-sample, against an exponential curve. "median": the lower limit of the Kaplan-Meier median.
TimeMethod = Literal["log-rank", "median"]
TIME_METHODS: tuple[TimeMethod, ...] = get_args(TimeMethod)

# What a stated time is of: progression as visits document it, or as it happens.
Scale = Literal["documented", "latent"]

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
    10.2307/2530286), +inf where not estimable. survival: float32 (landmarks,); where nobody of the group is in the
    analysis any more, that of the last known day.
    """

    size: Any
    events: Any
    median: Any
    low: Any
    high: Any
    survival: Any


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
        return kaplan_meier.EVERYONE
    if group.startswith("dose"):
        return kaplan_meier.group_of([4 * int(group[4:]) + depth for depth in range(4)])
    return kaplan_meier.group_of([4 * dose + DEPTHS.index(group) for dose in range(8)])


def estimate(ordered: dict[TimeEndpoint, kaplan_meier.Ordered], curve: Curve) -> Estimate:
    """The estimates of one curve."""
    endpoint, group = curve
    days = [jnp.int32(round(month * DAYS)) for month in LANDMARKS]
    summary = kaplan_meier.summary(ordered[endpoint], group_of(group), probs=(0.5,), days=days)
    quantiles = summary.quantiles
    return Estimate(
        size=summary.size,
        events=summary.events,
        median=quantiles.estimate[0] / jnp.float32(DAYS),
        low=quantiles.low[0] / jnp.float32(DAYS),
        high=quantiles.high[0] / jnp.float32(DAYS),
        survival=summary.survival,
    )


def estimates(seen: Seen, dose: Any, curves: tuple[Curve, ...]) -> dict[Curve, Estimate]:
    """The estimates of several curves, each endpoint sorted once."""
    ordered = prepared(seen, dose, {endpoint for endpoint, _ in curves})
    return {curve: estimate(ordered, curve) for curve in curves}


def shown(ordered: dict[TimeEndpoint, kaplan_meier.Ordered], test: Any, benchmark: Benchmark) -> Any:
    """Whether a test of a time rejects by itself, bool: a longer time than the benchmark's is shown."""
    if test.method == "log-rank":
        result = log_rank.one_sample(ordered[test.endpoint], kaplan_meier.EVERYONE, benchmark.hazard)
        return (result.expected > 0) & (result.z <= -benchmark.z)
    quantiles = kaplan_meier.quantiles(ordered[test.endpoint], z=benchmark.z)
    return jnp.isfinite(quantiles.low[0]) & (quantiles.low[0] > benchmark.median)


def at_look(ordered: dict[TimeEndpoint, kaplan_meier.Ordered], rule: Any, benchmarks: Any) -> Any:
    """What a rule on a time compares with its limit at a look, float32: the Kaplan-Meier median in days (+inf where not
    estimable), or the normal statistic of the one-sample log-rank test of `rule.of`, positive for longer times.

    rule: see `vtrial.decisions.RulePlan`.
    """
    endpoint, method = rule.time
    if method == "median":
        return kaplan_meier.quantiles(ordered[endpoint]).estimate[0]
    result = log_rank.one_sample(ordered[endpoint], kaplan_meier.EVERYONE, benchmarks[rule.of].hazard)
    return jnp.where(result.expected > 0, -result.z, jnp.float32(0))


def median_follow_up(seen: Seen) -> Any:
    """Median of infusion to death or last contact, float32 months; 0 where nobody is in the analysis."""
    ordered = jnp.sort(jnp.where(seen.infused_by_cut, seen.os_time, jnp.int32(2**30)))
    n = jnp.sum(seen.infused_by_cut, dtype=jnp.int32)
    middle = ordered[jnp.maximum((n - 1) // 2, 0)] + ordered[jnp.minimum(n // 2, ordered.shape[0] - 1)]
    return jnp.where(n > 0, middle.astype(jnp.float32) / jnp.float32(2 * DAYS), jnp.float32(0))
