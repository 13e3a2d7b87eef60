"""Enrolled -> infused: one probability, since attrition is not published by dose."""

from vtrial.curves import Step
from vtrial.evidence import Evidence
from vtrial.models.ladder import Counts, pooled


def counts(evidence: Evidence) -> dict[Step, Counts]:
    """The published counts that inform P(infused | enrolled)."""
    return {Step.INFUSED: pooled(evidence, *evidence.count("infused.all"))}
