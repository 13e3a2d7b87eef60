"""The answer in words: one sentence with its numbers, and the short tables that go with it."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from vtrial.estimate.proportions import WORDS
from vtrial.report.words import capitalised, claim, claim_of, number, point
from vtrial.scenario.sections import Design, TestSection
from vtrial.scenario.sweep import shown

if TYPE_CHECKING:
    from vtrial.result import Result

NOT_YET = "Response counts as evaluable for every infused patient; the calendar is read, but does not cut anything."


def sentence(result: "Result") -> str:
    """The answer in one sentence, with its numbers and their Monte Carlo errors."""
    count = result.scenario.design.simulation.trials
    trials = "1 trial" if count == 1 else f"{count:,} trials"
    cells = result.scenario.cells
    metric, what = _headline(result)
    world = world_in_words(cells[0].design)
    if len(cells) == 1:
        tests = cells[0].design.ordered_tests()
        parts = [_shown(test, _number(result, f"{test.name}.reject", 0)) for test in tests]
        if not tests:
            low, high = (result.value(f"{metric}.{q}")[0] for q in ("q025", "q975"))
            parts = [f"{what} is {_number(result, metric, 0)} on average, {low:.3f} to {high:.3f} in 95% of trials"]
        return capitalised(f"{', and '.join(parts)}, {world} ({trials}; ± is one Monte Carlo standard error).")
    steps = [f"{_number(result, metric, cell.number)} at {point(cell.swept)}" for cell in cells]
    if len(steps) > 4:
        steps = [steps[0], "...", steps[-1]]
    where = "" if any(key.startswith("world.") for key in result.scenario.swept) else f", {world}"
    verb = "is" if metric.endswith(".rate") else "with probability"
    return capitalised(
        f"{what} {verb} {'; '.join(steps)}{where} ({trials} a cell; ± is one Monte Carlo standard error)."
    )


def world_in_words(design: Design) -> str:
    """The worlds that a design's trials live in, in words."""
    world = design.world
    if world.truth == "posterior":
        words = f"over the worlds that {world.study}'s own data allow"
    elif world.truth == "posterior-mean":
        words = f"in the world at {world.study}'s posterior mean"
    else:
        words = f"in the world {shown(world.truth)}"
    if world.discount < 1:
        words += f", its evidence discounted to {world.discount:g}"
    if world.between_trial_sd > 0:
        words += f", moved by a between-trial SD of {world.between_trial_sd:g} (logit)"
    return words


def characteristics_in_short(result: "Result") -> pd.DataFrame:
    """The figures that a reader wants first: decisions, and rates over trials; a row a metric, or a cell."""
    table: Any = result.characteristics
    exact = table[table["method"] == "exact"].set_index(["cell", "metric"])["estimate"]
    simulated = table[table["method"] == "simulated"]
    keys = result.scenario.swept
    wanted = simulated["metric"].str.endswith((".reject", ".error"))
    if not keys:
        wanted |= simulated["metric"].str.fullmatch(r"n\.infused|[a-z0-9]+\.rate|orr\.enrolled\.rate")
    rows = simulated[wanted].copy()
    rows["exact"] = [exact.get((cell, metric)) for cell, metric in zip(rows["cell"], rows["metric"], strict=True)]
    return rows[[*keys, "metric", "estimate", "mcse", "low", "high", "exact"]].reset_index(drop=True)


def notebook(result: "Result") -> str:
    """The display in a notebook: title, answer, table."""
    import html

    title = html.escape(result.scenario.design.title or result.scenario.name)
    table = characteristics_in_short(result).to_html(index=False, float_format="{:.4f}".format, na_rep="", border=0)
    return f"<h3>{title}</h3><p>{html.escape(sentence(result))}</p>{table}"


def _headline(result: "Result") -> tuple[str, str]:
    """The metric that answers the question, and what it claims."""
    tests = result.protocols[0].tests
    if not tests:
        endpoint = result.protocols[0].plan.endpoints[0]
        return f"{endpoint}.rate", f"The rate of {WORDS[endpoint]}"
    chain = [tests[-1]]
    while chain[0].after:
        chain.insert(0, next(test for test in tests if test.name == chain[0].after))
    claims = " and then ".join(claim_of(result, test.name) for test in chain)
    return f"{tests[-1].name}.reject", f"{claims} {'is' if len(chain) == 1 else 'are'} shown"


def _shown(test: TestSection, probability: str) -> str:
    then = "then also " if test.after else ""
    return f"{then}{claim(test, test.null)} is shown with probability {probability}"


def _number(result: "Result", metric: str, cell: int) -> str:
    estimate, mcse = result.value(metric, cell=cell)
    rows: Any = result.characteristics
    exact = rows[(rows["cell"] == cell) & (rows["metric"] == metric) & (rows["method"] == "exact")]
    known = "" if exact.empty else f", exact {exact['estimate'].iloc[0]:.4f}"
    return f"{estimate:.4f} (±{number(mcse)}{known})"
