"""Events against time at risk: exponential and Weibull fits of one trial. Pure JAX; no batch axis."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtrial.trial.analysis import kaplan_meier
from vtrial.trial.analysis.kaplan_meier import EVERYONE, Ordered

STEPS = 12  # Newton steps on the logarithm of the shape
WIDEST = np.float32(np.log(50.0))  # shapes are kept within 1/50 and 50
FARTHEST = np.float32(0.7)  # longest step


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Exponential:
    """Events int32, exposure float32 days, hazard per day float32: 0 without events, also without exposure."""

    events: Any
    exposure: Any
    hazard: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Weibull:
    """S(t) = exp(-(t / scale)**shape), scale in days, float32; shape 1 and scale +inf without events."""

    events: Any
    shape: Any
    scale: Any

    @property
    def median(self) -> Any:
        """Days, float32; +inf without events."""
        return self.scale * jnp.exp(jnp.log(jnp.float32(np.log(2.0))) / self.shape)


def exponential(ordered: Ordered, group: Any = EVERYONE) -> Exponential:
    """Events over exposure; somebody whose time is day 0 adds no exposure."""
    member = kaplan_meier.members(ordered, group)
    exposure = jnp.sum(jnp.where(member, ordered.days, 0).astype(jnp.float32), dtype=jnp.float32)
    events = kaplan_meier.events(ordered, group)
    hazard = events.astype(jnp.float32) / jnp.maximum(exposure, 1)
    return Exponential(events, exposure, jnp.where(exposure > 0, hazard, jnp.float32(0)))


def weibull(ordered: Ordered, group: Any = EVERYONE) -> Weibull:
    """Maximum likelihood by a fixed number of Newton steps on the profile of the shape; day 0 counts as half a day.

    Where the likelihood rises without end (all events on the latest day) the shape stops at 50.
    """
    member = kaplan_meier.members(ordered, group)
    event = member & ordered.event
    events = jnp.sum(event, dtype=jnp.int32)
    deaths = jnp.maximum(events, 1).astype(jnp.float32)
    log_day = jnp.log(jnp.maximum(ordered.days.astype(jnp.float32), np.float32(0.5)))
    latest = jnp.max(jnp.where(member, log_day, np.float32(-1)))
    log_day = jnp.where(member, log_day - latest, np.float32(0))  # at most 0: powers stay within 0 and 1
    mean = jnp.sum(jnp.where(event, log_day, np.float32(0)), dtype=jnp.float32) / deaths

    def moments(shape: Any) -> tuple[Any, Any, Any]:
        """Sum of t**shape, and mean and variance of log t under these weights."""
        weight = jnp.where(member, jnp.exp(shape * log_day), np.float32(0))
        total = jnp.maximum(jnp.sum(weight, dtype=jnp.float32), np.float32(1e-30))
        first = jnp.sum(weight * log_day, dtype=jnp.float32) / total
        return total, first, jnp.sum(weight * jnp.square(log_day - first), dtype=jnp.float32) / total

    def newton(_: int, log_shape: Any) -> Any:
        # score 1/k + mean - first falls in k; times k, its derivative in log k is that below
        shape = jnp.exp(log_shape)
        _, first, variance = moments(shape)
        score = 1 + shape * (mean - first)
        slope = shape * (mean - first) - jnp.square(shape) * variance
        # where the slope is no help (far from the maximum) the score's sign is
        step = jnp.where(slope < -0.1, -score / jnp.minimum(slope, -0.1), jnp.sign(score))
        return jnp.clip(log_shape + jnp.clip(step, -FARTHEST, FARTHEST), -WIDEST, WIDEST)

    shape = jnp.exp(jax.lax.fori_loop(0, STEPS, newton, jnp.float32(0)))
    scale = jnp.exp(latest + jnp.log(moments(shape)[0] / deaths) / shape)
    able = events > 0
    return Weibull(events, jnp.where(able, shape, jnp.float32(1)), jnp.where(able, scale, jnp.float32(np.inf)))
