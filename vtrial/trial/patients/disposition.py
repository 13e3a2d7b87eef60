"""Who is enrolled, who is infused, and at which dose. Pure JAX."""

from typing import Any

import jax.numpy as jnp

from vtrial.model.vocabulary import Allocation, Target
from vtrial.trial.patients.draws import Process


def enrol(
    u: dict[Process, Any], capacity: int, target: Target, allocation: Allocation, size: Any, p_infused: Any, fills: Any
) -> tuple[Any, Any, Any]:
    """Masks `enrolled` and `infused`, and the index of each patient's dose; arrays (capacity,).

    target "enrolled": the first `size` patients are enrolled. "infused": patients are enrolled until `size`
    have been infused; where `capacity` does not hold that many, fewer are infused, and the caller must look.

    allocation "random": `fills` (doses,) are cumulative shares, each patient draws a dose. "sequential": `fills` are
    cumulative counts, filled in order of arrival among those who count towards `size`. "fixed": cumulative
    counts of infused patients, exact: exactly `fills[-1]` are infused, those enrolled who draw the lowest numbers.
    """
    number = jnp.arange(capacity, dtype=jnp.int32)
    if Process.INFUSED not in u:  # nothing was drawn because everybody enrolled is infused
        enrolled = infused = number < size
    elif target == "enrolled":
        luck = u[Process.INFUSED]
        enrolled = number < size
        if allocation == "fixed":
            # The patients with the fills[-1] lowest draws are infused; order by draw, then by number.
            place = jnp.argsort(jnp.argsort(jnp.where(enrolled, luck, jnp.float32(2.0)), stable=True), stable=True)
            infused = enrolled & (place < fills[-1])
        else:
            infused = enrolled & (luck < p_infused)
    else:
        fit = u[Process.INFUSED] < p_infused
        infused_before = _before(fit)
        enrolled = infused_before < size
        infused = fit & enrolled
    if allocation == "random":
        position = u.get(Process.DOSE, jnp.zeros(capacity, jnp.float32))
    elif Process.INFUSED not in u or (allocation == "sequential" and target == "enrolled"):
        position = number
    else:
        position = _before(infused)
    dose = sum(((position >= fills[k]).astype(jnp.int32) for k in range(fills.shape[0] - 1)), jnp.zeros_like(number))
    return enrolled, infused, dose


def _before(mask: Any) -> Any:
    """How many patients of `mask` come before each, int32 (patients,)."""
    return jnp.cumsum(mask, dtype=jnp.int32) - mask.astype(jnp.int32)
