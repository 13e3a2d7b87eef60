"""A test at the final analysis of a trial's actual numbers. Host."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binom, norm

from vtrial._support.errors import InputError
from vtrial.model.vocabulary import END
from vtrial.protocol.build import Protocol
from vtrial.scenario import TestSection
from vtrial.workflows.monitor.data import Analysis


def tested(
    protocol: Protocol, test: TestSection, end: Analysis, z_finals: Mapping[str, Sequence[float]]
) -> tuple[dict[str, Any], Any]:
    """A test's row, and whether it shows its claim by itself, (sets,) under a graph.

    z_finals: bounds of tests of a time that are not the planned ones. Raises `InputError` for a number that it needs.
    """
    row: dict[str, Any] = {"look": END, "rule": f"test {test.name}", "endpoint": test.endpoint, "then": "rejects"}
    seen, place = end.seen, end.place
    if test.timed:
        if test.method == "median":
            low = seen.median_low.get(test.endpoint)  # type: ignore[call-overload]
            if low is None:
                raise InputError(f"{place}: median_low has no '{test.endpoint}', which test '{test.name}' needs")
            words = f"lower limit {low:g} months, null {test.null:g}"
            return row | {"seen": words, "fires": low > test.null}, low > test.null
        z = end.value((test.endpoint, "log-rank"))
        limits = z_finals.get(test.name)
        if limits is None:
            limits = [protocol.levels.z_final(test.name, code) for code in range(protocol.levels.sets)]
        shows = np.array([z >= limit for limit in limits])
        return row | {"seen": f"z = {z:.3f}, rejects from {limits[0]:.3f}", "fires": bool(shows[0])}, shows
    n = seen.infused if test.population == "infused" else seen.enrolled
    if n is None:
        raise InputError(f"{place}: enrolled is missing, which test '{test.name}' needs")
    x = end.count(test.endpoint)
    bound = np.atleast_1d(protocol.numbers.bounds[test.name][..., n])
    shows = test.side.reached(x, bound)
    first = int(bound[0])
    there = test.side.attainable(first, n)
    way = (f"rejects from {first} on" if test.side.upper else f"up to {first}") if there else "none rejects"
    row |= {"count": x, "n": n, "bound": first if there else None, "fires": bool(shows[0])}
    return row | {"seen": f"{x} of {n}, {way}{_pvalue_of(test, x, n)}"}, shows


def _pvalue_of(test: TestSection, x: int, n: int) -> str:
    if test.method not in ("exact", "normal"):
        return ""
    greater = test.alternative == "greater"
    if test.method == "exact":
        p = binom.sf(x - 1, n, test.null) if greater else binom.cdf(x, n, test.null)
    else:
        z = (x - n * test.null) / np.sqrt(n * test.null * (1.0 - test.null))
        p = norm.sf(z) if greater else norm.cdf(z)
    return f" (one-sided p {'< 0.0001' if p < 1e-4 else f'= {p:.4f}'})"
