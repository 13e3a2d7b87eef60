"""Whether the looks, tests and graph of a design fit together. Each raises `ValueError` that names the place."""

from collections.abc import Mapping
from typing import Any

from vtrial.conduct.windows import watched
from vtrial.decisions import OUTCOMES
from vtrial.estimate.times import TIME_ENDPOINTS
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import CountRule, MedianRule, PosteriorRule, Rule, SpendingRule, name_of, test_of

MOST_LOOKS = 200


def check(design: Any) -> None:
    """Whether looks, tests and the graph of a design fit together. Raises `ValueError`."""
    tests = {test.name: test for test in design.test}
    looks: list[LookSection] = design.looks
    names = [look.name for look in looks]
    if len(looks) > MOST_LOOKS:
        raise ValueError(f"[[look]]: {len(looks)} looks (at most {MOST_LOOKS})")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two looks are named '{name}'")
        if name in (*OUTCOMES, "end"):
            raise ValueError(f"[[look]] '{name}': that is the name of a metric of its own; give the look another")
    for look in looks:
        for rule in look.rule:
            _check_rule(rule, look, tests, f"[[look]] '{look.name}' rule '{name_of(rule)}'")
    _check_times(design, looks)
    if design.multiplicity is not None:
        _check_graph(design, tests)


def _check_rule(rule: Rule, look: LookSection, tests: Mapping[str, Any], place: str) -> None:
    for name in [*([test_of(rule)] if test_of(rule) else []), *rule.tests]:
        if name not in tests:
            raise ValueError(f"{place}: there is no test '{name}' (tests: {', '.join(tests) or 'none'})")
    shows = isinstance(rule, CountRule | PosteriorRule | MedianRule)
    if shows and rule.test is not None and rule.then != "success":
        raise ValueError(f'{place}: test goes with then = "success": a success here shows it')
    if look.when.final and test_of(rule) and not shows:
        raise ValueError(f'{place}: kind = "{rule.kind}" looks ahead to the final analysis, and this look is at it')
    if look.when.final and test_of(rule):
        raise ValueError(f"{place}: at the final analysis the test itself says what is shown; leave test out")
    if isinstance(rule, SpendingRule):
        test = tests[rule.test]
        if test.spending is None:
            raise ValueError(f"{place}: [[test]] '{rule.test}' has no spending, such as \"obrien-fleming\"")
        if rule.then == "futility" and test.beta is None:
            raise ValueError(f"{place}: [[test]] '{rule.test}' has no beta to spend")
        if test.timed and test.method != "log-rank":
            raise ValueError(f"{place}: [[test]] '{rule.test}': spending of a time needs method = \"log-rank\"")


def _check_times(design: Any, looks: list[LookSection]) -> None:
    """The order of looks, their place in the calendar, and windows that their follow-up completes."""
    interim = [look for look in looks if not look.when.final]
    plain = [look.name for look in interim if not look.when.timed]
    if plain and len(plain) < len(interim):
        other = next(look.name for look in interim if look.when.timed)
        raise ValueError(
            f"[[look]] '{plain[0]}' is at full follow-up, outside the calendar, and '{other}' has a place in it; "
            "give all of them follow_up_months, or none"
        )
    size = design.cohort.infused or design.cohort.enrolled
    for k, look in enumerate(interim):
        place = f"[[look]] '{look.name}'"
        number = look.when.infused
        if look.when.kind == "infused" and size is not None and number > size:
            raise ValueError(f"{place}: looks at {number} infused, beyond the last of {size} patients")
        for before in interim[:k]:
            later = before.when.kind == look.when.kind and before.when.follow_up_months == look.when.follow_up_months
            if later and look.when.kind == "infused" and before.when.infused >= number:
                raise ValueError(
                    f"{place}: looks out of order: {number} infused after '{before.name}' at {before.when.infused}"
                )
            months = before.when.calendar_month, look.when.calendar_month
            if months[0] is not None and months[1] is not None and months[0] >= months[1]:
                raise ValueError(f"{place}: looks out of order: month {months[1]:g} after month {months[0]:g}")
        for rule in look.rule:
            _check_window(rule, look, f"{place} rule '{name_of(rule)}'", design)
    asked = design.simulation.endpoints or []
    if plain and (timed := [e for e in (*asked, *(t.endpoint for t in design.test)) if e in TIME_ENDPOINTS]):
        raise ValueError(
            f"[[look]] '{plain[0]}' is at full follow-up, outside the calendar, where {timed[0]} cannot be seen; "
            "give it follow_up_months"
        )
    if plain and design.simulation.flags:
        raise ValueError(f"[[look]] '{plain[0]}' is outside the calendar: with flags give it follow_up_months")


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
    for when in [look.when, *(look.when.any or look.when.all or [])]:
        if when.infused and when.follow_up_months is not None and asked.complete > when.follow_up_months:
            raise ValueError(
                f"{place}: '{asked.name}' is known after {asked.complete:g} months, and the look's patients have "
                f"follow_up_months = {when.follow_up_months:g}"
            )


def _check_graph(design: Any, tests: Mapping[str, Any]) -> None:
    for name in design.multiplicity.weights:
        if name not in tests:
            raise ValueError(f"[multiplicity] weights: there is no test '{name}' (tests: {', '.join(tests) or 'none'})")
    for name, test in tests.items():
        if name not in design.multiplicity.weights:
            raise ValueError(f"[multiplicity] weights: test '{name}' has none (0 is allowed)")
        if test.after:
            raise ValueError(f"[[test]] '{name}': after does not go with [multiplicity]; its transitions say the order")
        if test.alpha is not None or test.method in ("posterior", "median", "count"):
            raise ValueError(
                f'[[test]] \'{name}\': under [multiplicity] a test has neither alpha nor method "posterior" or "median"'
            )
    if len(tests) > 6:
        raise ValueError(f"[multiplicity]: {len(tests)} tests (at most 6)")
