"""Enrolled -> infused: one probability, since attrition is not published by dose."""

from vtrial.evidence import Evidence
from vtrial.fitting.counts import Inputs, of, pooled
from vtrial.model.dose_response import Step


def counts(evidence: Evidence) -> Inputs:
    """The published counts that inform P(infused | enrolled)."""
    return Inputs({Step.INFUSED: pooled(evidence, of(evidence, "infused.all"))})
