"""Expansion follows the published directions and moves nothing else; delivered doses keep their window."""

import jax
import jax.numpy as jnp
import numpy as np

from vtrial.trial.patients import kinetics
from vtrial.trial.patients.draws import Process, streams

KEY = jax.random.key(11)
N = 100_000


def test_expansion_rises_with_dose_depth_and_later_progression() -> None:
    numbers = jnp.array([0.4, 0.0, 0.5, 0.3], jnp.float32)
    x = jnp.where(jnp.arange(N) % 2 == 0, 0.0, 1.0).astype(jnp.float32)
    depth = (jnp.arange(N, dtype=jnp.int32) // 2) % 4
    log = np.log(np.asarray(kinetics.expansion(KEY, numbers, x, depth), np.float64))
    centred = log - 0.4 * np.asarray(x) - 0.5 * np.asarray(depth)
    assert abs(centred.mean()) < 5 / np.sqrt(N)
    assert abs(centred.std() - 1.0) < 5 / np.sqrt(2 * N)
    low = np.asarray(streams(KEY, (Process.PROGRESSION,), N)[Process.PROGRESSION])  # a low uniform: a late progression
    correlation = np.corrcoef(centred, -np.argsort(np.argsort(low)))[0, 1]
    assert abs(correlation - 6 / np.pi * np.arcsin(0.15)) < 0.02  # Spearman of a normal correlation of 0.3, about


def test_delivered_doses_lie_within_the_window() -> None:
    share = np.asarray(kinetics.delivered(KEY, N, jnp.float32(0.2)), np.float64)
    assert share.min() >= 0.8
    assert share.max() <= 1.2
    assert abs(share.mean() - 1.0) < 5 * 0.4 / np.sqrt(12 * N)
