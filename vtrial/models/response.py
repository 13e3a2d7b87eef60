"""Best response by dose, and MRD negativity among complete responses.

A sequential (continuation-ratio) logit: P(PR or better | dose), then P(CR or better | response, dose), each
with its own intercept and slope on log2 dose; then P(VGPR | PR or VGPR), published for all doses together
and therefore without a slope. Among CR: P(MRD evaluable), then P(negative | evaluable).
"""

from vtrial.curves import Step
from vtrial.evidence import Evidence
from vtrial.models.ladder import Counts, by_dose, pooled


def counts(evidence: Evidence) -> dict[Step, Counts]:
    """The published counts that inform the steps of best response."""
    responders, infused = evidence.counts("orr")
    complete, _ = evidence.counts("cr")
    # The split is of all doses together, whatever dose is left out.
    short_of_cr = int(evidence.counts("orr", whole=True)[0].sum() - evidence.counts("cr", whole=True)[0].sum())
    return {
        Step.RESPONSE: by_dose(responders, infused),
        Step.CR: by_dose(complete, responders),
        Step.VGPR: pooled(evidence, evidence.count("vgpr.all")[0], short_of_cr),
    }


def mrd_counts(evidence: Evidence) -> dict[Step, Counts]:
    """The published counts that inform MRD evaluability and negativity among CR."""
    return {
        Step.MRD_EVALUABLE: pooled(evidence, *evidence.count("mrd.evaluable.all")),
        Step.MRD_NEGATIVE: pooled(evidence, *evidence.count("mrd.negative.all")),
    }
