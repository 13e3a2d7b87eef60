"""The answer in words: one sentence with its numbers, and the short tables that go with it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from vtrial.estimate.proportions import WORDS
from vtrial.scenario.sections import Design
from vtrial.scenario.sweep import shown

if TYPE_CHECKING:
    from vtrial.result import Result

NOT_YET = "Response counts as evaluable for every infused patient; the calendar is read, but does not cut anything."


def sentence(result: "Result") -> str:
    """The answer in one sentence, with its numbers and their Monte Carlo errors."""
    trials = f"{result.scenario.design.simulation.trials:,} trials"
    cells = result.scenario.cells
    metric, claim = _headline(result)
    if len(cells) == 1:
        design = cells[0].design
        parts = [f"{claim} with probability {_number(result, metric, 0)}"]
        if not design.test:
            low, high = (result.value(f"{metric}.{q}")[0] for q in ("q025", "q975"))
            parts = [f"{claim} is {_number(result, metric, 0)} on average, {low:.3f} to {high:.3f} in 95% of trials"]
        elif len(design.test) > 1:
            first = design.ordered_tests()[0]
            parts.insert(0, f"{_claim(first)} with probability {_number(result, f'{first.name}.reject', 0)}, and")
        return f"{' '.join(parts)}, {world_in_words(design)} ({trials}; ± is one Monte Carlo standard error)."
    steps = [f"{_number(result, metric, cell.number)} at {_point(cell.swept)}" for cell in cells]
    if len(steps) > 4:
        steps = [steps[0], "...", steps[-1]]
    return f"{claim} with probability {', '.join(steps)} ({trials} a cell; ± is one Monte Carlo standard error)."


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
    table = result.characteristics
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
    tests = result.scenario.design.ordered_tests()
    if not tests:
        endpoint = result.protocols[0].plan.endpoints[0]
        return f"{endpoint}.rate", f"The rate of {WORDS[endpoint]}"
    last = tests[-1]
    before = "" if len(tests) == 1 else "then also " if last.after else ""
    return f"{last.name}.reject", (before + _claim(last)) if len(tests) > 1 else _claim(last)


def _claim(test: object) -> str:
    sign = ">" if test.alternative == "greater" else "<"  # type: ignore[attr-defined]
    return f"{WORDS[test.endpoint]} {sign} {test.null:.0%} is shown"  # type: ignore[attr-defined]


def _number(result: "Result", metric: str, cell: int) -> str:
    estimate, mcse = result.value(metric, cell=cell)
    rows = result.characteristics
    exact = rows[(rows["cell"] == cell) & (rows["metric"] == metric) & (rows["method"] == "exact")]
    known = "" if exact.empty else f", exact {exact['estimate'].iloc[0]:.4f}"
    return f"{estimate:.4f} (±{mcse:.4f}{known})"


def _point(swept: Mapping[str, object]) -> str:
    return ", ".join(f"{key} = {shown(value)}" for key, value in swept.items())
