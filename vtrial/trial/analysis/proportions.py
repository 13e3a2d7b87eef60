"""Counts of patients with each endpoint. Pure JAX.

Counts are whole numbers and therefore the same for any chunk size; rates follow on the host.
"""

from typing import Any

import jax.numpy as jnp

from vtrial.model.endpoints import Endpoint, level_of
from vtrial.trial.observation.observed import Observed


def count(seen: Observed, endpoint: Endpoint) -> Any:
    """How many patients have the endpoint, int32. Not infused and not evaluable count as not having it."""
    return jnp.sum(reached(seen, endpoint), dtype=jnp.int32)


def reached(seen: Observed, endpoint: Endpoint) -> Any:
    """Who has the endpoint, bool (patients,)."""
    system, level = level_of(endpoint)
    return seen.mrd_negative if system == "mrd" else getattr(seen, system) >= level
