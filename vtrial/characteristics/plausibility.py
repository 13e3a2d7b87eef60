"""What a statistician should know beside the answer: a size above alpha, and what is legal and almost surely a slip."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vtrial.characteristics.exact.size import size_of
from vtrial.model.endpoints import Watched
from vtrial.protocol.build import Protocol
from vtrial.protocol.reachable import as_written, can_reject, final_count, fires_somewhere
from vtrial.scenario import Cell, TestSection
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import CountRule, Rule, SpendingRule, test_of
from vtrial.scenario.sweep import in_words
from vtrial.trial.decisions import RulePlan


@dataclass(frozen=True)
class _Warning:
    """about: what cells share it by. figure: the larger, the worse; the worst cell's text is the one that is given."""

    text: str
    about: str = ""
    figure: float = 0.0


def warnings(protocols: Sequence[Protocol], cells: Sequence[Cell]) -> tuple[str, ...]:
    """What should be known of a scenario's design, a sentence each; of a sweep, with the cells that it is about."""
    found: dict[str, dict[int, _Warning]] = {}
    for cell, protocol in zip(cells, protocols, strict=True):
        for one in _of(protocol):
            found.setdefault(one.about or one.text, {})[cell.number] = one
    return tuple(_said(by_cell, cells) for by_cell in found.values())


def _said(by_cell: dict[int, _Warning], cells: Sequence[Cell]) -> str:
    worst = max(by_cell, key=lambda number: by_cell[number].figure)
    text = by_cell[worst].text
    same = len({one.text for one in by_cell.values()}) == 1
    if same and len(by_cell) == len(cells):
        return text
    others = len(by_cell) - 1
    also = "" if not others else "; so in all cells" if len(by_cell) == len(cells) else f"; so in {others} other cells"
    return f"{text} (at {in_words(cells[worst].swept)}{'' if same else ', the largest'}{also})"


def _of(protocol: Protocol) -> Iterator[_Warning]:
    for test in protocol.tests:
        yield from _sizes(protocol, test)
    yield from map(_Warning, _slips(protocol))


def _slips(protocol: Protocol) -> Iterator[str]:
    planned, size = protocol.levels.planned, protocol.size
    for test in protocol.tests:
        if test.spending is not None:
            yield from _spending(protocol, test)
        bounds = protocol.numbers.bounds.get(test.name)
        if bounds is not None and not can_reject(test, bounds, planned, size):
            n = final_count(test, bounds, planned, size)[1]
            yield f"[[test]] '{test.name}': no count of {n} patients rejects, so that the end can never show it"
    if protocol.design.multiplicity is not None:
        used = sum(protocol.design.multiplicity.weights.values())
        if used < 1.0 - 1e-6:
            yield f"[multiplicity] weights sum to {used:g}: {1.0 - used:.0%} of alpha is used by no test"
    looks = protocol.looks
    for place, rule, same in as_written(protocol.design, looks) if looks is not None else []:
        assert looks is not None
        known = looks.rules[same[0]]
        counts = known.time is None and not isinstance(rule, CountRule | SpendingRule)
        if counts and not fires_somewhere(looks, same, planned, size):
            yield f"{place}: no count makes it fire, at this look or any other that it stands in"
        if slip := _direction(protocol, known, rule):
            yield f"{place}: {slip}"


def _sizes(protocol: Protocol, test: TestSection) -> Iterator[_Warning]:
    """A size above alpha; under a graph at the alpha that the test begins with, and at the most that it can have."""
    bit = 2 ** [one.name for one in protocol.plan.tests].index(test.name)
    for rejected in dict.fromkeys((0, protocol.levels.sets - 1 - bit) if protocol.plan.graph else (0,)):
        size = size_of(protocol, test, rejected)
        if size is None or not size.exceeds:
            continue
        over = "over its looks and the end " if size.looks else ""
        varies = size.most > size.size * (1.0 + 1e-9)
        upto = f" on average over the numbers that may be infused ({size.most:.4f} at most)" if varies else ""
        bounded = ", were all that is seen later seen at the looks" if size.bounded else ""
        null = f"{100 * test.null:g}%"
        beyond = f"its final analysis alone {size.alone:.4f}"
        beyond = beyond if math.isnan(size.alpha) else f"above alpha = {size.alpha:g}"
        yield _Warning(
            f"[[test]] '{test.name}': the exact size of this {test.method} test at its null ({null}) {over}is "
            f"{size.size:.4f}{upto}{bounded}, {beyond}",
            about=f"size of {test.name}, {rejected}",
            figure=size.size,
        )


def _spending(protocol: Protocol, test: TestSection) -> Iterator[str]:
    """Spending that no look has a rule for, or that counts on a look that may not come."""
    place, looks = f"[[test]] '{test.name}'", protocol.levels.looks(test.name)
    thens = {rule.then for _, rules in looks for rule in rules}
    if "success" not in thens:
        yield f'{place}: spending = "{test.spending}" spends nothing before the end: no look has its rule for success'
    if test.beta is None:
        return
    if "futility" not in thens:
        binds = ", and nothing binds" if test.binding else ""
        yield f"{place}: beta = {test.beta:g} is not spent: no look has its rule for futility{binds}"
    for look, rules in looks if test.binding else []:
        if any(rule.then == "futility" for rule in rules) and not _certain(protocol, look):
            yield (
                f"{place}: its bounds count on stops for futility at '{look.name}' (binding = true), and the end may "
                "come before that look: the size can then be above alpha"
            )


def _certain(protocol: Protocol, look: LookSection) -> bool:
    """Whether a look comes before the end in every trial."""
    if look.when.kind != "infused" or protocol.levels.planned is None:
        return False
    after = protocol.design.calendar.data_cut.get("months_after_last_infusion")
    return not look.when.timed or (after is not None and (look.when.follow_up_months or 0.0) <= after)


def _direction(protocol: Protocol, known: RulePlan, rule: Rule) -> str:
    """What is odd of a rule by which promising data stop for futility or harm, or poor data for success; else ""."""
    if known.then == "consider" or isinstance(rule, SpendingRule):
        return ""
    name = test_of(rule)
    if name is not None:
        good = next(test.alternative for test in protocol.tests if test.name == name) == "greater"
    else:
        good = known.time is not None or not _unwanted(protocol.plan.watched[known.watched])
    promising = known.side.upper == good
    if promising == (known.then == "success"):
        return ""
    side, data = ("high" if known.side.upper else "low"), ("promising" if promising else "poor")
    return f"it decides for {known.then} where what it counts is {side}, which is {data}; is the other side meant?"


def _unwanted(counted: Watched) -> bool:
    return counted.toxic or counted.endpoint == "death"
