"""The metrics of times to an event: follow-up, retreatment, and of each Kaplan-Meier curve."""

from collections.abc import Iterator

from vtrial._support.text import capitalised
from vtrial.characteristics import survival
from vtrial.characteristics.metric import IN_PLACE, Metric
from vtrial.evidence.facts import as_id
from vtrial.model.endpoints import TIME_WORDS
from vtrial.protocol.build import Protocol
from vtrial.trial.analysis.times import LANDMARKS, Curve

_QUANTILES = {
    "q025": "2.5% quantile over trials",
    "q50": "median over trials",
    "q975": "97.5% quantile over trials",
}
_SHARES = {
    "nr": "share of trials in which it is not reached",
    "ne": "share of trials in which it is not estimable",
}
_OF_MEDIAN = {"median": "estimate", "median.low": "lower 95% limit", "median.high": "upper 95% limit"}
_IN_PLACE = IN_PLACE | {"bound.high": "mean over trials if the last estimable survival stayed"}
_DEPTHS = {"none": ", no response", "pr": ", best response PR", "vgpr": ", VGPR", "cr": ", CR or better"}


def of_times(protocol: Protocol) -> Iterator[Metric]:
    """Of follow-up, retreatment and each curve."""
    words = "patients retreated after documented progression by the cut, mean over trials"
    yield Metric("retreated.n", "Patients", words, "patients")
    words = "of these, patients who respond again, mean over trials"
    yield Metric("retreated.responses", "Patients", words, "patients")
    for part, words in _QUANTILES.items():
        yield Metric(f"follow_up.{part}", "Median follow-up, months", words, "months")
    for curve in protocol.plan.curves:
        yield from _of_curve(protocol, curve)


def _of_curve(protocol: Protocol, curve: Curve) -> Iterator[Metric]:
    stem, whose = survival.name(protocol, curve), f"{TIME_WORDS[curve[0]]}{_group(protocol, curve[1])}"
    heading = f"{capitalised(whose)}: patients and survival"
    for month in LANDMARKS:
        at = f"Kaplan-Meier at {month} months"
        yield Metric(f"{stem}.s{month}", heading, f"{at}, mean over trials", "rate")
        for part, words in _IN_PLACE.items():
            yield Metric(f"{stem}.s{month}.{part}", heading, f"{at}: {words}", "rate")
    yield Metric(f"{stem}.n", heading, "patients, mean over trials", "patients")
    yield Metric(f"{stem}.events", heading, "events, mean over trials", "patients")
    of_median = f"Median {whose}, months"
    words = f"width of the 95% interval: {_QUANTILES['q50']}"
    yield Metric(f"{stem}.median.width.q50", of_median, words, "months")
    for what, words in _OF_MEDIAN.items():
        for part, over in _QUANTILES.items():
            yield Metric(f"{stem}.{what}.{part}", of_median, f"{words}: {over}", "months")
        for part, over in _SHARES.items():
            yield Metric(f"{stem}.{what}.{part}", of_median, f"{words}: {over}", "probability")


def _group(protocol: Protocol, group: str) -> str:
    """Whose curve it is, in words: " at 450", ", CR or better"; of all patients, nothing."""
    if group == "all":
        return ""
    return f" at {as_id(protocol.doses[int(group[4:])])}" if group.startswith("dose") else _DEPTHS[group]
