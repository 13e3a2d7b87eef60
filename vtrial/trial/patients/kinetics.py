"""What is infused, and how far it expands: published as a window and as directions, not as numbers. Pure JAX."""

from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtri

from vtrial.trial.patients.draws import Process, streams


def delivered(key: Any, capacity: int, window: Any) -> Any:
    """Dose delivered over target dose, uniform within `window` of 1, float32 (patients,)."""
    return 1.0 + window * (2.0 * streams(key, (Process.DELIVERED,), capacity)[Process.DELIVERED] - 1.0)


def expansion(key: Any, numbers: Any, x: Any, response: Any) -> Any:
    """Peak of CAR T cells over its median without response at the reference dose, float32 (patients,).

    numbers: (4,), as `vtrial.evidence.priors.Expansion`: log ratio for a doubling of the dose, log of the SD of the
    log, log ratio for each depth of response, correlation with the latent time to progression. x: log2 dose,
    (patients,). response: best response, index. Higher with dose and depth, and with a later progression at the same
    depth; response and progression themselves stay as they are.
    """
    u = streams(key, (Process.PROGRESSION, Process.EXPANSION), x.shape[0])
    later = -ndtri(u[Process.PROGRESSION])  # a low uniform is a late progression
    slope, log_spread, depth, correlation = (numbers[k] for k in range(4))
    correlation = jnp.clip(correlation, -0.99, 0.99)
    normal = correlation * later + jnp.sqrt(1.0 - correlation**2) * ndtri(u[Process.EXPANSION])
    return jnp.exp(slope * x + depth * response.astype(jnp.float32) + jnp.exp(log_spread) * normal)
