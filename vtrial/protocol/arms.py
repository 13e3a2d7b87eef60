"""The arm of a design: its doses and their shares, how many patients, and the room that they need."""

import math

import numpy as np
from scipy.special import expit

from vtrial._support.errors import InputError
from vtrial.evidence import Evidence, correlation_matrix
from vtrial.model.dose_response import Step
from vtrial.model.vocabulary import Target
from vtrial.model.world import World
from vtrial.scenario import Design


def doses_of(design: Design, evidence: Evidence, where: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The arm's doses and their shares (or counts). Raises `InputError` for a dose outside those studied."""
    arm = design.arm[0]
    if arm.doses is None:
        return evidence.doses, tuple(float(n) for n in evidence.infused)
    shares = {float(dose): share for dose, share in arm.doses.items()}
    shares = {dose: share for dose, share in shares.items() if share > 0}
    low, high, unit = min(evidence.doses), max(evidence.doses), evidence.priors.dose.unit
    for dose in shares:
        if not low <= dose <= high and not design.world.extrapolate:
            scaled = [dose / times for times in (1e3, 1e6, 1e9) if low <= dose / times <= high]
            remedy = (
                f"doses are in {unit}: did you mean '{scaled[0]:g}'?"
                if scaled
                else "set extrapolate = true in [world] to go there"
            )
            raise InputError(
                f"{where}: [[arm]] '{arm.name}' doses: {dose:g} lies outside the studied {low:g} to {high:g} ({unit}); "
                f"{remedy}"
            )
    return tuple(shares), tuple(shares.values())


def size_of_cohort(design: Design, evidence: Evidence, shares: tuple[float, ...]) -> tuple[Target, int]:
    """How many patients, and whether enrolled or infused."""
    cohort = design.cohort
    if cohort.infused is not None:
        return "infused", cohort.infused
    if cohort.enrolled is not None:
        return "enrolled", cohort.enrolled
    if design.arm[0].allocation == "fixed":
        return "infused", int(sum(shares))
    return "enrolled", evidence.enrolled


def capacity_for(infused: int, worlds: World, sd: float) -> int:
    """Patients to make room for so that `infused` of them are infused in (practically) every trial."""
    p = max(float(expit(worlds.intercept[:, Step.INFUSED].min() - 5.0 * sd)), 1e-12)
    if p == 1.0:
        return infused
    mean = infused / p
    return math.ceil(mean + 8.0 * math.sqrt(infused * (1.0 - p)) / p) + 10


def allocation_cutoffs(allocation: str, shares: tuple[float, ...], size: int) -> np.ndarray:
    """Cumulative shares ("random"), or cumulative counts by the largest remainder ("sequential", "fixed")."""
    share = np.array(shares) / sum(shares)
    if allocation == "random":
        return np.cumsum(share).astype(np.float32)
    total = int(sum(shares)) if allocation == "fixed" else size
    counts = np.floor(share * total + 1e-9).astype(np.int64)
    for k in np.argsort(-(share * total - counts), kind="stable")[: total - counts.sum()]:
        counts[k] += 1
    return np.cumsum(counts).astype(np.int32)


def correlations(design: Design, evidence: Evidence, where: str) -> np.ndarray:
    """The correlation matrix of the latent normals, (latents, latents). Raises `InputError` for one that none is."""
    named = {name: c.value for name, c in evidence.priors.correlation.items()} | design.world.correlation
    return correlation_matrix(named, f"{where}: [world]")
