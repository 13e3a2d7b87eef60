"""One-sample tests of a rate at several looks: the counts that stop for success or futility at each."""

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtrial._support.arrays import Counts
from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import ROUNDING, inside, looks_of
from vtrial.boundaries.multistage import Multistage, after, multistage
from vtrial.boundaries.spending import Bounds, Kind, spending_bounds, spent, stopping_looks
from vtrial.model.vocabulary import Alternative, SizedMethod, Spending


@dataclass(frozen=True)
class SequentialDesign:
    """looks, at_least, at_most: (looks,) patients, the smallest count that rejects (n + 1: none does), and the largest
    that stops for futility (-1: none does; at the last look whatever does not reject). bounds: of z; the counts come
    from them with method "normal", and from what they spend with "exact". alpha_spent: (looks,) exact P(reject by each
    look) at the null, futility ignored unless binding; alpha: its last, the size. power: at the alternative, and
    expected_n: at the null and the alternative, with futility; None without an alternative."""

    looks: Counts
    at_least: Counts
    at_most: Counts
    bounds: Bounds
    alpha_spent: NDArray[np.float64]
    alpha: float
    power: float | None
    expected_n: tuple[float, float | None]

    def characteristics(self, rates: ArrayLike) -> Multistage:
        """What the design does at each rate, exactly; see `multistage`."""
        return multistage(self.looks, rates, at_most=self.at_most, at_least=self.at_least)


def sequential_design(
    looks: ArrayLike,
    *,
    null: float,
    alternative: float | None = None,
    alpha: float,
    kind: Kind,
    gamma: float | None = None,
    method: SizedMethod = "normal",
    beta: float | None = None,
    beta_kind: Spending | None = None,
    beta_gamma: float | None = None,
    binding: bool = False,
    information: ArrayLike | None = None,
    efficacy_at: ArrayLike | None = None,
    futility_at: ArrayLike | None = None,
) -> SequentialDesign:
    """Crossing counts of a one-sided test of `rate <= null` at each of the looks.

    looks: (looks,) increasing numbers of patients. information: fractions at which spending is looked up (default:
    their share of the last). kind, gamma, beta, beta_kind, beta_gamma, binding, efficacy_at, futility_at: see
    `spending_bounds`; beta is spent at the interim looks, at `alternative`, a rate above the null.

    method "normal": z = (x - n p0) / sqrt(n p0 (1 - p0)) against its bounds, the drift being that of z at the
    alternative, with the null's variance; the exact size can be above alpha. "exact": the smallest counts of which the
    exact probability of having crossed by each look is at most the alpha planned by then, so that what one look leaves
    unspent is carried to the next (and, for futility, the largest counts, with the exact beta).

    Raises `InputError` for what `spending_bounds` refuses, for rates not in order, for counts that cross, and for a
    design in which every outcome that reaches the last look rejects there.
    """
    n = looks_of(looks)
    inside("null", null)
    if alternative is not None and not null < inside("alternative", alternative):
        raise InputError(f"null is {null} and alternative {alternative}; the alternative must be above the null")
    if method not in get_args(SizedMethod):
        raise InputError(f"method is {method!r} (allowed: {', '.join(get_args(SizedMethod))})")
    if beta is not None and alternative is None:
        raise InputError("beta is spent at an alternative; give its rate")
    t = n / n[-1] if information is None else np.asarray(information, np.float64)
    if t.shape != n.shape:
        raise InputError(f"information has {t.size} entries; one for each of {n.size} looks")
    tests, stops = (
        stopping_looks("efficacy_at", efficacy_at, n.size),
        stopping_looks("futility_at", futility_at, n.size),
    )
    if method == "exact":
        bounds = spending_bounds(t, alpha, kind, gamma, efficacy_at=tests)
        lost = _lost(t, beta, beta_kind, beta_gamma, binding)
        planned = np.append(bounds.alpha_spent[:-1], alpha)
        high, low = _exact(n, null, alternative, planned, lost, binding, tests, stops)
    else:
        drift = None
        if beta is not None and alternative is not None:
            drift = (alternative - null) * math.sqrt(n[-1] / (null * (1.0 - null)))
        futile = {"beta": beta, "beta_kind": beta_kind, "beta_gamma": beta_gamma, "drift": drift, "binding": binding}
        bounds = spending_bounds(t, alpha, kind, gamma, **futile, efficacy_at=tests, futility_at=stops)
        high, low = _normal(n, null, bounds)
    if np.any(crossed := low[:-1] >= high[:-1]):
        look = int(np.argmax(crossed))
        raise InputError(
            f"futility crosses efficacy at look {look + 1} (counts {low[look]} and {high[look]} of {n[look]}); "
            "spend less beta by then"
        )
    refuse_certain(int(high[-1]), int(low[:-1].max(initial=-1)) if binding else -1, int(n[-1]))
    rates = [null] if alternative is None else [null, alternative]
    runs = multistage(n, rates, at_most=low, at_least=high)
    ignoring = multistage(n, null, at_most=low if binding else None, at_least=high)
    spent_by = np.cumsum(ignoring.success[0])
    return SequentialDesign(
        looks=n,
        at_least=high,
        at_most=low,
        bounds=bounds,
        alpha_spent=spent_by,
        alpha=float(spent_by[-1]),
        power=None if alternative is None else float(runs.success[1].sum()),
        expected_n=(float(runs.expected_n[0]), None if alternative is None else float(runs.expected_n[1])),
    )


def refuse_certain(critical: int, stopped: int, n: int) -> None:
    """Refuse a last look at which every outcome that reaches it rejects; counts up to `stopped` have ended before."""
    if critical <= stopped + 1:
        left = "every outcome" if stopped < 0 else f"every outcome that goes on (more than {stopped})"
        raise InputError(
            f"the last look rejects from {max(critical, 0)} of {n} on, which {left} meets; spend less beta before it"
        )


def _lost(
    information: NDArray[np.float64],
    beta: float | None,
    beta_kind: Spending | None,
    beta_gamma: float | None,
    binding: bool,
) -> NDArray[np.float64] | None:
    if (beta is None) != (beta_kind is None) or (binding and beta is None):
        raise InputError("futility needs both beta, the type II error to spend, and beta_kind, how it is spent")
    return None if beta is None or beta_kind is None else spent(information, beta, beta_kind, beta_gamma)


def crossing_counts(n: ArrayLike, z: ArrayLike, null: float, alternative: Alternative, then: str) -> Counts:
    """The count at which (x - n p0) / sqrt(n p0 (1 - p0)) is at z or beyond it (then = "success"), or not beyond it
    ("futility"); of n = 0, and of an infinite z, none does: n + 1, or -1. n, z: broadcast."""
    size = np.asarray(n, np.int64)
    if alternative == "less":
        return size - crossing_counts(size, z, 1.0 - null, "greater", then)
    with np.errstate(invalid="ignore"):
        edge = size * null + np.asarray(z) * np.sqrt(size * null * (1.0 - null))
    known = np.isfinite(edge) & (size > 0)
    edge = np.where(known, edge, 0.0)
    if then == "success":
        return np.where(known, np.clip(np.ceil(edge * (1.0 - ROUNDING)), 0, size + 1), size + 1).astype(np.int64)
    return np.where(known, np.clip(np.floor(edge * (1.0 + ROUNDING)), -1, size), -1).astype(np.int64)


def _normal(n: Counts, null: float, bounds: Bounds) -> tuple[Counts, Counts]:
    high = crossing_counts(n, bounds.efficacy, null, "greater", "success")
    low = crossing_counts(n, bounds.futility, null, "greater", "futility")
    low[-1] = high[-1] - 1
    return high, low


def _exact(
    n: Counts,
    null: float,
    alternative: float | None,
    planned: NDArray[np.float64],
    lost: NDArray[np.float64] | None,
    binding: bool,
    tests: NDArray[np.bool_],
    stops: NDArray[np.bool_],
) -> tuple[Counts, Counts]:
    """Counts look by look: `alive[x, w]` is P(count = x, going on) at the null and, w = 1, the alternative.

    At the null the trial goes on below a futility count too, unless it is binding. tests, stops: the looks that can
    reject, and those that can stop for futility.
    """
    high, low = n + 1, np.full_like(n, -1)
    rates = np.array([null, null if alternative is None else alternative])
    alive, before, used, missed = np.ones((1, 2)), 0, 0.0, 0.0
    for k, size in enumerate(n.tolist()):
        alive = after(alive, size - before, rates)
        above = np.append(np.cumsum(alive[::-1, 0])[::-1], 0.0)  # P(going on, count >= x)
        within = used + above <= planned[k] * (1.0 + ROUNDING)
        reached = int(np.argmax(within)) if tests[k] else len(alive)
        high[k] = reached if reached < len(alive) else size + 1  # a count that cannot be does not fire
        used += above[reached]
        if lost is not None and stops[k] and k < n.size - 1:
            below = np.append(0.0, np.cumsum(alive[:, 1]))  # P(going on, count < x)
            stopped = np.count_nonzero(missed + below <= lost[k] * (1.0 + ROUNDING)) - 1
            low[k] = stopped - 1
            if low[k] >= high[k]:
                break
            missed += below[stopped]
            alive[:stopped, 0 if binding else 1 :] = 0.0
        alive, before = alive[:reached], size
    low[-1] = high[-1] - 1
    return high, low
