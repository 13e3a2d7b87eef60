"""What a test claims, in words."""

from typing import cast

from vtrial.model.endpoints import WORDS, Endpoint
from vtrial.scenario.tests import TestSection

METHODS = {"log-rank": "one-sample log-rank", "median": "lower limit of the Kaplan-Meier median"}


def percent(rate: float) -> str:
    """A stated rate as a percentage, without rounding what was stated: 0.125 is "12.5%"."""
    return f"{100 * rate:.6g}%"


def claim(test: TestSection, null: float | None) -> str:
    """What a test's rejection shows: "CR or better > 10%"; without a null, where it varies, "... > its null"."""
    sign = ">" if test.alternative == "greater" else "<"
    if test.timed:
        median = "its null" if null is None else f"{null:g} months"
        return f"{test.endpoint.upper()} median > {median} ({METHODS[test.method]})"
    whom = " of the enrolled" if test.population == "enrolled" else ""
    return f"{WORDS[cast(Endpoint, test.endpoint)]}{whom} {sign} {'its null' if null is None else percent(null)}"
