"""What the models read of a study, and what they do not: found out by letting them read, not from a list.

No PyMC here: a cached posterior is judged without it.
"""

from dataclasses import dataclass

from vtrial.evidence import Evidence
from vtrial.evidence.arithmetic import follows, limits_that_follow
from vtrial.evidence.counted import cells, reported
from vtrial.evidence.times import published
from vtrial.fitting import disposition, response, toxicity
from vtrial.fitting.counts import Inputs
from vtrial.scenario.as_run import as_run


@dataclass(frozen=True)
class Use:
    """What became of a study's facts in the fit.

    read: facts that were fitted. held_back: facts that were kept from the fit and do not follow from what was read.
    wanted: those of them that a model would have read. left_out: facts that were left out with one of these, and which.
    unread: facts labelled `fit` that nothing reads. derived: facts that follow by arithmetic from what was read,
    whatever their label. limits: ends of ranges that do, (fact, column).
    """

    read: frozenset[str]
    held_back: frozenset[str]
    wanted: frozenset[str]
    left_out: dict[str, str]
    unread: frozenset[str]
    derived: frozenset[str]
    limits: frozenset[tuple[str, str]]

    def kind(self, fact: str, label: str, number: str = "value") -> str:
        """What a fact, or a number of it, counts as: "fit", "check", "unread", "derived" or "context"."""
        if label in ("context", "derived"):
            return label
        if fact in self.read:
            return "fit"
        if fact in self.derived or (fact, number) in self.limits:
            return "derived"
        return "check" if fact in self.held_back else "unread"


def step_inputs(evidence: Evidence) -> Inputs:
    """The counts that inform the steps of every system that the evidence allows."""
    found = disposition.counts(evidence) | response.counts(evidence)
    if "mrd" in evidence.systems:
        found |= response.mrd_counts(evidence)
    for system in ("crs", "neurotoxicity"):
        if system in evidence.systems:
            found |= toxicity.counts(evidence, system)
    return found


def used(evidence: Evidence) -> Use:
    """What the models read of the facts, and what they do not."""
    seen = evidence.for_models()
    assert seen.ledger is not None
    step_inputs(seen)
    for reading in (cells, reported):
        list(reading(seen))
    if "survival" in seen.systems:
        published(seen)
        as_run(seen)  # trials are simulated as the study was run
    return use_of(evidence, frozenset(seen.ledger.read), frozenset(seen.ledger.wanted), seen.ledger.left_out)


def use_of(evidence: Evidence, read: frozenset[str], wanted: frozenset[str], left_out: dict[str, str]) -> Use:
    """The same of facts that are known to have been read."""
    label = evidence.facts["use"]
    derived = follows(evidence, read)
    held = {fact for fact in evidence.held_back if label[fact] != "derived"} - derived
    unread = {str(fact) for fact in label.index[label == "fit"]} - read - derived - held
    return Use(
        read=read,
        held_back=frozenset(held),
        wanted=wanted,
        left_out={fact: why for fact, why in left_out.items() if fact not in read},
        unread=frozenset(unread),
        derived=frozenset(derived),
        limits=frozenset(limits_that_follow(evidence, read)),
    )
