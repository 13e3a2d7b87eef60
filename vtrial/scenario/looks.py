"""The sections [[look]] and [multiplicity] of a scenario: when the trial is looked at, and how tests share alpha."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.vocabulary import CLOSES, OUTCOMES, Then
from vtrial.scenario.rules import Rule, names_of
from vtrial.scenario.values import MONTHS, STRICT, Name, Patients, Probability

MOST_LOOKS = 1_000


class _Strict(BaseModel):
    model_config = STRICT


class When(_Strict):
    """When a look happens; one of these.

    infused: once so many infused patients (a list or `{ from, to, by }` is a look at each) have `follow_up_months`
    of follow-up; without `follow_up_months`, at their full follow-up, outside the calendar. events: at so many
    documented events, such as `{ pfs = 40 }`. calendar_month: since the first enrolment. any, all: the first,
    or the last, of several. final: at the final analysis.
    """

    infused: Any = None
    follow_up_months: Annotated[float, Field(ge=0, le=MONTHS, allow_inf_nan=False)] | None = None
    events: dict[TimeEndpoint, Patients] | None = None
    calendar_month: Annotated[float, Field(gt=0, le=MONTHS, allow_inf_nan=False)] | None = None
    any: "list[When] | None" = None
    all: "list[When] | None" = None
    final: Literal[True] | None = None

    @field_validator("infused")
    @classmethod
    def _infused(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            extra = set(given) - {"from", "to", "by"}
            if extra or "from" not in given or "to" not in given:
                raise ValueError(f"{dict(given)!r}: give from and to, and by (default 1)")
            numbers = [given["from"], given["to"], given.get("by", 1)]
            if not all(_whole(number) for number in numbers) or numbers[1] < numbers[0]:
                raise ValueError(f"{dict(given)!r}: whole numbers from 1, and to is not below from")
            if (looks := len(range(numbers[0], numbers[1] + 1, numbers[2]))) > MOST_LOOKS:
                raise ValueError(f"{dict(given)!r} is {looks:,} looks; at most {MOST_LOOKS:,}")
            given = list(range(numbers[0], numbers[1] + 1, numbers[2]))
        for number in given if isinstance(given, list) else [given]:
            if not _whole(number):
                raise ValueError(f"{number!r} is not a number of patients (a whole number from 1)")
        if isinstance(given, list) and len(given) > MOST_LOOKS:
            raise ValueError(f"a list of {len(given):,} looks; at most {MOST_LOOKS:,}")
        if isinstance(given, list) and (not given or sorted(set(given)) != given):
            raise ValueError(f"{given!r} is not a list of ascending numbers: looks out of order")
        return given

    @model_validator(mode="after")
    def _one(self) -> "When":
        kinds = [kind for kind in ("infused", "events", "calendar_month", "any", "all", "final") if getattr(self, kind)]
        if len(kinds) != 1:
            given = " and ".join(kinds) if kinds else "none"
            raise ValueError(f"give one of infused, events, calendar_month, any, all, final (given: {given})")
        if self.follow_up_months is not None and kinds != ["infused"]:
            raise ValueError("follow_up_months goes with infused")
        if self.events is not None and len(self.events) != 1:
            raise ValueError("events names one endpoint, such as { pfs = 40 }; several go into any or all")
        for kind in ("any", "all"):
            inner: list[When] = getattr(self, kind) or []
            if len(inner) == 1 or any(isinstance(when.infused, list) or when.final for when in inner):
                raise ValueError(f"{kind} is of two or more, each with one number of patients, and none final")
            if any(when.infused and when.follow_up_months is None for when in inner):
                raise ValueError(f"{kind}: infused needs follow_up_months there, to have a place in the calendar")
        return self

    @property
    def kind(self) -> str:
        """Which of the keys it is."""
        return next(k for k in ("infused", "events", "calendar_month", "any", "all", "final") if getattr(self, k))

    @property
    def timed(self) -> bool:
        """Whether it has a place in the calendar."""
        return not self.final and (self.kind != "infused" or self.follow_up_months is not None)


class LookSection(_Strict):
    """A look at the trial before its end, or rules at its end.

    analyse: "called", the patients whose follow-up called it (the first so many infused), or "all" who are evaluable
    then; looks at events or a month take all. order: which decision goes first where several rules fire.
    """

    name: Name
    when: When
    analyse: Literal["called", "all"] = "called"
    order: list[Then] = [then for then in OUTCOMES if then != CLOSES]
    rule: Annotated[list[Annotated[Rule, Field(discriminator="kind")]], Field(min_length=1)]

    @field_validator("order")
    @classmethod
    def _order(cls, order: list[Then]) -> list[Then]:
        if sorted({*order, CLOSES}) != sorted(OUTCOMES) or len(set(order)) < len(order):
            raise ValueError(f"{order} is not an order of {', '.join(OUTCOMES)}")
        return order

    @model_validator(mode="after")
    def _check(self) -> "LookSection":
        for k, rule in enumerate(self.rule):
            if rule.name is None and rule in self.rule[:k]:
                raise ValueError(f'two rules of kind "{rule.kind}" are the same; leave one of them out')
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(f"two rules are named '{name}'; give one of them another name")
        if self.analyse == "all" and self.when.kind == "infused" and self.when.follow_up_months is None:
            raise ValueError('analyse = "all" needs follow_up_months: who else is evaluable depends on the calendar')
        return self

    @property
    def precedence(self) -> list[Then]:
        """The order of all decisions; one to end enrolment comes after success where `order` does not name it."""
        if CLOSES in self.order:
            return self.order
        after = self.order.index("success") + 1
        return [*self.order[:after], CLOSES, *self.order[after:]]

    @property
    def names(self) -> list[str]:
        """The names of its rules, see `vtrial.scenario.rules.names_of`."""
        return names_of(self.rule)

    def rule_named(self, name: str) -> Rule:
        """The rule of a name."""
        return self.rule[self.names.index(name)]

    @property
    def each(self) -> "list[LookSection]":
        """The looks that it stands for: one, or one for each number of patients."""
        numbers = self.when.infused
        if not isinstance(numbers, list):
            return [self]
        return [
            self.model_copy(
                update={"name": f"{self.name}-{number}", "when": self.when.model_copy(update={"infused": number})}
            )
            for number in numbers
        ]


class MultiplicitySection(_Strict):
    """Several tests at one alpha by a graph (Bretz et al. 2009, doi 10.1002/sim.3495).

    alpha: one-sided, of all tests together. weights: share of alpha that each test begins with. transitions: where the
    share of a rejected test goes.
    """

    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.025
    weights: Annotated[dict[str, Probability], Field(min_length=1)]
    transitions: dict[str, dict[str, Probability]] = {}

    @model_validator(mode="after")
    def _check(self) -> "MultiplicitySection":
        if sum(self.weights.values()) > 1 + 1e-9:
            raise ValueError(f"weights sum to {sum(self.weights.values()):g}, above 1")
        if not sum(self.weights.values()) > 0:
            raise ValueError("weights are all 0: no test has any alpha, and none can ever reject")
        for test, onward in self.transitions.items():
            if sum(onward.values()) > 1 + 1e-9:
                raise ValueError(f"transitions.{test} sum to {sum(onward.values()):g}, above 1")
            if test in onward:
                raise ValueError(f"transitions.{test} leads back to itself")
        for name in (*self.transitions, *(name for onward in self.transitions.values() for name in onward)):
            if name not in self.weights:
                raise ValueError(f"transitions names '{name}', which has no weight ({', '.join(self.weights)})")
        return self


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1
