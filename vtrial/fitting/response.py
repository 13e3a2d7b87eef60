"""Best response by dose, and MRD negativity among complete responses.

A sequential (continuation-ratio) logit: P(PR or better | dose), then P(CR or better | response, dose), each
with its own intercept and slope on log2 dose; then P(VGPR | PR or VGPR), published for all doses together
and therefore without a slope. Among CR: P(MRD evaluable), then P(negative | evaluable).
"""

from dataclasses import replace

from vtrial.evidence import Evidence
from vtrial.fitting.counts import Inputs, Split, Unknown, nested, of, pooled
from vtrial.model.dose_response import Step


def counts(evidence: Evidence) -> Inputs:
    """The published counts that inform the steps of best response."""
    of_dose = nested(evidence, (Step.RESPONSE, Step.CR), "orr", "cr")
    split = _split(evidence)
    if split is None or split.unknown:
        return replace(of_dose, counts=of_dose.counts | {Step.VGPR: pooled(evidence, None)}, split=split)
    return replace(of_dose, counts=of_dose.counts | {Step.VGPR: pooled(evidence, (split.count, split.known))})


def _split(evidence: Evidence) -> Split | None:
    """VGPR of all doses together, None where it is held back; what is unknown at a dose is to be integrated out."""
    if (vgpr := of(evidence, "vgpr.all")) is None:
        return None
    known, unknown = 0.0, []
    for k, dose in enumerate(evidence.doses):
        orr, cr = (of(evidence, evidence.at_dose(endpoint, dose)) for endpoint in ("orr", "cr"))
        infused = float(evidence.infused[k])
        if orr and cr:
            known += orr[0] - cr[0]
        elif cr:
            unknown.append(Unknown(k, "cr", infused - cr[0]))
        elif orr:
            unknown.append(Unknown(k, "orr", orr[0]))
        else:
            unknown.append(Unknown(k, "neither", infused))
    return Split(vgpr[0], known, tuple(unknown))


def mrd_counts(evidence: Evidence) -> Inputs:
    """The published counts that inform MRD evaluability and negativity among CR."""
    facts = {Step.MRD_EVALUABLE: "mrd.evaluable.all", Step.MRD_NEGATIVE: "mrd.negative.all"}
    return Inputs({step: pooled(evidence, of(evidence, fact)) for step, fact in facts.items()})
