"""What can be read and cannot be meant: refused where its mirror is, said where it is legal and likely a slip."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from tests.scenario.test_looks import CR, PFS, PLAIN, look, rule
from tests.scenario.test_scenario import protocol_of, read, refusal
from vtrial import InputError
from vtrial.characteristics.exact.size import size_of
from vtrial.characteristics.plausibility import warnings
from vtrial.cli import app
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol

SPENDS = 'spending = "obrien-fleming"\n'
BETA = SPENDS + "beta = 0.2\nassumed = 0.7\n"
FULL = look("infused = 20")  # at full follow-up
GRAPH = "[multiplicity]\nweights = {{ orr = {}, cr = {} }}\n"
MONTH = "[calendar]\ndata_cut = { month = 10 }\n"
BINDS = (
    BETA
    + "binding = true\n"
    + look(more='order = ["harm", "consider", "futility", "success"]')
    + rule("spending", then='"futility"')
)


def success(kind: str = "spending", **keys: object) -> str:
    return rule(kind, **{"endpoint": '"orr"', "then": '"success"', **keys})


# Each was accepted; what stands beside it in the comment was refused.
BAD: dict[str, tuple[str, str]] = {
    "predictive of at most 1": (  # a count that is always so
        look() + rule("predictive", at_most=1.0),
        "[[look]] 'interim' rule 'predictive': kind = \"predictive\": at_most = 1 is met by every probability",
    ),
    "predictive of at least 0": (
        look() + rule("predictive", at_most=None, at_least=0.0),
        "at_least = 0 is met by every",
    ),
    "conditional of at most 1": (look() + rule("conditional", at_most=1.0), "at_most = 1 is met by every probability"),
    "toxicity for success": (  # spending for harm
        look() + rule("toxicity", then='"success"'),
        "[[look]] 'interim' rule 'toxicity': kind = \"toxicity\" fires where too many have it, which is no success",
    ),
    "weights of 0": (CR + GRAPH.format(0.0, 0.0), "[multiplicity]: weights are all 0: no test has any alpha"),
    "a test that alpha never reaches": (  # a test that waits for itself
        CR + GRAPH.format(1.0, 0.0),
        "[multiplicity]: test 'cr' can never reject: its weight is 0, and no test that can reject passes alpha to it",
    ),
    "binding under a graph": (
        BETA + "binding = true\n" + CR + GRAPH.format(1.0, 0.0) + "transitions = { orr = { cr = 1.0 } }\n",
        "[[test]] 'orr': binding does not go with [multiplicity]",
    ),
    "consider before binding futility": (
        BINDS + rule(name='"note"', then='"consider"'),
        "[[look]] 'interim': order puts \"consider\", which stops nothing, before the futility bound of 'orr'",
    ),
    "binding without beta": (  # beta without assumed
        SPENDS + "binding = true\n",
        "[[test]] 'orr': binding is about futility: it goes with beta",
    ),
    "beta_spending without beta": (SPENDS + 'beta_spending = "pocock"\n', "beta_spending is about futility"),
    "a median assumed below the null": (  # a rate assumed below the null
        PFS + SPENDS + "events = 90\nbeta = 0.2\nassumed = 3\n",
        "[[test]] 'pfs': assumed = 3 is not a median beyond null = 4",
    ),
    "spending counts another endpoint": (
        SPENDS + look() + rule("spending", endpoint='"cr@3"'),
        "[[look]] 'interim' rule 'spending': it counts 'cr@3', and test 'orr' is of orr; leave endpoint out",
    ),
    "a forecast counts another endpoint": (
        look() + rule("predictive", endpoint='"crs3"'),
        "rule 'predictive': it counts 'crs3', and test 'orr' is of orr",
    ),
    "spending of less counts what is seen by then": (
        'alternative = "less"\n' + SPENDS + look() + rule("spending"),
        "rule 'spending': 'orr@3' leaves out what is seen later",
    ),
    "a look at the final number": (  # a look beyond it
        look("infused = 40") + rule(endpoint='"orr"'),
        "[[look]] 'interim': looks at all 40 patients at full follow-up, which is the final analysis",
    ),
    "a look at the final number and follow-up": (
        look("infused = 40, follow_up_months = 12") + rule(),
        "[[look]] 'interim': looks at all 40 patients when the data are cut, which is the final analysis",
    ),
    "a look after the cut": (  # a look in a month after the cut
        look("infused = 20, follow_up_months = 12") + rule() + MONTH,
        "[[look]] 'interim': nobody has 12 months of follow-up before the data cut, in month 10",
    ),
    "shares that overflow": (
        '[[arm]]\ndoses = { "300" = 1e308, "450" = 1e308 }\n',
        "[[arm]] number 1 doses.300 = 1e+308: input should be less than or equal to 1000000000",
    ),
    "a prior beyond numbers": (
        look() + rule("predictive", prior="[1e15, 1.0]"),
        "[[look]] 'interim' rule 'predictive' prior: [1000000000000000.0, 1.0]: a and b of a beta distribution are at",
    ),
    "a test's prior beyond numbers": (
        'method = "posterior"\nprobability = 0.975\nprior = [1e15, 1e15]\n',
        "[[test]] 'orr' prior: [1000000000000000.0, 1000000000000000.0]: a and b of a beta distribution are at most",
    ),
    "hardly any accrual": ("[calendar]\naccrual_per_month = 1e-300\n", "accrual_per_month = 1e-300: input should be"),
    "visits within a day": (
        "[calendar]\nvisits = [1, 1.001]\n",
        "[calendar] visits: visits 1 and 1.001 are less than a day apart",
    ),
    "a first visit at once": ("[calendar]\nvisits = [1e-9]\n", "visits 0 and 1e-09 are less than a day apart"),
    "a cut at once": (  # a cut in month 0
        "[calendar]\ndata_cut = { month = 1e-6 }\n",
        "month = 1e-06 is the day of the first enrolment: nobody is infused yet",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_nonsense_is_refused_in_one_line(kind: str) -> None:
    text, said = BAD[kind]
    # Cohort and test come first; an arm of its own stands before them.
    message = refusal(text + PLAIN if text.startswith("[[arm]]") else PLAIN + text)
    assert said in message, message


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior) -> Callable[[str], Protocol]:
    return lambda text: protocol_of(text, evidence, posterior)


LATER: dict[str, tuple[str, str]] = {
    "count above what the look has": (  # count of 0
        FULL + success("count", at_most=None, at_least=21),
        "[[look]] 'interim' rule 'count': at_least = 21 of at most 20 patients can never be",
    ),
    "count above what any of its looks has": (
        look("infused = [5, 20]") + success("count", at_most=None, at_least=21),
        "[[look]] 'interim' rule 'count': at_least = 21 of at most 20 patients can never be",
    ),
    "a posterior that is always so": (
        FULL + success("posterior", above=0.5, probability_at_least=1e-9),
        "[[look]] 'interim' rule 'posterior': it fires on every count of the 20 patients of this look",
    ),
    "a count test that nobody can meet": (
        'method = "count"\ncount = 41\n',
        "[[test]] 'orr': count = 41 of at most 40 patients can never be",
    ),
    "a count test that everybody meets": ('method = "count"\ncount = 0\n', "[[test]] 'orr': it rejects from 0 of 40"),
    "a count test of less that everybody meets": (
        'method = "count"\nalternative = "less"\ncount = 40\n',
        "[[test]] 'orr': it rejects up to 40 of 40 patients on, which every outcome meets",
    ),
    "a posterior test that everybody meets": (
        'method = "posterior"\nprobability = 1e-30\n',
        "[[test]] 'orr': it rejects from 0 of 40 patients on, which every outcome meets",
    ),
    "accrual of decades": (
        "[calendar]\naccrual_per_month = 0.05\n",
        "[calendar] accrual_per_month = 0.05: 40 patients take about 800 months (at most 600)",
    ),
    "information far from the patients": (
        SPENDS + FULL + success(information=0.9),
        "information of 'orr' is stated as 0.9, and 20 of 40 patients are 0.500 of it",
    ),
    "information that falls, exact": (
        SPENDS
        + look("infused = 20")
        + success(information=0.5)
        + look("infused = 22", "b")
        + success(information=0.48),
        "[[look]] 'b': information of 'orr' is [0.5, 0.48]; it must ascend and stay below 1",
    ),
    "two shares of information": (
        BETA + FULL + success(information=0.5) + success(name='"f"', then='"futility"', information=0.45),
        "[[look]] 'interim': information of 'orr' is stated as [0.45, 0.5]; one look has one share",
    ),
    "crossing, with its place": (
        BETA.replace("0.2", "0.99")
        + 'beta_spending = "pocock"\n'
        + look("infused = 30")
        + success()
        + success(name='"f"', then='"futility"'),
        "[[test]] 'orr': futility crosses efficacy at look 1",
    ),
}


@pytest.mark.parametrize("kind", LATER)
def test_nonsense_that_bounds_show_is_refused_in_one_line(kind: str, protocol) -> None:
    text, said = LATER[kind]
    with pytest.raises(InputError) as caught:
        protocol(PLAIN + text)
    message = str(caught.value)
    assert message.startswith("scenarios/x.toml: [")
    assert "\n" not in message
    assert said in message, message


LEGAL = {
    "a list of looks of which the first cannot fire": look("infused = [3, 20]")
    + success("count", at_most=None, at_least=6),
    "certainty": look("infused = 30") + success("predictive", at_most=None, at_least=1.0),
    "certain futility": FULL + rule("predictive", endpoint='"orr"', at_most=0.0),
    "all infused, with three months": look("infused = 40, follow_up_months = 3") + rule(),
    "toxicity": FULL + rule("toxicity"),
    "information to two digits": SPENDS + look("infused = 13") + success(information=0.33),
}


@pytest.mark.parametrize("kind", LEGAL)
def test_what_is_meant_passes_without_a_word(kind: str, protocol) -> None:
    text = PLAIN + LEGAL[kind]
    assert warnings([protocol(text)], read(text).cells) == ()


SAID: dict[str, tuple[str, str]] = {
    "a posterior that can never be": (
        look("infused = [3, 5]") + rule("posterior", endpoint='"orr"', above=None, below=0.2, then='"futility"'),
        "[[look]] 'interim' rule 'posterior': no count makes it fire, at this look or any other that it stands in",
    ),
    "toxicity that can never be": (
        look("infused = 1") + rule("toxicity"),
        "[[look]] 'interim' rule 'toxicity': no count makes it fire",
    ),
    "futility where many respond": (
        FULL + rule(endpoint='"orr"', at_most=None, at_least=12),
        "[[look]] 'interim' rule 'count': it decides for futility where what it counts is high, which is promising",
    ),
    "success where toxicity is high": (
        FULL + success("count", endpoint='"crs3"', at_most=None, at_least=5),
        "rule 'count': it decides for success where what it counts is high, which is poor",
    ),
    "success where the forecast is low": (FULL + success("predictive"), "where what it counts is low, which is poor"),
    "no count rejects": ("alpha = 1e-13\n", "[[test]] 'orr': no count of 40 patients rejects"),
    "spending without a rule": (SPENDS, "[[test]] 'orr': spending = \"obrien-fleming\" spends nothing before the end"),
    "binding that nothing does": (
        BETA + "binding = true\n" + FULL + success(),
        "[[test]] 'orr': beta = 0.2 is not spent: no look has its rule for futility, and nothing binds",
    ),
    "binding at a look that may not come": (
        BETA
        + "binding = true\n"
        + look()
        + rule("spending")
        + rule("spending", name='"f"', then='"futility"')
        + "[calendar]\ndata_cut = { month = 20 }\n",
        "[[test]] 'orr': its bounds count on stops for futility at 'interim' (binding = true), and the end may come",
    ),
    "half of alpha": (
        CR + GRAPH.format(0.3, 0.2),
        "[multiplicity] weights sum to 0.5: 50% of alpha is used by no test",
    ),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_is_almost_surely_a_slip_is_said(kind: str, protocol) -> None:
    text, said = SAID[kind]
    found = warnings([protocol(PLAIN + text)], read(PLAIN + text).cells)
    assert any(said in one for one in found), found


# Sizes

POCOCK = """
[cohort]
infused = 50
attrition = 0
[[test]]
name = "t"
endpoint = "orr"
null = 0.1
method = "normal"
spending = "pocock"
[[look]]
name = "l"
when = { infused = 20 }
[[look.rule]]
kind = "spending"
test = "t"
then = "success"
"""


def test_a_sequential_size_above_alpha_is_said(protocol) -> None:
    """5 of 20, 10 of 50: .0575 by peers' recursion (shared/peers_cases.md)."""
    [text] = warnings([protocol(POCOCK)], read(POCOCK).cells)
    assert "test at its null (10%) over its looks and the end is 0.0575, above alpha = 0.025" in text
    exact = POCOCK.replace('"normal"', '"exact"')
    assert warnings([protocol(exact)], read(exact).cells) == ()
    known = size_of(protocol(exact), read(exact).design.test[0])
    assert known is not None
    assert 0.015 < known.size <= 0.025


def test_another_rule_that_claims_the_test_counts_in_its_size(protocol) -> None:
    text = POCOCK.replace('"normal"', '"exact"') + rule(
        name='"five"', endpoint='"orr"', at_most=None, at_least=4, then='"success"', test='"t"'
    )
    [said] = warnings([protocol(text)], read(text).cells)
    first = binom.pmf(np.arange(4), 20, 0.1)
    whole = binom.sf(3, 20, 0.1) + float(np.sum(first * binom.sf(10 - np.arange(4), 30, 0.1)))
    assert f"this exact test at its null (10%) over its looks and the end is {whole:.4f}, above" in said


def test_binding_futility_counts_in_the_size(protocol) -> None:
    text = POCOCK.replace("[[look]]", "beta = 0.1\nassumed = 0.3\nbinding = true\n[[look]]")
    text += rule("spending", name='"f"', test='"t"', endpoint=None, then='"futility"')
    one = protocol(text)
    tables = one.numbers.looks.bounds  # type: ignore[union-attr]
    high, low, last = int(tables[0, 20]), int(tables[1, 20]), int(one.numbers.bounds["t"][50])
    going = np.arange(low + 1, high)
    whole = binom.sf(high - 1, 20, 0.1) + float(binom.pmf(going, 20, 0.1) @ binom.sf(last - 1 - going, 30, 0.1))
    known = size_of(one, read(text).design.test[0])
    assert known is not None
    assert known.size == pytest.approx(whole)


def test_a_size_over_numbers_that_vary_is_their_mean(protocol) -> None:
    text = 'enrolled = 60\nattrition = 0.2\n[[test]]\nname = "t"\nendpoint = "cr"\nnull = 0.1\nmethod = "normal"\n'
    one = protocol("[cohort]\n" + text)
    known = size_of(one, read("[cohort]\n" + text).design.test[0])
    n = np.arange(20, 61)
    weight, sizes = binom.pmf(n, 60, 0.8), binom.sf(one.numbers.bounds["t"][n] - 1, n, 0.1)
    assert known is not None
    assert known.size == pytest.approx(float(weight @ sizes), abs=2e-4)  # the outer 1% of numbers are left out
    assert known.exceeds


def test_one_warning_for_the_cells_of_a_sweep(evidence: Evidence, posterior: Posterior) -> None:
    from vtrial.protocol.build import prepare

    text = POCOCK + '[sweep]\n"cohort.infused" = [40, 50, 60]\n"test.t.method" = ["normal", "exact"]\n'
    cells = read(text).cells
    protocols = [prepare(cell, evidence, posterior, where="x") for cell in cells]
    [said] = warnings(protocols, cells)
    sizes = [size_of(one, cell.design.test[0]).size for one, cell in zip(protocols, cells, strict=True)]  # type: ignore[union-attr]
    assert f"is {max(sizes):.4f}, above" in said
    assert "test.t.method = normal, the largest; so in 2 other cells)" in said


def test_the_command_line_and_the_report_say_it_beside_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], posterior: Posterior
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vtrial", "run", "x.toml", "--trials", "40", "--out", "results"])
    Path("x.toml").write_text(POCOCK + '[world]\ntruth = { orr = 0.1 }\n[simulation]\nendpoints = ["orr"]\n')
    app.main()
    printed = capsys.readouterr().err.splitlines()
    [line] = [line for line in printed if line.startswith("warning: ")]
    assert "[[test]] 't': the exact size of this normal test at its null (10%) over its looks and the end is" in line
    assert line.endswith("is 0.0575, above alpha = 0.025.")
    page = (tmp_path / "results" / "report.html").read_text()
    assert page.index("over its looks and the end is 0.0575, above alpha = 0.025") < page.index("<nav")
    assert "has an exact size of 0.0575 over its looks and the end" in page  # in the section on sizes
