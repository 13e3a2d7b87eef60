"""Every metric that a run can have, as data: its name, what it is in words, its unit. `answer`, `solve`, differences
and the words of the report read them here.

Those of looks are in `metrics_of_looks`, those of times in `metrics_of_times`.
"""

from collections.abc import Iterator, Sequence

from vtrial._support.errors import InputError, nearest
from vtrial._support.text import listed
from vtrial.characteristics import stopping
from vtrial.characteristics.exact import fixed
from vtrial.characteristics.metric import IN_PLACE, Metric
from vtrial.characteristics.metrics_of_looks import of_looks
from vtrial.characteristics.metrics_of_times import of_times
from vtrial.characteristics.table import WORTHWHILE, metric_of_flag
from vtrial.model.descriptors import CORE
from vtrial.model.endpoints import TIME_ENDPOINTS, WORDS
from vtrial.protocol.build import Protocol
from vtrial.scenario import Design
from vtrial.scenario.wording import claim

DECISIONS = "Decisions: probability over trials"
OF_CURVES = (*TIME_ENDPOINTS, "follow_up", "retreated")  # the metrics of curves begin with these
_OVER_WORLDS = {
    "worthwhile": f"share of worlds in which it is true and shown with probability {WORTHWHILE:g} or more",
    "reject.worlds.q10": "probability that it is shown, 10% quantile over worlds",
    "reject.worlds.q50": "probability that it is shown, median over worlds",
    "reject.worlds.q90": "probability that it is shown, 90% quantile over worlds",
}
_OF_RATE = {
    "rate": "mean over trials, of the infused",
    "rate.q025": "2.5% quantile over trials",
    "rate.q975": "97.5% quantile over trials",
    "enrolled.rate": "mean over trials, of the enrolled",
}
_RATE_IN_PLACE = IN_PLACE | {"bound.high": "mean over trials if it were 1 wherever it is not estimable"}
# Flags whose names are those of endpoints, and what they are where that is not the endpoint.
_OF_FLAG: dict[str, str] = {
    **{name: words for name, words in WORDS.items() if name in CORE},
    "vgpr_or_better": WORDS["vgpr"],
    "vgpr": "best response VGPR, no better",
    "pr": "best response PR, no better",
}
_FLAGS = "Rates of what else was asked for, of the infused, as known at the data cut"


def metrics(protocol: Protocol, cells: Sequence[Protocol] = ()) -> list[Metric]:
    """The metrics that a run of a protocol can have: also those that are known only where trials ended at a look, or
    where exact answers exist.

    cells: all protocols of a sweep, since what a test claims may vary over them.
    """
    cells = cells or (protocol,)
    return [
        *_of_tests(protocol, cells),
        *_of_trial(protocol),
        *_of_rates(protocol),
        *(of_looks(protocol) if protocol.plan.looks else ()),
        *(of_times(protocol) if protocol.plan.curves else ()),
    ]


def by_name(protocols: Sequence[Protocol]) -> dict[str, Metric]:
    """The metrics of all cells of a sweep."""
    found: dict[str, Metric] = {}
    seen: set[object] = set()
    for protocol in protocols:
        many = protocol.worlds.size > 1
        alike = (protocol.plan, tuple(look.name for look in protocol.plan.looks), protocol.doses, many)
        if alike not in seen:
            seen.add(alike)
            found = {metric.name: metric for metric in metrics(protocol, protocols)} | found
    return found


def _of_tests(protocol: Protocol, cells: Sequence[Protocol]) -> Iterator[Metric]:
    over = protocol.worlds.size > 1 or protocol.plan.shifted  # known where they are exact
    for test in protocol.tests:
        shown = claim_of(cells, test.name)
        after = f", after {test.after}" if test.after else ""
        words = f"{shown} is shown ({test.name}{after})"
        yield Metric(f"{test.name}.reject", DECISIONS, words, "probability", compared=True)
        for what, words in _OVER_WORLDS.items() if over else ():
            yield Metric(f"{test.name}.{what}", "Over the worlds", f"{shown} ({test.name}): {words}", "probability")


def _of_trial(protocol: Protocol) -> Iterator[Metric]:
    tests = protocol.plan.tests
    if len(tests) > 1 and not fixed.is_chain(tests):
        yield Metric("all.reject", DECISIONS, "every test rejects", "probability", compared=True)
    if tests and not protocol.plan.mix and not any(test.timed for test in tests):
        words = "some null that is true in its world is rejected (familywise error)"
        yield Metric("familywise.error", DECISIONS, words, "probability")
    if stopping.has_success(protocol):
        words = f"the trial is a success ({success_in_words(protocol)})"
        yield Metric("success", DECISIONS, words, "probability", compared=True)
    for whom in ("enrolled", "infused"):
        yield Metric(f"n.{whom}", "Patients", f"patients {whom}, mean over trials", "patients", compared=True)


def _of_rates(protocol: Protocol) -> Iterator[Metric]:
    for endpoint in protocol.plan.endpoints:
        heading = f"Rate of {WORDS[endpoint]}"
        for part, words in _OF_RATE.items():
            yield Metric(f"{endpoint}.{part}", heading, words, "rate", compared=part.endswith("rate"))
        for part, words in _RATE_IN_PLACE.items():
            yield Metric(f"{endpoint}.rate.{part}", heading, words, "rate")
    for flag in protocol.plan.flags:
        name, words = f"{metric_of_flag(flag)}.rate", _OF_FLAG.get(flag, flag)
        yield Metric(name, _FLAGS, words, "rate", compared=True)
        for part, more in _RATE_IN_PLACE.items():
            yield Metric(f"{name}.{part}", _FLAGS, f"{words}: {more}", "rate")


def claim_of(cells: Sequence[Protocol], name: str) -> str:
    """What the rejection of a test shows, in all cells."""
    tests = [next(t for t in protocol.tests if t.name == name) for protocol in cells]
    nulls = {test.null for test in tests}
    return claim(tests[0], nulls.pop() if len(nulls) == 1 else None)


def success_in_words(protocol: Protocol) -> str:
    """What the metric `success` is: "a rule stops for it, or 'orr' is shown"."""
    needed = [f"'{name}'" for name in stopping.success_tests(protocol)]
    ways = ["a rule stops for success"] if any(rule.then == "success" for rule in protocol.plan.rules) else []
    if needed:
        ways.append(f"{listed(needed)} {'is' if len(needed) == 1 else 'are'} shown")
    return ", or ".join(ways)


# --- what a scenario may ask for


def known(protocol: Protocol) -> list[str]:
    """The names of the metrics that a run of a protocol can have."""
    return [metric.name for metric in metrics(protocol)]


def check_answer(design: Design, protocols: list[Protocol], where: str) -> None:
    """Refuse an `answer` that names what no cell has. Raises `InputError` that names the metrics."""
    of_cells = [known(protocol) for protocol in protocols] if design.answer else []
    for metric in design.answer:
        for names in of_cells:
            if metric not in names:
                shown = [name for name in names if name.partition(".")[0] not in OF_CURVES]
                curves = ", and those of curves such as pfs.median.q50" if len(shown) < len(names) else ""
                raise InputError(
                    f"{where}: answer names no metric '{metric}'{nearest(metric, names)} (metrics: {', '.join(shown)}"
                    f"{curves})"
                )


def check_names(protocols: list[Protocol], where: str) -> None:
    """Refuse a cell in which two metrics would have one name. Raises `InputError`."""
    for protocol in protocols:
        names = known(protocol)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{where}: two metrics would be named '{twice}'; rename the look, the test or the flag")
