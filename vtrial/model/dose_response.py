"""Dose -> probability: one formula for the fit (PyTensor), the simulation (JAX) and the exact answers (NumPy).

A patient's outcomes are a ladder of conditional yes-or-no steps (infused? response? CR given response? ...),
each with a probability that is logistic in log2 dose. `Step` names the steps; from their probabilities
follow those of best response and worst grade.

Where a function of an array library is needed, the caller says which (`xp`: ``numpy``, ``jax.numpy`` or
``pytensor.tensor``); everything else is arithmetic that all three understand.
"""

import math
from enum import IntEnum
from typing import Any, Literal

System = Literal["disposition", "response", "mrd", "crs", "neurotoxicity", "survival"]


class Step(IntEnum):
    """One conditional probability; its number is its place in every array of steps, so append only."""

    INFUSED = 0  # given enrolled
    RESPONSE = 1  # PR or better, given infused
    CR = 2  # CR or better, given PR or better
    VGPR = 3  # VGPR, given PR or VGPR
    MRD_EVALUABLE = 4  # given CR
    MRD_NEGATIVE = 5  # given CR and evaluable
    CRS = 6  # any grade, given infused
    CRS3 = 7  # grade >= 3, given any
    CRS4 = 8  # grade >= 4, given >= 3
    CRS5 = 9  # grade 5, given >= 4
    NEUROTOXICITY = 10
    NEUROTOXICITY3 = 11
    NEUROTOXICITY4 = 12
    NEUROTOXICITY5 = 13


STEPS_OF: dict[System, tuple[Step, ...]] = {
    "disposition": (Step.INFUSED,),
    "response": (Step.RESPONSE, Step.CR, Step.VGPR),
    "mrd": (Step.MRD_EVALUABLE, Step.MRD_NEGATIVE),
    "crs": (Step.CRS, Step.CRS3, Step.CRS4, Step.CRS5),
    "neurotoxicity": (
        Step.NEUROTOXICITY,
        Step.NEUROTOXICITY3,
        Step.NEUROTOXICITY4,
        Step.NEUROTOXICITY5,
    ),
    "survival": (),
}


# Steps published by dose: these have a slope.
DOSED = (Step.RESPONSE, Step.CR, Step.CRS, Step.CRS3, Step.NEUROTOXICITY, Step.NEUROTOXICITY3)


def log2_dose(dose: float, reference: float) -> float:
    """Dose on the scale of the models: doublings above the reference dose. Both in the same unit, > 0."""
    return math.log2(dose / reference)


def logit_at(intercept: Any, slope: Any, x: Any) -> Any:
    """Logit of a step's probability at `x` doublings above the reference dose: linear in log dose."""
    return intercept + slope * x


def probability(logit: Any, xp: Any) -> Any:
    """The inverse logit, elementwise."""
    return 1.0 / (1.0 + xp.exp(-logit))


def at_least(steps: dict[Step, Any], system: Literal["response", "crs", "neurotoxicity"]) -> tuple[Any, ...]:
    """Unconditional probabilities of reaching each level of an ordered outcome, from its steps' probabilities.

    response: P(PR or better), P(VGPR or better), P(CR or better); VGPR splits those short of CR.
    crs, neurotoxicity: P(grade >= 1), P(>= 3), P(>= 4), P(5).
    """
    if system == "response":
        response = steps[Step.RESPONSE]
        cr = response * steps[Step.CR]
        return response, cr + (response - cr) * steps[Step.VGPR], cr
    reached: list[Any] = []
    for step in STEPS_OF[system]:
        reached.append(reached[-1] * steps[step] if reached else steps[step])
    return tuple(reached)
