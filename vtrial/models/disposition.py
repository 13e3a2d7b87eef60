"""Enrolled -> infused: one probability, since attrition is not published by dose."""

from vtrial.curves import Step
from vtrial.evidence import Evidence
from vtrial.models.counts import Inputs, of, pooled


def counts(evidence: Evidence) -> Inputs:
    """The published counts that inform P(infused | enrolled)."""
    return Inputs({Step.INFUSED: pooled(evidence, of(evidence, "infused.all"))})
