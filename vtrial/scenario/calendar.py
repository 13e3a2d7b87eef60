"""The section [calendar] of a scenario: when patients come, are infused, are seen, and when the data are cut."""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from vtrial.model.visits import visits_fit
from vtrial.scenario.values import MONTHS, STRICT

Accrual = Literal["poisson", "even"]
Censoring = Literal["missed_visits", "new_therapy"]
Cut = Literal["month", "months_after_last_infusion"]

DAY = 0.0328  # months: times are simulated in whole days
Months = Annotated[list[Annotated[float, Field(gt=0, le=MONTHS)]], Field(min_length=1, max_length=240)]


class CalendarSection(BaseModel):
    """When things happen, months. What is left out is the study's own.

    accrual_per_month: patients enrolled a month. accrual: "poisson" (exponential gaps) or "even" (equal gaps).
    infusion_delay_months: enrolment to infusion, or "fitted" (the range in priors.toml). data_cut: `{ month = ... }`
    since the first enrolment, or `{ months_after_last_infusion = ... }` (default 12).

    visits: months since infusion at which patients are scheduled to be seen; after the last they go on at the last
    interval, until the data cut. visit_window: how far a visit may lie from
    its month, either side. missed_visits: P(a visit is missed). new_therapy_per_month: hazard of another therapy
    before progression. censor: what an event is censored for (default both): two or more visits in a row missed
    just before it, a new therapy before it.
    """

    model_config = STRICT

    accrual_per_month: Annotated[float, Field(ge=0.01, le=10_000)] | None = None
    accrual: Accrual = "poisson"
    infusion_delay_months: Any = "fitted"
    data_cut: dict[Cut, Annotated[float, Field(ge=0)]] = {"months_after_last_infusion": 12.0}
    visits: Months | None = None
    visit_window: Annotated[float, Field(ge=0, le=12, allow_inf_nan=False)] | None = None
    missed_visits: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] | None = None
    new_therapy_per_month: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    censor: list[Censoring] = ["missed_visits", "new_therapy"]

    @field_validator("infusion_delay_months")
    @classmethod
    def _delay(cls, delay: Any) -> Any:
        return fitted_or(delay, "months from 0 to 60", lambda value: 0 <= value <= 60)

    @field_validator("data_cut")
    @classmethod
    def _cut(cls, cut: dict[str, float]) -> dict[str, float]:
        if len(cut) != 1 or not math.isfinite(next(iter(cut.values()))):
            raise ValueError("give one of month and months_after_last_infusion, a finite number")
        [(kind, months)] = cut.items()
        if kind == "month" and months == 0:
            raise ValueError("month = 0 is the first enrolment: nobody is infused yet; give a month above 0")
        if kind == "month" and months < DAY:
            raise ValueError(f"month = {months:g} is the day of the first enrolment: nobody is infused yet")
        if months > MONTHS:
            raise ValueError(f"{kind} = {months:g} is beyond {MONTHS:g} months")
        return cut

    @field_validator("visits")
    @classmethod
    def _visits(cls, visits: list[float] | None) -> list[float] | None:
        if visits is not None:
            visits_fit(visits, 0.0)
            for before, month in pairwise([0.0, *visits]):
                if month - before < DAY:
                    raise ValueError(f"visits {before:g} and {month:g} are less than a day apart ({DAY:.3f} months)")
        return visits

    @field_validator("censor")
    @classmethod
    def _censor(cls, censor: list[Censoring]) -> list[Censoring]:
        if len(set(censor)) < len(censor):
            raise ValueError(f"{censor} names one reason twice")
        return censor

    @model_validator(mode="after")
    def _window(self) -> "CalendarSection":
        if self.visits is not None and self.visit_window is not None:
            visits_fit(self.visits, self.visit_window)
        return self


def fitted_or(value: Any, allowed: str, inside: Any) -> Any:
    """The word "fitted", or a number that is `inside`. Raises `ValueError`."""
    if value == "fitted":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not inside(value):
        raise ValueError(f'{value!r} is not allowed ("fitted", or {allowed})')
    return float(value)
