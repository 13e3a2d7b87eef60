"""The metrics of a design with looks, and how they are said."""

from collections.abc import Iterator
from typing import cast

from vtrial.characteristics import stopping
from vtrial.characteristics.estimation import estimated_endpoints
from vtrial.characteristics.metric import Metric
from vtrial.model.endpoints import TIME_ENDPOINTS, TIME_WORDS, WORDS
from vtrial.model.vocabulary import CLOSES, OUTCOMES, Then
from vtrial.protocol.build import Protocol

_ENDS = "How the trial ends: probability over trials"
_AFTER = "Estimates after stopping, of those infused by then at full follow-up"
_PATIENTS = {
    "n.evaluated": "patients in the analysis that ended the trial, mean over trials",
    "n.not_infused": "enrolled, not infused by the end (waiting or dropped out), mean over trials",
    "n.not_evaluated": "infused, not in the analysis that ended the trial, mean over trials",
}
_MONTHS = {
    "duration": "from the first enrolment to the analysis that ended the trial, mean over trials",
    "duration.q025": "2.5% quantile over trials",
    "duration.q975": "97.5% quantile over trials",
}


def of_looks(protocol: Protocol) -> Iterator[Metric]:
    """How trials end, with how many patients and when, and what stopping does to estimates."""
    yield from _stops(protocol)
    for name, label in _PATIENTS.items():
        yield Metric(name, "Patients", label, "patients", compared=name == "n.evaluated")
    for name, label in _MONTHS.items() if protocol.plan.in_calendar else ():
        yield Metric(name, "Duration, months", label, "months", compared=name == "duration")
    if not protocol.plan.mix:
        yield from _after(protocol)


def _stops(protocol: Protocol) -> Iterator[Metric]:
    plan = protocol.plan
    where = [("", then) for then in stopping.outcomes(protocol)]
    for section, places in stopping.groups(protocol).items():
        where += [(section, then) for then in stopping.decided_by(protocol, places)]
        for place in places if len(places) > 1 else []:
            where += [(plan.looks[place].name, then) for then in stopping.decided_by(protocol, [place])]
    for look, then in where:
        verb = stops_in_words(protocol, cast(Then, then), look)
        label = f"{verb} at '{look}'" if look else verb
        yield Metric(f"stop.{look}.{then}" if look else f"stop.{then}", _ENDS, label, "probability", compared=not look)


def _after(protocol: Protocol) -> Iterator[Metric]:
    sections = stopping.groups(protocol)
    ends = ["", *(name for name in sections if not protocol.plan.looks[sections[name][0]].final), stopping.END]
    for endpoint in estimated_endpoints(protocol):
        for end in ends:
            suffix, whom = f".{end}" if end else "", ended_in_words(end)
            bias = f"bias of the rate of {WORDS[endpoint]}: {whom}"
            covers = f"95% Clopper-Pearson interval of {WORDS[endpoint]} covers: {whom}"
            yield Metric(f"{endpoint}.bias{suffix}", _AFTER, bias, "difference")
            yield Metric(f"{endpoint}.coverage{suffix}", _AFTER, covers, "probability")
    for endpoint in TIME_ENDPOINTS:
        for end in ends if (endpoint, "all") in protocol.plan.curves else ():
            suffix, whom = f".{end}" if end else "", ended_in_words(end)
            bias = f"median error of the median {TIME_WORDS[endpoint]}, months: {whom}"
            covers = f"95% interval of the median {TIME_WORDS[endpoint]} covers: {whom}"
            yield Metric(f"{endpoint}.median.bias{suffix}", _AFTER, bias, "months")
            yield Metric(f"{endpoint}.median.coverage{suffix}", _AFTER, covers, "probability")


def headlines(protocol: Protocol) -> list[str]:
    """The metrics of looks that stand among decisions: how the trial ends, patients, months; none without looks."""
    if not protocol.plan.looks:
        return []
    possible = dict.fromkeys([*_decided(protocol, final=False), *_decided(protocol, final=True)])
    found = [f"stop.{then}" for then in OUTCOMES if then in possible]
    sections = stopping.groups(protocol)
    if len(sections) > 1:
        stops = {section: stopping.decided_by(protocol, places) for section, places in sections.items()}
        found += [f"stop.{section}.{then}" for section, decided in stops.items() for then in decided]
    return [*found, "n.infused", "n.evaluated", *(["duration"] if protocol.plan.in_calendar else [])]


def _decided(protocol: Protocol, *, final: bool) -> list[str]:
    """What looks before the end (or rules at it) can decide."""
    return stopping.decided_by(protocol, [k for k, look in enumerate(protocol.plan.looks) if look.final == final])


def ended_in_words(where: str) -> str:
    """Which trials: all of them (""), those that a look ended, or those that none did."""
    if not where:
        return "all trials"
    return "trials that no look stopped" if where == stopping.END else f"trials that ended at '{where}'"


def stops_in_words(protocol: Protocol, then: Then, where: str = "") -> str:
    """The verb of an outcome: "stops for futility"; where only rules at the end decide it, "ends with futility"."""
    if then == "consider":
        return "ends in the grey zone (consider)"
    if then == CLOSES:
        return "stops enrolment"
    looks, sections = protocol.plan.looks, stopping.groups(protocol)
    places = sections.get(where) or [k for k, look in enumerate(looks) if look.name == where or not where]
    final = all(looks[k].final for k in places if then in stopping.decided_by(protocol, [k]))
    return f"ends with {then}" if final and then in _decided(protocol, final=True) else f"stops for {then}"
