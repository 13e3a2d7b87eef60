"""Metrics of looks, what looks count, and when they are held, in words."""

from typing import cast

from vtrial.characteristics import stopping as looks
from vtrial.model.endpoints import ENDPOINTS, TIME_ENDPOINTS, WORDS, Endpoint, TimeEndpoint, watched
from vtrial.model.endpoints import LOOK_WORDS as GRADES
from vtrial.model.endpoints import TIME_WORDS as TIMES
from vtrial.model.vocabulary import CLOSES, OUTCOMES, Then
from vtrial.protocol.build import Protocol
from vtrial.scenario.looks import LookSection, When

ENDS = "How the trial ends: probability over trials"
AFTER = "Estimates after stopping, of those infused by then at full follow-up"
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


def decided_before(protocol: Protocol) -> list[Then]:
    """What looks before the end can stop a trial for."""
    return _decided(protocol, final=False)


def decided_at_end(protocol: Protocol) -> list[Then]:
    """What rules at the final analysis can decide."""
    return _decided(protocol, final=True)


def _decided(protocol: Protocol, *, final: bool) -> list[Then]:
    places = [k for k, look in enumerate(protocol.plan.looks) if look.final == final]
    return cast(list[Then], looks.decided_by(protocol, places))


def headlines(protocol: Protocol) -> list[str]:
    """The metrics of looks that stand among decisions: how the trial ends, patients, months; none without looks."""
    if not protocol.plan.looks:
        return []
    possible = dict.fromkeys([*decided_before(protocol), *decided_at_end(protocol)])
    found = [f"stop.{then}" for then in OUTCOMES if then in possible]
    sections = looks.groups(protocol)
    if len(sections) > 1:
        stops = {section: looks.decided_by(protocol, places) for section, places in sections.items()}
        found += [f"stop.{section}.{then}" for section, decided in stops.items() for then in decided]
    return [*found, "n.infused", "n.evaluated", *(["duration"] if protocol.plan.in_calendar else [])]


def look_in_words(protocol: Protocol, metric: str) -> tuple[str, str] | None:
    """A heading and a line for a metric of looks; None for any other."""
    name, _, rest = metric.partition(".")
    if not protocol.plan.looks:
        return None
    if name == "stop":
        return ENDS, _stop(protocol, rest)
    if metric in _PATIENTS:
        return "Patients", _PATIENTS[metric]
    if metric in _MONTHS:
        return "Duration, months", _MONTHS[metric]
    return _after(name, rest)


def _after(name: str, rest: str) -> tuple[str, str] | None:
    """Words of the bias and coverage of a rate, or of a median."""
    of_median = rest.startswith("median.")
    what, _, where = rest.removeprefix("median.").partition(".")
    if what not in ("bias", "coverage") or name not in (TIME_ENDPOINTS if of_median else ENDPOINTS):
        return None
    if of_median:
        words = f"median error of the median {TIMES[cast(TimeEndpoint, name)]}, months"
        words = words if what == "bias" else f"95% interval of the median {TIMES[cast(TimeEndpoint, name)]} covers"
    else:
        rate = WORDS[cast(Endpoint, name)]
        words = f"bias of the rate of {rate}" if what == "bias" else f"95% Clopper-Pearson interval of {rate} covers"
    return AFTER, f"{words}: {ended_in_words(where)}"


def ended_in_words(where: str) -> str:
    """Which trials: all of them (""), those that a look ended, or those that none did."""
    if not where:
        return "all trials"
    return "trials that no look stopped" if where == looks.END else f"trials that ended at '{where}'"


def _stop(protocol: Protocol, rest: str) -> str:
    where, _, then = rest.rpartition(".")
    verb = stops_in_words(protocol, cast(Then, then), where)
    return f"{verb} at '{where}'" if where else verb


def stops_in_words(protocol: Protocol, then: Then, where: str = "") -> str:
    """The verb of an outcome: "stops for futility"; where only rules at the end decide it, "ends with futility"."""
    if then == "consider":
        return "ends in the grey zone (consider)"
    if then == CLOSES:
        return "stops enrolment"
    sections = looks.groups(protocol)
    places = sections.get(where) or [k for k, look in enumerate(protocol.plan.looks) if look.name == where or not where]
    final = all(protocol.plan.looks[k].final for k in places if then in looks.decided_by(protocol, [k]))
    return f"ends with {then}" if final and then in decided_at_end(protocol) else f"stops for {then}"


def counted_in_words(endpoint: str) -> str:
    """What a rule counts: "response (PR or better) by month 3"; of a time, its median."""
    if endpoint in TIME_ENDPOINTS:
        return endpoint.upper()
    asked = watched(endpoint)
    words = endpoint_in_words(asked.endpoint)
    month = f" {'at' if asked.endpoint in ('pfs', 'os') else 'by'} month {asked.window:g}" if asked.window else ""
    return f"{words}{month}"


def endpoint_in_words(endpoint: str) -> str:
    """What a rule counts, its window aside."""
    name = endpoint.partition("@")[0]
    return GRADES[name] if name in GRADES else WORDS[cast(Endpoint, name)]


def when_in_words(section: LookSection) -> str:
    """When a look is held: "64 infused, 3 months of follow-up"."""
    words = _when(section.when)
    takes_all = section.analyse == "all" and section.when.kind == "infused"
    return f"{words}; takes all evaluable then" if takes_all else words


def _when(when: When) -> str:
    if when.final:
        return "at the final analysis"
    if when.infused:
        follow_up = when.follow_up_months
        if follow_up is None:
            return f"{when.infused} infused, at full follow-up"
        return f"{when.infused} infused, {follow_up:g} month{'' if follow_up == 1 else 's'} of follow-up"
    if when.events:
        endpoint, number = next(iter(when.events.items()))
        return f"{number} events of {endpoint.upper()}"
    if when.calendar_month:
        return f"month {when.calendar_month:g} of the calendar"
    joined = ", or ".join(_when(one) for one in when.any or []) or ", and ".join(_when(one) for one in when.all or [])
    return f"{'the first of' if when.any else 'the last of'}: {joined}"
