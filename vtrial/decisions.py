"""Estimates against bounds -> decisions. Pure JAX.

A test is a table of critical counts by number of patients, made once on the host (`vtrial.design`).
"""

from dataclasses import dataclass
from typing import Any, Literal

from vtrial.estimate.proportions import Endpoint

Alternative = Literal["greater", "less"]
Population = Literal["infused", "enrolled"]


@dataclass(frozen=True)
class TestPlan:
    """What of a test is structure: its name, what it counts in whom, and the test it waits for (or "")."""

    __test__ = False  # not a test of pytest's

    name: str
    endpoint: Endpoint
    population: Population
    alternative: Alternative
    after: str


def decide(
    tests: tuple[TestPlan, ...],
    bounds: dict[str, Any],
    counts: dict[Endpoint, Any],
    sizes: dict[Population, Any],
) -> dict[str, Any]:
    """Whether each test rejects, bool by name; a test that waits for another rejects only if that one did.

    bounds: int32 tables (capacity + 1,) by test. "greater" rejects from the bound on, "less" up to it. Tests
    come in an order in which none waits for a later one.
    """
    rejected: dict[str, Any] = {}
    for test in tests:
        bound = bounds[test.name][sizes[test.population]]
        x = counts[test.endpoint]
        shown = x >= bound if test.alternative == "greater" else x <= bound
        rejected[test.name] = shown & rejected[test.after] if test.after else shown
    return rejected
