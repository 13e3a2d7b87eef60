"""When patients come."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.trial.patients import cases
from vtrial.trial.observation import visits
from vtrial.trial.patients import calendar


@functools.partial(jax.jit, static_argnames=("capacity", "even"))
def months(key, capacity: int, accrual, low, high, even: bool):
    return calendar.months(key, capacity, accrual, low, high, even=even)[1]


def infused(seed: int, capacity: int, accrual: float, low: float, high: float, *, even: bool) -> np.ndarray:
    numbers = (jnp.float32(accrual), jnp.float32(low), jnp.float32(high))
    return np.asarray(months(cases.key_of(seed), capacity, *numbers, even=even))


def test_even_arrivals_and_a_fixed_delay():
    np.testing.assert_allclose(infused(1, 140, 12.5, 1.5, 1.5, even=True), np.arange(140) / 12.5 + 1.5, rtol=1e-6)


def test_delays_are_uniform():
    delay = infused(2, 20_000, 100.0, 0.5, 2.5, even=True) - np.arange(20_000) / 100
    assert delay.min() >= 0.5 - 1e-4
    assert delay.max() <= 2.5 + 1e-4
    assert delay.mean() == pytest.approx(1.5, abs=4.5 * 2 / np.sqrt(12 * 20_000))
    assert (delay < 1.0).mean() == pytest.approx(0.25, abs=0.015)


@pytest.mark.parametrize("accrual", [0.02, 12.7, 5000.0])
def test_poisson_arrivals_leave_exponential_gaps(accrual):
    arrived = infused(3, 20_000, accrual, 0.0, 0.0, even=False)
    assert arrived[0] == 0
    gap = np.diff(arrived.astype(np.float64)) * accrual
    assert (gap >= 0).all()
    assert gap.mean() == pytest.approx(1, abs=4.5 / np.sqrt(len(gap)))
    for t in (0.1, 1.0, 3.0):
        assert (gap > t).mean() == pytest.approx(np.exp(-t), abs=4.5 * 0.5 / np.sqrt(len(gap)))


@pytest.mark.parametrize("even", [True, False])
def test_the_first_60_of_140_are_the_60_of_a_smaller_trial(even):
    for seed in range(20):
        large = infused(seed, 140, 12.7, 0.8, 2.0, even=even)
        np.testing.assert_array_equal(large[:60], infused(seed, 60, 12.7, 0.8, 2.0, even=even))


def test_a_cut_after_the_last_infusion_looks_at_the_infused():
    month = jnp.array([1.0, 7.0, 3.0], jnp.float32)
    assert visits.cut_month(jnp.float32(12), jnp.array([True, False, True]), month) == 15
    assert visits.cut_month(jnp.float32(12), jnp.zeros(3, bool), month) == 12
