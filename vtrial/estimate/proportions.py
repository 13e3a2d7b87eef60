"""Counts of patients with each endpoint. Pure JAX.

Counts are whole numbers and therefore the same for any chunk size; rates follow on the host.
"""

from typing import Any, Literal, get_args

import jax.numpy as jnp

from vtrial.conduct import Observed
from vtrial.curves import System

Endpoint = Literal["orr", "vgpr", "cr", "mrd", "crs", "crs3", "neurotoxicity", "neurotoxicity3"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

# The system that an endpoint is read off, and from which level on it is reached.
_READ: dict[Endpoint, tuple[System, int]] = {
    "orr": ("response", 1),
    "vgpr": ("response", 2),
    "cr": ("response", 3),
    "mrd": ("mrd", 1),
    "crs": ("crs", 1),
    "crs3": ("crs", 2),
    "neurotoxicity": ("neurotoxicity", 1),
    "neurotoxicity3": ("neurotoxicity", 2),
}

WORDS: dict[Endpoint, str] = {
    "orr": "response (PR or better)",
    "vgpr": "VGPR or better",
    "cr": "CR or better",
    "mrd": "CR with MRD negativity",
    "crs": "CRS of any grade",
    "crs3": "CRS of grade 3 or higher",
    "neurotoxicity": "neurotoxicity of any grade",
    "neurotoxicity3": "neurotoxicity of grade 3 or higher",
}


def systems_of(endpoint: Endpoint) -> tuple[System, ...]:
    """The systems that must be simulated to see an endpoint."""
    return ("response", "mrd") if endpoint == "mrd" else (_READ[endpoint][0],)


def level_of(endpoint: Endpoint) -> tuple[System, int]:
    """The system that an endpoint is read off, and the level from which on it is reached."""
    return _READ[endpoint]


def count(seen: Observed, endpoint: Endpoint) -> Any:
    """How many patients have the endpoint, int32. Not infused and not evaluable count as not having it."""
    return jnp.sum(reached(seen, endpoint), dtype=jnp.int32)


def reached(seen: Observed, endpoint: Endpoint) -> Any:
    """Who has the endpoint, bool (patients,)."""
    system, level = _READ[endpoint]
    return seen.mrd_negative if system == "mrd" else getattr(seen, system) >= level
