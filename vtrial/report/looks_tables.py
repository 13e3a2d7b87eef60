"""The tables of looks: every rule with its bounds, estimates and patients after stopping, one trial's story."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from vtrial import look_characteristics as looks
from vtrial.decisions import RulePlan
from vtrial.estimate.proportions import WORDS
from vtrial.protocol import Protocol
from vtrial.report.tables import MOST_ROWS, drawn
from vtrial.report.words import METHODS, number, percent, point
from vtrial.report.words_of_looks import counted_in_words, ended_in_words, when_in_words
from vtrial.rules import patients_at
from vtrial.scenario.rules import (
    ConditionalRule,
    CountRule,
    MedianRule,
    PosteriorRule,
    PredictiveRule,
    Rule,
    SpendingRule,
    ToxicityRule,
    name_of,
)

if TYPE_CHECKING:
    from vtrial.result import Result

MOST_CELLS = 12  # of a table by cell
MOST_ALIKE = 4  # tables of rules, where cells have different bounds
_COLUMNS = ["look", "when", "rule", "counts", "fires", "means", "then"]


def rules(result: "Result", cell: int) -> pd.DataFrame:
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


def rules_tables(result: "Result", name: str) -> tuple[list[tuple[str, Markup]], int]:
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
        written = next(one for one in section.rule if name_of(one) == rule.name)
        endpoint = rule.time[0] if rule.time else protocol.plan.watched[rule.watched].name
        fires = _limit(protocol, r) if rule.time else _counts(protocol.numbers.looks.bounds[r], rule, protocol, here)  # type: ignore[union-attr]
        counts = f"{counted_in_words(endpoint)} ({endpoint})" if not rule.time else counted_in_words(endpoint)
        then = _then(rule, final=protocol.plan.looks[k].final)
        yield [section.name, when_in_words(section), rule.name, counts, fires, _means(written, protocol), then]


def _counts(table: Any, rule: RulePlan, protocol: Protocol, here: int | None) -> str:
    """At which counts a rule fires: of the patients at its look, or of a few numbers where that varies."""
    size = protocol.size
    sizes = [here] if here is not None else sorted({max(1, round(size * part)) for part in (0.25, 0.5, 0.75, 1.0)})
    said = [bound_in_words(int(table[n]), n, at_least=rule.at_least) for n in sizes]
    return said[0] if here is not None else "; ".join(["such as", *said]).replace("such as;", "such as")


def bound_in_words(bound: int, n: int, *, at_least: bool) -> str:
    """ "≥ 44 of 64"; or that no count of n is enough."""
    if not (bound <= n if at_least else bound >= 0):
        return f"no count of {n}"
    return f"{'≥' if at_least else '≤'} {bound} of {n}"


def _limit(protocol: Protocol, r: int) -> str:
    timed = [k for k, rule in enumerate(protocol.plan.rules) if rule.time is not None]
    rule, numbers = protocol.plan.rules[r], protocol.numbers.looks
    assert numbers is not None
    assert rule.time is not None
    limit, sign = float(numbers.limits[timed.index(r), 0]), "≥" if rule.at_least else "≤"
    return "the median, as it says" if rule.time[1] == "median" else f"z {sign} {limit:.3f}"


def _then(rule: RulePlan, *, final: bool) -> str:
    shows = f"shows '{rule.test}'" if rule.test else ""
    needs = f", once {' and '.join(repr(name) for name in rule.tests)} are rejected" if rule.tests else ""
    verb = f"the trial ends with {rule.then}" if final else f"the trial stops for {rule.then}"
    if rule.then == "consider":
        verb = "the trial ends in the grey zone" if final else "is noted, and stops nothing"
    return f"{shows}{'; ' if shows else ''}{verb}{needs}"


def _means(rule: Rule, protocol: Protocol) -> str:
    if isinstance(rule, CountRule):
        return "the count itself"
    if isinstance(rule, PosteriorRule):
        edge = f"> {percent(rule.above)}" if rule.above is not None else f"< {percent(rule.below or 0.0)}"
        limit = _bound(rule.probability_at_least, rule.probability_at_most)
        return f"P(rate {edge}) {limit}, prior {prior_in_words(rule.prior)}"
    if isinstance(rule, PredictiveRule):
        limit = _bound(rule.at_least, rule.at_most)
        return f"P('{rule.test}' will reject) {limit}, prior {prior_in_words(rule.prior)}"
    if isinstance(rule, ConditionalRule):
        rate = "the observed rate" if rule.rate == "observed" else f"a rate of {percent(rule.rate)}"
        return f"conditional power of '{rule.test}' {_bound(rule.at_least, rule.at_most)}, at {rate}"
    if isinstance(rule, SpendingRule):
        test = next(test for test in protocol.tests if test.name == rule.test)
        spent = "alpha" if rule.then == "success" else "beta"
        kind = test.spending if spent == "alpha" else test.beta_spending or test.spending
        return f"the {spent} of '{rule.test}' spent by then ({kind})"
    if isinstance(rule, ToxicityRule):
        return f"Pocock-type: P(it ever fires) at most {rule.alpha:g} where the rate is {percent(rule.null)}"
    assert isinstance(rule, MedianRule)
    return f"Kaplan-Meier median {_bound(rule.at_least, rule.at_most)} months"


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
        fires = f"z ≥ {z:.3f}" if test.method == "log-rank" else f"lower limit > {test.null:g} months"
        return ["end", when, name, counted_in_words(test.endpoint), fires, f"{means}, null {test.null:g} months", then]
    n, at_least = final_n(protocol, test.population, trials), test.alternative == "greater"
    said = [bound_in_words(int(bounds[n]), n, at_least=at_least) for bounds in final_bounds(protocol, name)]
    fires = " to ".join(dict.fromkeys(said))
    fires += " enrolled" if test.population == "enrolled" else ""
    counts = f"{WORDS[test.endpoint]} ({test.endpoint})"  # type: ignore[index]
    return ["end", when, name, counts, fires, f"{means}, null {percent(test.null)}", then]


# --- after stopping


def told(result: "Result", metric: str, cell: int, digits: int = 4) -> str:
    """ "23.46 ± 0.29 (exact 23.50)"; a dash where there is none."""
    table: Any = result.characteristics
    rows = table[(table["cell"] == cell) & (table["metric"] == metric)].set_index("method")
    if "simulated" not in rows.index:
        return "–"
    estimate, mcse = rows.loc["simulated", ["estimate", "mcse"]].astype(float)
    known = f" (exact {number(float(rows.at['exact', 'estimate']), digits)})" if "exact" in rows.index else ""
    return f"{number(estimate, digits)} ± {number(mcse, digits)}{known}"


def judged(result: "Result") -> list[str]:
    """The rates of which bias and coverage are told."""
    metrics = set(result.characteristics["metric"])
    return [e for e in result.protocols[0].plan.endpoints if f"{e}.bias" in metrics]


def estimates_table(result: "Result", name: str) -> Markup:
    """Bias and coverage of rates, over all trials and by where they ended; a group a cell."""
    rows: list[dict[str, str]] = []
    endpoints, swept = judged(result), bool(result.scenario.swept)
    for cell in result.scenario.cells[:MOST_CELLS]:
        protocol, trials = result.protocols[cell.number], result.trials[result.trials["cell"] == cell.number]
        here = looks.groups(protocol)
        places = {name: [protocol.plan.looks[k].name for k in found] for name, found in here.items()}
        ends = {name: found for name, found in places.items() if not protocol.plan.looks[here[name][0]].final}
        ends = {"": [*trials["end"].unique()], **ends, looks.END: [looks.END]}
        for end, of in ends.items():
            row = {"cell": point(cell.swept)} if swept else {}
            row |= {"where": ended_in_words(end), "share": f"{float(trials['end'].isin(of).mean()):.1%}"}
            suffix = f".{end}" if end else ""
            for endpoint in endpoints:
                row |= {f"{endpoint}.{w}": told(result, f"{endpoint}.{w}{suffix}", cell.number) for w in _JUDGED}
            rows.append(row)
    labels = {"where": "", "share": "share of trials"} | {f"{e}.{w}": w for e in endpoints for w in _JUDGED}
    spanners = {WORDS[e]: [f"{e}.{w}" for w in _JUDGED] for e in endpoints}
    right = ["share", *(f"{e}.{w}" for e in endpoints for w in _JUDGED)]
    group = "cell" if swept else None
    return drawn(pd.DataFrame(rows), name, labels=labels, group=group, right=right, spanners=spanners)


_JUDGED = ("bias", "coverage")
_PATIENTS = {
    "n.enrolled": "enrolled", "n.infused": "infused", "n.not_infused": "enrolled, not infused by the end",
    "n.evaluated": "in the last analysis", "n.not_evaluated": "infused, not in it",
}  # fmt: skip


def patients_table(result: "Result", name: str) -> Markup:
    """Patients of each kind when the trial ended, and months; a row a cell."""
    rows = []
    for cell in result.scenario.cells[:MOST_CELLS]:
        row = {"cell": point(cell.swept) or "mean over trials"}
        row |= {metric: told(result, metric, cell.number, 2) for metric in _PATIENTS}
        if result.protocols[0].plan.in_calendar:
            low, high = (number(result.value(f"duration.{q}", cell=cell.number)[0], 1) for q in ("q025", "q975"))
            row |= {"duration": told(result, "duration", cell.number, 2), "range": f"{low} – {high}"}
        rows.append(row)
    frame = pd.DataFrame(rows)
    labels = {"cell": "", **_PATIENTS, "duration": "mean", "range": "95% of trials"}
    labels = {column: label for column, label in labels.items() if column in frame}
    spanners = {"patients, mean over trials": list(_PATIENTS)}
    spanners |= {"duration, months": ["duration", "range"]} if "duration" in frame else {}
    right = [column for column in frame.columns if column != "cell"]
    return drawn(frame, name, labels=labels, right=right, spanners=spanners)


# --- one trial's story


def story_texts(table: pd.DataFrame) -> pd.DataFrame:
    """`vtrial.story.story_of` for readers, as texts: a row a look and rule."""
    calendar = bool(table["month"].notna().any())
    rows = []
    for _, row in table.iterrows():
        when = f"{row['month']:.1f}" if calendar and np.isfinite(row["month"]) else _whole(row["enrolled"])
        reached = bool(row["held"])
        happens = "not held: the trial had ended" if not reached else "fires" if row["fires"] else "does not fire"
        if row["look"] == looks.END and reached:
            happens = ("rejects" if row["fires"] else "does not reject") if row["rule"] else "ends"
        value = "" if math.isnan(row["value"]) else f"{row['value']:.4g}"
        limit = "" if math.isnan(row["limit"]) else f"{row['limit']:.4g}"
        rows.append(
            {
                "look": row["look"],
                "when": when if when else "–",
                "evaluated": _whole(row["evaluated"]),
                "rule": row["rule"],
                "endpoint": row["endpoint"],
                "seen": row["words"],
                "value": value if reached else "",
                "limit": limit if reached else "",
                "happens": happens,
                "then": row["outcome"] and f"ends the trial: {row['outcome']}",
            }
        )
    return pd.DataFrame(rows)


def story_table(table: pd.DataFrame, name: str) -> Markup:
    """`story_texts` as it stands in a report."""
    calendar = bool(table["month"].notna().any())
    labels = {
        "when": "month" if calendar else "enrolled", "evaluated": "analysed", "endpoint": "counts",
        "seen": "seen against bound", "value": "value", "limit": "bound of the value", "happens": "", "then": "",
    }  # fmt: skip
    right = ["when", "evaluated", "value", "limit"]
    return drawn(story_texts(table), name, labels=labels, right=right, code=["look", "rule", "endpoint"])


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value)}"
