"""Whether the looks, tests and graph of a design fit together. Each raises `ValueError` that names the place."""

from collections.abc import Mapping
from typing import Any

from vtrial._support.errors import nearest
from vtrial.model.endpoints import TIME_ENDPOINTS, watched
from vtrial.model.vocabulary import CLOSES, END, OUTCOMES
from vtrial.scenario.claims import check_closing, check_needed
from vtrial.scenario.looks import LookSection, When
from vtrial.scenario.rules import (
    ConditionalRule,
    CountRule,
    MedianRule,
    PosteriorRule,
    PredictiveRule,
    Rule,
    SpendingRule,
    of_calendar,
    test_of,
)

MOST_OF_ALL_LOOKS = 200


def check(design: Any) -> None:
    """Whether looks, tests and the graph of a design fit together. Raises `ValueError`."""
    tests = {test.name: test for test in design.test}
    looks: list[LookSection] = design.looks
    names = [look.name for look in looks]
    if len(looks) > MOST_OF_ALL_LOOKS:
        raise ValueError(f"[[look]]: {len(looks)} looks (at most {MOST_OF_ALL_LOOKS})")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two looks are named '{name}'")
        if name in (*OUTCOMES, END):
            raise ValueError(f"[[look]] '{name}': that is the name of a metric of its own; give the look another")
    final = [look.name for look in looks if look.when.final]
    if len(final) > 1:
        raise ValueError(f"[[look]] '{final[1]}': '{final[0]}' is at the final analysis already; put its rules there")
    for look in looks:
        for name, rule in zip(look.names, look.rule, strict=True):
            _check_rule(rule, look, tests, f"[[look]] '{look.name}' rule '{name}'")
        spent = [(rule.test, rule.then) for rule in look.rule if isinstance(rule, SpendingRule)]
        if twice := next((pair for pair in spent if spent.count(pair) > 1), None):
            raise ValueError(f"[[look]] '{look.name}': two rules spend for {twice[1]} of test '{twice[0]}'")
        _check_binding(look, tests)
    _check_times(design, looks)
    check_needed(looks, tests)
    if closing := next(((look, rule) for look in looks for rule in look.rule if rule.then == CLOSES), None):
        check_closing(design, looks, *closing)
    for name in design.success:
        if name not in tests:
            raise ValueError(f"success: {_no_test(name, tests)}")
    if design.multiplicity is not None:
        _check_graph(design, tests)


def _check_rule(rule: Rule, look: LookSection, tests: Mapping[str, Any], place: str) -> None:
    for name in [*([test_of(rule)] if test_of(rule) else []), *rule.tests]:
        if name not in tests:
            raise ValueError(f"{place}: {_no_test(name, tests)}")
    if look.when.final and rule.then == CLOSES:
        raise ValueError(f'{place}: then = "{CLOSES}" is for a look before the end, and this look is at it')
    shows = isinstance(rule, CountRule | PosteriorRule | MedianRule)
    if shows and rule.test is not None and rule.then != "success":
        raise ValueError(f'{place}: test goes with then = "success": a success here claims it')
    if look.when.final and test_of(rule) and not shows:
        raise ValueError(f'{place}: kind = "{rule.kind}" looks ahead to the final analysis, and this look is at it')
    if look.when.final and test_of(rule):
        raise ValueError(f"{place}: at the final analysis the test itself says what is shown; leave test out")
    if isinstance(rule, PredictiveRule | ConditionalRule) and tests[rule.test].timed:
        raise ValueError(f"{place}: kind = \"{rule.kind}\" is for tests of a rate, and '{rule.test}' is of a time")
    if isinstance(rule, PredictiveRule | ConditionalRule | SpendingRule) and not tests[rule.test].timed:
        _check_counted(rule, tests[rule.test], place)
    if isinstance(rule, SpendingRule):
        test = tests[rule.test]
        if test.timed and rule.endpoint is not None:
            raise ValueError(f"{place}: endpoint does not go with '{rule.test}', a test of a time; leave it out")
        if test.spending is None:
            raise ValueError(f"{place}: [[test]] '{rule.test}' has no spending, such as \"obrien-fleming\"")
        if rule.then == "futility" and test.beta is None:
            raise ValueError(f"{place}: [[test]] '{rule.test}' has no beta to spend")
        if test.timed and test.method != "log-rank":
            raise ValueError(f"{place}: [[test]] '{rule.test}': spending of a time needs method = \"log-rank\"")


def _check_counted(rule: PredictiveRule | ConditionalRule | SpendingRule, test: Any, place: str) -> None:
    """What a rule about a test counts is that test's own endpoint, by some month or at full follow-up."""
    asked = rule.watches
    if asked is None:
        return
    if asked.endpoint != test.endpoint:
        raise ValueError(
            f"{place}: it counts '{asked.name}', and test '{test.name}' is of {test.endpoint}; leave endpoint out, or "
            f'give that endpoint a window, such as "{test.endpoint}@3"'
        )
    if isinstance(rule, SpendingRule) and asked.window is not None and not asked.toxic and test.alternative == "less":
        raise ValueError(
            f"{place}: '{asked.name}' leaves out what is seen later, which would make up for a rate that is not lower "
            f"('{test.name}' has alternative = \"less\"); count it at full follow-up"
        )


def _check_binding(look: LookSection, tests: Mapping[str, Any]) -> None:
    """A futility bound that efficacy bounds count on must stop the trial: nothing may go before it and stop nothing."""
    binding = [
        rule
        for rule in look.rule
        if isinstance(rule, SpendingRule) and rule.then == "futility" and tests[rule.test].binding
    ]
    before = look.order.index("consider") < look.order.index("futility")
    if binding and before and any(rule.then == "consider" for rule in look.rule):
        raise ValueError(
            f"[[look]] '{look.name}': order puts \"consider\", which stops nothing, before the futility bound of "
            f"'{binding[0].test}', which is binding; put futility first, or leave binding out"
        )


def _check_times(design: Any, looks: list[LookSection]) -> None:
    """The order of looks, their place in the calendar, and windows that their follow-up completes."""
    interim = [look for look in looks if not look.when.final]
    plain = [look.name for look in interim if not look.when.timed]
    timed = [look.name for look in looks if look.when.timed or (look.when.final and any(map(of_calendar, look.rule)))]
    if plain and timed:
        raise ValueError(
            f"[[look]] '{plain[0]}' is at full follow-up, outside the calendar, and '{timed[0]}' has a place in it; "
            "give all of them follow_up_months, or none"
        )
    size = _size(design)
    cut = design.calendar.data_cut.get("month")
    for k, look in enumerate(interim):
        place = f"[[look]] '{look.name}'"
        for when in _each(look.when):
            for number, what in ((when.infused, "infused"), (_events(when)[1], "events")):
                if size is not None and number is not None and number > size:
                    raise ValueError(f"{place}: looks at {number} {what}, beyond the last of {size} patients")
        _check_before_the_end(look, design, size, place)
        month = look.when.calendar_month
        if month is not None and cut is not None and month > cut:
            raise ValueError(f"{place}: month {month:g} is after the data cut, in month {cut:g}")
        for before in interim[:k]:
            _check_order(before, look, place)
        for name, rule in zip(look.names, look.rule, strict=True):
            _check_window(rule, look, f"{place} rule '{name}'", design)
    asked = design.simulation.endpoints or []
    if plain and (timed := [e for e in (*asked, *(t.endpoint for t in design.test)) if e in TIME_ENDPOINTS]):
        raise ValueError(
            f"[[look]] '{plain[0]}' is at full follow-up, outside the calendar, where {timed[0]} cannot be seen; "
            "give it follow_up_months"
        )
    if plain and design.simulation.flags:
        raise ValueError(f"[[look]] '{plain[0]}' is outside the calendar: with flags give it follow_up_months")


def _check_before_the_end(look: LookSection, design: Any, size: int | None, place: str) -> None:
    """Refuse an interim look that comes with the final analysis, or that this comes before."""
    when, cut, cohort = look.when, design.calendar.data_cut, design.cohort
    months, follow_up = cut.get("month"), when.follow_up_months or 0.0
    if when.infused and months is not None and when.timed and follow_up >= months:
        raise ValueError(
            f"{place}: nobody has {follow_up:g} months of follow-up before the data cut, in month {months:g}"
        )
    all_infused = cohort.enrolled is None or cohort.attrition == 0.0
    if when.infused != size or size is None or not all_infused:
        return
    after = cut.get("months_after_last_infusion")
    if not when.timed or (after is not None and follow_up >= after):
        then = "when the data are cut" if when.timed else "at full follow-up"
        raise ValueError(
            f"{place}: looks at all {size} patients {then}, which is the final analysis; put its rules at "
            "when = { final = true }"
        )


def _each(when: When) -> list[When]:
    """All conditions that have to do with calling a look."""
    return [when, *(inner for one in when.any or when.all or [] for inner in _each(one))]


def _events(when: When) -> tuple[str | None, int | None]:
    return next(iter(when.events.items())) if when.events else (None, None)


def _size(design: Any) -> int | None:
    """The number enrolled or infused, where the design says so itself."""
    arm = design.arm[0]
    if arm.allocation == "fixed" and arm.doses is not None:
        return int(sum(arm.doses.values()))
    return design.cohort.infused or design.cohort.enrolled


def _check_order(before: LookSection, look: LookSection, place: str) -> None:
    """Looks of one kind come in the order in which they are written."""
    first, second = before.when, look.when
    same = first.kind == second.kind and first.follow_up_months == second.follow_up_months
    pairs = [
        (first.infused, second.infused, "{} infused") if same and first.kind == "infused" else None,
        (_events(first)[1], _events(second)[1], f"{{}} events of {_events(first)[0]}")
        if first.events and _events(first)[0] == _events(second)[0]
        else None,
        (first.calendar_month, second.calendar_month, "month {:g}")
        if first.calendar_month is not None and second.calendar_month is not None
        else None,
    ]
    for earlier, later, words in filter(None, pairs):
        if earlier >= later:
            raise ValueError(
                f"{place}: looks out of order: {words.format(later)} after {words.format(earlier)} ('{before.name}')"
            )


def _no_test(name: str, tests: Mapping[str, Any]) -> str:
    return f"there is no test '{name}'{nearest(name, tests)} (tests: {', '.join(tests) or 'none'})"


def _check_window(rule: Rule, look: LookSection, place: str, design: Any) -> None:
    if isinstance(rule, MedianRule):
        if not look.when.timed:
            raise ValueError(f"{place}: a median needs a look with a place in the calendar (follow_up_months)")
        return
    asked = rule.watches
    if asked is None:
        test = next(test for test in design.test if test.name == test_of(rule))
        if test.timed:
            return
        asked = watched(test.endpoint)
    if not look.when.timed:
        if asked.window is not None and not asked.toxic:
            raise ValueError(
                f"{place}: {asked.name} has a window, and the look no place in the calendar; give it "
                f"follow_up_months = {asked.window:g}, or leave the window out"
            )
        return
    if asked.complete is None:
        months = look.when.follow_up_months or 3
        raise ValueError(
            f"{place}: '{asked.name}' is known at full follow-up, after this look; give its window, such as "
            f'endpoint = "{asked.name}@{months:g}"'
        )
    for when in _each(look.when):
        if when.infused and when.follow_up_months is not None and asked.complete > when.follow_up_months:
            raise ValueError(
                f"{place}: '{asked.name}' is known after {asked.complete:g} months, and the look's patients have "
                f"follow_up_months = {when.follow_up_months:g}"
            )


def _check_graph(design: Any, tests: Mapping[str, Any]) -> None:
    for name in design.multiplicity.weights:
        if name not in tests:
            raise ValueError(f"[multiplicity] weights: {_no_test(name, tests)}")
    for name, test in tests.items():
        if name not in design.multiplicity.weights:
            raise ValueError(f"[multiplicity] weights: test '{name}' has none (0 is allowed)")
        if test.after:
            raise ValueError(f"[[test]] '{name}': after does not go with [multiplicity]; its transitions say the order")
        if test.binding:
            raise ValueError(
                f"[[test]] '{name}': binding does not go with [multiplicity]: where its alpha grows, bounds for "
                "success would count on stops for futility that are not made; leave it out"
            )
        if name not in _with_alpha(design.multiplicity):
            raise ValueError(
                f"[multiplicity]: test '{name}' can never reject: its weight is 0, and no test that can reject passes "
                "alpha to it (transitions)"
            )
        if test.alpha is not None or test.method in ("posterior", "median", "count"):
            raise ValueError(
                f'[[test]] \'{name}\': under [multiplicity] a test has neither alpha nor method "posterior" or "median"'
            )
    if len(tests) > 6:
        raise ValueError(f"[multiplicity]: {len(tests)} tests (at most 6)")


def _with_alpha(graph: Any) -> set[str]:
    """The tests that have alpha, or can come to it by rejections of others."""
    found = {name for name, weight in graph.weights.items() if weight > 0}
    while more := {to for name in found for to, share in graph.transitions.get(name, {}).items() if share > 0} - found:
        found |= more
    return found
