"""Rates, visits and cuts for the tests of time to event."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from vtrial.model.parameters import Rate
from vtrial.trial.observation import visits
from vtrial.trial.patients import course
from vtrial.trial.patients.course import Path

SCHEDULE = (1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24)
WINDOW, MISSED, THERAPY = 0.4, 0.15, 0.02

RATES = {
    "NONE": math.log(2.0),
    "PR": math.log(5.0),
    "VGPR": math.log(8.0),
    "CR": math.log(15.0),
    "SHAPE": 0.2,
    "DOSE": -0.4,
    "RESPONSE_MEDIAN": 0.0,
    "RESPONSE_SIGMA": -0.7,
    "CR_MEDIAN": 1.0,
    "CR_SIGMA": -0.3,
    "DEATH_EARLY": math.log(0.02),
    "DEATH_MIDDLE": math.log(0.01),
    "DEATH_LATE": math.log(0.03),
    "DEATH_AFTER": math.log(0.08),
    "RETREATED": 0.3,
    "RETREATMENT_RESPONSE": -0.5,
    "RETREATMENT_MEDIAN": 1.0,
    "RETREATMENT_SIGMA": -0.2,
}


def key_of(seed: int) -> jax.Array:
    return jax.random.key(seed, impl="threefry2x32")


def rates(**changes: float) -> jax.Array:
    """Numbers of the multi-state model; -inf for what never happens."""
    return jnp.array([{**RATES, **changes}[rate.name] for rate in Rate], jnp.float32)


def mixed(patients: int) -> dict[str, jax.Array]:
    """Every depth of response, doses on both sides of the reference, and some deaths of CRS."""
    number = np.arange(patients)
    return {
        "x": jnp.array((number % 5 - 2) * 0.5, jnp.float32),
        "response": jnp.array(number % 4, jnp.int32),
        "fatal": jnp.array(number % 17 == 0),
    }


@functools.partial(jax.jit, static_argnames=("patients",))
def path(key, survival_rates, patients: int, x, response, fatal, schedule, window, missed, therapy) -> Path:
    seen_at = course.visits(key, patients, schedule, window, missed)
    return course.path(
        key, survival_rates, capacity=patients, x=x, response=response, fatal=fatal, visits=seen_at, new_therapy=therapy
    )


def draw(seed: int, patients: int, *, schedule=SCHEDULE, window=WINDOW, missed=MISSED, therapy=THERAPY, **changes):
    """A path of `patients` and what they are; changes: of the rates, or of x, response and fatal."""
    who = mixed(patients) | {name: changes.pop(name) for name in ("x", "response", "fatal") if name in changes}
    numbers = (jnp.array(schedule, jnp.float32), *(jnp.float32(v) for v in (window, missed, therapy)))
    return path(key_of(seed), rates(**changes), patients, who["x"], who["response"], who["fatal"], *numbers), who


look = jax.jit(visits.seen, static_argnames=("censor_missed", "censor_new_therapy"))


def at_cut(drawn: Path, who, infusion, cut: float, *, missed: bool = True, therapy: bool = True, infused=None):
    """What the cut shows, as NumPy arrays by name."""
    infused = jnp.ones(who["response"].shape, bool) if infused is None else infused
    month = jnp.asarray(infusion, jnp.float32)
    found = look(
        drawn, infused, who["response"], month, jnp.float32(cut), censor_missed=missed, censor_new_therapy=therapy
    )
    return {name: np.asarray(value) for name, value in vars(found).items()}
