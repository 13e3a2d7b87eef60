"""All steps of a study as one joint model: a logistic curve a step, binomial counts by dose.

The steps are independent a posteriori; they stand in one vector because one compilation is then enough.
"""

from dataclasses import dataclass

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from vtrial.curves import DOSED, Step, logit_at
from vtrial.evidence import Evidence
from vtrial.models import flags, likelihoods


@dataclass(frozen=True)
class Counts:
    """Counts and denominators of one step at each dose, two arrays (doses,)."""

    count: np.ndarray
    n: np.ndarray


def by_dose(count: np.ndarray, n: np.ndarray) -> Counts:
    """Counts published at each dose."""
    return Counts(np.asarray(count, float), np.asarray(n, float))


def pooled(evidence: Evidence, count: int, n: int) -> Counts:
    """A count published for all doses together, for a step without a slope: one cell holds it all."""
    cells = Counts(np.zeros(len(evidence.doses)), np.zeros(len(evidence.doses)))
    cells.count[0], cells.n[0] = count, n
    return cells


def build(evidence: Evidence, counts: dict[Step, Counts], discount: float) -> pm.Model:
    """The joint model: `intercept` (step,) and `slope` (dosed step,), logits of `counts`; `described` of `flags`."""
    steps = sorted(counts)
    dosed = [step for step in steps if step in DOSED]
    prior = evidence.priors.intercept
    coords = {
        "step": [step.name.lower() for step in steps],
        "dosed_step": [step.name.lower() for step in dosed],
        "dose": [f"{dose:g}" for dose in evidence.doses],
        "described_parameter": list(flags.layout(evidence).names),
    }
    has_slope = np.array([[float(step == other) for other in dosed] for step in steps])
    with pm.Model(coords=coords) as model:
        x = pm.Data("log2_dose", evidence.log2_doses, dims="dose")
        weight = pm.Data("discount", float(discount))
        count = pm.Data("count", np.array([counts[step].count for step in steps]), dims=("step", "dose"))
        n = pm.Data("n", np.array([counts[step].n for step in steps]), dims=("step", "dose"))
        intercept = pm.Normal(
            "intercept",
            mu=pm.Data("intercept_mean", np.array([prior[step.name.lower()].mean for step in steps]), dims="step"),
            sigma=pm.Data("intercept_sd", np.array([prior[step.name.lower()].sd for step in steps]), dims="step"),
            dims="step",
        )
        slope = pm.Normal(
            "slope",
            mu=pm.Data("slope_mean", evidence.priors.slope.mean),
            sigma=pm.Data("slope_sd", evidence.priors.slope.sd),
            dims="dosed_step",
        )
        logit = logit_at(intercept[:, None], pm.math.dot(has_slope, slope)[:, None], pt.as_tensor(x)[None, :])
        pm.Potential("evidence", likelihoods.counts(count, n, logit, weight))
        flags.build(evidence, weight, discount)
    return model
