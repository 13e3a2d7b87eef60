"""Log-rank tests of one trial, of two groups and of one against a known hazard. Pure JAX; no batch axis."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtrial.trial.analysis import kaplan_meier
from vtrial.trial.analysis.kaplan_meier import EVERYONE, Ordered


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LogRank:
    """Events of the (first) group, observed int32 and expected; variance of their difference; z, float32.

    z > 0: more events than expected. z is 0 where nothing can be compared. chi2 is z squared, one degree of freedom.
    """

    observed: Any
    expected: Any
    variance: Any
    z: Any

    @property
    def chi2(self) -> Any:
        """Chi-squared on one degree of freedom, float32."""
        return self.z * self.z


def _test(observed: Any, expected: Any, variance: Any) -> LogRank:
    able = variance > 0
    error = jnp.sqrt(jnp.where(able, variance, jnp.float32(1)))
    z = jnp.where(able, (observed.astype(jnp.float32) - expected) / error, jnp.float32(0))
    return LogRank(observed, expected, variance, z)


def two_sample(ordered: Ordered, group: Any, other: Any) -> LogRank:
    """Mantel's log-rank of two disjoint groups, hypergeometric variance at ties, as R's `survdiff`."""
    whole, none = jnp.int32(1), jnp.int32(0)

    def go(carry: Any, now: Any) -> Any:
        # left: at risk after this patient; day: at risk when the day began, and its events so far
        left, day, deaths, expected, variance = carry
        key, last = now
        first = kaplan_meier.belongs(key, group)
        second = kaplan_meier.belongs(key, other)
        deaths = deaths + jnp.where((first | second) & ((key & 32) == 0), whole, none)
        left = (left[0] - first.astype(jnp.int32), left[1] - second.astype(jnp.int32))
        one, two, d = (number.astype(jnp.float32) for number in (*day, deaths))
        n = jnp.maximum(one + two, 1)
        mean = d * (one / n)
        spread = mean * (two / n) * ((n - d) / jnp.maximum(n - 1, 1))
        expected = jnp.where(last, expected + mean, expected)
        variance = jnp.where(last, variance + spread, variance)
        day = (jnp.where(last, left[0], day[0]), jnp.where(last, left[1], day[1]))
        return (left, day, jnp.where(last, none, deaths), expected, variance), None

    sizes = (kaplan_meier.size(ordered, group), kaplan_meier.size(ordered, other))
    start = (sizes, sizes, none, jnp.float32(0), jnp.float32(0))
    (_, _, _, expected, variance), _ = jax.lax.scan(go, start, (ordered.key, ordered.last))
    return _test(kaplan_meier.events(ordered, group), expected, variance)


def one_sample(ordered: Ordered, group: Any, hazard: Any) -> LogRank:
    """One group against a benchmark's cumulative hazard, float32 (days,) with `hazard[d]` that of day d.

    Its variance is the expected number, so z = (O - E) / sqrt(E). After the table's last day its value stays.
    """
    day = jnp.minimum(ordered.days, hazard.shape[0] - 1)
    due = jnp.where(kaplan_meier.members(ordered, group), hazard[day], jnp.float32(0))
    expected = jnp.sum(due, dtype=jnp.float32)
    return _test(kaplan_meier.events(ordered, group), expected, expected)


def one_sample_of_rate(ordered: Ordered, rate: Any, group: Any = EVERYONE) -> LogRank:
    """One group against a constant hazard per day, no table needed."""
    member = kaplan_meier.members(ordered, group)
    days = jnp.sum(jnp.where(member, ordered.days, 0).astype(jnp.float32), dtype=jnp.float32)
    expected = days * jnp.asarray(rate, jnp.float32)
    return _test(kaplan_meier.events(ordered, group), expected, expected)
