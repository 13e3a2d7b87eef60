"""When each patient is enrolled and infused: months since the first enrolment. Pure JAX."""

from typing import Any

import jax.numpy as jnp

from vtrial.trial.patients.draws import Process, streams

_GRID = 2.0**14  # steps of a mean gap: gaps are summed in whole numbers, exactly, whatever the batch


def months(key: Any, capacity: int, accrual: Any, delay_low: Any, delay_high: Any, *, even: bool) -> tuple[Any, Any]:
    """Months of each patient's enrolment and, a uniform delay later, infusion (were they infused); float32 (patients,).

    accrual: patients a month, > 0. delay_low, delay_high: months. even: patient i is enrolled at i / accrual;
    else exponential gaps of that rate lie between patients, the first enrolled at 0.
    """
    u = streams(key, (Process.DELAY,) if even else (Process.ARRIVAL, Process.DELAY), capacity)
    number = jnp.arange(capacity, dtype=jnp.int32)
    if even:
        enrolled = number.astype(jnp.float32) / accrual
    else:
        gap = jnp.round(-jnp.log(u[Process.ARRIVAL]) * _GRID).astype(jnp.int32)
        number = jnp.cumsum(jnp.where(number > 0, gap, 0), dtype=jnp.int32)
        enrolled = number.astype(jnp.float32) * (1.0 / _GRID) / accrual
    return enrolled, enrolled + delay_low + (delay_high - delay_low) * u[Process.DELAY]
