"""Estimates against bounds -> decisions. Pure JAX.

A test is a table of critical counts by number of patients, made once on the host (`vtrial.design`).
"""

from dataclasses import dataclass
from typing import Any, Literal

from vtrial.estimate.proportions import Endpoint
from vtrial.estimate.times import TIME_ENDPOINTS, TimeEndpoint, TimeMethod

Alternative = Literal["greater", "less"]
Population = Literal["infused", "enrolled"]


@dataclass(frozen=True)
class TestPlan:
    """What of a test is structure: its name, what it counts in whom, and the test it waits for (or "")."""

    __test__ = False  # not a test of pytest's

    name: str
    endpoint: Endpoint | TimeEndpoint
    population: Population
    alternative: Alternative
    after: str
    method: TimeMethod | None = None

    @property
    def timed(self) -> bool:
        """Whether the endpoint is a time to an event."""
        return self.endpoint in TIME_ENDPOINTS


def decide(
    tests: tuple[TestPlan, ...],
    bounds: dict[str, Any],
    counts: dict[Endpoint, Any],
    sizes: dict[Population, Any],
    shown_times: dict[str, Any],
) -> dict[str, Any]:
    """Whether each test rejects, bool by name; a test that waits for another rejects only if that one did.

    bounds: int32 tables (capacity + 1,) by test. "greater" rejects from the bound on, "less" up to it.
    shown_times: what tests of a time show by themselves. Tests
    come in an order in which none waits for a later one.
    """
    rejected: dict[str, Any] = {}
    for test in tests:
        if test.timed:
            shown = shown_times[test.name]
        else:
            bound = bounds[test.name][sizes[test.population]]
            x = counts[test.endpoint]  # type: ignore[index]
            shown = x >= bound if test.alternative == "greater" else x <= bound
        rejected[test.name] = shown & rejected[test.after] if test.after else shown
    return rejected
