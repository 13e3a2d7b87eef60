"""Group-sequential bounds of a normal statistic: classical ones, and by spending alpha and beta."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from vtrial._support.arrays import Array
from vtrial._support.errors import InputError
from vtrial.boundaries.binomial import inside
from vtrial.boundaries.brownian import Walk, root
from vtrial.model.vocabulary import Classical, Spending

Kind = Literal[Spending, Classical]


@dataclass(frozen=True)
class Crossing:
    """efficacy, futility: (looks,) probability of crossing first, and so, at each look, at one drift; they sum to 1
    where the last look's bounds meet. expected_information: the mean information fraction at the stop."""

    efficacy: Array
    futility: Array
    expected_information: float


@dataclass(frozen=True)
class Bounds:
    """information, efficacy, futility: (looks,) information fraction, and the z at or above which, or at or below
    which, it stops (futility -inf: never; at the last look it meets efficacy). alpha_spent: (looks,) cumulative
    probability of crossing efficacy at drift 0, futility ignored unless binding; beta_spent: (looks,) that of crossing
    futility at `drift`, cumulative and including the end, where it is 1 - power; None without futility."""

    information: Array
    efficacy: Array
    futility: Array
    alpha_spent: Array
    beta_spent: Array | None = None
    drift: float | None = None
    power: float | None = None

    def crossing(self, drift: float) -> Crossing:
        """What happens where z at information t is normal with mean drift * sqrt(t) and variance 1."""
        walk = Walk(self.information, drift)
        up, down = np.zeros((2, self.information.size))
        for k, (high, low) in enumerate(zip(self.efficacy, self.futility, strict=True)):
            up[k], down[k] = walk.above(high), walk.below(low)
            walk.go_on(low, high)
        going_on = 1.0 - np.cumsum(up + down)[:-1]
        steps = np.diff(self.information, prepend=0.0)
        return Crossing(up, down, float(steps[0] + going_on @ steps[1:]))


def spent(information: ArrayLike, alpha: float, kind: Spending, gamma: float | None = None) -> Array:
    """The share of alpha spent by each information fraction, one-sided.

    "obrien-fleming": 2 - 2 Phi(z(1 - alpha/2) / sqrt(t)); "pocock": alpha log(1 + (e - 1) t) (Lan & DeMets 1983,
    doi 10.1093/biomet/70.3.659); "hwang-shih-decani": alpha (1 - exp(-gamma t)) / (1 - exp(-gamma)), with `gamma`
    (Hwang, Shih & De Cani 1990, doi 10.1002/sim.4780091207).

    Raises `InputError` for another kind, for alpha outside 0 to 1, information outside it, and a gamma that is absent
    or not wanted.
    """
    t = np.asarray(information, np.float64)
    inside("alpha", alpha)
    if kind not in get_args(Spending):
        raise InputError(f"kind of spending is {kind!r} (allowed: {', '.join(get_args(Spending))})")
    if not np.all((t >= 0) & (t <= 1)):
        raise InputError("information fractions are from 0 to 1")
    _check_gamma(kind, gamma)
    if kind == "obrien-fleming":
        return 2.0 * special.ndtr(special.ndtri(alpha / 2) / np.sqrt(np.maximum(t, 1e-300)))
    if kind == "pocock":
        return alpha * np.log1p((math.e - 1.0) * t)
    assert gamma is not None
    return alpha * (t if gamma == 0 else np.expm1(-gamma * t) / np.expm1(-gamma))


def spending_bounds(
    information: ArrayLike,
    alpha: float,
    kind: Kind,
    gamma: float | None = None,
    *,
    beta: float | None = None,
    beta_kind: Spending | None = None,
    beta_gamma: float | None = None,
    drift: float | None = None,
    binding: bool = False,
    efficacy_at: ArrayLike | None = None,
    futility_at: ArrayLike | None = None,
) -> Bounds:
    """One-sided efficacy bounds of z, and futility bounds where `beta` is to be spent, by numerical integration.

    information: (looks,) increasing fractions that end at 1. kind: a spending function (see `spent`), or the classical
    bounds whose z is constant ("pocock-classical", Pocock 1977, doi 10.1093/biomet/64.2.191) or falls with
    1 / sqrt(information) ("obrien-fleming-classical", O'Brien & Fleming 1979, doi 10.2307/2530245).

    beta, beta_kind, drift: futility bounds spend beta as `beta_kind` says, at the drift (the mean of z at full
    information). At a given drift the trial's size is given too, so beta is spent at the interim looks; at the last
    one everything below efficacy is futility, and the power that results is told: it is 1 - beta only at
    `drift_for_power`. binding: efficacy bounds count on the trial's stopping for futility; else they ignore it.

    efficacy_at, futility_at: (looks,) or (looks - 1,) whether each look can stop so (default: all). What a look that
    cannot would have spent is carried to the next that can; the last look always tests for efficacy.

    The recursion is Armitage, McPherson & Rowe's (1969, doi 10.2307/2343787; Jennison & Turnbull 1999, chapter 19).
    Raises `InputError` for information that does not increase to 1, numbers out of range, futility bounds that cross
    efficacy bounds, beta without drift or beta_kind, and binding futility with a classical kind.
    """
    t = _information(information)
    _check_alpha(alpha)
    _check_gamma(kind, gamma)
    _check_beta(kind, beta, beta_kind, drift, binding)
    tests, stops = (
        stopping_looks("efficacy_at", efficacy_at, t.size),
        stopping_looks("futility_at", futility_at, t.size),
    )
    efficacy, futility, planned = np.full(t.size, np.inf), np.full(t.size, -np.inf), None
    if kind == "obrien-fleming-classical" or kind == "pocock-classical":
        efficacy[tests] = _classical(t[tests], alpha, kind)
    else:
        planned = spent(t, alpha, kind, gamma)
    lost = None if beta is None or beta_kind is None else spent(t, beta, beta_kind, beta_gamma)
    under_null, under_drift = Walk(t, 0.0), Walk(t, drift or 0.0)
    used, missed, last = np.zeros(t.size + 1), np.zeros(t.size + 1), t.size - 1
    for k in range(t.size):
        if planned is not None and tests[k]:
            efficacy[k] = under_null.upper(planned[k] - used[k])
        used[k + 1] = used[k] + under_null.above(efficacy[k])
        if lost is not None:
            if k == last or stops[k]:
                futility[k] = efficacy[k] if k == last else under_drift.lower(lost[k] - missed[k])
            if k < last and futility[k] >= efficacy[k]:
                raise InputError(
                    f"futility crosses efficacy at look {k + 1} (z {futility[k]:.4f} and {efficacy[k]:.4f}); "
                    "spend less beta by then, or plan for a smaller drift"
                )
            missed[k + 1] = missed[k] + under_drift.below(futility[k])
            under_drift.go_on(futility[k], efficacy[k])
        under_null.go_on(futility[k] if binding else -np.inf, efficacy[k])
    if lost is None:
        futility[last] = efficacy[last]
        return Bounds(t, efficacy, futility, used[1:])
    return Bounds(t, efficacy, futility, used[1:], missed[1:], drift, 1.0 - float(missed[-1]))


def drift_for_power(
    information: ArrayLike,
    alpha: float,
    kind: Kind,
    gamma: float | None = None,
    *,
    power: float,
    beta_kind: Spending | None = None,
    beta_gamma: float | None = None,
    binding: bool = False,
) -> float:
    """The drift at which the design has this power; with `beta_kind`, futility bounds spend 1 - power and meet efficacy
    at the last look exactly when all of it is spent.

    The square of its ratio to z(1 - alpha) + z(power) is the inflation of a fixed design's size. Arguments and errors
    are those of `spending_bounds`.
    """
    inside("power", power)
    plain = spending_bounds(information, alpha, kind, gamma)

    def above(drift: float) -> float:
        if beta_kind is None:
            return float(plain.crossing(drift).efficacy.sum()) - power
        try:
            reached = spending_bounds(
                information,
                alpha,
                kind,
                gamma,
                beta=1.0 - power,
                beta_kind=beta_kind,
                beta_gamma=beta_gamma,
                drift=drift,
                binding=binding,
            ).power
        except InputError:  # bounds that cross: the drift is too large
            return 1.0 - power
        return (reached or 0.0) - power

    fixed = max(float(special.ndtri(power) - special.ndtri(alpha)), 1e-3)
    return root(above, 0.999 * fixed, 3.0 * fixed)


def _classical(information: Array, alpha: float, kind: Classical) -> Array:
    shape = 1.0 / np.sqrt(information) if kind == "obrien-fleming-classical" else np.ones(information.size)
    least, most = (-float(special.ndtri(share)) for share in (alpha, alpha / information.size))
    if information.size == 1:
        return np.array([least])

    def off(constant: float) -> float:
        walk, crossed = Walk(information, 0.0), 0.0
        for z in constant * shape:
            crossed += walk.above(z)
            walk.go_on(-np.inf, z)
        return crossed - alpha

    return shape * root(off, least, most)


def _information(information: ArrayLike) -> Array:
    t = np.atleast_1d(np.asarray(information, np.float64))
    if t.ndim != 1 or t.size == 0 or not np.all(np.isfinite(t)) or t[0] <= 0 or np.any(np.diff(t) <= 0):
        raise InputError(f"information is {t.tolist()}; fractions above 0 that increase from look to look")
    if abs(t[-1] - 1.0) > 1e-12:
        raise InputError(f"information ends at {t[-1]:g}; the last look's fraction is 1")
    return np.append(t[:-1], 1.0)


def stopping_looks(name: str, given: ArrayLike | None, looks: int) -> NDArray[np.bool_]:
    """(looks,) at which looks a design can stop for one reason; the last is always one. None: all. Raises `InputError`
    for another number of looks."""
    if given is None:
        return np.ones(looks, bool)
    at = np.asarray(given, bool)
    if at.shape not in ((looks,), (looks - 1,)):
        raise InputError(f"{name} has {at.size} entries; one for each of {looks} looks, or of those before the last")
    return np.append(at[: looks - 1], True)


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha is {alpha}; one-sided, a number between 0 and 0.5")


def _check_gamma(kind: str, gamma: float | None) -> None:
    if kind not in get_args(Kind):
        raise InputError(f"kind is {kind!r} (allowed: {', '.join(get_args(Kind))})")
    if (kind == "hwang-shih-decani") != (gamma is not None):
        needs = "needs a gamma, such as -4" if gamma is None else "takes no gamma"
        raise InputError(f"kind {kind!r} {needs}")
    if gamma is not None and not math.isfinite(gamma):
        raise InputError(f"gamma is {gamma}; a finite number")


def _check_beta(kind: str, beta: float | None, beta_kind: Spending | None, drift: float | None, binding: bool) -> None:
    if beta is None:
        if beta_kind is not None or drift is not None or binding:
            raise InputError("beta_kind, drift and binding are about futility: give beta, the type II error to spend")
        return
    inside("beta", beta)
    if beta_kind is None or drift is None:
        raise InputError("beta needs beta_kind, how it is spent, and drift, the mean of z at full information")
    if not (math.isfinite(drift) and drift > 0):
        raise InputError(f"drift is {drift}; a positive number")
    if binding and kind in get_args(Classical):
        raise InputError(f"kind {kind!r} has no binding futility; spend alpha, such as by 'obrien-fleming'")
