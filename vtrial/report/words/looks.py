"""What looks count, and when they are held, in words."""

from typing import cast

from vtrial.model.endpoints import LOOK_WORDS, TIME_ENDPOINTS, WORDS, Endpoint, watched
from vtrial.scenario.looks import LookSection, When


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
    return LOOK_WORDS[name] if name in LOOK_WORDS else WORDS[cast(Endpoint, name)]


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
