"""priors.toml -> Priors: what is assumed, each entry with its reason."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vtrial.curves import Step
from vtrial.errors import InputError
from vtrial.validation import first_problem, read_toml

Reason = Annotated[str, Field(min_length=10)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
StepName = Annotated[str, AfterValidator(lambda name: _known_step(name))]
Correlation = Annotated[float, Field(gt=-1, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Dose(_Strict):
    """Reference dose of the log-dose scale, and the unit in which doses are written."""

    reference: Positive
    unit: str


class Normal(_Strict):
    """A normal prior on the logit scale."""

    mean: Finite
    sd: Positive
    reason: Reason


class NamedCorrelation(_Strict):
    """Correlation of two latent normals of one patient."""

    value: Correlation
    reason: Reason


class Priors(_Strict):
    """Everything in priors.toml."""

    title: str
    citation: str
    doi: str
    dose: Dose
    intercept: dict[StepName, Normal]
    slope: Normal
    correlation: dict[str, NamedCorrelation]
    sum: dict[str, Annotated[list[str], Field(min_length=1)]] = {}


def read(path: Path) -> Priors:
    """The priors of a study. Raises `InputError` that names file and key."""
    raw = read_toml(path, str(path))
    try:
        return Priors.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, Priors, raw)}") from None


def _known_step(name: str) -> str:
    names = [step.name.lower() for step in Step]
    if name not in names:
        raise ValueError(f"there is no step '{name}' (allowed: {', '.join(names)})")
    return name
