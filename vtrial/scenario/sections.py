"""The sections of a scenario file: every key, what is allowed, and the default where it is left out."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, field_validator, model_validator

from vtrial._support.validation import plain_number
from vtrial.model.endpoints import RATES, TIME_ENDPOINTS, Endpoint, Scale, TimeEndpoint
from vtrial.model.vocabulary import ALL_ARMS, Allocation, Population, correlation_names
from vtrial.scenario import consistent, names
from vtrial.scenario.calendar import CalendarSection, fitted_or
from vtrial.scenario.looks import LookSection, MultiplicitySection
from vtrial.scenario.rules import of_calendar
from vtrial.scenario.tests import TestSection
from vtrial.scenario.values import MONTHS, STRICT, Inside, Name, Patients, Probability

TIMES = ("pfs_median",)  # times, months, that can be stated as true beside `RATES`


class _Strict(BaseModel):
    model_config = STRICT


class Effect(_Strict):
    """A stated effect of a covariate, in place of its prior: log odds ratio of a response, log hazard ratio."""

    response: Annotated[float, Field(ge=-5, le=5)] = 0.0
    progression: Annotated[float, Field(ge=-5, le=5)] = 0.0


class WorldSection(_Strict):
    """Which truths the trials live in.

    study: whose posterior. truth: "posterior" (every draw), "posterior-mean", or a fixed world such as
    `{ orr = 0.5, cr = 0.1 }`: true rates of the design's own patients, all whom it plans to infuse, each cell of a
    sweep for itself. `at = "study"` beside them: of the study's infused mix, one world whatever the doses.
    `each_dose = true`: at every dose alike, without a slope, as the null of a test with looks wants it. A rate by dose:
    `orr = { "300" = 0.69 }`, of two doses the slope as well. `population = "enrolled"`: the rates stated are of the
    enrolled (default: those of which every test is). `{ pfs_median = 4 }`: months, in the same patients, as visits
    document progression; with `scale = "latent"` as it happens. between_trial_sd: how unlike the study the next trial
    may be, logit and log-hazard scale; a fixed world is then the median of the trials' worlds, not their mean.
    discount: weight of the study's evidence, 0 to 1. effect: effects of covariates that replace the priors of
    priors.toml, where [cohort] mix shifts a share, such as
    `{ "baseline.extramedullary" = { response = -0.5, progression = 0.3 } }` (log odds ratio, log hazard ratio).
    correlation: latent correlations that replace those of priors.toml. extrapolate: allow doses outside those
    studied.
    """

    study: str = "karmma"
    truth: Any = "posterior"
    between_trial_sd: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    discount: Probability = 1.0
    effect: dict[str, Effect] = {}
    correlation: dict[str, Annotated[float, Field(gt=-1, lt=1)]] = {}
    extrapolate: bool = False

    @field_validator("truth")
    @classmethod
    def _truth(cls, truth: Any) -> Any:
        allowed = f'"posterior", "posterior-mean", or a table of {", ".join((*RATES, *TIMES))}'
        options = {"scale": get_args(Scale), "at": ("design", "study"), "population": get_args(Population)}
        if truth in ("posterior", "posterior-mean"):
            return truth
        if not isinstance(truth, Mapping) or not truth:
            raise ValueError(f"{truth!r} is not a truth (allowed: {allowed})")
        if "scale" in truth and not set(TIMES) & set(truth):
            raise ValueError(f"scale goes with {', '.join(TIMES)}, which is not stated")
        scalar = [rate for rate in RATES if rate in truth and not isinstance(truth[rate], Mapping)]
        for option, values in options.items():
            if option in truth and truth[option] not in values:
                raise ValueError(f"{option} = {truth[option]!r} (allowed: {', '.join(values)})")
        if not isinstance(truth.get("each_dose", False), bool):
            raise ValueError(f"each_dose = {truth['each_dose']!r} (allowed: true, false)")
        if truth.get("each_dose") and not scalar:
            raise ValueError(f"each_dose goes with one rate for all doses, such as {RATES[0]} = 0.5; none is stated")
        if truth.get("each_dose") and "at" in truth:
            raise ValueError(
                "at says in whose mix of doses a rate holds, and each_dose holds it at every dose: give one"
            )
        if "at" in truth and not scalar and not set(TIMES) & set(truth):
            raise ValueError(f"at goes with a rate that is no table of doses, or {', '.join(TIMES)}; none is stated")
        if "population" in truth and not set(RATES) & set(truth):
            raise ValueError(f"population goes with a rate ({', '.join(RATES)}), and none is stated")
        for rate, stated in truth.items():
            if rate in (*options, "each_dose"):
                continue
            if rate in TIMES:
                if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 < stated <= MONTHS:
                    raise ValueError(f"{rate} = {stated!r} is not a number of months above 0 (at most {MONTHS:g})")
                continue
            if rate not in RATES:
                raise ValueError(f"there is no rate '{rate}' (allowed: {allowed})")
            by_dose = stated if isinstance(stated, Mapping) else {}
            if isinstance(stated, Mapping) and not by_dose:
                raise ValueError(f"{rate} = {{}} states no dose")
            if len({_dose(dose) for dose in by_dose}) < len(by_dose):
                raise ValueError(f"{rate} names one dose twice")
            for value in by_dose.values() if by_dose else [stated]:
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
                    raise ValueError(f"{rate} = {value!r} is not a rate between 0 and 1")
        return truth

    @field_validator("correlation")
    @classmethod
    def _correlation(cls, correlation: dict[str, float]) -> dict[str, float]:
        for name in correlation:
            if name not in correlation_names():
                raise ValueError(f"there is no pair '{name}' (allowed: {', '.join(correlation_names())})")
        return correlation


class ArmSection(_Strict):
    """A group of patients.

    doses: share of each dose at enrolment (default: the study's own infused mix). allocation: "random" (each patient
    draws a dose), "sequential" (shares filled in order of arrival), "fixed" (the shares are exact numbers infused).
    """

    name: Name = "arm"
    doses: dict[str, Annotated[float, Field(ge=0, le=1e9)]] | None = None
    allocation: Allocation = "random"

    @model_validator(mode="after")
    def _check(self) -> "ArmSection":
        if self.name == ALL_ARMS:
            raise ValueError(
                f"name = '{ALL_ARMS}' is what figures of the whole trial stand under; give it another name"
            )
        if self.doses is None:
            return self
        for dose in self.doses:
            _dose(dose)
        if len({float(dose) for dose in self.doses}) < len(self.doses):
            raise ValueError("doses names one dose twice")
        if not sum(self.doses.values()) > 0:
            raise ValueError("doses must have a share above 0")
        if self.allocation == "fixed" and any(share != int(share) for share in self.doses.values()):
            raise ValueError('with allocation = "fixed" the shares in doses are numbers of patients: whole numbers')
        return self


class CohortSection(_Strict):
    """How many patients.

    enrolled: number enrolled (default: as many as the study enrolled; with allocation "fixed" and neither key, as many
    as it takes). infused: enrol until that many are infused. attrition: P(enrolled, never infused), or "fitted". mix:
    shares of the infused with a characteristic, such as `{ "baseline.extramedullary" = 0.5 }`, in place of the study's.
    """

    enrolled: Patients | None = None
    infused: Patients | None = None
    attrition: Any = "fitted"
    mix: dict[str, Inside] = {}

    @field_validator("attrition")
    @classmethod
    def _attrition(cls, attrition: Any) -> Any:
        return fitted_or(attrition, "a probability from 0 to below 1", lambda value: 0 <= value < 1)

    @model_validator(mode="after")
    def _one_size(self) -> "CohortSection":
        if self.enrolled is not None and self.infused is not None:
            raise ValueError("enrolled and infused are both given; give one")
        return self


class SimulationSection(_Strict):
    """trials: how many (default 10000). seed: 0 to 2**32 - 1 (default 1). endpoints: what is estimated beside the
    tests' endpoints (default: all that the study models); times to an event are not even fitted where none is asked.
    flags: what else of the patients is simulated and counted, as priors.toml of the study names it: flags, or systems
    for all of theirs (such as "adverse_events"; default: nothing)."""

    trials: Annotated[int, Field(ge=1)] = 10_000
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    endpoints: list[Literal[Endpoint, TimeEndpoint]] | None = None
    flags: list[str] = []


class Design(_Strict):
    """A scenario without its sweep: everything that one cell of it says.

    success: the tests that must all be shown for the metric `success` (default: the first); a rule that stops for
    success is one too.
    """

    title: str = ""
    question: str = ""
    answer: list[str] = []
    success: list[str] = []
    world: WorldSection = WorldSection()
    arm: Annotated[list[ArmSection], Field(min_length=1, max_length=1)] = [ArmSection()]
    cohort: CohortSection = CohortSection()
    calendar: CalendarSection = CalendarSection()
    test: list[TestSection] = []
    multiplicity: MultiplicitySection | None = None
    look: list[LookSection] = []
    simulation: SimulationSection = SimulationSection()

    @model_validator(mode="after")
    def _check(self) -> "Design":
        tests = [test.name for test in self.test]
        for test in self.test:
            if tests.count(test.name) > 1:
                raise ValueError(f"two tests are named '{test.name}'")
            if test.after and test.after not in tests:
                raise ValueError(
                    f"[[test]] '{test.name}' comes after '{test.after}', which is no test ({', '.join(tests)})"
                )
        self.ordered_tests()
        consistent.check(self)
        names.check_names(self)
        arm, cohort = self.arm[0], self.cohort
        if self.simulation.endpoints == [] and not self.test:
            raise ValueError("[simulation] endpoints = [] and no [[test]]: nothing would be counted")
        if arm.allocation == "fixed" and arm.doses is None and (cohort.enrolled or cohort.infused):
            raise ValueError(
                f"[[arm]] '{arm.name}': allocation = \"fixed\" with enrolled or infused in [cohort] needs doses, "
                "the number infused at each"
            )
        if arm.allocation == "fixed" and arm.doses is not None:
            total = int(sum(arm.doses.values()))
            if cohort.enrolled is not None and cohort.enrolled < total:
                raise ValueError(
                    f'[cohort] enrolled = {cohort.enrolled} is fewer than the {total} that allocation = "fixed" infuses'
                )
            if cohort.infused is not None and cohort.infused != total:
                raise ValueError(
                    f'[cohort] infused = {cohort.infused} is not the {total} that allocation = "fixed" infuses'
                )
        return self

    @property
    def timed(self) -> bool:
        """Whether anything is asked, or stated, of times to an event, or looks have a place in the calendar.

        Looks at full follow-up lie outside the calendar; nothing is then asked of times unless it is named.
        """
        asked, truth = self.simulation.endpoints, self.world.truth
        stated = isinstance(truth, Mapping) and bool(set(TIMES) & set(truth))
        if self.in_calendar or stated:
            return True
        if asked is None and self.looks and not any(look.when.final for look in self.looks):
            asked = []
        return asked is None or bool(set(TIME_ENDPOINTS) & {*asked, *(test.endpoint for test in self.test)})

    @property
    def looks(self) -> list[LookSection]:
        """The looks, a list of numbers of patients spelled out."""
        return [one for look in self.look for one in look.each]

    @property
    def in_calendar(self) -> bool:
        """Whether looks have a place in the calendar, or ask at the end what only it can tell."""
        return any(look.when.timed or (look.when.final and any(map(of_calendar, look.rule))) for look in self.look)

    def ordered_tests(self) -> list[TestSection]:
        """The tests, each after the one that it waits for. Raises `ValueError` for a cycle."""
        waiting, ordered = list(self.test), []
        while waiting:
            done = {test.name for test in ordered}
            ready = [test for test in waiting if not test.after or test.after in done]
            if not ready:
                raise ValueError(f"tests wait for each other in a cycle: {', '.join(t.name for t in waiting)}")
            ordered += ready
            waiting = [test for test in waiting if test not in ready]
        return ordered


def _dose(text: str) -> float:
    try:
        dose = plain_number(text)
    except ValueError:
        dose = math.nan
    if not 0 < dose < math.inf:
        raise ValueError(f"dose '{text}' is not a positive number")
    return dose
