"""A slow, plain-Python twin of what looks decide: of one trial, given what each look has seen, rule by rule.

Written from the description of looks and rules, not from the code: tests hold the two against each other. It reads the
scenario's sections as they are written, and takes bounds as a function.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

DAYS = 30.4375
FOREVER = 2**20 - 1  # days of follow-up

# From the names of a look and of a rule (or "end" and a test), and the other tests rejected: whether it is shown.
Shows = Callable[[str, str, frozenset[str]], bool]


@dataclass
class Ending:
    """What became of a trial. end: name of the look that ended it, "end" where none did. outcome: what was decided."""

    end: str = "end"
    outcome: str = ""
    rejected: set[str] = field(default_factory=set)
    decided: dict[str, str] = field(default_factory=dict)  # by look, as far as the trial came


def settle(rejected: set[str], tests: list[Any], shown: Callable[[Any, frozenset[str]], bool]) -> None:
    """Reject tests one at a time, for as long as another one can be."""
    while True:
        more = [
            test.name
            for test in tests
            if test.name not in rejected
            and (not test.after or test.after in rejected)
            and shown(test, frozenset(rejected))
        ]
        if not more:
            return
        rejected.add(more[0])


def decide(design: Any, held: list[tuple[float, Any]], rule_shows: Shows, test_shows: Shows) -> Ending:
    """A trial whose interim looks (day, section) are those that come; looks at the end are taken from the design."""
    ending = Ending()
    tests = {test.name: test for test in design.test}

    def at(section: Any) -> str:
        fired: list[Any] = []
        names = dict(zip(map(id, section.rule), section.names, strict=True))
        showing = [rule for rule in section.rule if rule.then == "success" and getattr(rule, "test", None)]
        before = set(ending.rejected)

        def by_a_rule(test: Any, others: frozenset[str]) -> bool:
            return any(rule_shows(section.name, names[id(rule)], others) for rule in showing if rule.test == test.name)

        settle(ending.rejected, list(tests.values()), by_a_rule)
        for rule in section.rule:
            if rule in showing:
                others = frozenset(ending.rejected - {rule.test})
                after = tests[rule.test].after
                fires = rule_shows(section.name, names[id(rule)], others)
                fires = fires and (not after or after in ending.rejected)
            else:
                fires = rule_shows(section.name, names[id(rule)], frozenset())
            if fires:
                fired.append(rule)
        order = [*section.order]
        if "stop-enrolment" not in order:
            order.insert(order.index("success") + 1, "stop-enrolment")
        if any(rule.then == "harm" for rule in fired) and order.index("harm") < order.index("success"):
            ending.rejected = before  # harm voids what the look has claimed
        acting = [rule for rule in fired if all(name in ending.rejected for name in rule.tests)]
        return min((rule.then for rule in acting), key=order.index, default="")

    for _, section in sorted(held, key=lambda one: one[0]):  # sorting keeps the order in which they are written
        decided = at(section)
        ending.decided[section.name] = decided
        if decided not in ("", "consider"):
            ending.end, ending.outcome = section.name, decided
            if decided == "stop-enrolment":  # the final analysis is of those enrolled by then
                end = f"end at {section.name}"
                settle(ending.rejected, list(tests.values()), lambda test, others: test_shows(end, test.name, others))  # noqa: B023
            return ending
    settle(ending.rejected, list(tests.values()), lambda test, others: test_shows("end", test.name, others))
    for section in design.looks:
        if section.when.final and not ending.outcome:
            ending.outcome = at(section)
    return ending


# Looks that have a place in the calendar: who calls them, whom they judge


@dataclass
class Person:
    """One patient, days since the first enrolment. seen: what follow-up for so many days shows, see `twin_survival`."""

    number: int
    enrolled: bool
    infused: bool
    enrolment: int
    infusion: int
    response: int
    crs: int
    seen: Callable[[int], dict[str, int]]
    truth: dict[str, float]

    def has(self, endpoint: str, window: int) -> bool:
        """Whether the patient has an endpoint, followed for its window of days."""
        if endpoint.startswith("crs"):
            return self.crs >= {"": 1, "3": 2, "4": 3, "5": 4}[endpoint[3:]]
        dead = math.ceil(self.truth["death"] * DAYS) <= window if math.isfinite(self.truth["death"]) else False
        if endpoint == "death":
            return dead
        if endpoint == "os":
            return not dead
        if endpoint == "pfs":
            return not dead and not 0 < self.seen(FOREVER)["progression_day"] <= window
        least = {"orr": 1, "vgpr": 2, "cr": 3}[endpoint]
        day = self.truth["cr_day" if endpoint == "cr" else "response_day"]
        return self.response >= least and (window == 0 or day <= window)


@dataclass
class Look:
    """One look as it turned out."""

    day: float  # inf: it never comes
    judged: list[Person]

    def count(self, endpoint: str, window: int) -> tuple[int, int]:
        """Patients with an endpoint, of how many."""
        return sum(person.has(endpoint, window) for person in self.judged), len(self.judged)

    def times(self, endpoint: str) -> list[tuple[int, bool]]:
        """A time to an event of each patient as this day shows it, and whether it ended in the event."""
        seen = [person.seen(int(self.day) - person.infusion) for person in self.judged]
        return [
            (one[f"{endpoint}_time"], bool(one[f"{endpoint}_event"]))
            for one in seen
            if endpoint != "dor" or one["response"] > 0
        ]

    def median(self, endpoint: str) -> float:
        """The Kaplan-Meier median, days; inf where it is not reached, nan of nobody."""
        times, left, at = self.times(endpoint), 1.0, math.inf
        if not times:
            return math.nan
        for day in sorted({time for time, _ in times}):
            events = sum(time == day and event for time, event in times)
            if events:
                left *= 1 - events / sum(time >= day for time, _ in times)
                if math.isfinite(at):
                    return (at + day) / 2  # the end of the plateau at one half
                if abs(left - 0.5) < 1e-9:
                    at = day
                elif left < 0.5:
                    return day
        return at if math.isinf(at) else (at + max(time for time, _ in times)) / 2

    def reaches(self, endpoint: str, days: float) -> bool:
        """Whether anybody was followed so long."""
        return max((time for time, _ in self.times(endpoint)), default=-1) >= days

    def log_rank(self, endpoint: str, hazard: Any) -> float:
        """The one-sample log-rank statistic, positive where times are longer than the benchmark's; nan of nothing."""
        times = self.times(endpoint)
        expected = sum(float(hazard[time]) for time, _ in times)
        return (expected - sum(event for _, event in times)) / math.sqrt(expected) if expected > 0 else math.nan


def hold(when: Any, analyse: str, follow: int, people: list[Person], end: float) -> Look:
    """A look: the day that calls it, and who by then has the follow-up that its rules need (`follow` days).

    end: day of the final analysis, after which no look comes.
    """
    treated = sorted((person for person in people if person.infused), key=lambda one: (one.infusion, one.number))

    def day_of(when: Any) -> tuple[float, list[Person]]:
        if when.infused:
            if when.infused > len(treated):
                return math.inf, treated
            called = treated[: when.infused]
            return called[-1].infusion + round(when.follow_up_months * DAYS), called
        if when.calendar_month:
            return math.floor(when.calendar_month * DAYS), treated
        if when.events:
            [(endpoint, number)] = when.events.items()
            days = []
            for person in treated:
                seen = person.seen(FOREVER)
                if seen[f"{endpoint}_event"]:
                    late = seen["response_day"] if endpoint == "dor" else 0
                    days.append(person.infusion + late + seen[f"{endpoint}_time"])
            return (sorted(days)[number - 1] if number <= len(days) else math.inf), treated
        found = [day_of(one) for one in when.any or when.all]
        return (min if when.any else max)(found, key=lambda pair: pair[0])

    if when.final:
        return Look(end, treated)
    day, called = day_of(when)
    if day > end:
        return Look(math.inf, [])
    judged = called if analyse == "called" else treated
    return Look(day, [person for person in judged if person.infusion + follow <= day])
