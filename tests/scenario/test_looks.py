"""Looks, rules and graphs in a scenario: every key is read, and what cannot be is refused in one line that names it."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.scenario.test_scenario import protocol_of, read, refusal
from vtrial import InputError
from vtrial.cli import app
from vtrial.evidence import Evidence
from vtrial.model.endpoints import LOOK_ENDPOINTS, Watched, watched
from vtrial.model.parameters import DAYS
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol
from vtrial.scenario.rules import (
    ConditionalRule,
    CountRule,
    MedianRule,
    PosteriorRule,
    PredictiveRule,
    SpendingRule,
    ToxicityRule,
    names_of,
)

# 40 infused, one test of response, to which looks and rules are added.
PLAIN = """
[cohort]
infused = 40

[[test]]
name = "orr"
endpoint = "orr"
null = 0.5
"""
CR = """
[[test]]
name = "cr"
endpoint = "cr"
null = 0.1
"""
PFS = """
[[test]]
name = "pfs"
endpoint = "pfs"
null = 4
method = "log-rank"
"""


def look(when: str = "infused = 20, follow_up_months = 3", name: str = "interim", more: str = "") -> str:
    return f'[[look]]\nname = "{name}"\nwhen = {{ {when} }}\n{more}\n'


def rule(kind: str = "count", **keys: object) -> str:
    """A rule; keys as they are written, `None` to leave one of the defaults out."""
    usual: dict[str, dict[str, object]] = {
        "count": {"endpoint": '"orr@3"', "at_most": 8, "then": '"futility"'},
        "posterior": {"endpoint": '"crs3"', "above": 0.15, "probability_at_least": 0.9, "then": '"harm"'},
        "predictive": {"test": '"orr"', "endpoint": '"orr@3"', "at_most": 0.05, "then": '"futility"'},
        "conditional": {"test": '"orr"', "endpoint": '"orr@3"', "at_most": 0.05, "then": '"futility"'},
        "spending": {"test": '"orr"', "endpoint": '"orr@3"', "then": '"success"'},
        "toxicity": {"endpoint": '"crs3"', "null": 0.1, "then": '"harm"'},
        "median": {"endpoint": '"pfs"', "at_most": 3, "then": '"futility"'},
    }
    written = {"kind": f'"{kind}"', **usual.get(kind, usual["count"]), **keys}
    lines = [f"{key} = {value}\n" for key, value in written.items() if value is not None]
    return "[[look.rule]]\n" + "".join(lines)


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior) -> Callable[[str], Protocol]:
    return lambda text: protocol_of(text, evidence, posterior)


# Reading


def test_every_key_of_a_look_is_read() -> None:
    [section] = read(
        PLAIN
        + look(more='analyse = "all"\norder = ["success", "harm", "consider", "futility"]')
        + rule(name='"few"', at_most=None, at_least=9, then='"success"', test='"orr"', tests='["orr"]')
        + rule(name='"many"', at_most=3, then='"consider"')
    ).design.look
    assert (section.name, section.analyse, section.when.kind) == ("interim", "all", "infused")
    assert (section.when.infused, section.when.follow_up_months, section.when.timed) == (20, 3.0, True)
    assert section.order == ["success", "harm", "consider", "futility"]
    first, second = section.rule
    assert isinstance(first, CountRule)
    assert (first.name, first.endpoint, first.at_least, first.at_most) == ("few", "orr@3", 9, None)
    assert (first.then, first.test, first.tests) == ("success", "orr", ["orr"])
    assert (section.names[1], second.then, second.tests) == ("many", "consider", [])


def test_every_key_of_every_kind_of_rule_is_read() -> None:
    text = PLAIN + 'spending = "pocock"\nmethod = "normal"\n' + look()
    text += rule("posterior", prior="[0.5, 1.5]", above=None, below=0.3, probability_at_least=None)
    text = text.rstrip() + "\nprobability_at_most = 0.2\n"
    text += rule("predictive", prior="[[0.25, 1, 3], [0.75, 2, 2]]", at_most=None, at_least=0.95, final=38)
    text += rule("conditional", rate=0.6, final=39) + rule("spending", information=0.4)
    text += rule("toxicity", alpha=0.1) + rule("median", endpoint='"dor"', at_most=None, at_least=6.5)
    rules = read(text).design.look[0].rule
    assert [type(one) for one in rules] == [
        PosteriorRule,
        PredictiveRule,
        ConditionalRule,
        SpendingRule,
        ToxicityRule,
        MedianRule,
    ]
    shown = [one.model_dump(exclude_none=True, exclude={"tests"}) for one in rules]
    assert shown == [
        {
            **{"kind": "posterior", "endpoint": "crs3", "prior": [0.5, 1.5], "below": 0.3},
            **{"probability_at_most": 0.2, "then": "harm"},
        },
        {
            **{"kind": "predictive", "test": "orr", "endpoint": "orr@3", "prior": [[0.25, 1, 3], [0.75, 2, 2]]},
            **{"at_least": 0.95, "final": 38, "then": "futility"},
        },
        {
            **{"kind": "conditional", "test": "orr", "endpoint": "orr@3", "rate": 0.6, "at_most": 0.05},
            **{"final": 39, "then": "futility"},
        },
        {"kind": "spending", "test": "orr", "endpoint": "orr@3", "information": 0.4, "then": "success"},
        {"kind": "toxicity", "endpoint": "crs3", "null": 0.1, "alpha": 0.1, "then": "harm"},
        {"kind": "median", "endpoint": "dor", "at_least": 6.5, "then": "futility"},
    ]


def test_what_a_rule_and_a_look_leave_out_has_its_default() -> None:
    section = read(PLAIN + look() + rule("predictive") + rule("conditional") + rule("toxicity")).design.look[0]
    assert (section.analyse, section.order) == ("called", ["harm", "futility", "success", "consider"])
    predictive, conditional, toxicity = section.rule
    assert (predictive.prior, predictive.final, predictive.name) == ([1.0, 1.0], None, None)  # type: ignore[union-attr]
    assert (conditional.rate, toxicity.alpha) == ("observed", 0.05)  # type: ignore[union-attr]
    assert names_of(section.rule) == ["predictive", "conditional", "toxicity"]


def test_every_key_of_a_test_that_spends_is_read() -> None:
    spending = (
        'method = "normal"\nspending = "hwang-shih-decani"\ngamma = -4.0\nbeta = 0.1\nbeta_spending = "pocock"\n'
        "assumed = 0.7\nbinding = true\n"
    )
    [test] = read(PLAIN + spending).design.test
    assert (test.spending, test.gamma, test.beta, test.beta_spending) == ("hwang-shih-decani", -4.0, 0.1, "pocock")
    assert (test.assumed, test.binding, test.beta_gamma, test.events) == (0.7, True, None, None)
    [_, timed] = read(PLAIN + PFS + 'spending = "pocock"\nevents = 90\nbeta = 0.2\nassumed = 6\n').design.test
    assert (timed.events, timed.assumed) == (90, 6.0)
    [counted] = read(PLAIN + 'method = "count"\ncount = 27\n').design.test
    assert (counted.count, counted.alpha) == (27, None)


def test_the_graph_is_read() -> None:
    shared = read(
        PLAIN
        + CR
        + "[multiplicity]\nalpha = 0.05\nweights = { orr = 0.75, cr = 0.25 }\ntransitions = { orr = { cr = 1.0 } }\n"
    ).design.multiplicity
    assert shared is not None
    assert (shared.alpha, shared.weights, shared.transitions) == (
        0.05,
        {"orr": 0.75, "cr": 0.25},
        {"orr": {"cr": 1.0}},
    )


@pytest.mark.parametrize(
    ("when", "kind", "timed"),
    [
        ("infused = 20", "infused", False),
        ("infused = 20, follow_up_months = 0", "infused", True),
        ("events = { pfs = 12 }", "events", True),
        ("calendar_month = 9.5", "calendar_month", True),
        ("any = [{ calendar_month = 9 }, { infused = 20, follow_up_months = 3 }]", "any", True),
        ("all = [{ events = { os = 3 } }, { calendar_month = 9 }, { events = { dor = 2 } }]", "all", True),
        ("final = true", "final", False),
    ],
)
def test_every_way_to_call_a_look(when: str, kind: str, timed: bool) -> None:
    endpoint = '"crs3"' if "= 0" not in when else None
    text = look(when) + (rule(endpoint=endpoint) if endpoint else rule("median"))
    section = read(PLAIN + text).design.look[0]
    assert (section.when.kind, section.when.timed) == (kind, timed)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ("[10, 25, 40]", [10, 25, 40]),
        ("[10]", [10]),
        ("{ from = 10, to = 40, by = 15 }", [10, 25, 40]),
        ("{ from = 10, to = 39, by = 15 }", [10, 25]),
        ("{ from = 38, to = 40 }", [38, 39, 40]),
        ("{ from = 40, to = 40, by = 7 }", [40]),
    ],
)
def test_a_list_of_numbers_is_a_look_at_each(numbers: str, expected: list[int]) -> None:
    design = read(PLAIN + look(f"infused = {numbers}, follow_up_months = 3", "safety") + rule()).design
    assert len(design.look) == 1
    assert [section.name for section in design.looks] == [f"safety-{number}" for number in expected]
    assert [section.when.infused for section in design.looks] == expected
    assert {section.when.follow_up_months for section in design.looks} == {3.0}
    assert all(section.rule == design.look[0].rule for section in design.looks)


@pytest.mark.parametrize("endpoint", LOOK_ENDPOINTS)
def test_windows_of_endpoints(endpoint: str) -> None:
    assert watched(f"{endpoint}@6") == Watched(endpoint, 6.0)  # type: ignore[arg-type]
    assert watched(f"{endpoint}@4.5").days == round(4.5 * DAYS)
    assert watched(f"{endpoint}@4.5").name == f"{endpoint}@4.5"
    if endpoint not in ("death", "pfs", "os"):
        plain = watched(endpoint)
        assert plain.window is None
        # Toxicity is known after a month; response, at full follow-up.
        assert plain.complete == (1.0 if plain.toxic else None)


def test_a_sweep_addresses_looks_and_rules_by_name() -> None:
    swept = read(
        PLAIN
        + look()
        + rule(name='"few"')
        + rule("toxicity")
        + '[sweep]\n"look.interim.rule.few.at_most" = [7, 9]\n"look.interim.rule.toxicity.null" = [0.1, 0.2]\n'
        + '"look.interim.when.follow_up_months" = [3, 4]\n'
    )
    found = [
        (cell.design.look[0].rule[0].at_most, cell.design.look[0].rule[1].null, cell.design.look[0].when)  # type: ignore[union-attr]
        for cell in swept.cells
    ]
    assert [(few, null, when.follow_up_months) for few, null, when in found] == [
        (few, null, float(months)) for few in (7, 9) for null in (0.1, 0.2) for months in (3, 4)
    ]
    assert swept.design.look[0].rule[0].at_most == 8  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("look.intrim.rule.count.at_most", "names no look (known: look.interim)"),
        ("look.interim.rule.few.at_most", "names no rule (known: look.interim.rule.count)"),
        ("look.interim.rule", "names no rule (known: look.interim.rule.count)"),
        ("look.interim.rule.count", "names no key"),
        ("look.interim", "names no key"),
        ("look.interim.name.first", "leads into something that is not a table"),
        ("look.interim.rule.count.name", "cannot sweep"),
    ],
)
def test_a_sweep_that_leads_nowhere(path: str, said: str) -> None:
    message = refusal(PLAIN + look() + rule() + f'[sweep]\n"{path}" = [1, 2]\n')
    assert message.startswith("[sweep] ")
    assert said in message


# Bad input that a scenario shows by itself

TWO = look() + rule()
MONTH, EVENTS = look("calendar_month = 9"), look("events = { pfs = 12 }")
UNTIMED = look("infused = 20")
SPENDS = 'spending = "pocock"\nmethod = "normal"\n'
GRAPH = "[multiplicity]\nweights = { orr = 1.0, cr = 0.0 }\n"

BAD: dict[str, tuple[str, str]] = {
    # keys and kinds
    "key of a look": (
        look(more='analyze = "all"') + rule(),
        "[[look]] 'interim' has no key 'analyze'; did you mean 'analyse'? (allowed: name, when, ",
    ),
    "key of when": (
        look("infused = 20, follow_up = 3") + rule(),
        "[[look]] 'interim' when has no key 'follow_up'; did you mean 'follow_up_months'? (allowed: infused, ",
    ),
    "key inside any": (
        look("any = [{ infused = 20, follow_up = 3 }, { calendar_month = 3 }]") + rule(),
        "[[look]] 'interim' when.any.0 has no key 'follow_up'; did you mean 'follow_up_months'?",
    ),
    "key of a rule": (
        look() + rule(at_most=None, at_lest=8),
        "[[look]] 'interim' rule 'count' has no key 'at_lest'; did you mean 'at_least'? (allowed: name, then, ",
    ),
    "key of a named rule": (
        look() + rule() + rule("posterior", name='"x"', probability_atleast=0.9),
        "[[look]] 'interim' rule 'x' has no key 'probability_atleast'; did you mean 'probability_at_least'?",
    ),
    "key of another kind": (
        look() + rule(above=0.3),
        "[[look]] 'interim' rule 'count' has no key 'above' (allowed: name, then, tests, kind, endpoint, at_least, ",
    ),
    "key of the graph": (
        CR + GRAPH.replace("weights", "weight"),
        "[multiplicity] has no key 'weight'; did you mean 'weights'?",
    ),
    "kind misspelt": (
        look() + rule("cuont"),
        "[[look]] 'interim' rule number 1 has no kind 'cuont'; did you mean 'count'? (allowed: count, posterior, "
        "predictive, conditional, spending, toxicity, median)",
    ),
    "kind of a named rule": (
        look() + rule() + rule("3+3", name='"dose"'),
        "[[look]] 'interim' rule 'dose' has no kind '3+3' (allowed: count, ",
    ),
    "no kind": (look() + rule().replace('kind = "count"\n', ""), "[[look]] 'interim' rule number 1 kind is missing"),
    "no then": (look() + rule(then=None), "[[look]] 'interim' rule 'count' then is missing"),
    "no endpoint": (look() + rule(endpoint=None), "[[look]] 'interim' rule 'count' endpoint is missing"),
    "then": (
        look() + rule(then='"futile"'),
        "rule 'count' then = 'futile': input should be 'harm', 'futility', 'success', 'stop-enrolment' or 'consider'; "
        "did you mean 'futility'?",
    ),
    "analyse": (look(more='analyse = "al"') + rule(), "analyse = 'al': input should be 'called' or 'all'"),
    # what is empty or of the wrong type
    "an empty look": ("[[look]]\n", "[[look]] number 1 name is missing; and [[look]] number 1 when is missing; and "),
    "a look without rules": (look(), "[[look]] 'interim' rule is missing"),
    "a look without when": (look().replace("when", "# when") + rule(), "[[look]] 'interim' when is missing"),
    "a look as a table": ('[look]\nname = "a"\n', "[look] is one table: entries of a list are needed, [[look]]"),
    "a rule as a table": (
        look() + rule().replace("[[look.rule]]", "[look.rule]"),
        "[[look]] 'interim' rule is one table: entries of a list are needed, [[look.rule]]",
    ),
    "a rule in words": (look(more='rule = ["few"]'), "[[look]] 'interim' rule number 1 = 'few': a table is needed"),
    "when in words": (
        look().replace("{ infused = 20, follow_up_months = 3 }", '"soon"') + rule(),
        "[[look]] 'interim' when = 'soon': a table is needed",
    ),
    # names
    "two looks of a name": (TWO + TWO, "two looks are named 'interim'"),
    "a name that a list makes": (
        look("infused = [10, 20], follow_up_months = 3") + rule() + look(name="interim-20") + rule(),
        "two looks are named 'interim-20'",
    ),
    "two rules of a kind": (
        look() + rule() * 2,
        "[[look]] 'interim': two rules of kind \"count\" are the same; leave one",
    ),
    "a rule named as another's kind": (
        look() + rule() + rule("toxicity", name='"count"'),
        "[[look]] 'interim': two rules are named 'count'",
    ),
    "a look named end": (look(name="end") + rule(), "[[look]] 'end': that is the name of a metric of its own"),
    "a look named harm": (look(name="harm") + rule(), "[[look]] 'harm': that is the name of a metric of its own"),
    "a look with a dot": (look(name="a.b") + rule(), "[[look]] 'a.b' name = 'a.b': "),
    "a rule with a dot": (look() + rule(name='"a.b"'), "[[look]] 'interim' rule 'a.b' name = 'a.b': "),
    # when
    "called twice": (
        look("infused = 20, calendar_month = 3") + rule(),
        "when: give one of infused, events, calendar_month, any, all, final (given: infused and calendar_month)",
    ),
    "never called": (look("") + rule(), "[[look]] 'interim' when: give one of infused, events, "),
    "at nobody": (look("infused = 0") + rule(), "when.infused: 0 is not a number of patients (a whole number from 1)"),
    "at less than nobody": (look("infused = -1") + rule(), "when.infused: -1 is not a number of patients"),
    "at half a patient": (look("infused = 20.5") + rule(), "when.infused: 20.5 is not a number of patients"),
    "at true": (look("infused = true") + rule(), "when.infused: True is not a number of patients"),
    "at a word": (look('infused = "20"') + rule(), "when.infused: '20' is not a number of patients"),
    "at an empty list": (look("infused = []") + rule(), "when.infused: [] is not a list of ascending numbers"),
    "a list that falls": (look("infused = [20, 10]") + rule(), "when.infused: [20, 10] is not a list of ascending"),
    "a list that stays": (look("infused = [20, 20]") + rule(), "when.infused: [20, 20] is not a list of ascending"),
    "steps of 0": (look("infused = { from = 10, to = 20, by = 0 }") + rule(), "whole numbers from 1, and to is not "),
    "from above to": (look("infused = { from = 20, to = 10 }") + rule(), "'to': 10}: whole numbers from 1, and to is"),
    "a range without to": (look("infused = { from = 10, til = 20 }") + rule(), "give from and to, and by (default 1)"),
    "followed less than nothing": (
        look("infused = 20, follow_up_months = -3") + rule(),
        "when.follow_up_months = -3: input should be greater than or equal to 0",
    ),
    "followed for nan": (look("infused = 20, follow_up_months = nan") + rule(), "when.follow_up_months = nan: "),
    "followed for true": (look("infused = 20, follow_up_months = true") + rule(), "when.follow_up_months = True: "),
    "followed from a month": (
        look("calendar_month = 9, follow_up_months = 3") + rule(),
        "[[look]] 'interim' when: follow_up_months goes with infused",
    ),
    "month 0": (look("calendar_month = 0") + rule(), "when.calendar_month = 0: input should be greater than 0"),
    "month without end": (look("calendar_month = inf") + rule(), "when.calendar_month = inf: "),
    "no events": (look("events = { pfs = 0 }") + rule(), "when.events.pfs = 0: input should be greater than or equal"),
    "half an event": (look("events = { pfs = 3.5 }") + rule(), "when.events.pfs = 3.5: "),
    "events of what": (
        look("events = { osx = 4 }") + rule(),
        "[[look]] 'interim' when.events has no key 'osx'; did you mean 'os'? (allowed: dor, pfs, os)",
    ),
    "two sorts of events": (look("events = { pfs = 4, os = 3 }") + rule(), "when: events names one endpoint, such as"),
    "not final": (look("final = false") + rule(), "when.final = False: input should be True"),
    "any of one": (look("any = [{ calendar_month = 3 }]") + rule(), "when: any is of two or more, each with one "),
    "any of a list": (
        look("any = [{ infused = [10, 20], follow_up_months = 3 }, { calendar_month = 3 }]") + rule(),
        "when: any is of two or more, each with one number of patients, and none final",
    ),
    "all with the end": (
        look("all = [{ final = true }, { calendar_month = 3 }]") + rule(),
        "when: all is of two or more, each with one number of patients, and none final",
    ),
    "any outside the calendar": (
        look("any = [{ infused = 20 }, { calendar_month = 3 }]") + rule(),
        "when: any: infused needs follow_up_months there, to have a place in the calendar",
    ),
    "all evaluable outside the calendar": (
        look("infused = 20", more='analyse = "all"') + rule(endpoint='"orr"'),
        "[[look]] 'interim': analyse = \"all\" needs follow_up_months",
    ),
    "two looks at the end": (
        look("final = true") + rule(endpoint='"orr"') + look("final = true", "last") + rule(endpoint='"orr"'),
        "[[look]] 'last': 'interim' is at the final analysis already; put its rules there",
    ),
    # order
    "an order of one": (look(more='order = ["harm"]') + rule(), "order: ['harm'] is not an order of harm, futility, "),
    "an order with one twice": (
        look(more='order = ["harm", "harm", "success", "consider"]') + rule(),
        "order: ['harm', 'harm', 'success', 'consider'] is not an order of",
    ),
    "an order of other things": (
        look(more='order = ["harm", "futility", "sucess", "consider"]') + rule(),
        "order.2 = 'sucess': input should be 'harm', 'futility', 'success', 'stop-enrolment' or 'consider'; did you "
        "mean 'success'?",
    ),
    # order in time and place in the trial
    "beyond the last patient": (
        look("infused = 41") + rule(),
        "[[look]] 'interim': looks at 41 infused, beyond the last of 40 patients",
    ),
    "a list beyond the last patient": (
        look("infused = [20, 41], follow_up_months = 3") + rule(),
        "[[look]] 'interim-41': looks at 41 infused, beyond the last of 40 patients",
    ),
    "any beyond the last patient": (
        look("any = [{ infused = 41, follow_up_months = 3 }, { calendar_month = 9 }]") + rule(),
        "[[look]] 'interim': looks at 41 infused, beyond the last of 40 patients",
    ),
    "events beyond the last patient": (
        look("events = { os = 41 }") + rule(),
        "[[look]] 'interim': looks at 41 events, beyond the last of 40 patients",
    ),
    "after the data cut": (
        look("calendar_month = 13") + rule() + "[calendar]\ndata_cut = { month = 12 }\n",
        "[[look]] 'interim': month 13 is after the data cut, in month 12",
    ),
    "out of order": (
        TWO + look("infused = 15, follow_up_months = 3", "second") + rule(),
        "[[look]] 'second': looks out of order: 15 infused after 20 infused ('interim')",
    ),
    "at the same number": (
        TWO + look(name="second") + rule(),
        "[[look]] 'second': looks out of order: 20 infused after 20 infused ('interim')",
    ),
    "months out of order": (
        MONTH + rule() + look("calendar_month = 8.5", "second") + rule(),
        "[[look]] 'second': looks out of order: month 8.5 after month 9 ('interim')",
    ),
    "events out of order": (
        EVENTS + rule() + look("events = { pfs = 11 }", "second") + rule(),
        "[[look]] 'second': looks out of order: 11 events of pfs after 12 events of pfs ('interim')",
    ),
    "inside and outside the calendar": (
        TWO + look("infused = 30", "second") + rule(endpoint='"orr"'),
        "[[look]] 'second' is at full follow-up, outside the calendar, and 'interim' has a place in it",
    ),
    "outside the calendar, and the end in it": (
        UNTIMED + rule(endpoint='"orr"') + look("final = true", "last") + rule(endpoint='"pfs@6"'),
        "[[look]] 'interim' is at full follow-up, outside the calendar, and 'last' has a place in it",
    ),
    # endpoints and windows
    "endpoint": (look() + rule(endpoint='"or@3"'), "a window in months as in orr@3); did you mean 'orr'?"),
    "window of 0": (look() + rule(endpoint='"orr@0"'), "endpoint: 'orr@0': a window is above 0 and at most 600 "),
    "window in words": (look() + rule(endpoint='"orr@x"'), "endpoint: there is no endpoint 'orr@x'"),
    "endpoint a number": (look() + rule(endpoint=3), "rule 'count' endpoint = 3: "),
    "landmark without month": (look() + rule(endpoint='"pfs"'), "'pfs' needs the month by which it is counted, such "),
    "toxicity too early": (look() + rule(endpoint='"crs3@0.5"'), "CRS and neurotoxicity are known from 1 month on"),
    "window longer than follow-up": (
        look() + rule(endpoint='"orr@4"'),
        "[[look]] 'interim' rule 'count': 'orr@4' is known after 4 months, and the look's patients have "
        "follow_up_months = 3",
    ),
    "toxicity longer than follow-up": (
        look("infused = 20, follow_up_months = 0.5") + rule(endpoint='"crs3"'),
        "'crs3' is known after 1 months, and the look's patients have follow_up_months = 0.5",
    ),
    "window longer than follow-up inside any": (
        look("any = [{ calendar_month = 9 }, { infused = 20, follow_up_months = 2 }]") + rule(),
        "'orr@3' is known after 3 months, and the look's patients have follow_up_months = 2",
    ),
    "no window": (
        look() + rule(endpoint='"orr"'),
        "[[look]] 'interim' rule 'count': 'orr' is known at full follow-up, after this look; give its window, such as "
        'endpoint = "orr@3"',
    ),
    "no window in a month": (MONTH + rule(endpoint='"cr"'), 'give its window, such as endpoint = "cr@3"'),
    "no window of the test": (look() + rule("predictive", endpoint=None), "rule 'predictive': 'orr' is known at full "),
    "window without calendar": (
        UNTIMED + rule(),
        "[[look]] 'interim' rule 'count': orr@3 has a window, and the look no place in the calendar; give it "
        "follow_up_months = 3, or leave the window out",
    ),
    "landmark without calendar": (UNTIMED + rule(endpoint='"os@6"'), "give it follow_up_months = 6, or leave the "),
    "median without calendar": (
        UNTIMED + rule("median"),
        "[[look]] 'interim' rule 'median': a median needs a look with a place in the calendar (follow_up_months)",
    ),
    "times without calendar": (
        UNTIMED + rule(endpoint='"orr"') + '[simulation]\nendpoints = ["pfs"]\n',
        "[[look]] 'interim' is at full follow-up, outside the calendar, where pfs cannot be seen",
    ),
    "flags without calendar": (
        UNTIMED + rule(endpoint='"orr"') + '[simulation]\nflags = ["adverse_events"]\n',
        "[[look]] 'interim' is outside the calendar: with flags give it follow_up_months",
    ),
    # numbers of rules
    "no bound": (look() + rule(at_most=None), "rule 'count': kind = \"count\" needs at_least or at_most, one of them"),
    "two bounds": (look() + rule(at_least=3), "rule 'count': kind = \"count\" needs at_least or at_most, one of them"),
    "count below 0": (look() + rule(at_most=-1), "rule 'count' at_most = -1: input should be greater than or equal"),
    "half a count": (look() + rule(at_most=8.0), "rule 'count' at_most = 8.0: "),
    "count of true": (look() + rule(at_most="true"), "rule 'count' at_most = True: "),
    "above and below": (look() + rule("posterior", below=0.3), 'kind = "posterior" needs above or below, one of them'),
    "no probability": (look() + rule("posterior", probability_at_least=None), "needs probability_at_least or prob"),
    "certainty": (look() + rule("posterior", probability_at_least=1.0), "probability_at_least = 1.0: input should be"),
    "rate of true": (look() + rule("posterior", above="true"), "rule 'posterior' above = True: "),
    "probability above 1": (look() + rule("predictive", at_most=1.2), "rule 'predictive' at_most = 1.2: "),
    "prior of one": (look() + rule("predictive", prior="[1]"), "prior: [1.0] is not a beta distribution [a, b]"),
    "prior of nothing": (look() + rule("predictive", prior="[]"), "prior: [] is not a beta distribution [a, b]"),
    "prior below 0": (look() + rule("predictive", prior="[1, -1]"), "prior.1 = -1: input should be greater than 0"),
    "prior in words": (look() + rule("predictive", prior='"flat"'), "prior = 'flat': "),
    "prior of weights": (look() + rule("predictive", prior="[[0.5, 1, 1], [0.4, 2, 2]]"), "whose weights sum to 1"),
    "rate in words": (look() + rule("conditional", rate='"obs"'), "'obs' is not a rate between 0 and 1, or \"observe"),
    "rate true": (look() + rule("conditional", rate="true"), "rate: True is not a rate between 0 and 1, or "),
    "acceptable rate of 1": (look() + rule("toxicity", null=1), "rule 'toxicity' null = 1: "),
    "toxicity alpha": (look() + rule("toxicity", alpha=0.7), "rule 'toxicity' alpha = 0.7: "),
    "median of a rate": (look() + rule("median", endpoint='"orr"'), "rule 'median' endpoint = 'orr': input should be"),
    "median of 0": (look() + rule("median", at_most=0), "rule 'median' at_most = 0: "),
    # tests of rules
    "no such test": (
        look() + rule("predictive", test='"or"'),
        "[[look]] 'interim' rule 'predictive': there is no test 'or'; did you mean 'orr'? (tests: orr)",
    ),
    "no such test to wait for": (
        look() + rule(then='"success"', tests='["pfs"]'),
        "[[look]] 'interim' rule 'count': there is no test 'pfs' (tests: orr)",
    ),
    "test a number": (look() + rule("predictive", test=3), "rule 'predictive' test = 3: "),
    "futility that shows": (look() + rule(test='"orr"'), "rule 'count': test goes with then = \"success\""),
    "futility that waits": (look() + rule(tests='["orr"]'), 'tests goes with then = "success", not "futility"'),
    "a forecast of a time": (
        PFS + look() + rule("predictive", test='"pfs"', endpoint=None),
        "kind = \"predictive\" is for tests of a rate, and 'pfs' is of a time",
    ),
    "a forecast at the end": (
        look("final = true") + rule("conditional"),
        'kind = "conditional" looks ahead to the final analysis, and this look is at it',
    ),
    "a rule that shows at the end": (
        look("final = true") + rule(endpoint='"orr"', then='"success"', test='"orr"'),
        "rule 'count': at the final analysis the test itself says what is shown; leave test out",
    ),
    "spending nothing": (look() + rule("spending"), "[[test]] 'orr' has no spending, such as \"obrien-fleming\""),
    "spending for harm": (SPENDS + look() + rule("spending", then='"harm"'), 'is for success or futility, not "harm"'),
    "spending no beta": (SPENDS + look() + rule("spending", then='"futility"'), "[[test]] 'orr' has no beta to spend"),
    "spending twice": (
        SPENDS + look() + rule("spending") + rule("spending", name='"b"'),
        "[[look]] 'interim': two rules spend for success of test 'orr'",
    ),
    "spending of a time on a count": (
        PFS + 'spending = "pocock"\n' + look() + rule("spending", test='"pfs"'),
        "rule 'spending': endpoint does not go with 'pfs', a test of a time; leave it out",
    ),
    "information of 1": (
        SPENDS + look() + rule("spending", information=1.0),
        "information = 1.0: input should be",
    ),
    "beta without assumed": (
        SPENDS + "beta = 0.2\n",
        "[[test]] 'orr': beta needs assumed, the rate (or median) at which",
    ),
    "assumed below null": (SPENDS + "beta = 0.2\nassumed = 0.4\n", "assumed = 0.4 is not a rate beyond null = 0.5"),
    "beta of a time without events": (
        PFS + 'spending = "pocock"\nbeta = 0.2\nassumed = 6\n',
        "[[test]] 'pfs': beta of a test of a time needs events, how many are expected at the end",
    ),
    "gamma without spending": ("gamma = -2.0\n", "[[test]] 'orr': gamma goes with spending"),
    "spending unknown": (
        'spending = "obrien-flemming"\n',
        "spending = 'obrien-flemming': input should be 'obrien-fleming', 'pocock', 'hwang-shih-decani', "
        "'obrien-fleming-classical' or 'pocock-classical'; did you mean 'obrien-fleming'?",
    ),
    "spending of a count": ('method = "count"\ncount = 27\nspending = "pocock"\n', 'spending goes with method = "exac'),
    "spending in the enrolled": (SPENDS + 'population = "enrolled"\n', 'spending goes with population = "infused"'),
    "count without its number": ('method = "count"\n', 'goes with method = "count"'),
    "a number without count": ("count = 27\n", 'goes with method = "count"'),
    "alpha of a count": ('method = "count"\ncount = 27\nalpha = 0.05\n', 'alpha does not go with method = "count"'),
    # the graph
    "weight above 1": (CR + GRAPH.replace("1.0", "1.1"), "[multiplicity] weights.orr = 1.1: input should be less than"),
    "weight below 0": (CR + GRAPH.replace("0.0", "-0.1"), "[multiplicity] weights.cr = -0.1: "),
    "weights above 1": (CR + GRAPH.replace("0.0", "0.2"), "[multiplicity]: weights sum to 1.2, above 1"),
    "no weights": (CR + "[multiplicity]\nweights = {}\n", "[multiplicity] weights = {}: "),
    "weight of no test": (
        CR + "[multiplicity]\nweights = { orr = 0.5, cr = 0.2, crr = 0.1 }\n",
        "[multiplicity] weights: there is no test 'crr'; did you mean 'cr'? (tests: orr, cr)",
    ),
    "test without weight": (
        CR + "[multiplicity]\nweights = { orr = 0.5 }\n",
        "[multiplicity] weights: test 'cr' has none (0 is allowed)",
    ),
    "transitions above 1": (
        CR + CR.replace('"cr"', '"vgpr"') + "[multiplicity]\nweights = { orr = 1.0, cr = 0, vgpr = 0 }\n"
        "transitions = { orr = { cr = 0.7, vgpr = 0.7 } }\n",
        "[multiplicity]: transitions.orr sum to 1.4, above 1",
    ),
    "transition below 0": (CR + GRAPH + "transitions = { orr = { cr = -0.5 } }\n", "transitions.orr.cr = -0.5: "),
    "transition to itself": (
        CR + GRAPH + "transitions = { orr = { orr = 1.0 } }\n",
        "transitions.orr leads back to",
    ),
    "transition to nowhere": (
        CR + GRAPH + "transitions = { orr = { mrd = 1.0 } }\n",
        "[multiplicity]: transitions names 'mrd', which has no weight (orr, cr)",
    ),
    "transition from nowhere": (CR + GRAPH + "transitions = { mrd = { orr = 1.0 } }\n", "transitions names 'mrd'"),
    "alpha of the graph": (CR + GRAPH + "alpha = 0.6\n", "[multiplicity] alpha = 0.6: "),
    "alpha of a test in it": ("alpha = 0.05\n" + CR + GRAPH, "under [multiplicity] a test has neither alpha nor"),
    "after in it": (CR + 'after = "orr"\n' + GRAPH, "[[test]] 'cr': after does not go with [multiplicity]"),
    "count in it": ('method = "count"\ncount = 27\n' + CR + GRAPH, "under [multiplicity] a test has neither alpha nor"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_in_one_line(kind: str) -> None:
    text, said = BAD[kind]
    message = refusal(PLAIN + text)
    assert said in message, message
    # It names the place as it is written in the file, never as the validator's own structure.
    assert re.match(r"\[|the file|two looks are named|tests wait", message), message
    assert not re.search(r"discriminator|input tag|constrained|rule\.\d", message), message


def test_too_many_looks() -> None:
    many = PLAIN.replace("40", "400") + look("infused = { from = 1, to = 201 }, follow_up_months = 3") + rule()
    assert refusal(many) == "[[look]]: 201 looks (at most 200)"
    assert len(read(many.replace("201", "200")).design.looks) == 200


# Bad input that shows once bounds are made

BETA = SPENDS + "beta = 0.2\nassumed = 0.7\n"
NO_SIZE = PLAIN.replace("infused = 40", "enrolled = 40")

LATER: dict[str, tuple[str, str]] = {
    "at_most with all": (
        PLAIN + look() + rule(at_most=20),
        "[[look]] 'interim' rule 'count': at_most = 20 of the 20 patients of this look is always so",
    ),
    "at_least with none": (
        PLAIN + look() + rule(at_most=None, at_least=0),
        "[[look]] 'interim' rule 'count': at_least = 0 of the 20 patients of this look is always so",
    ),
    "bounds that cross": (
        PLAIN + look() + rule() + rule(name='"many"', at_most=None, at_least=8, then='"success"'),
        "[[look]] 'interim': bounds cross: with 20 patients 'many' fires from 8 on and 'count' up to 8",
    ),
    "bounds of another kind that cross": (
        PLAIN
        + look()
        + rule(at_most=15)
        + rule("posterior", endpoint='"orr@3"', above=0.3, probability_at_least=0.8, then='"success"'),
        "[[look]] 'interim': bounds cross: with 20 patients 'posterior' fires from 8 on and 'count' up to 15",
    ),
    "success from below": (
        PLAIN
        + look()
        + rule(endpoint='"crs3"', at_most=None, at_least=3)
        + rule(name='"few"', endpoint='"crs3"', at_most=3, then='"success"'),
        "[[look]] 'interim': bounds cross: with 20 patients 'count' fires from 3 on and 'few' up to 3",
    ),
    "toxicity of all who are evaluable": (
        PLAIN + look(more='analyse = "all"') + rule("toxicity"),
        'kind = "toxicity" needs looks at ascending numbers infused (analyse = "called")',
    ),
    "toxicity in a month": (PLAIN + MONTH + rule("toxicity"), 'kind = "toxicity" needs looks at ascending numbers'),
    "information at the end": (
        PLAIN + SPENDS + look("infused = 40, follow_up_months = 3") + rule("spending"),
        "[[look]] 'interim': information of 'orr' is [1.0]; it must ascend and stay below 1",
    ),
    "information that falls": (
        PLAIN
        + SPENDS
        + look()
        + rule("spending", information=0.6)
        + look("infused = 30, follow_up_months = 3", "second")
        + rule("spending", information=0.5),
        "[[look]] 'second': information of 'orr' is [0.6, 0.5]; it must ascend and stay below 1",
    ),
    "information not known": (
        NO_SIZE + SPENDS + look() + rule("spending"),
        "[[look]] 'interim': what share of the final information of 'orr' it has is not known; say so",
    ),
    "information of a time not known": (
        PLAIN + PFS + 'spending = "pocock"\n' + look() + rule("spending", test='"pfs"', endpoint=None),
        "what share of the final information of 'pfs' it has is not known",
    ),
    "exact and of no fixed size": (
        NO_SIZE + 'spending = "pocock"\n' + look() + rule("spending", information=0.5),
        "[[test]] 'orr': method = \"exact\" with looks needs fixed numbers of patients",
    ),
    "exact and in a month": (
        PLAIN + 'spending = "pocock"\n' + MONTH + rule("spending", information=0.5),
        "[[test]] 'orr': method = \"exact\" with looks needs fixed numbers of patients",
    ),
    "beta of no fixed size": (
        NO_SIZE + BETA + look() + rule("spending", then='"futility"', information=0.5),
        "[[test]] 'orr': beta needs a fixed number of patients at the end",
    ),
    "no gamma": (
        PLAIN + SPENDS.replace("pocock", "hwang-shih-decani") + look() + rule("spending"),
        "[[test]] 'orr': kind 'hwang-shih-decani' needs a gamma",
    ),
    "a gamma too many": (
        PLAIN + SPENDS + "gamma = -2\n" + look() + rule("spending"),
        "[[test]] 'orr': kind 'pocock' takes",
    ),
    "a forecast of how many": (
        NO_SIZE + look() + rule("predictive"),
        "rule 'predictive': how many patients the final test will have varies; say how many it is to reckon with",
    ),
    "a forecast of more than all": (
        PLAIN + look() + rule("predictive", final=999),
        "final = 999 is more than the",
    ),
    "a forecast of fewer than now": (
        PLAIN + look() + rule("conditional", final=19),
        "rule 'conditional': final = 19 is fewer than the 20 patients of this look",
    ),
    "accrual of centuries": (
        PLAIN + look() + rule() + "[calendar]\naccrual_per_month = 0.01\n",
        "[calendar] accrual_per_month = 0.01: 88 patients take more than 300 years, too long for looks",
    ),
    "beyond the study's own number": (
        PLAIN.replace("infused = 40", "attrition = 0.1") + look("infused = 200") + rule(endpoint='"orr"'),
        "[[look]] 'interim': looks at 200 infused, beyond the last of 140 patients",
    ),
    "beyond fixed numbers": (
        PLAIN.replace("[cohort]\ninfused = 40", '[[arm]]\ndoses = { "300" = 40 }\nallocation = "fixed"')
        + look("infused = 41")
        + rule(endpoint='"orr"'),
        "[[look]] 'interim': looks at 41 infused, beyond the last of 40 patients",
    ),
}


@pytest.mark.parametrize("kind", LATER)
def test_rules_that_cannot_be_are_refused_in_one_line(kind: str, protocol) -> None:
    text, said = LATER[kind]
    with pytest.raises(InputError) as caught:
        protocol(text)
    message = str(caught.value)
    assert message.startswith("scenarios/x.toml: [")
    assert "\n" not in message
    assert said in message, message


def test_bounds_that_touch_do_not_cross(protocol) -> None:
    near = PLAIN + look() + rule() + rule(name='"many"', at_most=None, at_least=9, then='"success"')
    assert protocol(near).numbers.looks.bounds[:, 20].tolist() == [8, 9]
    # Harm goes before futility and may fire at the same count.
    both = PLAIN + look() + rule() + rule(name='"bad"', at_most=12, then='"harm"')
    assert protocol(both).numbers.looks.bounds[:, 20].tolist() == [8, 12]


def test_tables_of_a_look_are_for_its_own_number_alone(protocol) -> None:
    """A look of the first 20 has no bound for 19; one of all who are evaluable has one for every number."""
    called, everybody = (
        protocol(PLAIN + look(more=more) + rule()).numbers.looks.bounds[0] for more in ("", 'analyse = "all"')
    )
    assert called[20] == 8
    assert set(np.delete(called, 20)) == {-1}
    assert set(everybody) == {8}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BAD["key of a rule"][0], "[[look]] 'interim' rule 'count' has no key 'at_lest'; did you mean 'at_least'?"),
        (
            LATER["bounds that cross"][0].removeprefix(PLAIN),
            "bounds cross: with 20 patients 'many' fires from 8",
        ),
    ],
    ids=["of the file", "of the bounds"],
)
def test_the_command_line_refuses_with_status_2(
    text: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    posterior: Posterior,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vtrial", "run", "x.toml"])
    Path("x.toml").write_text(PLAIN + text)
    with pytest.raises(SystemExit) as stop:
        app.main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: x.toml: [[look]] 'interim'")
    assert said in err
    assert [file.name for file in tmp_path.iterdir()] == ["x.toml"]
