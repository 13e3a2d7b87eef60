"""The section [solve] of a scenario: what number is looked for, and what it must reach."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from vtrial.scenario.values import STRICT

MOST_VALUES = 2_000
_PROBABILITIES = re.compile(r"\.(reject|rate|worthwhile|coverage|error|ne|nr|s\d+)(\.|$)|^(stop|success)(\.|$)")

Number = Annotated[float, Field(allow_inf_nan=False)]


class LimitSection(BaseModel):
    """A metric that must not exceed a limit, such as a type I error: in the world `truth` (default: the same)."""

    model_config = STRICT

    metric: str
    at_most: Number
    truth: Any = None


class SolveSection(BaseModel):
    """The smallest value of a key with which a metric reaches its target.

    key: as in a sweep, such as "cohort.infused" or "look.interim.rule.count.at_most". from, to, by: the values tried,
    ascending; or values: a list of any. metric: as in characteristics.csv. at_least or at_most: its target. limit: what
    must hold besides.
    """

    model_config = STRICT

    key: str
    first: int | Number | None = Field(default=None, alias="from")
    last: int | Number | None = Field(default=None, alias="to")
    by: int | Number = 1
    values: Annotated[list[Any], Field(min_length=1)] | None = None
    metric: str
    at_least: Number | None = None
    at_most: Number | None = None
    limit: LimitSection | None = None

    @model_validator(mode="after")
    def _check(self) -> "SolveSection":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give at_least or at_most, the target of the metric")
        self.check_target(self.metric, "at_least" if self.at_most is None else "at_most", self.at_least or self.at_most)
        if self.limit is not None:
            self.check_target(self.limit.metric, "limit.at_most", self.limit.at_most)
        ranged = self.first is not None and self.last is not None
        if ranged == (self.values is not None) or (self.first is None) != (self.last is None):
            raise ValueError("give from and to, or values")
        if self.first is not None and self.last is not None:
            if self.by <= 0 or self.last < self.first:
                raise ValueError(f"from {self.first:g} to {self.last:g} by {self.by:g} holds no value")
            if (self.last - self.first) / self.by >= MOST_VALUES:
                raise ValueError(f"from {self.first:g} to {self.last:g} by {self.by:g}: at most {MOST_VALUES} values")
        return self

    @staticmethod
    def check_target(metric: str, key: str, target: float | None) -> None:
        """Refuse a target beyond 0 to 1 of a probability or a share. Raises `ValueError`."""
        if target is not None and not 0 <= target <= 1 and _PROBABILITIES.search(metric):
            percent = f"; {target:g}% is {target / 100:g}" if 1 < target <= 100 else ""
            raise ValueError(f"{key} = {target:g}: {metric} is a probability or a share, from 0 to 1{percent}")

    @property
    def tried(self) -> list[Any]:
        """The values, in order."""
        if self.values is not None:
            return self.values
        assert self.first is not None
        assert self.last is not None
        steps = int((self.last - self.first) / self.by + 1e-9)
        found = [self.first + k * self.by for k in range(steps + 1)]
        return [round(value, 10) if isinstance(value, float) else value for value in found]
