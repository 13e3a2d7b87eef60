"""All steps of a study as one joint model: a logistic curve a step, binomial counts by dose.

The steps are independent a posteriori; they stand in one vector because one compilation is then enough.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from vtrial.evidence import Evidence
from vtrial.fitting import flags, likelihoods
from vtrial.fitting.counts import Both, Inputs, Split
from vtrial.model.dose_response import DOSED, Step, logit_at


def shape(inputs: Inputs) -> tuple[Any, ...]:
    """What a compiled model depends on of its inputs, beside which steps there are."""
    both = tuple((one.first, one.second, one.dose) for one in inputs.both)
    split = inputs.split and (inputs.split.count, tuple((one.dose, one.known) for one in inputs.split.unknown))
    return both, split


def build(evidence: Evidence, inputs: Inputs, discount: float) -> pm.Model:
    """The joint model: `intercept` (step,) and `slope` (dosed step,), logits of steps; `described` of `flags`."""
    counts = inputs.counts
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
        if inputs.both:
            pm.Potential("both", _both(inputs.both, steps, logit, weight))
        if inputs.split is not None:
            pm.Potential("split", _split(inputs.split, steps, logit, weight))
        flags.build(evidence, weight, discount)
    return model


def _both(both: tuple[Both, ...], steps: list[Step], logit: Any, weight: Any) -> Any:
    """Log likelihood of counts of two steps at once."""
    count = pm.Data("both_count", np.array([one.count for one in both]))
    n = pm.Data("both_n", np.array([one.n for one in both]))
    dose = np.array([one.dose for one in both])
    first, second = (
        np.array([steps.index(s) for s in some]) for some in ([b.first for b in both], [b.second for b in both])
    )
    return likelihoods.product(count, n, logit[first, dose], logit[second, dose], weight)


def _split(split: Split, steps: list[Step], logit: Any, weight: Any) -> Any:
    """Log likelihood of VGPR where, at some doses, how many were short of CR is not known."""
    known = pm.Data("split_known", split.known)
    n = pm.Data("split_n", np.array([one.n for one in split.unknown]))
    response, cr = ([logit[steps.index(step), one.dose] for one in split.unknown] for step in (Step.RESPONSE, Step.CR))
    short = [
        likelihoods.log_short_of_cr(a, b, one.known) for a, b, one in zip(response, cr, split.unknown, strict=True)
    ]
    vgpr = logit[steps.index(Step.VGPR), 0]
    return likelihoods.split(int(split.count), known, n, short, vgpr, weight)
