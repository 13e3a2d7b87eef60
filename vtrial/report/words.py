"""Metrics, tests and sizes in words, for the tables and charts of a report."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vtrial.estimate.proportions import ENDPOINTS, WORDS, Endpoint
from vtrial.scenario import TestSection
from vtrial.scenario.sweep import shown

if TYPE_CHECKING:
    from vtrial.result import Result

_OF_RATE = {
    "rate": "mean over trials, of the infused",
    "rate.q025": "2.5% quantile over trials",
    "rate.q975": "97.5% quantile over trials",
    "enrolled.rate": "mean over trials, of the enrolled",
}
_OF_TRIAL = {
    "all.reject": "every test rejects",
    "familywise.error": "some null that is true in its world is rejected (familywise error)",
    "n.enrolled": "patients enrolled, mean over trials",
    "n.infused": "patients infused, mean over trials",
}


def percent(rate: float) -> str:
    """A stated rate as a percentage, without rounding what was stated: 0.125 is "12.5%"."""
    return f"{100 * rate:.6g}%"


def capitalised(text: str) -> str:
    """The text with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def claim(test: TestSection, null: float | None) -> str:
    """What a test's rejection shows: "CR or better > 10%"; without a null, where it varies, "... > its null"."""
    sign = ">" if test.alternative == "greater" else "<"
    whom = " of the enrolled" if test.population == "enrolled" else ""
    return f"{WORDS[test.endpoint]}{whom} {sign} {'its null' if null is None else percent(null)}"


def claim_of(result: "Result", name: str) -> str:
    """What the rejection of a test shows, in all cells."""
    tests = [next(t for t in protocol.tests if t.name == name) for protocol in result.protocols]
    nulls = {test.null for test in tests}
    return claim(tests[0], nulls.pop() if len(nulls) == 1 else None)


def metric_in_words(result: "Result", metric: str) -> tuple[str, str]:
    """A heading and a line for a metric: ("Decisions", "CR or better > 10% is shown")."""
    tests = {test.name: test for test in result.protocols[0].tests}
    name, _, rest = metric.partition(".")
    if rest == "reject" and name in tests:
        after = f", after {tests[name].after}" if tests[name].after else ""
        return "Decisions: probability over trials", f"{claim_of(result, name)} is shown ({name}{after})"
    if metric in _OF_TRIAL:
        heading = "Patients" if name == "n" else "Decisions: probability over trials"
        return heading, _OF_TRIAL[metric]
    if name in ENDPOINTS and rest in _OF_RATE:
        return f"Rate of {rate_in_words(name)}", _OF_RATE[rest]
    return "Other", metric


def rate_in_words(endpoint: Endpoint) -> str:
    """An endpoint in words."""
    return WORDS[endpoint]


def point(swept: dict[str, object]) -> str:
    """A cell's swept values: "cohort.enrolled = 40"."""
    return ", ".join(f"{key} = {shown(value)}" for key, value in swept.items())


def number(value: float, digits: int = 4) -> str:
    """A number for a table; what is not known is a dash."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def listed(names: Iterable[str]) -> str:
    """ "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
