"""priors.toml -> Priors: what is assumed, each entry with its reason."""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vtrial._support.errors import InputError
from vtrial._support.validation import every_problem, read_toml
from vtrial.model.descriptors import Family, Rounding
from vtrial.model.dose_response import Step
from vtrial.model.parameters import Rate
from vtrial.model.visits import visits_fit
from vtrial.model.vocabulary import LATENTS

Reason = Annotated[str, Field(min_length=10)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
StepName = Annotated[str, AfterValidator(lambda name: _known_step(name))]
RateName = Annotated[str, AfterValidator(lambda name: _known_rate(name))]
Probability = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Correlation = Annotated[float, Field(gt=-1, lt=1)]
FlagName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Dose(_Strict):
    """Reference dose of the log-dose scale, and the unit in which doses are written."""

    reference: Positive
    unit: str


class Normal(_Strict):
    """A normal prior, on the scale of its parameter."""

    mean: Finite
    sd: Positive
    reason: Reason


class NamedCorrelation(_Strict):
    """Correlation of two latent normals of one patient."""

    value: Correlation
    reason: Reason


class Assumed(_Strict):
    """A number that nobody published."""

    value: Probability
    reason: Reason


class Visits(_Strict):
    """How patients are assessed: scheduled months, the window about each, and what keeps assessments from counting.

    schedule: after its last month visits go on at its last interval (`until`). missed: P(a scheduled visit is missed).
    new_therapy: hazard a month of new therapy before progression.
    """

    schedule: Annotated[list[Positive], Field(min_length=1)]
    window: Positive
    reason: Reason
    missed: Assumed
    new_therapy: Assumed

    @model_validator(mode="after")
    def _check(self) -> "Visits":
        visits_fit(self.schedule, self.window)
        return self

    @property
    def interval(self) -> float:
        """Months between visits once the schedule is through: those between its last two (of one visit, its month)."""
        return self.schedule[-1] - (self.schedule[-2] if len(self.schedule) > 1 else 0.0)

    def until(self, reach: float) -> list[float]:
        """The months of all visits up to `reach` and of the one after it."""
        last = self.schedule[-1]
        further = max(0, math.floor((reach - last) / self.interval + 1e-9) + 1)
        months = [*self.schedule, *(last + self.interval * k for k in range(1, further + 1))]
        return months[: sum(month <= reach for month in months) + 1]


class Span(_Strict):
    """Shortest and longest, months."""

    low: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    reason: Reason

    @model_validator(mode="after")
    def _check(self) -> "Span":
        if self.low > self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        return self


class FlagEntry(_Strict):
    """One flag that is drawn among those who have what `given` asks, with its published count.

    count, of: what was counted, of how many (`vtrial.evidence.flags`); count is the fact of the flag's own name, of is
    that fact's n, where not given. pool: the pool its probability comes from. unconditional: the count is of everybody,
    whether or not they have `given`, which is then one flag.
    """

    name: FlagName
    given: str = "infused"
    count: str = ""
    of: str = ""
    pool: str = ""
    unconditional: bool = False


class FlagSection(_Strict):
    """The flags of one system.

    mean, sd: normal prior of each flag's logit. between: SD of a logit between the study's doses. derived: flags that
    follow from others.
    """

    mean: Finite
    sd: Positive
    between: Positive | None = None
    reason: Reason
    drawn: list[FlagEntry] = []
    derived: dict[FlagName, str] = {}


class Pool(_Strict):
    """Flags whose logits come from one normal distribution: priors of its mean, and of the log of its SD."""

    mean: Finite
    sd: Positive
    log_spread_mean: Finite
    log_spread_sd: Positive
    reason: Reason


class Measure(_Strict):
    """The distribution of a number among those who have what `given` asks.

    mean, sd: normal prior of its location, the log of the median above `above` ("lognormal") or the median ("normal").
    log_spread_mean, log_spread_sd: of the log of its SD on that scale. between: SD of the location between the doses.
    """

    given: str = "infused"
    family: Family = "lognormal"
    above: Finite = 0.0
    step: Positive = 1.0
    rounding: Rounding = "nearest"
    mean: Finite
    sd: Positive
    log_spread_mean: Finite
    log_spread_sd: Positive
    between: Positive | None = None
    reason: Reason


class Covariate(_Strict):
    """What a baseline flag may do, where a scenario shifts its share: priors of two effects.

    response: log odds ratio of a response. progression: log hazard ratio of progression, given the best response.
    """

    response_mean: Finite
    response_sd: NonNegative
    progression_mean: Finite
    progression_sd: NonNegative
    reason: Reason


class Effect(_Strict):
    """A normal prior without a fit."""

    mean: Finite
    sd: NonNegative


class Expansion(_Strict):
    """How far CAR T cells expand: priors that no number informs.

    dose: log ratio of the peak for a doubling of the dose. log_spread: log of the SD of its log within a dose. depth:
    log ratio from one depth of response to the next. progression: correlation with the latent time to progression.
    """

    dose: Effect
    log_spread: Effect
    depth: Effect
    progression: Effect
    reason: Reason

    @property
    def effects(self) -> tuple[Effect, ...]:
        """In the order in which the simulation takes them."""
        return self.dose, self.log_spread, self.depth, self.progression


class Population(_Strict):
    """Who is meant by a population of facts.csv. evaluated: only as many as the fact says could be evaluated."""

    has: str
    evaluated: bool = False


class Calendar(_Strict):
    """Calendar of a study: months from enrolment to infusion."""

    infusion_delay: Span


class Priors(_Strict):
    """Everything in priors.toml."""

    title: str
    citation: str
    doi: str
    dose: Dose
    intercept: dict[StepName, Normal]
    slope: Normal
    correlation: dict[str, NamedCorrelation]
    survival: dict[RateName, Normal] = {}
    visits: Visits | None = None
    calendar: Calendar | None = None
    flags: dict[str, FlagSection] = {}
    pool: dict[str, Pool] = {}
    measure: dict[FlagName, Measure] = {}
    population: dict[str, Population] = {}
    covariate: dict[FlagName, Covariate] = {}
    expansion: Expansion | None = None
    sum: dict[str, Annotated[list[str], Field(min_length=1)]] = {}


def read(path: Path) -> Priors:
    """The priors of a study. Raises `InputError` that names the file and each key that is wrong."""
    raw = read_toml(path, str(path))
    try:
        return Priors.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {'; '.join(every_problem(error, Priors, raw))}") from None


def _known_step(name: str) -> str:
    names = [step.name.lower() for step in Step]
    if name not in names:
        raise ValueError(f"there is no step '{name}' (allowed: {', '.join(names)})")
    return name


def _known_rate(name: str) -> str:
    names = [rate.name.lower() for rate in Rate]
    if name not in names:
        raise ValueError(f"there is no rate '{name}' (allowed: {', '.join(names)})")
    return name


def correlation_matrix(named: dict[str, float], where: str) -> np.ndarray:
    """The correlation matrix of `LATENTS` (float64, symmetric); a pair that is not named is 0.

    Raises `InputError` where the named values do not make a positive definite matrix.
    """
    matrix = np.eye(len(LATENTS))
    for name, value in named.items():
        i, j = (LATENTS.index(latent) for latent in name.split("~"))
        matrix[i, j] = matrix[j, i] = value
    if np.linalg.eigvalsh(matrix).min() < 1e-6:
        raise InputError(f"{where}: [correlation] these values together are no correlation matrix: {named}")
    return matrix
