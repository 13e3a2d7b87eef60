"""Counts and medians as a paper prints them, against NumPy, patient by patient."""

import jax.numpy as jnp
import numpy as np

from vtrial.trial.analysis import published
from vtrial.trial.analysis.published import Asked, Group
from vtrial.trial.observation.record import Record

RNG = np.random.default_rng(5)
N = 40
FLAGS = {name: RNG.random(N) < p for name, p in (("infused", 0.9), ("a", 0.4), ("b", 0.5), ("never", 0.0))}
DOSE = RNG.integers(0, 3, N)
VALUE = RNG.normal(size=N).astype(np.float32)
RECORD = Record({k: jnp.asarray(v) for k, v in FLAGS.items()}, {"m": jnp.asarray(VALUE)})
FOLLOWED = (jnp.asarray(RNG.random(N) < 0.5),)
INFUSED = ("name", "infused")


def test_counts_are_those_of_numpy() -> None:
    both = ("and", INFUSED, ("name", "b"))
    groups = [Group(INFUSED), Group(both), Group(INFUSED, dose=1), Group(both, at_most=5), Group(INFUSED, followed=0)]
    groups.append(Group(("name", "never")))
    asked = Asked(counts=tuple(("a", group) for group in groups))
    count, n = published.counts(RECORD, jnp.asarray(DOSE), FOLLOWED, asked)
    in_both = FLAGS["infused"] & FLAGS["b"]
    first = in_both & (np.cumsum(in_both) <= 5)
    masks = [
        FLAGS["infused"],
        in_both,
        FLAGS["infused"] & (DOSE == 1),
        first,
        FLAGS["infused"] & np.asarray(FOLLOWED[0]),
        np.zeros(N, bool),
    ]
    assert np.asarray(n).tolist() == [int(mask.sum()) for mask in masks]
    assert np.asarray(count).tolist() == [int((mask & FLAGS["a"]).sum()) for mask in masks]


def test_medians_are_those_of_numpy_and_of_nobody_nan() -> None:
    groups = [Group(INFUSED), Group(("name", "a"), dose=2), Group(("name", "never"))]
    asked = Asked(numbers=tuple(("m", group) for group in groups))
    middle, low, high, n = (np.asarray(x) for x in published.medians(RECORD, jnp.asarray(DOSE), FOLLOWED, asked))
    for k, mask in enumerate((FLAGS["infused"], FLAGS["a"] & (DOSE == 2))):
        assert middle[k] == np.float32(np.median(VALUE[mask]))
        assert (low[k], high[k], n[k]) == (VALUE[mask].min(), VALUE[mask].max(), mask.sum())
    assert np.isnan([middle[2], low[2], high[2]]).all()
    assert n[2] == 0
