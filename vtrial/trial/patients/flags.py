"""What is drawn of each patient beside the core: flags and measures that a study describes. Pure JAX.

A draw depends on the patient and on the number of its flag or measure in the study's list, so leaving one out changes
no other. A word of 32 random bits holds the draws of two: flags and measures have 16 bits each.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from vtrial.model.descriptors import Drawn, Measured
from vtrial.trial.patients.draws import Process, at_doses


def uniforms(key: Any, process: Process, numbers: tuple[int, ...], capacity: int) -> list[Any]:
    """Uniform numbers inside (0, 1) of each number, multiples of 2**-16 from the middle of their step, (capacity,)."""
    words = sorted({number // 2 for number in numbers})
    key = jax.random.fold_in(key, process)

    def draw(word: Any) -> Any:
        return jax.random.bits(jax.random.fold_in(key, word), (capacity,), dtype=jnp.uint32)

    bits = jax.lax.optimization_barrier(jax.vmap(draw)(jnp.array(words, jnp.uint32)))
    halves = [
        ((half.astype(jnp.int32).astype(jnp.float32) + 0.5) * 2.0**-16)
        for half in (bits & jnp.uint32(0xFFFF), bits >> 16)
    ]
    return [halves[number % 2][words.index(number // 2)] for number in numbers]


def hits(key: Any, drawn: tuple[Drawn, ...], logits: Any, columns: Any, dose: Any) -> dict[str, Any]:
    """Whether each flag would be true of each patient who can have it, bool (patients,).

    logits: (flags, columns), a column a dose of the study and one for any other. columns: of each of the arm's doses,
    int32 (doses,). dose: index (patients,).
    """
    if not drawn:
        return {}
    u = uniforms(key, Process.FLAGS, tuple(flag.number for flag in drawn), dose.shape[0])
    p = 1.0 / (1.0 + jnp.exp(-jnp.take(logits, columns, axis=1)))
    return {
        flag.name: u[row] < (_by_dose(p[row], dose) if flag.columns else p[row, 0]) for row, flag in enumerate(drawn)
    }


def _by_dose(table: Any, dose: Any) -> Any:
    """Each patient's value from a table by dose (doses,): for a few doses, selecting is faster than looking up."""
    if table.shape[0] > 8:
        return at_doses(table, dose)
    value = table[0] + jnp.zeros(dose.shape, table.dtype)
    for k in range(1, table.shape[0]):
        value = jnp.where(dose == k, table[k], value)
    return value


def moved(key: Any, drawn: tuple[Drawn, ...], logits: Any, sd: Any) -> Any:
    """A trial's own logits (flags, columns): one shift a flag, `sd` x a standard normal."""
    key = jax.random.fold_in(key, Process.BETWEEN_TRIAL_FLAGS)
    numbers = jnp.array([flag.number for flag in drawn], jnp.uint32)
    z = jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number), dtype=jnp.float32))(numbers)
    return logits + sd * z[:, None]


def values(key: Any, measures: tuple[Measured, ...], numbers: Any, columns: Any, dose: Any) -> dict[str, Any]:
    """Each measure of each patient, as it is reported, float32 (patients,).

    numbers: (measures, columns + 1), location by column, and last the log of the spread.
    """
    if not measures:
        return {}
    u = uniforms(key, Process.MEASURES, tuple(measure.number for measure in measures), dose.shape[0])
    found = {}
    for row, measure in enumerate(measures):
        location = _by_dose(jnp.take(numbers[row], columns), dose)
        found[measure.name] = reported(measure, location + jnp.exp(numbers[row, -1]) * ndtri(u[row]))
    return found


def reported(measure: Measured, x: Any) -> Any:
    """Rounded values of a measure, given its normal distribution's."""
    value = measure.above + jnp.exp(x) if measure.family == "lognormal" else jnp.maximum(x, measure.above)
    steps = jnp.ceil(value / measure.step) if measure.rounding == "up" else jnp.round(value / measure.step)
    least = measure.above / measure.step
    least = math.floor(least + 1e-6) + 1 if measure.rounding == "up" else math.ceil(least - 1e-6)
    return jnp.maximum(steps, float(least)) * measure.step
