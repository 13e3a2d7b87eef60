"""The metrics that a run can have, by name: what `answer` and `solve` may ask for."""

from vtrial._support.errors import InputError, nearest
from vtrial.characteristics import stopping, survival
from vtrial.characteristics.estimation import told
from vtrial.characteristics.exact import fixed
from vtrial.characteristics.table import metric_of_flag
from vtrial.model.endpoints import TIME_ENDPOINTS
from vtrial.protocol.build import Protocol
from vtrial.scenario import Design
from vtrial.trial.analysis.times import LANDMARKS

OF_CURVES = (*TIME_ENDPOINTS, "follow_up", "retreated")  # the metrics of curves begin with these


def check_answer(design: Design, protocols: list[Protocol], where: str) -> None:
    """Refuse an `answer` that names what no cell has. Raises `InputError` that names the metrics."""
    for metric in design.answer:
        for protocol in protocols:
            if metric not in (names := known(protocol)):
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


def known(protocol: Protocol) -> list[str]:
    """The metrics that a run of a protocol can have, in no order: also those that are known only where trials ended at
    a look, or where exact answers exist."""
    plan = protocol.plan
    found = [f"{test.name}.reject" for test in plan.tests]
    if protocol.worlds.size > 1 or plan.shifted:  # known where they are exact
        over = ("worthwhile", *(f"reject.worlds.{q}" for q in ("q10", "q50", "q90")))
        found += [f"{test.name}.{what}" for test in plan.tests for what in over]
    if len(plan.tests) > 1 and not fixed.is_chain(plan.tests):
        found.append("all.reject")
    if plan.tests and not plan.mix and not any(test.timed for test in plan.tests):
        found.append("familywise.error")
    if stopping.has_success(protocol):
        found.append("success")
    found += ["n.enrolled", "n.infused"]
    found += [f"{e}.{part}" for e in plan.endpoints for part in ("rate", "rate.q025", "rate.q975", "enrolled.rate")]
    found += [f"{metric_of_flag(flag)}.rate" for flag in plan.flags]
    if plan.looks:
        found += _of_looks(protocol)
    if plan.curves:
        found += ["retreated.n", "retreated.responses", *(f"follow_up.{q}" for q in ("q025", "q50", "q975"))]
    in_place = ("ne", "true", "bound.low", "bound.high")
    rates = [*plan.endpoints, *map(metric_of_flag, plan.flags)]
    found += [f"{name}.rate.{part}" for name in rates for part in in_place]
    for stem in (survival.name(protocol, curve) for curve in plan.curves):
        found += [f"{stem}.s{month}.{part}" for month in LANDMARKS for part in in_place]
        found += [f"{stem}.n", f"{stem}.events", f"{stem}.median.width.q50", *(f"{stem}.s{m}" for m in LANDMARKS)]
        parts = ("median", "median.low", "median.high")
        found += [f"{stem}.{part}.{q}" for part in parts for q in ("q025", "q50", "q975", "nr", "ne")]
    return found


def _of_looks(protocol: Protocol) -> list[str]:
    plan, sections = protocol.plan, stopping.groups(protocol)
    found = [f"stop.{then}" for then in stopping.outcomes(protocol)]
    for section, places in sections.items():
        found += [f"stop.{section}.{then}" for then in stopping.decided_by(protocol, places)]
        for place in places if len(places) > 1 else []:
            found += [f"stop.{plan.looks[place].name}.{then}" for then in stopping.decided_by(protocol, [place])]
    found += ["n.evaluated", "n.not_infused", "n.not_evaluated"]
    if plan.in_calendar:
        found += ["duration", "duration.q025", "duration.q975"]
    ends = ["", *(f".{name}" for name in sections if not plan.looks[sections[name][0]].final), f".{stopping.END}"]
    if not plan.mix:
        judged = [*told(protocol), *(f"{e}.median" for e in TIME_ENDPOINTS if (e, "all") in plan.curves)]
        found += [f"{e}.{what}{end}" for e in judged for what in ("bias", "coverage") for end in ends]
    return found
