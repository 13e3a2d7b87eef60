"""What looks do to a trial: how often each stops it and for what, its size and duration. Host, NumPy."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtrial.model.vocabulary import CLOSES, END, OUTCOMES
from vtrial.protocol.build import Protocol
from vtrial.trial.spec import Outcome

Mean = Callable[..., Any]


def names(protocol: Protocol) -> list[str]:
    """The looks by name, and last `END`."""
    return [*(look.name for look in protocol.plan.looks), END]


def groups(protocol: Protocol) -> dict[str, list[int]]:
    """The looks by the section that they come from, in order: places among the looks."""
    found: dict[str, list[int]] = {}
    place = 0
    for section in protocol.design.look:
        number = len(section.each)
        found[section.name] = list(range(place, place + number))
        place += number
    return found


def outcomes(protocol: Protocol) -> list[str]:
    """What a design with looks can end as, whether or not its rules can decide it; the end of enrolment only where a
    rule can."""
    return [then for then in OUTCOMES if then != CLOSES or protocol.plan.closes]


def success_tests(protocol: Protocol) -> list[str]:
    """The tests that must all be shown for `success`: those that the design names, else its first."""
    return protocol.design.success or [test.name for test in protocol.design.test[:1]]


def has_success(protocol: Protocol) -> bool:
    """Whether there is anything that success could be: a test, or a rule that stops for it."""
    return bool(protocol.design.test) or any(rule.then == "success" for rule in protocol.plan.rules)


def success(protocol: Protocol, outcome: Outcome) -> NDArray[np.bool_]:
    """Whether each trial is a success: a rule for it acted, or all tests of `success_tests` are shown."""
    needed, decision = success_tests(protocol), outcome.decision
    shown = np.logical_and.reduce([outcome.rejected[name] for name in needed]) if needed else np.False_
    acted = np.False_ if decision is None else decision.outcome == 1 + OUTCOMES.index("success")
    return np.broadcast_to(shown | acted, outcome.infused.shape)


def columns(protocol: Protocol, outcome: Outcome) -> dict[str, object]:
    """Columns of the table of trials: where each ended and as what, patients analysed then, which rules fired."""
    decision = outcome.decision
    assert decision is not None
    found: dict[str, object] = {
        "end": np.array(names(protocol), object)[decision.end],
        "outcome": np.array(["", *OUTCOMES], object)[decision.outcome],
        "n.evaluated": outcome.evaluated,
    }
    if outcome.months is not None:
        found["duration"] = outcome.months
    if len(protocol.plan.rules) <= 24:
        for r, rule in enumerate(protocol.plan.rules):
            found[f"fires.{protocol.plan.looks[rule.look].name}.{rule.name}"] = decision.fired[:, r]
    return found


def stops(protocol: Protocol, outcome: Outcome) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Metrics of stopping, each with the trials in which it happened: `stop.futility`, `stop.interim.futility` ..."""
    decision = outcome.decision
    assert decision is not None
    final = [k for k, look in enumerate(protocol.plan.looks) if look.final]
    ended = decision.end < len(protocol.plan.looks)
    for then in outcomes(protocol):
        yield f"stop.{then}", decision.outcome == 1 + OUTCOMES.index(then)
    by_section = groups(protocol)
    for section, places in by_section.items():
        for then in decided_by(protocol, places):
            mine = (decision.outcome == 1 + OUTCOMES.index(then)) & (
                ~ended if places[0] in final else np.isin(decision.end, places)
            )
            yield f"stop.{section}.{then}", mine
    for places in by_section.values():
        if len(places) > 1:
            for place in places:
                for then in decided_by(protocol, [place]):
                    here = (decision.end == place) & (decision.outcome == 1 + OUTCOMES.index(then))
                    yield f"stop.{protocol.plan.looks[place].name}.{then}", here


def decided_by(protocol: Protocol, places: list[int]) -> list[str]:
    """What the rules of some looks can end a trial as: "consider" ends none before its final analysis."""
    looks = protocol.plan.looks
    rules = [rule for rule in protocol.plan.rules if rule.look in places]
    possible = {rule.then for rule in rules if rule.then != "consider" or looks[rule.look].final}
    return [then for then in OUTCOMES if then in possible]


def rows(protocol: Protocol, outcome: Outcome, mean: Mean, quantile: Mean) -> Iterator[dict[str, object]]:
    """Rows of the table of characteristics; mean, quantile: make a row of a metric's name and one value a trial."""
    for metric, happened in stops(protocol, outcome):
        yield mean(metric, happened.astype(float), proportion=True)
    yield mean("n.evaluated", outcome.evaluated.astype(float))
    yield mean("n.not_infused", (outcome.enrolled - outcome.infused).astype(float))
    yield mean("n.not_evaluated", (outcome.infused - outcome.evaluated).astype(float))
    if outcome.months is not None:
        months = outcome.months.astype(float)
        yield mean("duration", months)
        for label, q in (("q025", 0.025), ("q975", 0.975)):
            yield quantile(f"duration.{label}", months, q)
