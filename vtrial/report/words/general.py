"""Metrics, tests and sizes in words, for the tables and charts of a report."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from vtrial.characteristics import stopping as looks
from vtrial.characteristics.table import WORTHWHILE
from vtrial.evidence.facts import as_id
from vtrial.model.endpoints import ENDPOINTS, TIME_ENDPOINTS, WORDS, Endpoint
from vtrial.model.endpoints import TIME_WORDS as TIMES
from vtrial.model.vocabulary import NOT_ESTIMABLE, NOT_REACHED
from vtrial.report.words.looks import look_in_words
from vtrial.scenario.sweep import shown
from vtrial.scenario.wording import claim

if TYPE_CHECKING:
    from vtrial.workflows.result import Result

_OF_RATE = {
    "rate": "mean over trials, of the infused",
    "rate.q025": "2.5% quantile over trials",
    "rate.q975": "97.5% quantile over trials",
    "enrolled.rate": "mean over trials, of the enrolled",
}
_OF_TRIAL = {
    "all.reject": "every test rejects",
    "success": "the trial is a success",
    "familywise.error": "some null that is true in its world is rejected (familywise error)",
    "n.enrolled": "patients enrolled, mean over trials",
    "n.infused": "patients infused, mean over trials",
}

_OVER_WORLDS = {
    "reject.worlds.q10": "probability that it is shown, 10% quantile over worlds",
    "reject.worlds.q50": "probability that it is shown, median over worlds",
    "reject.worlds.q90": "probability that it is shown, 90% quantile over worlds",
    "worthwhile": f"share of worlds in which it is true and shown with probability {WORTHWHILE:g} or more",
}
MC_LIMITS = ("mc_low", "mc_high")  # columns of the 95% Monte Carlo limits
_OVER_TRIALS = {
    "q025": "2.5% quantile over trials",
    "q50": "median over trials",
    "q975": "97.5% quantile over trials",
    "nr": "share of trials in which it is not reached",
    "ne": "share of trials in which it is not estimable",
}
_OF_MEDIAN = {
    "median.low": "lower 95% limit",
    "median.high": "upper 95% limit",
    "median.width": "width of the 95% interval",
    "median": "estimate",
}
_OF_CURVE = {"n": "patients, mean over trials", "events": "events, mean over trials"}
_IN_PLACE = {
    "ne": "share of trials in which it is not estimable",
    "true": "true value, mean over worlds",
    "bound.low": "mean over trials if it were 0 wherever it is not estimable",
}
_OF_RATE_IN_PLACE = _IN_PLACE | {"bound.high": "mean over trials if it were 1 wherever it is not estimable"}
_OF_LANDMARK = _IN_PLACE | {"bound.high": "mean over trials if the last estimable survival stayed"}
# The flags of the core whose names alone do not say how they differ from endpoints.
_OF_FLAG = {
    "orr": "response (PR or better)",
    "vgpr_or_better": "VGPR or better",
    "cr": "CR or better",
    "vgpr": "best response VGPR, no better",
    "pr": "best response PR, no better",
    "crs": "CRS of any grade",
    "crs3": "CRS of grade 3 or higher",
    "neurotoxicity": "neurotoxicity of any grade",
    "neurotoxicity3": "neurotoxicity of grade 3 or higher",
}
_OF_RETREATED = {
    "n": "patients retreated after documented progression by the cut, mean over trials",
    "responses": "of these, patients who respond again, mean over trials",
}
_DEPTHS = {"none": ", no response", "pr": ", best response PR", "vgpr": ", VGPR", "cr": ", CR or better"}


def capitalised(text: str) -> str:
    """The text with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def claim_of(result: "Result", name: str) -> str:
    """What the rejection of a test shows, in all cells."""
    tests = [next(t for t in protocol.tests if t.name == name) for protocol in result.protocols]
    nulls = {test.null for test in tests}
    return claim(tests[0], nulls.pop() if len(nulls) == 1 else None)


def success_in_words(result: "Result") -> str:
    """What the metric `success` is: "a rule stops for it, or 'orr' is shown"."""
    protocol = result.protocols[0]
    needed = [f"'{name}'" for name in looks.success_tests(protocol)]
    ways = ["a rule stops for success"] if any(rule.then == "success" for rule in protocol.plan.rules) else []
    if needed:
        ways.append(f"{listed(needed)} {'is' if len(needed) == 1 else 'are'} shown")
    return ", or ".join(ways)


def metric_in_words(result: "Result", metric: str) -> tuple[str, str]:
    """A heading and a line for a metric: ("Decisions", "CR or better > 10% is shown")."""
    tests = {test.name: test for test in result.protocols[0].tests}
    name, _, rest = metric.partition(".")
    if rest == "reject" and name in tests:
        after = f", after {tests[name].after}" if tests[name].after else ""
        return "Decisions: probability over trials", f"{claim_of(result, name)} is shown ({name}{after})"
    if name in tests and rest in _OVER_WORLDS:
        return "Over the worlds", f"{claim_of(result, name)} ({name}): {_OVER_WORLDS[rest]}"
    if found := look_in_words(result.protocols[0], metric):
        return found
    if metric in _OF_TRIAL:
        heading = "Patients" if name == "n" else "Decisions: probability over trials"
        means = f" ({success_in_words(result)})" if metric == "success" else ""
        return heading, _OF_TRIAL[metric] + means
    if name in ENDPOINTS and rest in _OF_RATE:
        return f"Rate of {rate_in_words(name)}", _OF_RATE[rest]
    if name in ENDPOINTS and (in_place := rest.removeprefix("rate.")) in _OF_RATE_IN_PLACE:
        return f"Rate of {rate_in_words(name)}", _OF_RATE_IN_PLACE[in_place]
    if name == "flag":
        return _flag_in_words(metric)
    return _time_in_words(result, metric)


def _flag_in_words(metric: str) -> tuple[str, str]:
    """As `metric_in_words`, of a flag: ``flag.vgpr.rate``."""
    flag, _, what = metric.removeprefix("flag.").rpartition("rate")
    flag, what = flag.removesuffix("."), what.removeprefix(".")
    words = _OF_FLAG.get(flag, flag)
    in_place = f": {_OF_RATE_IN_PLACE[what]}" if what in _OF_RATE_IN_PLACE else ""
    return "Rates of what else was asked for, of the infused, as known at the data cut", f"{words}{in_place}"


def _time_in_words(result: "Result", metric: str) -> tuple[str, str]:
    """A heading and a line for a metric of a curve, such as ``dor.cr.median.low.q50``."""
    name, _, rest = metric.partition(".")
    if name == "retreated" and rest in _OF_RETREATED:
        return "Patients", _OF_RETREATED[rest]
    if name == "follow_up" and rest in _OVER_TRIALS:
        return "Median follow-up, months", _OVER_TRIALS[rest]
    if name in TIME_ENDPOINTS:
        of = metric[len(name) + 1 :]
        group = next((g for g in _groups(result) if of.startswith(f"{g}.")), "")
        of = of.removeprefix(f"{group}.") if group else of
        whose = f"{TIMES[name]}{_groups(result).get(group, '')}"
        if of in _OF_CURVE:
            return f"{capitalised(whose)}: patients and survival", _OF_CURVE[of]
        for part, words in _OF_MEDIAN.items():
            over = of.removeprefix(f"{part}.")
            if of.startswith(f"{part}.") and over in _OVER_TRIALS:
                return f"Median {whose}, months", f"{words}: {_OVER_TRIALS[over]}"
        if of.startswith("s") and of[1:].isdigit():
            return f"{capitalised(whose)}: patients and survival", f"Kaplan-Meier at {of[1:]} months, mean over trials"
        month, _, what = of.partition(".")
        if month.startswith("s") and month[1:].isdigit() and what in _OF_LANDMARK:
            line = f"Kaplan-Meier at {month[1:]} months: {_OF_LANDMARK[what]}"
            return f"{capitalised(whose)}: patients and survival", line
    return "Other", metric


def _groups(result: "Result") -> dict[str, str]:
    """The groups of curves as they stand in metrics, in words."""
    doses = {dose for protocol in result.protocols for dose in protocol.doses}
    return {as_id(dose): f" at {as_id(dose)}" for dose in sorted(doses)} | _DEPTHS


def rate_in_words(endpoint: Endpoint) -> str:
    """An endpoint in words."""
    return WORDS[endpoint]


def point(swept: dict[str, object]) -> str:
    """A cell's swept values: "cohort.enrolled = 40"."""
    return ", ".join(f"{key} = {shown(value)}" for key, value in swept.items())


def number(value: float, digits: int = 4) -> str:
    """A number for a table; what is not known is a dash, what is not reached (infinite) is NR.

    What these digits would make 0 and is not has one digit of its own: 3e-05.
    """
    if value is not None and math.isinf(value):
        return NOT_REACHED
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" if value == 0.0 or round(abs(value), digits) > 0.0 else f"{value:.1g}"


def error_in_words(row: Mapping[str, Any] | pd.Series, digits: int = 4) -> str:
    """The Monte Carlo error of a row of characteristics: "±0.0009".

    Where all trials agree there is no spread, which does not mean no error: "95% limits 0.0000 to 0.0038".
    """
    mcse, (low, high) = float(row["mcse"]), (float(row[column]) for column in MC_LIMITS)
    if mcse == 0.0 and low < high:
        return f"95% limits {limits_in_words(low, high, digits)}"
    return f"±{number(mcse, digits)}"


def limits_in_words(low: float, high: float, digits: int = 4) -> str:
    """ "0.0000 to 0.0038", with as many more digits as tell the two apart."""
    while digits < 12 and f"{low:.{digits}f}" == f"{high:.{digits}f}":
        digits += 1
    return f"{low:.{digits}f} to {high:.{digits}f}"


def simulated_row(result: "Result", metric: str, cell: int) -> pd.Series:
    """The row of a simulated metric. Raises `InputError` where there is none."""
    result.value(metric, cell=cell)
    table: Any = result.characteristics
    return table[(table["cell"] == cell) & (table["metric"] == metric) & (table["method"] == "simulated")].iloc[0]


def estimate(value: float, digits: int = 4) -> str:
    """As `number`, of an estimate: one that is missing is not estimable."""
    return NOT_ESTIMABLE if math.isnan(value) else number(value, digits)


def listed(names: Iterable[str]) -> str:
    """ "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
