"""Whether the claims that looks make, and their ends of enrolment, can act. Each raises `ValueError`."""

from collections.abc import Mapping
from typing import Any

from vtrial.model.vocabulary import CLOSES
from vtrial.scenario.looks import LookSection
from vtrial.scenario.rules import ConditionalRule, PredictiveRule, Rule, SpendingRule, test_of


def _claims(look: LookSection) -> set[str]:
    """The tests that a look can claim."""
    return {test for rule in look.rule if rule.then == "success" and (test := test_of(rule)) is not None}


def check_needed(looks: list[LookSection], tests: Mapping[str, Any]) -> None:
    """Refuse a rule that waits for a test that nothing can have claimed by its look: it could never act."""
    for k, look in enumerate(looks):
        if look.when.final:
            continue
        sure = [other for other in looks[k + 1 :] if _surely_later(look, other)]
        by_then = set().union(*(_claims(other) for other in looks if not other.when.final and other not in sure))
        for name, rule in zip(look.names, look.rule, strict=True):
            # One that claims a test of its own is not dead where it never stops the trial: it claims, and goes on.
            missing = None if test_of(rule) else next((test for test in rule.tests if test not in by_then), None)
            if missing is not None:
                raise ValueError(
                    f"[[look]] '{look.name}' rule '{name}': tests names '{missing}', which no rule can have claimed by "
                    f'this look, so that it could never stop the trial; give this rule or another test = "{missing}", '
                    'with then = "success", or leave it out of tests'
                )
            before = tests[claimed].after if rule.then == "success" and (claimed := test_of(rule)) else ""
            if before and before not in by_then:
                raise ValueError(
                    f"[[look]] '{look.name}' rule '{name}': test '{test_of(rule)}' waits for '{before}', which no rule "
                    "can have claimed by this look, so that it could never be claimed here; give a rule of this look "
                    f'or an earlier one then = "success" with test = "{before}"'
                )


def _surely_later(look: LookSection, other: LookSection) -> bool:
    """Whether another look comes after a look in every trial."""
    one, two = look.when, other.when
    if one.kind == two.kind == "infused" and one.follow_up_months == two.follow_up_months:
        return two.infused > one.infused
    if one.kind == two.kind == "calendar_month":
        return two.calendar_month > one.calendar_month  # type: ignore[operator]
    return False


def check_closing(design: Any, looks: list[LookSection], look: LookSection, rule: Rule) -> None:
    """Whether the final analysis can be done on those enrolled when a look closes enrolment."""
    place = f"[[look]] '{look.name}' rule '{look.names[look.rule.index(rule)]}': then = \"{CLOSES}\""
    if not design.test:
        raise ValueError(f"{place} leaves the decision to the final test, and there is no [[test]]")
    if last := next((one for one in looks if one.when.final), None):
        raise ValueError(f"{place} does not go with rules at the final analysis ([[look]] '{last.name}')")
    spent = {r.test for one in looks for r in one.rule if isinstance(r, SpendingRule)}
    for test in design.test:
        if test.method == "count":
            raise ValueError(
                f"{place}: test '{test.name}' is by a fixed count, and the final analysis may have fewer patients; "
                'give it a method and alpha, such as method = "exact"'
            )
        if test.name in spent:
            raise ValueError(
                f"{place}: the alpha of test '{test.name}' is spent over looks for the planned number, and the final "
                "analysis may have fewer patients; leave its spending rules out"
            )
    fixed = design.cohort.attrition == 0.0
    for one in looks:
        for name, r in zip(one.names, one.rule, strict=True):
            if r.then != CLOSES or not isinstance(r, PredictiveRule | ConditionalRule) or fixed:
                continue
            test = next(test for test in design.test if test.name == r.test)
            if design.in_calendar or test.population == "enrolled":
                raise ValueError(
                    f"[[look]] '{one.name}' rule '{name}': forecast = \"enrolled\": how many of those enrolled will be "
                    "infused is not known at the look; it needs [cohort] attrition = 0"
                )
