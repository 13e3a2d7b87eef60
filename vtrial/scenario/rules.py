"""The section [[look.rule]] of a scenario: what is counted at a look, and what it then decides."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, field_validator, model_validator

from vtrial._support.errors import nearest
from vtrial.model.endpoints import LOOK_ENDPOINTS, TIME_ENDPOINTS, TimeEndpoint, Watched, watched
from vtrial.model.vocabulary import CLOSES, Then
from vtrial.scenario.values import STRICT, Inside, Name, Patients, Positive, Probability

Count = Annotated[int, Field(ge=0)]

MOST = 1_000_000  # of a and b of a beta prior: beyond, beta-binomial probabilities lose their digits

# A beta distribution [a, b], or a mixture of them [[weight, a, b], ...].
Prior = list[Positive] | list[list[Positive]]


class _Strict(BaseModel):
    model_config = STRICT


class _Rule(_Strict):
    """What every rule has. name: for messages, metrics and sweeps (default: its kind; where several rules of a look
    have none, see `names_of`). then: what it decides; "stop-enrolment" ends enrolment and leaves the decision to the
    final analysis of those enrolled by then. tests: of a rule for success, the tests that must all have been rejected
    before the trial ends."""

    name: Name | None = None
    then: Then
    tests: list[str] = []

    @property
    def watches(self) -> Watched | None:
        """What is counted, where the rule says so itself."""
        endpoint = getattr(self, "endpoint", None)
        return None if endpoint is None or endpoint in TIME_ENDPOINTS else watched(endpoint)

    @model_validator(mode="after")
    def _tests(self) -> "_Rule":
        if self.tests and self.then != "success":
            raise ValueError(f'tests goes with then = "success", not "{self.then}"')
        return self


class _Counting(_Rule):
    @field_validator("endpoint", check_fields=False)
    @classmethod
    def _endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is not None:
            try:
                watched(endpoint)
            except ValueError as problem:
                name = endpoint.split("@")[0]
                hint = "" if name in LOOK_ENDPOINTS else nearest(name, LOOK_ENDPOINTS)
                raise ValueError(f"{problem}{hint}") from None
        return endpoint


class CountRule(_Counting):
    """At least, or at most, so many patients with the endpoint. test: the test that a success claims."""

    kind: Literal["count"]
    endpoint: str
    at_least: Count | None = None
    at_most: Count | None = None
    test: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "CountRule":
        return _just_one(self, "at_least", "at_most")


class PosteriorRule(_Counting):
    """P(rate above, or below, a value | data) is at least, or at most, a probability, under a prior."""

    kind: Literal["posterior"]
    endpoint: str
    prior: Prior = [1.0, 1.0]
    above: Inside | None = None
    below: Inside | None = None
    probability_at_least: Inside | None = None
    probability_at_most: Inside | None = None
    test: str | None = None

    @field_validator("prior")
    @classmethod
    def _prior(cls, prior: Any) -> Any:
        return beta(prior)

    @model_validator(mode="after")
    def _one(self) -> "PosteriorRule":
        _just_one(self, "above", "below")
        return _just_one(self, "probability_at_least", "probability_at_most")


class PredictiveRule(_Counting):
    """Predictive probability that the final `test` rejects (Lee & Liu 2008, doi 10.1177/1740774508089279).

    endpoint: what is counted at the look (default: that of the test). final: patients at the final analysis (default:
    as planned). forecast: of the final analysis as "planned", or of those "enrolled" by the look, those not yet
    evaluable included (Broglio et al. 2014, doi 10.1080/10543406.2014.888569); "enrolled" goes with, and is the default
    of, then = "stop-enrolment". then = "success" claims the test.
    """

    kind: Literal["predictive"]
    test: str
    endpoint: str | None = None
    prior: Prior = [1.0, 1.0]
    at_most: Probability | None = None
    at_least: Probability | None = None
    final: Patients | None = None
    forecast: Literal["planned", "enrolled"] | None = None

    @field_validator("prior")
    @classmethod
    def _prior(cls, prior: Any) -> Any:
        return beta(prior)

    @model_validator(mode="after")
    def _one(self) -> "PredictiveRule":
        _of_forecast(self)
        return _not_always(_just_one(self, "at_least", "at_most"))


class ConditionalRule(_Counting):
    """Conditional power of the final `test`: P(it rejects | data) where the rest have the endpoint at `rate`.

    rate: a number, or "observed". endpoint, final, forecast: as in `PredictiveRule`.
    """

    kind: Literal["conditional"]
    test: str
    endpoint: str | None = None
    rate: Any = "observed"
    at_most: Probability | None = None
    at_least: Probability | None = None
    final: Patients | None = None
    forecast: Literal["planned", "enrolled"] | None = None

    @field_validator("rate")
    @classmethod
    def _rate(cls, rate: Any) -> Any:
        if rate != "observed" and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1):
            raise ValueError(f'{rate!r} is not a rate between 0 and 1, or "observed"')
        return rate

    @model_validator(mode="after")
    def _one(self) -> "ConditionalRule":
        _of_forecast(self)
        return _not_always(_just_one(self, "at_least", "at_most"))


class SpendingRule(_Counting):
    """The group-sequential bound of a test at this look: then = "success" spends its alpha, "futility" its beta.

    endpoint: what is counted at the look (default: that of the test). information: share of the test's final
    information that the look has (default: its patients over those planned).
    """

    kind: Literal["spending"]
    test: str
    endpoint: str | None = None
    information: Inside | None = None

    @model_validator(mode="after")
    def _decides(self) -> "SpendingRule":
        if self.then not in ("success", "futility"):
            raise ValueError(f'kind = "spending" is for success or futility, not "{self.then}"')
        return self


class ToxicityRule(_Counting):
    """Too many patients with the endpoint: a Pocock-type bound over all looks with this rule.

    null: the acceptable rate. alpha: P(the rule ever fires) where the rate is null, at most.
    """

    kind: Literal["toxicity"]
    endpoint: str
    null: Inside
    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.05

    @model_validator(mode="after")
    def _decides(self) -> "ToxicityRule":
        if self.then == "success":
            raise ValueError('kind = "toxicity" fires where too many have it, which is no success; then = "harm"')
        return self


class MedianRule(_Rule):
    """The Kaplan-Meier median of a time is at least, or at most, so many months.

    A median that is not reached is at least so many where follow-up passes them; of nobody no rule fires.
    """

    kind: Literal["median"]
    endpoint: TimeEndpoint
    at_least: Positive | None = None
    at_most: Positive | None = None
    test: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "MedianRule":
        return _just_one(self, "at_least", "at_most")


Rule = CountRule | PosteriorRule | PredictiveRule | ConditionalRule | SpendingRule | ToxicityRule | MedianRule


def of_calendar(rule: Rule) -> bool:
    """Whether a rule asks what only a calendar of visits can tell: a time, or what is documented within a window."""
    asked = rule.watches
    return isinstance(rule, MedianRule) or (asked is not None and asked.window is not None and not asked.toxic)


def names_of(rules: Sequence[Rule]) -> list[str]:
    """The names of the rules of a look: a rule's own, or one made of what it does.

    A rule that alone of its kind has no name is named after its kind ("count"); several after what they decide too
    ("count-futility"), and where that is not enough after what they count or test ("count-harm-crs3"), and last by
    number.
    """
    return described_names([{**rule.model_dump(exclude_none=True)} for rule in rules])


def described_names(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """`names_of` rules as they are written in a file."""
    parts: list[list[str]] = []
    for rule in rules:
        about = re.sub(r"[^A-Za-z0-9_-]", "-", str(rule.get("endpoint") or rule.get("test") or "all"))
        parts.append([str(rule.get("kind")), str(rule.get("then")), about])
    found: list[str] = [str(rule.get("name") or "") for rule in rules]
    nameless = [k for k, name in enumerate(found) if not name]
    for k in nameless:
        for length in (1, 2, 3):
            alike = [other for other in nameless if parts[other][:length] == parts[k][:length]]
            if len(alike) == 1 or length == 3:
                number = [] if len(alike) == 1 else [str(alike.index(k) + 1)]
                found[k] = "-".join([*parts[k][:length], *number])
                break
    return found


def forecast_of(rule: "PredictiveRule | ConditionalRule") -> str:
    """Whose final analysis a rule forecasts: "planned" or "enrolled"."""
    return rule.forecast or ("enrolled" if rule.then == CLOSES else "planned")


def test_of(rule: Rule) -> str | None:
    """The test that a rule is about, where it is about one."""
    return getattr(rule, "test", None)


test_of.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's


def _just_one(rule: Any, one: str, other: str) -> Any:
    if (getattr(rule, one) is None) == (getattr(rule, other) is None):
        raise ValueError(f'kind = "{rule.kind}" needs {one} or {other}, one of them')
    return rule


def _of_forecast(rule: Any) -> None:
    if rule.forecast is not None and (rule.forecast == "enrolled") != (rule.then == CLOSES):
        goes = f'forecast = "enrolled" goes with then = "{CLOSES}"'
        raise ValueError(f'{goes}, not forecast = "{rule.forecast}" with then = "{rule.then}"')
    if rule.then == CLOSES and rule.final is not None:
        raise ValueError(
            f'final does not go with then = "{CLOSES}": the final analysis is of those enrolled by the look'
        )
    if rule.then == CLOSES and rule.at_least is None:
        raise ValueError(f'then = "{CLOSES}" needs at_least: enrolment ends where success is likely enough')


def _not_always(rule: Any) -> Any:
    """Refuse a limit of a probability that every probability meets; 1 from below and 0 from above are certainty."""
    if rule.at_least == 0.0 or rule.at_most == 1.0:
        limit = "at_least = 0" if rule.at_least is not None else "at_most = 1"
        raise ValueError(f'kind = "{rule.kind}": {limit} is met by every probability, so that it always fires')
    return rule


def beta(prior: Any) -> Any:
    """A beta distribution [a, b], or a mixture of them, as it was given. Raises `ValueError` for anything else."""
    mixture = cast(Sequence[Any], prior)
    if any(number > MOST for part in mixture for number in (part if isinstance(part, list) else [part])):
        raise ValueError(f"{prior!r}: a and b of a beta distribution are at most {MOST:,}: it is a point")
    if isinstance(mixture[0] if mixture else 0.0, list):
        if any(len(part) != 3 for part in mixture) or abs(sum(part[0] for part in mixture) - 1.0) > 1e-9:
            raise ValueError(f"{prior!r} is not a mixture of betas: [[weight, a, b], ...] whose weights sum to 1")
    elif len(mixture) != 2:
        raise ValueError(f"{prior!r} is not a beta distribution [a, b]")
    return prior
