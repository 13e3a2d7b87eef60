"""One metric, as data."""

from dataclasses import dataclass
from typing import Literal

# What a figure counts. "probability": of trials or worlds; "rate": of patients. "difference": of two rates.
Unit = Literal["probability", "rate", "difference", "patients", "months"]

IN_PLACE = {  # what stands beside a mean over trials some of which cannot estimate it
    "ne": "share of trials in which it is not estimable",
    "true": "true value, mean over worlds",
    "bound.low": "mean over trials if it were 0 wherever it is not estimable",
}


@dataclass(frozen=True)
class Metric:
    """A figure of the table of characteristics.

    name: as in files, `answer`, `[solve]` and `Result.value`. heading, label: for readers. unit: what it counts.
    compared: whether it is a mean of one value a trial, whose differences between cells are paired by trial.
    """

    name: str
    heading: str
    label: str
    unit: Unit
    compared: bool = False

    @property
    def proportion(self) -> bool:
        """Whether it lies between 0 and 1."""
        return self.unit in ("probability", "rate")
