"""The table of looks: every rule, what it counts, and at which counts it fires."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from vtrial.characteristics import stopping as looks
from vtrial.model.endpoints import WORDS
from vtrial.model.parameters import DAYS
from vtrial.model.side import Side
from vtrial.model.vocabulary import CLOSES
from vtrial.protocol.build import Protocol
from vtrial.protocol.rule_bounds import patients_at
from vtrial.report.tables.overview import MOST_ROWS, drawn
from vtrial.report.words.general import point
from vtrial.report.words.looks import counted_in_words, when_in_words
from vtrial.scenario.rules import (
    ConditionalRule,
    CountRule,
    MedianRule,
    PosteriorRule,
    PredictiveRule,
    Rule,
    SpendingRule,
    ToxicityRule,
    forecast_of,
)
from vtrial.scenario.wording import METHODS, percent
from vtrial.trial.decisions import RulePlan

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

MOST_ALIKE = 4  # tables of rules, where cells have different bounds
_COLUMNS = ["look", "when", "rule", "counts", "fires", "means", "then"]


def rules(result: "ResultData", cell: int) -> pd.DataFrame:
    """Every rule of every look, and the tests at the end, as texts: look, when, rule (or test), what it counts, at
    which counts it fires, what that means, and what then happens."""
    protocol = result.protocols[cell]
    assert protocol.looks is not None
    trials: Any = result.trials[result.trials["cell"] == cell]
    order = sorted(range(len(protocol.plan.looks)), key=lambda k: (protocol.plan.looks[k].final, k))
    rows: list[list[str]] = []
    ends = [k for k in order if protocol.plan.looks[k].final]
    for k in order[: len(order) - len(ends)]:
        rows += _of_look(protocol, k, None)
    rows += [_final(protocol, name, trials) for name in (test.name for test in protocol.tests)]
    for k in ends:
        rows += _of_look(protocol, k, int(trials["n.infused"].mode().iloc[0]))
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    again = frame["look"].eq(frame["look"].shift())
    frame.loc[again, ["look", "when"]] = ""
    return frame


def rules_tables(result: "ResultData", name: str) -> tuple[list[tuple[str, Markup]], int]:
    """`rules`, once for all cells with the same: the cells in words ("" where all are), and the table; and how many
    more there are."""
    found: list[tuple[pd.DataFrame, list[int]]] = []
    for cell in result.scenario.cells:
        table = rules(result, cell.number)
        alike = next((cells for other, cells in found if other.equals(table)), None)
        if alike is None:
            found.append((table, [cell.number]))
        else:
            alike.append(cell.number)
    labels = {"counts": "counts", "fires": "fires at", "means": "that is", "then": "then"}
    tables = []
    for k, (table, cells) in enumerate(found[:MOST_ALIKE]):
        words = "" if len(found) == 1 else "; ".join(point(result.scenario.cells[c].swept) for c in cells)
        tables.append((words, drawn(table.head(MOST_ROWS), f"{name}-{k}", labels=labels, code=["look", "rule"])))
    return tables, max(0, len(found) - MOST_ALIKE)


def _of_look(protocol: Protocol, k: int, n: int | None) -> Iterable[list[str]]:
    """The rows of a look. n: patients at the end, as far as they are known."""
    assert protocol.looks is not None
    section = protocol.looks.sections[k]
    here = patients_at(section, protocol.levels.planned) or n
    for r, rule in enumerate(protocol.plan.rules):
        if rule.look != k:
            continue
        written = section.rule_named(rule.name)
        endpoint = rule.time[0] if rule.time else protocol.plan.watched[rule.watched].name
        if rule.enrolled:
            fires = _by_enrolled(protocol, r, here)
        elif rule.time:
            fires = _limit(protocol, r)
        else:
            assert protocol.numbers.looks is not None
            fires = _counts(protocol.numbers.looks.bounds[r], rule, protocol, here)
        counts = f"{counted_in_words(endpoint)} ({endpoint})" if not rule.time else counted_in_words(endpoint)
        then = _then(rule, final=protocol.plan.looks[k].final)
        yield [section.name, when_in_words(section), rule.name, counts, fires, _means(written, protocol), then]


def _counts(table: Any, rule: RulePlan, protocol: Protocol, here: int | None) -> str:
    """At which counts a rule fires: of the patients at its look, or of a few numbers where that varies."""
    size = protocol.size
    sizes = [here] if here is not None else sorted({max(1, round(size * part)) for part in (0.25, 0.5, 0.75, 1.0)})
    said = [bound_in_words(int(table[n]), n, side=rule.side) for n in sizes]
    return said[0] if here is not None else "; ".join(["such as", *said]).replace("such as;", "such as")


def _by_enrolled(protocol: Protocol, r: int, here: int | None) -> str:
    """At which counts a forecast of those enrolled fires, for a few numbers of them."""
    rule, numbers = protocol.plan.rules[r], protocol.numbers.looks
    assert numbers is not None
    table = numbers.by_enrolled[[k for k, one in enumerate(protocol.plan.rules) if one.enrolled].index(r)]
    n = here if here is not None else max(1, protocol.size // 2)
    said = [
        f"{bound_in_words(int(table[n, enrolled]), n, side=rule.side)} where {enrolled} are enrolled"
        for enrolled in sorted({n, (n + protocol.size) // 2, protocol.size})
    ]
    return f"such as {'; '.join(said)}"


def bound_in_words(bound: int, n: int, *, side: Side, never: str = "cannot fire at this look") -> str:
    """ "≥ 44 of 64"; or that no count of n is enough. never: what follows from that."""
    if not side.attainable(bound, n):
        return f"{never} (no count of {n} does)"
    return f"{side.sign} {bound} of {n}"


def _limit(protocol: Protocol, r: int) -> str:
    timed = [k for k, rule in enumerate(protocol.plan.rules) if rule.time is not None]
    rule, numbers = protocol.plan.rules[r], protocol.numbers.looks
    assert numbers is not None
    assert rule.time is not None
    limit, sign = float(numbers.limits[timed.index(r), 0]), rule.side.sign
    if not math.isfinite(limit):
        return "cannot fire at this look"
    return f"{sign} {limit / DAYS:g} months" if rule.time[1] == "median" else f"z {sign} {limit:.3f}"


def _then(rule: RulePlan, *, final: bool) -> str:
    shows = f"shows '{rule.test}'" if rule.test else ""
    needs = f", once {' and '.join(repr(name) for name in rule.tests)} are rejected" if rule.tests else ""
    verb = f"the trial ends with {rule.then}" if final else f"the trial stops for {rule.then}"
    if rule.then == "consider":
        verb = "the trial ends in the grey zone" if final else "is noted, and stops nothing"
    if rule.then == CLOSES:
        verb = "enrolment ends; the final analysis is of those enrolled by then"
    return f"{shows}{'; ' if shows else ''}{verb}{needs}"


def _means(rule: Rule, protocol: Protocol) -> str:
    if isinstance(rule, CountRule):
        return "the count itself"
    if isinstance(rule, PosteriorRule):
        edge = f"> {percent(rule.above)}" if rule.above is not None else f"< {percent(rule.below or 0.0)}"
        limit = _bound(rule.probability_at_least, rule.probability_at_most)
        return f"P(rate {edge}) {limit}, prior {prior_in_words(rule.prior)}"
    if isinstance(rule, PredictiveRule):
        limit, whom = _bound(rule.at_least, rule.at_most), _forecast(rule)
        return f"P('{rule.test}' will reject{whom}) {limit}, prior {prior_in_words(rule.prior)}"
    if isinstance(rule, ConditionalRule):
        rate = "the observed rate" if rule.rate == "observed" else f"a rate of {percent(rule.rate)}"
        return f"conditional power of '{rule.test}'{_forecast(rule)} {_bound(rule.at_least, rule.at_most)}, at {rate}"
    if isinstance(rule, SpendingRule):
        test = next(test for test in protocol.tests if test.name == rule.test)
        spent = "alpha" if rule.then == "success" else "beta"
        kind = test.spending if spent == "alpha" else test.beta_spending or test.spending
        return f"the {spent} of '{rule.test}' spent by then ({kind})"
    if isinstance(rule, ToxicityRule):
        return f"Pocock-type: P(it ever fires) at most {rule.alpha:g} where the rate is {percent(rule.null)}"
    assert isinstance(rule, MedianRule)
    return f"Kaplan-Meier median {_bound(rule.at_least, rule.at_most)} months"


def _forecast(rule: PredictiveRule | ConditionalRule) -> str:
    return " in those enrolled by then" if forecast_of(rule) == "enrolled" else ""


def _bound(at_least: float | None, at_most: float | None) -> str:
    return f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}"


def prior_in_words(prior: Any) -> str:
    """ "Beta(0.5, 0.5)", or a mixture of betas."""
    if isinstance(prior[0], list):
        return " + ".join(f"{weight:g} Beta({a:g}, {b:g})" for weight, a, b in prior)
    return f"Beta({prior[0]:g}, {prior[1]:g})"


def final_n(protocol: Protocol, population: str, trials: Any) -> int:
    """Patients at the final analysis: as planned, or the most frequent number among trials that reached it."""
    if population == "infused" and protocol.levels.planned is not None:
        return protocol.levels.planned
    reached: Any = trials[trials["end"] == looks.END]
    return int((trials if reached.empty else reached)[f"n.{population}"].mode().iloc[0])


def final_bounds(protocol: Protocol, name: str) -> list[Any]:
    """A test's table at the end; under a graph with the alpha that it begins with, and with all that it can have."""
    table = protocol.numbers.bounds[name]
    if table.ndim == 1:
        return [table]
    place = [test.name for test in protocol.plan.tests].index(name)
    return [table[0], table[table.shape[0] - 1 - 2**place]]


def _final(protocol: Protocol, name: str, trials: Any) -> list[str]:
    """The row of a test at the end."""
    test = next(test for test in protocol.tests if test.name == name)
    planned = protocol.levels.planned
    when = "at the end" if planned is None else f"{planned} infused"
    then = f"'{name}' is shown" + (f", if '{test.after}' is" if test.after else "")
    if test.spending and protocol.levels.looks(name):
        means = f"what its looks leave of alpha ({test.spending})"
    elif test.method == "count":
        means = "the count itself"
    elif test.method == "posterior":
        prior = prior_in_words(test.prior or [1.0, 1.0])
        means = f"P(rate {'>' if test.alternative == 'greater' else '<'} null) ≥ {test.probability:g}, prior {prior}"
    else:
        means = f"{METHODS.get(test.method, test.method)}, alpha {protocol.levels.alpha(name, 0):g}"
    if protocol.plan.graph:
        means += "; its alpha grows where others are rejected"
    if test.timed:
        z = protocol.levels.z_final(name, 0)
        z_bound = f"z ≥ {z:.3f}" if math.isfinite(z) else "cannot reject"
        fires = z_bound if test.method == "log-rank" else f"lower limit > {test.null:g} months"
        return ["end", when, name, counted_in_words(test.endpoint), fires, f"{means}, null {test.null:g} months", then]
    n = final_n(protocol, test.population, trials)
    said = [
        bound_in_words(int(bounds[n]), n, side=test.side, never="cannot reject")
        for bounds in final_bounds(protocol, name)
    ]
    fires = " to ".join(dict.fromkeys(said))
    fires = fires if planned is not None and test.population == "infused" else f"such as {fires}"
    fires += " enrolled" if test.population == "enrolled" else ""
    counts = f"{WORDS[test.endpoint]} ({test.endpoint})"  # type: ignore[index]
    return ["end", when, name, counts, fires, f"{means}, null {percent(test.null)}", then]
