"""What a study counted, laid out for the steps of the joint model. No PyMC here: reports ask too what was read."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vtrial.evidence import Evidence
from vtrial.model.dose_response import Step


@dataclass(frozen=True)
class Counts:
    """Counts and denominators of one step at each dose, two arrays (doses,); 0 of 0 says nothing."""

    count: np.ndarray
    n: np.ndarray


@dataclass(frozen=True)
class Both:
    """A count of those who took two steps, at the dose of an index, where how many took the first is held back.

    With that number integrated out, it is binomial with the product of both probabilities.
    """

    first: Step
    second: Step
    dose: int
    count: float
    n: float


@dataclass(frozen=True)
class Unknown:
    """How many had a response short of CR at the dose of an index, where a count that this follows from is held back.

    known: "cr", "orr" or "neither". n: of how many: those infused without CR, the responders, or all infused.
    """

    dose: int
    known: Literal["cr", "orr", "neither"]
    n: float


@dataclass(frozen=True)
class Split:
    """VGPR of all doses together, of those short of CR: `known` of some doses, and the `unknown` of the others."""

    count: float
    known: float
    unknown: tuple[Unknown, ...]


@dataclass(frozen=True)
class Inputs:
    """Every count that informs a step: by itself, or together with others where some are held back."""

    counts: dict[Step, Counts]
    both: tuple[Both, ...] = ()
    split: Split | None = None

    def __or__(self, other: "Inputs") -> "Inputs":
        return Inputs(self.counts | other.counts, self.both + other.both, self.split or other.split)


def pooled(evidence: Evidence, pair: tuple[float, float] | None) -> Counts:
    """A count published for all doses together, for a step without a slope: one cell holds it all."""
    cells = Counts(np.zeros(len(evidence.doses)), np.zeros(len(evidence.doses)))
    cells.count[0], cells.n[0] = pair or (0.0, 0.0)
    return cells


def of(evidence: Evidence, fact: str) -> tuple[float, float] | None:
    """A fact's count and denominator, None where they are held back."""
    fact = evidence.find(fact)
    return evidence.term(lambda: (evidence.number(fact, "count"), evidence.number(fact, "n")))


def nested(evidence: Evidence, steps: tuple[Step, Step], whole: str, part: str) -> Inputs:
    """The counts of two endpoints at each dose, of which one is part of the other, as those of two steps."""
    first, second = [], []
    both = []
    for k, dose in enumerate(evidence.doses):
        of_whole, of_part = evidence.at_dose(whole, dose), evidence.at_dose(part, dose)
        first.append(of(evidence, of_whole) or (0.0, 0.0))
        pair = evidence.term(lambda a=of_whole, b=of_part: (evidence.number(b, "count"), evidence.number(a, "count")))
        second.append(pair or (0.0, 0.0))
        if pair is None and (alone := of(evidence, of_part)):
            both.append(Both(*steps, k, *alone))
    counts = (Counts(*np.array(pairs, float).T) for pairs in (first, second))
    return Inputs(dict(zip(steps, counts, strict=True)), tuple(both))
