"""A stated truth -> a fixed world.

Every parameter stands at its posterior mean on the logit scale (`posterior-mean` is this world), then
intercepts (or progression-free medians) are shifted until what is stated holds exactly. A scalar rate holds in the
design's own patients, at the mix of all that it plans to infuse; with `at = "study"` in the study's; with `each_dose`
at every dose alike. A rate by dose holds at that dose, and two doses refit the slope.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import logit

from vtrial._support.errors import InputError
from vtrial.evidence import Evidence
from vtrial.model.dose_response import STEPS_OF, Step, log2_dose
from vtrial.model.endpoints import RATES, StatedRate
from vtrial.model.parameters import Rate as Number
from vtrial.model.posterior import Posterior
from vtrial.model.world import World
from vtrial.protocol.planned import Planned, fitted_infused

# Each rate that can be stated: its step, and the rate that it is a part of.
_STEP: dict[StatedRate, tuple[Step, StatedRate | None]] = {
    "orr": (Step.RESPONSE, None),
    "cr": (Step.CR, "orr"),
    "crs": (Step.CRS, None),
    "crs3": (Step.CRS3, "crs"),
    "neurotoxicity": (Step.NEUROTOXICITY, None),
    "neurotoxicity3": (Step.NEUROTOXICITY3, "neurotoxicity"),
}


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


def among(truth: Mapping[str, Any], posterior: Posterior, evidence: Evidence, planned: Planned | None) -> Planned:
    """The patients in whom a stated truth holds: those planned, or with `at = "study"` (or without any) the study's."""
    if planned is not None and truth.get("at", "design") == "design":
        return planned
    study = Planned.of_study(evidence, fitted_infused(posterior.intercept.mean(0)))
    return study if planned is None else replace(study, enrolled=planned.enrolled)


def of_the_enrolled(truth: Mapping[str, Any], rate: str, planned: Planned) -> bool:
    """Whether a stated rate is that of the enrolled: where the truth says so, or else where every test of it does."""
    population = truth.get("population")
    return rate in planned.enrolled if population is None else population == "enrolled"


def fixed(
    truth: Mapping[str, Any],
    posterior: Posterior,
    evidence: Evidence,
    where: str,
    planned: Planned | None = None,
) -> World:
    """The fixed world in which what `truth` states holds exactly, shape (1, steps), float64.

    planned: the design's patients, the study's own without.

    Raises `InputError` for a rate that the study does not model, a part above its whole, more than two doses that no
    straight line on the logit scale can hold, or a rate at each dose that none can.
    """
    patients, mean = among(truth, posterior, evidence, planned), posterior_mean(posterior)
    intercept, slope = mean.intercept[0].copy(), mean.slope[0].copy()
    survival = mean.survival
    for rate in RATES:
        if (stated := truth.get(rate)) is None:
            continue
        if np.isnan(intercept[_STEP[rate][0]]):
            lacking = next(system for system, steps in STEPS_OF.items() if _STEP[rate][0] in steps)
            raise InputError(
                f"{where}: truth.{rate} is stated, but study '{evidence.study}' {evidence.why_not(lacking)}"
            )
        part = patients.infused if of_the_enrolled(truth, rate, patients) else 1.0
        if isinstance(stated, Mapping):
            _hold_by_dose(intercept, slope, rate, stated, patients, where, part=part)
        elif truth.get("each_dose"):
            _hold_at_each_dose(intercept, slope, rate, stated, patients, where, part=part)
        else:
            _hold_in_mix(intercept, slope, rate, stated, patients, where, part=part)
    world = replace(mean, intercept=intercept[None], slope=slope[None], survival=survival)
    if "pfs_median" in truth:
        if survival is None:
            raise InputError(
                f"{where}: truth.pfs_median is stated, but study '{evidence.study}' {evidence.why_not('survival')}"
            )
        latent = truth.get("scale", "documented") == "latent"
        world = _hold_pfs(world, float(truth["pfs_median"]), patients, where, latent=latent)
    return world


def at_pfs_median(median: float, mean: World, planned: Planned, where: str, *, latent: bool) -> tuple[World, World]:
    """Two worlds in which median progression-free survival is `median` months at every dose, latent or documented.

    mean: the world that is moved, (1, steps). In the first nobody responds or dies before progression, whose latent
    time is exponential. The second has the shape of `mean` over the planned patients, whatever the dose.
    Raises `InputError` where there is no such world.
    """
    intercept, slope, rates = mean.intercept[0].copy(), mean.slope[0].copy(), mean.survival[0].copy()  # type: ignore[index]
    never = -50.0
    plain, bare = rates.copy(), np.where(np.isin(np.arange(len(Step)), (Step.RESPONSE, Step.CRS5)), never, intercept)
    plain[[Number.SHAPE, Number.DOSE]] = 0.0
    plain[[Number.DEATH_EARLY, Number.DEATH_MIDDLE, Number.DEATH_LATE]] = never
    flat = slope.copy()
    flat[Step.RESPONSE] = 0.0
    # Without its covariates: they would make the hazards of an exponential curve differ.
    alone = World(bare[None], flat[None], plain[None])
    exponential = _hold_pfs(alone, median, replace(planned, mixed=None), where, latent=latent)
    of_response: tuple[StatedRate, ...] = ("orr", "cr")
    for rate in of_response:
        held = planned.rate(rate, intercept, slope)  # with the slopes that are left
        slope[_STEP[rate][0]] = 0.0
        _hold_in_mix(intercept, slope, rate, held, planned, where)
    rates[Number.DOSE] = 0.0
    own = replace(mean, intercept=intercept[None], slope=slope[None], survival=rates[None])
    return exponential, _hold_pfs(own, median, planned, where, latent=latent)


def _hold_pfs(world: World, stated: float, patients: Planned, where: str, *, latent: bool) -> World:
    """The world with all progression-free medians multiplied by one factor, so that PFS of the patients has it."""
    at = np.array([stated])

    def moved(shift: float) -> World:
        rates = world.survival.copy()  # type: ignore[union-attr]
        rates[0, Number.NONE : Number.CR + 1] += shift
        return replace(world, survival=rates)

    def excess(shift: float) -> float:
        return float(patients.progression_free(moved(shift), at, latent=latent)[0]) - 0.5

    if excess(-8.0) > 0 or excess(8.0) < 0:
        raise InputError(f"{where}: truth.pfs_median = {stated:g} months cannot be reached")
    return moved(float(brentq(excess, -8.0, 8.0, xtol=1e-12)))  # type: ignore[arg-type]


def _hold_in_mix(
    intercept: np.ndarray, slope: np.ndarray, rate: StatedRate, stated: float, patients: Planned, where: str,
    *, part: float = 1.0,
) -> None:  # fmt: skip
    """Move a step's intercept until the rate among the patients is `stated`; of the enrolled, of whom a `part` is."""
    step, whole = _STEP[rate]
    wanted = stated / part
    most = patients.rate(whole, intercept, slope) if whole else 1.0
    if whole and wanted > most:
        raise InputError(
            f"{where}: truth.{rate} = {stated:g} is above {whole} = {part * most:g}, of which it is a part"
        )
    start = intercept.copy()

    def excess(logit_: float) -> float:
        start[step] = logit_
        return patients.rate(rate, start, slope) - wanted

    reach = 40.0 + np.abs(slope[step] * patients.log2_doses).max()
    if excess(-reach) > 0 or excess(reach) < 0:
        raise InputError(f"{where}: truth.{rate} = {stated:g} cannot be reached{_of_whom(part)}")
    intercept[step] = brentq(excess, -reach, reach, xtol=1e-13)


def _hold_at_each_dose(
    intercept: np.ndarray, slope: np.ndarray, rate: StatedRate, stated: float, patients: Planned, where: str,
    *, part: float = 1.0,
) -> None:  # fmt: skip
    """One rate at every dose: no slope."""
    step, whole = _STEP[rate]
    if len(patients.doses) > 1 and patients.mixed is not None:
        raise InputError(f"{where}: truth.{rate} at each dose does not go with a [cohort] mix that differs by dose")
    if len(patients.doses) > 1 and whole and slope[_STEP[whole][0]] != 0.0:
        raise InputError(
            f"{where}: truth.{rate} at each dose is a part of {whole}, which differs by dose; state {whole} as well"
        )
    slope[step] = 0.0
    _hold_in_mix(intercept, slope, rate, stated, patients, where, part=part)


def _hold_by_dose(
    intercept: np.ndarray, slope: np.ndarray, rate: StatedRate, stated: Mapping[str, float], patients: Planned,
    where: str, *, part: float = 1.0,
) -> None:  # fmt: skip
    """A rate at each of some doses: at one by the intercept, at two or more by the slope as well."""
    step, whole = _STEP[rate]
    x = np.array([log2_dose(float(dose), patients.evidence.priors.dose.reference) for dose in stated])
    target = np.empty(len(x))
    for k, (dose, value) in enumerate(stated.items()):
        there = patients.at((float(dose),), np.ones(1))
        most = there.rate(whole, intercept, slope) if whole else 1.0
        if value / part >= most:
            above = f"is not below {whole} = {part * most:g} there" if whole else f"cannot be reached{_of_whom(part)}"
            raise InputError(f"{where}: truth.{rate} = {value:g} at dose {dose} {above}")
        if there.mixed is None:
            target[k] = logit(value / part / most)
        else:
            own = intercept.copy()
            _hold_in_mix(own, slope, rate, value, there, where, part=part)
            target[k] = own[step] + slope[step] * x[k]
    if len(x) > 1:
        slope[step] = np.polyfit(x, target, 1)[0] if len(x) > 2 else (target[1] - target[0]) / (x[1] - x[0])
    intercept[step] = np.mean(target - slope[step] * x)
    if np.abs(intercept[step] + slope[step] * x - target).max() > 1e-9:
        raise InputError(
            f"{where}: truth.{rate} at {len(x)} doses does not lie on one curve (logistic in log dose); "
            "state at most two"
        )


def _of_whom(part: float) -> str:
    return "" if part == 1.0 else f" of the enrolled: {part:.1%} of them are infused"
