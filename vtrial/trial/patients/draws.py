"""world + dose + key -> patients: what is true of them, whether or not anybody will see it. Pure JAX.

A patient's latent draws depend on the seed, the trial's number and the patient's number only: each process
draws `(patients,)` numbers from a key of its own, so two designs meet the same people, the first 60 of 140
are the 60 of a smaller trial, and leaving an endpoint out changes no other.
"""

from typing import Any

import jax
import jax.numpy as jnp

from vtrial.model.streams import Process

# The processes whose latent normals are correlated within a patient, in the order of the correlation matrix.
LATENT = (Process.RESPONSE, Process.CRS, Process.NEUROTOXICITY)


def streams(key: Any, processes: tuple[Process, ...], patients: int) -> dict[Process, Any]:
    """Uniform numbers in (0, 1) of each process, float32 (patients,); never 0 and never 1.

    Prefix-stable in `patients`, and the same whichever other processes are drawn: each has its own key. They
    are drawn side by side because one generator in the program compiles faster than many.
    """

    def draw(process: Any) -> Any:
        return jax.random.uniform(jax.random.fold_in(key, process), (patients,), dtype=jnp.float32)

    drawn = jax.vmap(draw)(jnp.array(processes, jnp.uint32)) + jnp.float32(2.0**-24)
    return {process: drawn[row] for row, process in enumerate(processes)}


def level(
    u: dict[Process, Any], process: Process, at_least: tuple[Any, ...], dose: Any, factor: Any, *, own: bool = False
) -> Any:
    """The level of an ordered outcome that each patient reaches, int32 (patients,).

    u: uniforms of this process and of the correlated ones before it. at_least: P(reaching level 1, 2, ...) at each
    dose, descending, arrays (doses,); with `own` that of each patient, (patients,). dose: index (patients,). factor:
    Cholesky factor of the correlation matrix of the latent normals (Gaussian copula); this process's row mixes the
    normals of the processes before it with its own. Low latents reach high levels.

    Sums are written out: a matrix product's last bit depends on the batch. A barrier keeps the compiler from working
    out the long inverse of the normal distribution again at each comparison.
    """
    row = LATENT.index(process)
    if row == 0:
        reach, thresholds = u[process], jnp.stack(at_least)
    else:
        reach = sum(factor[row, column] * jax.scipy.special.ndtri(u[LATENT[column]]) for column in range(row + 1))
        reach, thresholds = jax.lax.optimization_barrier((reach, jax.scipy.special.ndtri(jnp.stack(at_least))))
    return sum(
        ((reach < (t if own else at_doses(t, dose))).astype(jnp.int32) for t in thresholds), jnp.zeros_like(dose)
    )


def at_doses(table: Any, dose: Any) -> Any:
    """Each patient's value from a table by dose (doses,)."""
    if table.shape[0] == 1:
        return table[0]
    return jnp.take(table, dose, axis=0, mode="clip")
