"""Several tests that share one alpha by a graph: each test's own level, for every set of those already rejected."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtrial._support.arrays import Array
from vtrial._support.errors import InputError, nearest
from vtrial.boundaries.binomial import inside

_MOST = 6  # tests
_SLACK = 1e-9  # by which shares that are written in decimals may sum to more than 1


def graph_levels(
    weights: Mapping[str, float], transitions: Mapping[str, Mapping[str, float]], *, alpha: float
) -> tuple[tuple[str, ...], Array]:
    """The tests' names in order, and (2**tests, tests) the local alpha of each once a set of them has been rejected.

    Row s is the set of the tests whose bits are in s (1 << i for test i; row 0: none yet); a rejected test's own entry
    is 0. weights: each test's first share of alpha. transitions: once a test is rejected, the share of its alpha that
    goes to each other test (Bretz, Maurer, Brannath & Posch 2009, doi 10.1002/sim.3495). The order of rejections does
    not matter. In a group-sequential trial a test spends its local alpha by its own spending function at every look,
    and a rejection raises the others' from then on (Maurer & Bretz 2013, doi 10.1080/19466315.2013.807748).

    Raises `InputError` for weights or transitions below 0 or that sum to more than 1, a test that passes to itself,
    names that are no test, and more than 6 tests.
    """
    names, weight, share = _read(weights, transitions)
    inside("alpha", alpha)
    tests = len(names)
    levels = np.zeros((1 << tests, tests))
    shares = {0: (weight, share)}
    levels[0] = alpha * weight
    for rejected in range(1, 1 << tests):
        last = rejected.bit_length() - 1
        shares[rejected] = _without(last, *shares[rejected & ~(1 << last)])
        levels[rejected] = alpha * shares[rejected][0]
    return names, levels


def graph_rejections(p: ArrayLike, levels: Array) -> NDArray[np.bool_]:
    """(..., tests) which tests are rejected at p-values (..., tests): as long as some p is at most its local alpha,
    that test is rejected, and the others' local alphas are those of the larger set. levels: from `graph_levels`.

    Raises `InputError` for p-values of another number of tests.
    """
    values = np.asarray(p, np.float64)
    tests = levels.shape[1]
    if values.ndim == 0 or values.shape[-1] != tests:
        raise InputError(f"p-values are needed for {tests} tests; their shape is {values.shape}")
    bits = 1 << np.arange(tests)
    rejected = np.zeros(values.shape[:-1], np.int64)
    for _ in range(tests):
        rejected |= np.bitwise_or.reduce(
            np.where(values <= levels[rejected], bits, 0) * (levels[rejected] > 0), axis=-1
        )
    return (rejected[..., None] & bits) > 0


def _without(j: int, weight: Array, share: Array) -> tuple[Array, Array]:
    """The graph once test j has been rejected."""
    new = weight + weight[j] * share[j]
    through = share[:, [j]] * share[[j], :]  # from each test by j to each other
    back = np.diagonal(through)[:, None]
    ends = back > 1.0 - _SLACK  # both pass everything to each other
    kept = np.where(ends, 0.0, (share + through) / np.where(ends, 1.0, 1.0 - back))
    new[j], kept[j, :], kept[:, j] = 0.0, 0.0, 0.0
    np.fill_diagonal(kept, 0.0)
    return new, kept


def _read(
    weights: Mapping[str, float], transitions: Mapping[str, Mapping[str, float]]
) -> tuple[tuple[str, ...], Array, Array]:
    names = tuple(weights)
    if not 1 <= len(names) <= _MOST:
        raise InputError(f"a graph has 1 to {_MOST} tests; this one has {len(names)}")
    weight = np.array([_share(f"weight of '{name}'", weights[name]) for name in names])
    if weight.sum() > 1.0 + _SLACK:
        raise InputError(f"weights sum to {weight.sum():g}; they may sum to 1 at most")
    share = np.zeros((len(names), len(names)))
    for source, row in transitions.items():
        i = _index(source, names)
        for target, value in row.items():
            j = _index(target, names)
            share[i, j] = _share(f"transition from '{source}' to '{target}'", value)
            if i == j and value:
                raise InputError(f"'{source}' passes alpha to itself; it can pass it to other tests only")
        if share[i].sum() > 1.0 + _SLACK:
            raise InputError(f"transitions from '{source}' sum to {share[i].sum():g}; they may sum to 1 at most")
    return names, weight, share


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}; a share, 0 to 1")
    return float(value)


def _index(name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        raise InputError(
            f"transitions name '{name}', which is no test (tests: {', '.join(names)}){nearest(name, names)}"
        )
    return names.index(name)
