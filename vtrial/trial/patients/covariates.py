"""What a shifted mix of patients does to response and progression. Pure JAX.

A fitted rate is that of the study's own mix. An effect moves those who have a characteristic and those who have not
apart about that rate: the intercept is solved so that over the study's mix the rate is kept, and over another mix it is
not.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp

_STEPS = 30  # of Newton's method, far more than it takes


def response(has: tuple[Any, ...], dose: Any, p: Any, covariates: Any, columns: Any) -> Any:
    """P(response) of each patient, float32 (patients,).

    has: mask a covariate, (patients,). dose: index (patients,). p: fitted P(response) at each dose, (doses,).
    covariates: (covariates, 2 + columns): log odds ratio, log hazard ratio, logits of the study's own share by column.
    columns: of each dose, int32 (doses,).
    """
    share = _shares(covariates, columns)
    effect = covariates[:, 0]
    patterns = jnp.array(list(itertools.product((0.0, 1.0), repeat=len(has))), jnp.float32)
    weight = jnp.prod(
        patterns[:, :, None] * share[None] + (1.0 - patterns[:, :, None]) * (1.0 - share[None]), axis=1
    )  # (patterns, doses)
    moved = jnp.sum(patterns * effect[None], axis=1)[:, None]
    p = jnp.clip(p, 1e-6, 1.0 - 1e-6)

    def step(_: Any, intercept: Any) -> Any:
        at = jax.nn.sigmoid(intercept[None] + moved)
        slope = jnp.sum(weight * at * (1.0 - at), axis=0)
        return intercept - jnp.clip((jnp.sum(weight * at, axis=0) - p) / jnp.maximum(slope, 1e-6), -1.0, 1.0)

    intercept = jax.lax.fori_loop(0, _STEPS, step, jnp.log(p / (1.0 - p)))
    return jax.nn.sigmoid(jnp.take(intercept, dose, mode="clip") + _sum(has, effect))


def log_hazard(has: tuple[Any, ...], dose: Any, covariates: Any, columns: Any) -> Any:
    """Each patient's log hazard of progression less that of the study's mix, float32 (patients,)."""
    effect = covariates[:, 1]
    average = jnp.take(jnp.sum(_shares(covariates, columns) * effect[:, None], axis=0), dose, mode="clip")
    return _sum(has, effect) - average


def _shares(covariates: Any, columns: Any) -> Any:
    """The study's own share with each covariate at each dose, (covariates, doses)."""
    return jax.nn.sigmoid(jnp.take(covariates[:, 2:], columns, axis=1))


def _sum(has: tuple[Any, ...], effect: Any) -> Any:
    return sum(
        (mask.astype(jnp.float32) * effect[k] for k, mask in enumerate(has)), jnp.zeros(has[0].shape, jnp.float32)
    )
