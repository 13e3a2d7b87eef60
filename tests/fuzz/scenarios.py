"""Scenarios: shipped ones and generated designs, altered; or made of the model's keys alone."""

import copy
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.designs import designs
from tests.fuzz.schema import Schema, altered, faulty
from vtrial._support import paths
from vtrial._support.validation import read_toml
from vtrial.model.endpoints import ENDPOINTS, LOOK_ENDPOINTS, RATES, TIME_ENDPOINTS
from vtrial.model.vocabulary import correlation_names
from vtrial.scenario import _File  # type: ignore[attr-defined]

SHIPPED: dict[str, dict[str, Any]] = {name: read_toml(paths.scenario_file(name), name) for name in paths.scenarios()}
COVARIATES = ("baseline.extramedullary", "baseline.high_tumor_burden", "baseline.cyto_high_risk")
METRICS = (
    "orr.reject", "orr.rate", "cr.rate", "a.reject", "stop.harm", "stop.futility", "success", "n.infused", "duration",
    "pfs.median", "pfs.s12", "familywise.error", "flag.baseline.male.rate", "orr.power",
)  # fmt: skip
SWEPT = (
    "cohort.enrolled",
    "cohort.infused",
    "world.truth",
    "world.discount",
    "calendar.accrual_per_month",
    "test.orr.null",
)

rates = st.sampled_from([0.05, 0.2, 0.5, 0.7])
names = st.sampled_from(["orr", "cr", "a", "b"])
sizes = st.one_of(st.integers(1, 60), st.sampled_from([1, 2, 64, 128, 129]))
months = st.sampled_from([0, 0.5, 1, 3, 6, 12, 18, 36])
doses = st.sampled_from(["150", "300", "450"])
watched = st.sampled_from(
    ["orr", "cr", "crs3", "crs", "neurotoxicity3", "orr@1", "orr@3", "cr@6", "crs3@1", "death@6", "pfs@12", "os@6",
     "death", *LOOK_ENDPOINTS]
)  # fmt: skip
counts = st.one_of(st.integers(0, 20), sizes)


@st.composite
def truths(draw: st.DrawFn) -> Any:
    """A word, or a table of rates and medians, with or without its options."""
    if draw(st.booleans()):
        return draw(st.sampled_from(["posterior", "posterior", "posterior-mean", "prior"]))
    by_dose = st.dictionaries(doses, rates, min_size=1, max_size=3)
    found: dict[str, Any] = draw(st.dictionaries(st.sampled_from(RATES), st.one_of(rates, by_dose), max_size=2))
    if draw(st.integers(0, 2)) == 0:
        found["pfs_median"] = draw(st.sampled_from([2, 4.0, 9, 40]))
    for option, values in {
        "at": ["design", "study"],
        "each_dose": [True, False],
        "population": ["infused", "enrolled"],
        "scale": ["documented", "latent"],
    }.items():
        if draw(st.integers(0, 4)) == 0:
            found[option] = draw(st.sampled_from(values))
    return found


numbers_of_patients = st.one_of(
    sizes,
    st.lists(sizes, min_size=1, max_size=4, unique=True).map(sorted),
    st.fixed_dictionaries({"from": st.integers(1, 20), "to": st.integers(20, 60), "by": st.integers(1, 30)}),
)


@st.composite
def solves(draw: st.DrawFn) -> dict[str, Any]:
    """What is looked for, among a few values."""
    asked: dict[str, Any] = {"key": draw(st.sampled_from(SWEPT)), "metric": draw(st.sampled_from(METRICS))}
    asked[draw(st.sampled_from(["at_least", "at_most"]))] = draw(st.sampled_from([0.1, 0.8, 12]))
    return asked | draw(st.sampled_from([{"from": 20, "to": 60, "by": 20}, {"values": [0.5, 1.0]}]))


sweeps = st.one_of(
    st.dictionaries(
        st.sampled_from(SWEPT), st.lists(st.one_of(rates, sizes, truths()), min_size=1, max_size=3), max_size=2
    ),
    st.just({"zip": {"cohort.enrolled": [40, 50], "test.orr.null": [0.4, 0.5]}}),
)

HINTS: dict[str, st.SearchStrategy[Any]] = {
    "TestSection.name": names,
    "LookSection.name": st.sampled_from(["first", "second", "interim"]),
    "ArmSection.name": st.sampled_from(["arm", "all", "high"]),
    "name": st.sampled_from(["few", "many", "rule"]),
    "title": st.sampled_from(["", "A title [bold]", "<b>&amp;\n"]),
    "question": st.sampled_from(["", "Why?"]),
    "answer": st.lists(st.sampled_from(METRICS), max_size=3),
    "success": st.lists(names, max_size=2),
    "tests": st.lists(names, max_size=2),
    "study": st.sampled_from(["karmma", "karmma", "karmma", "priors/invented", "absent"]),
    "truth": truths(),
    "doses": st.dictionaries(doses, st.sampled_from([1, 2, 0.5, 20, 64]), min_size=1, max_size=3),
    "mix": st.dictionaries(st.sampled_from(COVARIATES), rates, max_size=2),
    "effect.keys": st.sampled_from(COVARIATES),
    "correlation.keys": st.sampled_from(correlation_names()),
    "enrolled": sizes,
    "attrition": st.sampled_from(["fitted", 0, 0.0, 0.09, 0.5]),
    "infusion_delay_months": st.sampled_from(["fitted", 0, 1.5]),
    "data_cut": st.sampled_from(
        [{"month": 18}, {"month": 30.0}, {"months_after_last_infusion": 0}, {"months_after_last_infusion": 6}]
    ),
    "visits": st.lists(st.sampled_from([1, 2, 3, 6, 9, 12, 18, 24]), min_size=1, max_size=5, unique=True).map(sorted),
    "accrual_per_month": st.sampled_from([0.5, 4, 11.6, 60]),
    "endpoint": watched,
    "TestSection.endpoint": st.sampled_from([*ENDPOINTS, *TIME_ENDPOINTS]),
    "MedianRule.endpoint": st.sampled_from(TIME_ENDPOINTS),
    "endpoints": st.lists(st.sampled_from([*ENDPOINTS, *TIME_ENDPOINTS]), max_size=4, unique=True),
    "flags": st.lists(
        st.sampled_from(["adverse_events", "baseline.male", "vgpr", "orr", "ae.anemia.any", "nobody"]), max_size=2
    ),
    "test": names,
    "after": names,
    "null": rates,
    "count": counts,
    "assumed": rates,
    "alpha": st.sampled_from([0.025, 0.05, 0.1]),
    "prior": st.sampled_from([[1.0, 1.0], [0.5, 0.5], [[0.5, 1, 1], [0.5, 8, 2]], [3, 1]]),
    "events": st.integers(1, 60),
    "TestSection.events": st.integers(1, 90),
    "When.events": st.dictionaries(st.sampled_from(TIME_ENDPOINTS), st.integers(1, 40), min_size=1, max_size=1),
    "When.infused": numbers_of_patients,
    "infused": sizes,
    "calendar_month": st.sampled_from([3, 8.0, 12, 20]),
    "follow_up_months": months,
    "any": st.just([{"calendar_month": 9}, {"infused": 10, "follow_up_months": 1}]),
    "all": st.just([{"calendar_month": 9}, {"events": {"pfs": 5}}]),
    "rate": st.one_of(st.just("observed"), rates),
    "final": sizes,
    "When.final": st.just(True),
    "weights": st.dictionaries(names, st.sampled_from([0.0, 0.3, 0.5, 1.0]), min_size=1, max_size=2),
    "transitions": st.dictionaries(names, st.dictionaries(names, st.sampled_from([0.5, 1.0]), max_size=1), max_size=2),
    "trials": st.sampled_from([1, 2, 50, 400]),
    "seed": st.sampled_from([0, 1, 2**32 - 1]),
    "sweep": sweeps,
    "solve": solves(),
}
SCHEMA = Schema(_File, HINTS)


@st.composite
def shipped(draw: st.DrawFn) -> dict[str, Any]:
    """A scenario of the package, or a design of tests and looks."""
    if draw(st.integers(0, 2)) == 0:
        return draw(designs())
    raw = copy.deepcopy(SHIPPED[draw(st.sampled_from(sorted(SHIPPED)))])
    raw.pop("sweep", None) if draw(st.booleans()) else None
    return raw


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Data of which many are scenarios and many are not."""
    raw = draw(SCHEMA.table(SCHEMA.whole) if draw(st.integers(0, 3)) == 0 else shipped())
    return draw(altered(raw, SCHEMA))


@st.composite
def no_scenarios(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A scenario with one value that cannot be, and the key of it."""
    return draw(faulty(draw(shipped()), SCHEMA))
