"""What looks do to a trial: how often each stops it and for what, its size and duration, and what stopping does to the
estimates that follow. Host, NumPy."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtrial import exact
from vtrial.decisions import OUTCOMES
from vtrial.design.intervals import proportion_interval
from vtrial.estimate.proportions import Endpoint
from vtrial.plan import Outcome
from vtrial.protocol import Protocol
from vtrial.world import World

Array = NDArray[np.float64]
Mean = Callable[..., Any]

END = "end"  # how a trial that no look stopped has ended
LEVEL = 0.95  # of the Clopper-Pearson intervals whose coverage is told


def names(protocol: Protocol) -> list[str]:
    """The looks by name, and last `END`."""
    return [*(look.name for look in protocol.plan.looks), END]


def groups(protocol: Protocol) -> dict[str, list[int]]:
    """The looks by the section that they come from, in order: places among the looks."""
    assert protocol.looks is not None
    found: dict[str, list[int]] = {}
    for place, look in enumerate(protocol.looks.sections):
        of = next(s for s in protocol.design.look if look.name == s.name or look.name in [e.name for e in s.each])
        found.setdefault(of.name, []).append(place)
    return found


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
    for code, then in enumerate(OUTCOMES, start=1):
        yield f"stop.{then}", decision.outcome == code
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
    """What the rules of some looks can decide."""
    possible = {rule.then for rule in protocol.plan.rules if rule.look in places}
    return [then for then in OUTCOMES if then in possible]


def rows(
    protocol: Protocol, outcome: Outcome, worlds: World, mean: Mean, quantile: Mean
) -> Iterator[dict[str, object]]:
    """Rows of the table of characteristics. worlds: of the trials, or shared, trial t in t mod their number."""
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
    if not protocol.plan.mix:
        for endpoint in _told(protocol):
            yield from _after_stopping(protocol, outcome, worlds, mean, endpoint)


def _told(protocol: Protocol) -> list[Endpoint]:
    """The rates whose estimates are judged: those that tests or looks are about, response and CR."""
    about = {test.endpoint for test in protocol.plan.tests} | {asked.endpoint for asked in protocol.plan.watched}
    return [e for e in protocol.plan.endpoints if e in about or e in ("orr", "cr")]


def _after_stopping(
    protocol: Protocol, outcome: Outcome, worlds: World, mean: Mean, endpoint: Endpoint
) -> Iterator[dict[str, object]]:
    """Bias of the observed rate and coverage of its interval, over all trials and by where they ended."""
    trials, decision = len(outcome.infused), outcome.decision
    assert decision is not None
    true = exact.true_rates(protocol, endpoint, worlds)
    true = true[np.arange(trials) % len(true)]
    x, n = outcome.counts[endpoint], outcome.infused
    some = n > 0
    bias = np.where(some, x / np.maximum(n, 1) - true, np.nan)
    table = {}
    for size in np.unique(n[some]):
        table[int(size)] = proportion_interval(np.arange(size + 1), size, method="clopper-pearson", level=LEVEL)
    low, high = np.full(trials, np.nan), np.full(trials, np.nan)
    for size, (lower, upper) in table.items():
        mine = n == size
        low[mine], high[mine] = lower[x[mine]], upper[x[mine]]
    covered = np.where(some, (low <= true) & (true <= high), np.nan)
    yield mean(f"{endpoint}.bias", bias)
    yield mean(f"{endpoint}.coverage", covered, proportion=True)
    last = len(protocol.plan.looks)
    ends = {name: [p for p in places if not protocol.plan.looks[p].final] for name, places in groups(protocol).items()}
    for name, places in (*ends.items(), (END, [last])):
        here = np.isin(decision.end, places)
        if places and here.any():
            yield mean(f"{endpoint}.bias.{name}", np.where(here, bias, np.nan))
            yield mean(f"{endpoint}.coverage.{name}", np.where(here, covered, np.nan), proportion=True)
