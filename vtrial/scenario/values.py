"""What values of a scenario's keys may be, whichever section they stand in."""

from typing import Annotated

from pydantic import ConfigDict, Field

MONTHS = 600.0  # the longest time that a scenario may state

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Inside = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Patients = Annotated[int, Field(ge=1)]

# Of a section that knows its keys: no others, no conversion, no change afterwards.
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
