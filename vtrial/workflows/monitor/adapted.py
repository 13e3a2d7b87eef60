"""A design's bounds at the numbers that its trial really had. Host.

Planned bounds hold for planned numbers. For others: a test whose alpha is spent over looks is worked out anew at actual
information, one by a planned count by its conditional error, a toxicity rule keeps its planned level, and a rule by a
planned count is decided only where every way to the planned number agrees. A posterior, predictive or conditional
probability is of the patients there are, and holds for any number.
"""

from collections.abc import Sequence

import numpy as np

from vtrial.boundaries.binomial import at_bound, tail
from vtrial.boundaries.multistage import multistage
from vtrial.boundaries.toxicity import toxicity_bounds
from vtrial.protocol.build import Protocol
from vtrial.protocol.rule_bounds import patients_at
from vtrial.scenario.rules import ConditionalRule, CountRule, PredictiveRule, ToxicityRule, forecast_of
from vtrial.workflows.monitor import by_count, spending
from vtrial.workflows.monitor.data import Analysis
from vtrial.workflows.monitor.possible import follow_up
from vtrial.workflows.monitor.tables import Tables, missing, planned_patients


def at_actual(protocol: Protocol, analyses: Sequence[Analysis], *, last: Analysis) -> Tables:
    """The protocol's bounds for these analyses; where all is as planned, the planned ones. last: of the data.

    Raises `InputError` for a number that an analysis needs and does not have.
    """
    tables = Tables.of(protocol)
    counted = {test.endpoint for test in protocol.tests if test.method == "count" and test.population == "infused"}
    for i, analysis in enumerate(analyses):
        _say_numbers(tables, i, analysis)
        for r in tables.rules_at(analysis):
            rule = tables.written(r)
            of_test = tables.watched(r) in counted and rule.then != "consider" and not analysis.last
            if isinstance(rule, CountRule) and not of_test:
                by_count.rework_rule(tables, r, i, analysis)
            elif isinstance(rule, ToxicityRule):
                _rework_toxicity(tables, r, rule, analyses[: i + 1])
            elif isinstance(rule, PredictiveRule | ConditionalRule):
                _check_forecast(tables, r, rule, i, analysis)
    if gone := ", ".join(f"'{section.name}'" for _, section in missing(tables, analyses)):
        tables.say(len(analyses) - 1, f"not in the data, and taken as not held: {gone}")
    for test in protocol.tests:
        if test.method == "count":
            by_count.rework_test(tables, test, analyses)
        elif test.spending is not None:
            spending.rework(tables, test, analyses, last=last)
    return tables


def _say_numbers(tables: Tables, i: int, analysis: Analysis) -> None:
    """Which patients a look has, and how many where others were planned."""
    planned, seen = planned_patients(tables, analysis), analysis.seen
    months = follow_up(analysis.section)
    if not analysis.last and 0 < months < np.inf:
        followed = f"followed for {months:g} month{'' if months == 1 else 's'} or more"
        also = f" (infused = {seen.infused} is taken for that)"
        if seen.evaluable is not None:
            also = "" if seen.infused is None else f", of {seen.infused} infused"
        tables.say(i, f"'{analysis.name}' has {analysis.n} evaluable, {followed}{also}")
    if planned is not None and planned != analysis.n:
        tables.say(i, f"'{analysis.name}' has {analysis.n} patients where {planned} were planned")
        tests = [test for test in tables.protocol.tests if not test.timed and test.population == "infused"]
        if analysis.last and any(test.method != "posterior" for test in tests):
            tables.assuming.add(i)
    enrolled = tables.protocol.design.cohort.enrolled
    if analysis.last and None not in (enrolled, seen.enrolled) and enrolled != seen.enrolled:
        tables.say(i, f"{seen.enrolled} were enrolled where {enrolled} were planned")
        if any(test.population == "enrolled" for test in tables.protocol.tests):
            tables.assuming.add(i)


def _rework_toxicity(tables: Tables, r: int, rule: ToxicityRule, analyses: Sequence[Analysis]) -> None:
    """The planned pointwise level at the actual number of the last of the analyses, and what it adds up to with the
    looks to come as planned."""
    analysis = analyses[-1]
    if planned_patients(tables, analysis) == analysis.n:
        return
    assert tables.protocol.looks is not None
    nameless = rule.model_copy(update={"name": None})
    alike = [
        (k, section)
        for k, section in enumerate(tables.protocol.looks.sections)
        if any(other.model_copy(update={"name": None}) == nameless for other in section.rule)
    ]
    planned = {k: patients_at(section, tables.protocol.levels.planned) or 0 for k, section in alike}
    level = toxicity_bounds(np.array(list(planned.values())), null=rule.null, alpha=rule.alpha).level
    bound = int(at_bound(lambda x: tail(x, n, rule.null), n := np.array([analysis.n]), rises=False, at_most=level)[0])
    tables.set_rule(r, analysis.n, [bound] * tables.sets)
    held = {a.look: a.n for a in analyses if a.look in planned}
    to_come = {k: n for k, n in planned.items() if k not in held and n > analysis.n}
    numbers = np.unique(np.array([*held.values(), *to_come.values()]))
    bounds = at_bound(lambda x: tail(x, numbers, rule.null), numbers, rises=False, at_most=level)
    alpha = float(multistage(numbers, rule.null, at_least=bounds).success.sum())
    tables.say(
        len(analyses) - 1,
        f"'{tables.protocol.plan.rules[r].name}' keeps its planned level at {analysis.n} patients; it fires with "
        f"probability {alpha:.4f} at the acceptable rate (planned: at most {rule.alpha:g})",
    )


def _check_forecast(tables: Tables, r: int, rule: PredictiveRule | ConditionalRule, i: int, analysis: Analysis) -> None:
    ahead = forecast_of(rule) == "enrolled"
    total = analysis.seen.enrolled if ahead else rule.final or tables.protocol.levels.planned
    if total is not None and analysis.n > total:
        tables.refused.setdefault(
            i,
            f"{analysis.place}: rule '{tables.protocol.plan.rules[r].name}' forecasts the test at {total} patients, "
            f"and the look has {analysis.n}",
        )
