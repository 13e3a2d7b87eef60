"""A stated truth -> a fixed world.

Every parameter stands at its posterior mean on the logit scale (`posterior-mean` is this world), then
intercepts (or progression-free medians) are shifted until what is stated holds exactly. A scalar rate
holds at the study's own infused mix of doses, whatever doses a scenario uses;
a rate by dose holds at that dose, and two doses refit the slope.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from vtrial.curves import Rate as Number
from vtrial.curves import Step, at_least, log2_dose
from vtrial.errors import InputError
from vtrial.evidence import Evidence
from vtrial.evidence.times import schedule_of
from vtrial.multistate import documented, progression_free
from vtrial.posterior import Posterior
from vtrial.world import World

Rate = Literal["orr", "cr", "crs", "crs3", "neurotoxicity", "neurotoxicity3"]

# Each rate that can be stated: its step, and the rate that it is a part of.
_STEP: dict[Rate, tuple[Step, Rate | None]] = {
    "orr": (Step.RESPONSE, None),
    "cr": (Step.CR, "orr"),
    "crs": (Step.CRS, None),
    "crs3": (Step.CRS3, "crs"),
    "neurotoxicity": (Step.NEUROTOXICITY, None),
    "neurotoxicity3": (Step.NEUROTOXICITY3, "neurotoxicity"),
}
RATES: tuple[Rate, ...] = tuple(_STEP)


def posterior_mean(posterior: Posterior) -> World:
    """The world at the posterior mean of every logit, shape (1, steps), float64."""
    survival = None if posterior.survival is None else posterior.survival.mean(0, keepdims=True)
    return World(
        posterior.intercept.mean(0, keepdims=True),
        posterior.slope.mean(0, keepdims=True),
        survival,
        None if posterior.flags is None else posterior.flags.mean(0, keepdims=True),
        None if posterior.measures is None else posterior.measures.mean(0, keepdims=True),
    )


def fixed(
    truth: Mapping[Rate, float | Mapping[str, float]], posterior: Posterior, evidence: Evidence, where: str
) -> World:
    """The fixed world in which what `truth` states holds exactly, shape (1, steps), float64.

    Raises `InputError` for a rate that the study does not model, a part above its whole, or more than two
    doses that no straight line on the logit scale can hold.
    """
    mean = posterior_mean(posterior)
    intercept, slope = mean.intercept[0].copy(), mean.slope[0].copy()
    survival = mean.survival
    for rate in sorted(set(truth) & set(RATES), key=RATES.index):
        step, _ = _STEP[rate]
        if np.isnan(intercept[step]):
            raise InputError(f"{where}: truth.{rate} is stated, but study '{evidence.study}' has no facts on it")
        stated = truth[rate]
        if isinstance(stated, Mapping):
            _hold_by_dose(intercept, slope, rate, stated, evidence, where)
        else:
            _hold_in_mix(intercept, slope, rate, stated, evidence, where)
    if "pfs_median" in truth:
        if survival is None:
            raise InputError(f"{where}: truth.pfs_median is stated, but study '{evidence.study}' has no facts on times")
        latent = truth.get("scale", "documented") == "latent"  # type: ignore[call-overload]
        rates = _hold_pfs(intercept, slope, survival[0], float(truth["pfs_median"]), evidence, where, latent=latent)  # type: ignore[index]
        survival = rates[None]
    return replace(mean, intercept=intercept[None], slope=slope[None], survival=survival)


def at_pfs_median(
    median: float, posterior: Posterior, evidence: Evidence, where: str, *, latent: bool
) -> tuple[World, World]:
    """Two worlds in which median progression-free survival is `median` months, latent or documented.

    In the first nobody responds or dies before progression, whose latent time is exponential. The second is the study's
    own, as `fixed` makes it. Raises `InputError` where there is no such world.
    """
    mean = posterior_mean(posterior)
    intercept, slope, rates = mean.intercept[0].copy(), mean.slope[0].copy(), mean.survival[0].copy()  # type: ignore[index]
    own = _hold_pfs(intercept, slope, rates, median, evidence, where, latent=latent)
    never = -50.0
    plain, flat = rates.copy(), slope.copy()
    plain[[Number.SHAPE, Number.DOSE]] = 0.0
    plain[[Number.DEATH_EARLY, Number.DEATH_MIDDLE, Number.DEATH_LATE]] = never
    bare = np.where(np.isin(np.arange(len(Step)), (Step.RESPONSE, Step.CRS5)), never, intercept)
    flat[Step.RESPONSE] = 0.0
    plain = _hold_pfs(bare, flat, plain, median, evidence, where, latent=latent)
    return World(bare[None], flat[None], plain[None]), World(intercept[None], slope[None], own[None])


def _hold_pfs(
    intercept: np.ndarray,
    slope: np.ndarray,
    rates: np.ndarray,
    stated: float,
    evidence: Evidence,
    where: str,
    *,
    latent: bool,
) -> np.ndarray:
    """Rates with all progression-free medians multiplied by one factor, so that PFS in the study's mix has it."""
    steps = World(intercept, slope).probabilities(evidence.log2_doses, np)
    reach = [np.ones(len(evidence.doses)), *at_least(steps, "response"), np.zeros(len(evidence.doses))]
    share = -np.diff(np.stack(reach), axis=0) * np.array(evidence.infused) / sum(evidence.infused)
    schedule, at = schedule_of(evidence, 1e9), np.array([stated])

    def excess(shift: float) -> float:
        moved = _moved(rates, shift)
        if latent:
            curve = progression_free(moved, evidence.log2_doses, schedule, at, np)
        else:
            curve = documented(moved, evidence.log2_doses, schedule, at, np)
        return float((share * curve[:, :, 0]).sum()) - 0.5

    if excess(-8.0) > 0 or excess(8.0) < 0:
        raise InputError(f"{where}: truth.pfs_median = {stated:g} months cannot be reached")
    return _moved(rates, float(brentq(excess, -8.0, 8.0, xtol=1e-12)))  # type: ignore[arg-type]


def _moved(rates: np.ndarray, shift: float) -> np.ndarray:
    moved = rates.copy()
    moved[Number.NONE : Number.CR + 1] += shift
    return moved


def _hold_in_mix(
    intercept: np.ndarray, slope: np.ndarray, rate: Rate, stated: float, evidence: Evidence, where: str
) -> None:
    step, whole = _STEP[rate]
    x, mix = evidence.log2_doses, np.array(evidence.infused) / sum(evidence.infused)
    above = expit(intercept[_STEP[whole][0]] + slope[_STEP[whole][0]] * x) if whole else np.ones_like(x)
    if whole and stated > float(mix @ above):
        raise InputError(
            f"{where}: truth.{rate} = {stated:g} is above {whole} = {float(mix @ above):g}, of which it is a part"
        )

    def excess(start: float) -> float:
        return float(mix @ (above * expit(start + slope[step] * x))) - stated

    reach = 40.0 + np.abs(slope[step] * x).max()
    if excess(-reach) > 0 or excess(reach) < 0:
        raise InputError(f"{where}: truth.{rate} = {stated:g} cannot be reached")
    intercept[step] = brentq(excess, -reach, reach, xtol=1e-13)


def _hold_by_dose(
    intercept: np.ndarray,
    slope: np.ndarray,
    rate: Rate,
    stated: Mapping[str, float],
    evidence: Evidence,
    where: str,
) -> None:
    step, whole = _STEP[rate]
    x = np.array([log2_dose(float(dose), evidence.priors.dose.reference) for dose in stated])
    p = np.array(list(stated.values()), float)
    if whole:
        above = expit(intercept[_STEP[whole][0]] + slope[_STEP[whole][0]] * x)
        for dose, part, most in zip(stated, p, above, strict=True):
            if part >= most:
                raise InputError(
                    f"{where}: truth.{rate} = {part:g} at dose {dose} is not below {whole} = {most:g} there"
                )
        p = p / above
    target = logit(p)
    if len(x) > 1:
        slope[step] = np.polyfit(x, target, 1)[0] if len(x) > 2 else (target[1] - target[0]) / (x[1] - x[0])
    intercept[step] = np.mean(target - slope[step] * x)
    if np.abs(intercept[step] + slope[step] * x - target).max() > 1e-9:
        raise InputError(
            f"{where}: truth.{rate} at {len(x)} doses does not lie on one curve (logistic in log dose); "
            "state at most two"
        )
