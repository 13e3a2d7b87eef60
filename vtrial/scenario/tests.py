"""The section [[test]] of a scenario: what is to be shown, and at which level."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from vtrial.model.endpoints import TIME_ENDPOINTS, TIME_METHODS, Endpoint, Scale, TimeEndpoint, TimeMethod
from vtrial.model.side import Side
from vtrial.model.vocabulary import Alternative, Classical, Method, Population, Spending
from vtrial.scenario.rules import beta
from vtrial.scenario.values import MONTHS, STRICT, Inside, Name, Positive


class TestSection(BaseModel):
    """A one-sided test of a rate, or of a time to an event.

    null: the rate to be excluded; for dor, pfs and os the median to be excluded, months. alpha: one-sided level
    (default 0.025, not for "posterior"). prior, probability: for "posterior", reject where P(rate beyond the
    null | data) >= probability. after: the test that must reject first. population: "infused" or "enrolled" (not
    infused counts as failure; rates alone).

    method of a rate: "exact" (default), "normal", "posterior", or "count": reject from `count` patients on ("less": up
    to it), as Simon's designs state it. Of a time: "log-rank", one-sample against an
    exponential curve whose median is null; or "median", reject where the lower limit of the Kaplan-Meier median
    (two-sided 1 - 2 alpha, log-log scale) is above null; one that is not reached is so where follow-up passes null, one
    that is not estimable never, and where nobody had the event by null the n then at risk must do: 2^-n <= alpha.
    spending: how alpha is spent over the looks that have this test's rule of kind "spending" for success. beta,
    assumed: the type II error at an assumed rate (or median), spent over the looks that have its rule for futility, and
    nowhere else. binding: the bounds for success count on the trial's stopping there. scale, for "log-rank": whether
    that curve is of progression as visits document it ("documented", the default), or as it happens ("latent").
    """

    __test__ = False
    model_config = STRICT

    name: Annotated[Name, AfterValidator(lambda name: _not_reserved(name))]
    endpoint: Literal[Endpoint, TimeEndpoint]
    null: Positive
    alternative: Alternative = "greater"
    method: Literal[Method, TimeMethod, "count"] = "exact"
    count: Annotated[int, Field(ge=0)] | None = None
    scale: Scale = "documented"
    alpha: Annotated[float, Field(gt=0, le=0.5)] | None = None
    prior: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    probability: Inside | None = None
    after: str = ""
    population: Population = "infused"
    spending: Literal[Spending, Classical] | None = None
    gamma: Annotated[float, Field(ge=-40, le=40)] | None = None
    beta: Inside | None = None
    beta_spending: Spending | None = None
    beta_gamma: Annotated[float, Field(ge=-40, le=40)] | None = None
    assumed: Positive | None = None
    binding: bool = False
    events: Annotated[int, Field(ge=1)] | None = None

    @property
    def side(self) -> Side:
        """The side on which it rejects."""
        return Side.of(self.alternative)

    @property
    def timed(self) -> bool:
        """Whether the endpoint is a time to an event."""
        return self.endpoint in TIME_ENDPOINTS

    @field_validator("null")
    @classmethod
    def _null(cls, null: float, given: ValidationInfo) -> float:
        most = MONTHS if given.data.get("endpoint", "pfs") in TIME_ENDPOINTS else 1
        if null >= most:
            raise PydanticKnownError("less_than", {"lt": most})
        return null

    @field_validator("prior")
    @classmethod
    def _prior(cls, prior: list[float] | None) -> list[float] | None:
        return prior if prior is None else beta(prior)

    @model_validator(mode="after")
    def _check(self) -> "TestSection":
        if (self.method in TIME_METHODS) != self.timed:
            methods = TIME_METHODS if self.timed else (*get_args(Method), "count")
            allowed = f'method of "{self.endpoint}" is one of {", ".join(methods)}'
            raise ValueError(f'{allowed}, not "{self.method}"' if "method" in self.model_fields_set else allowed)
        if self.timed and self.alternative != "greater":
            raise ValueError(
                f'alternative = "{self.alternative}" does not go with "{self.endpoint}": longer than null is shown'
            )
        if self.timed and self.population != "infused":
            raise ValueError(
                f'population = "{self.population}" does not go with "{self.endpoint}", timed from infusion'
            )
        if "scale" in self.model_fields_set and self.method != "log-rank":
            raise ValueError(f'scale goes with method = "log-rank", not "{self.method}"')
        if self.scale == "latent" and self.endpoint == "os":
            raise ValueError('scale = "latent" does not go with "os": the day of death is known')
        if (self.method == "count") != (self.count is not None):
            raise ValueError('count, the number of patients from which on it rejects, goes with method = "count"')
        if self.method == "count" and self.alpha is not None:
            raise ValueError('alpha does not go with method = "count": the count itself is the bound')
        if self.method == "posterior":
            if self.probability is None:
                raise ValueError('method = "posterior" needs probability, such as 0.975')
            if self.alpha is not None:
                raise ValueError('alpha does not go with method = "posterior"; give probability')
        elif self.prior is not None or self.probability is not None:
            raise ValueError(f'prior and probability go with method = "posterior", not "{self.method}"')
        if self.spending is None and (extra := [k for k in _OF_SPENDING if k in self.model_fields_set]):
            raise ValueError(f"{extra[0]} goes with spending")
        if self.spending is not None and self.method in ("posterior", "median", "count"):
            raise ValueError(f'spending goes with method = "exact", "normal" or "log-rank", not "{self.method}"')
        if self.spending is not None and self.population != "infused":
            raise ValueError('spending goes with population = "infused"')
        if self.beta is None and (extra := [k for k in _OF_BETA if getattr(self, k)]):
            raise ValueError(f"{extra[0]} is about futility: it goes with beta, the type II error to spend")
        if self.beta is not None and self.assumed is None:
            raise ValueError("beta needs assumed, the rate (or median) at which it is spent")
        if self.beta is not None and self.timed and self.events is None:
            raise ValueError("beta of a test of a time needs events, how many are expected at the end")
        if self.assumed is not None and self.timed and self.assumed <= self.null:
            raise ValueError(f"assumed = {self.assumed:g} is not a median beyond null = {self.null:g}")
        if self.assumed is not None and not self.timed:
            better = self.assumed > self.null if self.alternative == "greater" else self.assumed < self.null
            if not better or self.assumed >= 1:
                raise ValueError(f"assumed = {self.assumed:g} is not a rate beyond null = {self.null:g}")
        return self


_OF_BETA = ("binding", "beta_spending", "beta_gamma")
_OF_SPENDING = ("gamma", "beta", "beta_spending", "beta_gamma", "assumed", "binding", "events")


def _not_reserved(name: str) -> str:
    if name in ("all", "familywise", "stop", "n"):
        raise ValueError(f"'{name}' is the name of a metric of its own; give the test another")
    return name
