"""The worlds of a design: a posterior's draws, or a truth that is stated of the patients that it plans."""

import numpy as np
from scipy.special import logit

from vtrial.evidence import Evidence
from vtrial.model.dose_response import Step
from vtrial.model.posterior import Posterior
from vtrial.model.world import World
from vtrial.protocol import calendar, truth
from vtrial.protocol.arms import allocation_cutoffs, doses_of, size_of_cohort
from vtrial.protocol.covariates import asked_of, mix_of, mixed
from vtrial.protocol.planned import Planned, dose_mix, fitted_infused, in_the_enrolled
from vtrial.scenario import Design


def worlds_of(design: Design, evidence: Evidence, posterior: Posterior, where: str) -> World:
    """The worlds in which a design's trials live, in the order of the draws. Raises `InputError` as `prepare`."""
    stated = design.world.truth
    if stated == "posterior":
        worlds = World(
            posterior.intercept.copy(), posterior.slope.copy(), posterior.survival, posterior.flags, posterior.measures
        )
    elif stated == "posterior-mean":
        worlds = truth.posterior_mean(posterior)
    else:
        worlds = truth.fixed(stated, posterior, evidence, where, planned_of(design, evidence, posterior, where))
    if design.cohort.attrition != "fitted":
        with np.errstate(divide="ignore"):
            worlds.intercept[:, Step.INFUSED] = logit(1.0 - design.cohort.attrition)
    return worlds


def planned_of(design: Design, evidence: Evidence, posterior: Posterior, where: str) -> Planned:
    """The infused patients that a design plans. Raises `InputError` as `prepare`."""
    (doses, shares), mix = doses_of(design, evidence, where), mix_of(design, evidence, where)
    (target, size), allocation = size_of_cohort(design, evidence, shares), design.arm[0].allocation
    mean = truth.posterior_mean(posterior)
    infused = fitted_infused(mean.intercept[0])
    if design.cohort.attrition != "fitted":
        infused = 1.0 - design.cohort.attrition
    if allocation == "fixed" and target == "enrolled":
        infused = sum(shares) / size
    described = evidence.flags.needed(mix).first(mix)
    return Planned(
        evidence=evidence,
        doses=doses,
        share=dose_mix(allocation, shares, allocation_cutoffs(allocation, shares, size)),
        infused=infused,
        enrolled=in_the_enrolled(design.test),
        mixed=mixed(asked_of(mean, evidence, described), design, evidence, mix) if mix else None,
        visits=calendar.visits_of(design, evidence, where) if "survival" in evidence.systems else None,
    )
