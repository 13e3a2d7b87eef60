"""What can happen in a design at all: rules and tests that can never, or must always, fire are refused. Host."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from vtrial._support.errors import InputError
from vtrial.protocol.looks import Looks
from vtrial.protocol.rule_bounds import patients_at
from vtrial.scenario import Design, TestSection
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import CountRule, Rule
from vtrial.scenario.values import MONTHS

_Table = NDArray[np.int32]


def refuse(
    design: Design, looks: Looks | None, bounds: Mapping[str, _Table], planned: int | None, size: int, where: str
) -> None:
    """Refuse a design with a rule or a test that can never, or must always, fire.

    bounds: of the tests of a rate at the end. planned: patients at the final analysis, None where that varies; size:
    enrolled or infused, as the design counts them.

    Raises `InputError`.
    """
    rate = design.calendar.accrual_per_month
    if rate is not None and size / rate > MONTHS:
        raise InputError(
            f"{where}: [calendar] accrual_per_month = {rate:g}: {size} patients take about {size / rate:,.0f} months "
            f"(at most {MONTHS:g})"
        )
    for test in design.test:
        if test.name in bounds:
            _refuse_test(test, bounds[test.name], planned, size, f"{where}: [[test]] '{test.name}'")
    if looks is None:
        return
    for place, rule, same in as_written(design, looks):
        if isinstance(rule, CountRule) and not fires_somewhere(looks, same, planned, size):
            most = max(patients_at(looks.sections[looks.rules[r].look], planned) or size for r in same)
            raise InputError(f"{where}: {place}: at_least = {rule.at_least} of at most {most} patients can never be")
        for r in same:
            section = looks.sections[looks.rules[r].look]
            here = patients_at(section, planned)
            if here is not None and not isinstance(rule, CountRule) and _always(looks, r, here):
                raise InputError(
                    f"{where}: [[look]] '{section.name}' rule '{looks.rules[r].name}': it fires on every count of the "
                    f"{here} patients of this look"
                )


def final_count(test: TestSection, bounds: _Table, planned: int | None, size: int) -> tuple[int, int]:
    """The count at which a test rejects at the end, and of how many patients: the most, where that varies; under a
    graph once all others have been rejected."""
    n = planned or size if test.population == "infused" else bounds.shape[-1] - 1
    return int((bounds if bounds.ndim == 1 else bounds.min(0) if test.side.upper else bounds.max(0))[n]), n


def can_reject(test: TestSection, bounds: _Table, planned: int | None, size: int) -> bool:
    """Whether some count rejects at the end."""
    critical, n = final_count(test, bounds, planned, size)
    return bool(test.side.attainable(critical, n))


def written(looks: Looks | None) -> Iterator[tuple[int, LookSection, Rule]]:
    """The rules as the scenario has them, with their look, by their place in the plan."""
    sections = looks.sections if looks is not None else ()
    pairs = [(look, rule) for look in sections for rule in look.rule]
    for r, (look, rule) in enumerate(pairs):
        yield r, look, rule


def as_written(design: Design, looks: Looks) -> list[tuple[str, Rule, list[int]]]:
    """Each rule of each [[look]] as it is written: its place in words, the rule, and its places in the plan, one for
    each look that the [[look]] stands for."""
    numbers = [len(look.when.infused) if isinstance(look.when.infused, list) else 1 for look in design.look]
    section = np.repeat(np.arange(len(design.look)), numbers)
    found: dict[tuple[int, int], tuple[str, Rule, list[int]]] = {}
    turn: dict[int, int] = {}
    for r, _, rule in written(looks):
        look = looks.rules[r].look
        turn[look] = turn.get(look, -1) + 1
        place = f"[[look]] '{design.look[section[look]].name}' rule '{looks.rules[r].name}'"
        found.setdefault((int(section[look]), turn[look]), (place, rule, []))[2].append(r)
    return list(found.values())


def fires_somewhere(looks: Looks, same: list[int], planned: int | None, size: int) -> bool:
    """Whether some count makes a rule fire at some of the looks where it stands (`same`, by place in the plan)."""
    for r in same:
        rule = looks.rules[r]
        here = patients_at(looks.sections[rule.look], planned)
        n = np.arange(1, size + 1) if here is None else np.array([here])
        bound = looks.numbers.bounds[r, n]
        if np.any(rule.side.attainable(bound, n)):
            return True
    return False


def _always(looks: Looks, r: int, here: int) -> bool:
    """Whether a rule on a count fires at a look of `here` patients whatever is seen."""
    rule = looks.rules[r]
    if rule.time is not None:
        return False
    bound = int(looks.numbers.bounds[r, here])
    return bool(rule.side.inescapable(bound, here))


def _refuse_test(test: TestSection, bounds: _Table, planned: int | None, size: int, place: str) -> None:
    critical, n = final_count(test, bounds, planned, size)
    if test.method == "count" and test.count is not None and test.side.upper and test.count > n:
        raise InputError(f"{place}: count = {test.count} of at most {n} patients can never be")
    if test.side.inescapable(critical, n):
        way = "from 0" if test.side.upper else f"up to {critical}"
        raise InputError(f"{place}: it rejects {way} of {n} patients on, which every outcome meets")
