"""Designs with actual numbers: as they may come, altered, or impossible."""

import copy
from typing import Any

from hypothesis import strategies as st

from tests.fuzz import scenarios
from tests.fuzz.designs import designs
from tests.fuzz.schema import Schema, altered
from vtrial import scenario
from vtrial.model.endpoints import TIME_ENDPOINTS
from vtrial.model.vocabulary import END
from vtrial.workflows.monitor.data import Data

WITH_LOOKS = [name for name, raw in scenarios.SHIPPED.items() if raw.get("look") or raw.get("test")]
HINTS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["interim", "half", "first-stage", END, "look-8", "looks"]),
    "infused": scenarios.sizes,
    "evaluable": scenarios.sizes,
    "enrolled": scenarios.sizes,
    "counts": st.dictionaries(scenarios.watched, scenarios.counts, max_size=3),
    "median": st.dictionaries(
        st.sampled_from(TIME_ENDPOINTS), st.sampled_from([0.0, 5.5, 20, float("inf")]), max_size=2
    ),
    "median_low": st.dictionaries(st.sampled_from(TIME_ENDPOINTS), st.sampled_from([0.0, 3.5, 9]), max_size=2),
    "note": st.sampled_from(["", "as of today"]),
    "timing_independent_of_results": st.booleans(),
}
SCHEMA = Schema(Data, HINTS)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A design and the numbers of its looks up to some look, near those planned: counts grow, nothing contradicts."""
    raw = (
        draw(designs()) if draw(st.booleans()) else copy.deepcopy(scenarios.SHIPPED[draw(st.sampled_from(WITH_LOOKS))])
    )
    design = scenario.from_dict(raw).cells[0].design
    end = design.cohort.infused or design.cohort.enrolled or 128
    planned = [(look.name, look.when.infused) for look in design.looks if not look.when.final]
    names = [*planned, (END, end)][: draw(st.integers(1, len(planned) + 1))]
    seed = draw(st.integers(0, 2**16))
    entries: list[dict[str, Any]] = []
    before = 0
    counted: dict[str, int] = {}
    for name, number in names:
        n = max(
            before, (number if isinstance(number, int) else max(before, 20)) + draw(st.sampled_from([0, 0, 0, -2, 3]))
        )
        n = max(n, 1)
        counted = _counts(counted, n - before, seed + n)
        entries.append({"name": name, "infused": n, "enrolled": n + 4, "counts": dict(counted)})
        months, events = 2.0 + seed % 11, counted["orr"]
        entries[-1] |= {
            "median": dict.fromkeys(TIME_ENDPOINTS, months),
            "median_low": dict.fromkeys(TIME_ENDPOINTS, months / 2),
            "log_rank": {time: {"observed": events, "expected": events + 5.0} for time in ("pfs", "dor")},
        }
        before = n
    return raw, {"look": entries}


def _counts(before: dict[str, int], more: int, seed: int) -> dict[str, int]:
    """Counts after more patients: nested where one endpoint is part of another, and growing."""
    had = before or dict.fromkeys(_NAMES, 0)
    orr = seed % (more + 1)
    cr, crs, crs3 = orr // 2, (seed // 7) % (more + 1), 0
    crs3 = crs // 3
    added = {"orr": orr, "vgpr": (orr + cr) // 2, "cr": cr, "mrd": cr // 2, "crs": crs, "crs3": crs3}
    added |= {"neurotoxicity": crs // 2, "neurotoxicity3": crs // 4, "orr@3": orr, "crs3@1": crs3}
    return {name: had[name] + added[name] for name in _NAMES}


_NAMES = ("orr", "vgpr", "cr", "mrd", "crs", "crs3", "neurotoxicity", "neurotoxicity3", "orr@3", "crs3@1")


@st.composite
def altered_cases(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A case whose numbers are altered."""
    raw, data = draw(cases())
    return raw, draw(altered(data, SCHEMA))


@st.composite
def impossible(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A case with one number that cannot be."""
    raw, data = draw(cases())
    first, last = data["look"][0], data["look"][-1]
    several = len(data["look"]) > 1
    kinds = ["count above n", "name", "nested", "negative", "nan", "key"]
    kinds += ["fewer patients", "fewer counts", "order", "twice"] if several else []
    match draw(st.sampled_from(kinds)):
        case "count above n":
            last["counts"]["orr"] = last["infused"] + 1
        case "name":
            last["name"] = "no such look"
        case "nested":
            last["counts"]["cr"] = last["counts"]["orr"] + 1
        case "negative":
            last["counts"]["orr"] = -1
        case "nan":
            last["median"]["pfs"] = float("nan")
        case "key":
            last["medians"] = last.pop("median")
        case "fewer patients":
            first["infused"] = last["infused"] + 1
        case "fewer counts":
            first["counts"]["orr"] = last["counts"]["orr"] + 1
        case "order":
            data["look"].reverse()
        case "twice":
            data["look"].append(copy.deepcopy(last))
    return raw, data
