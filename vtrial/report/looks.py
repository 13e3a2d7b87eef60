"""What a report shows of looks: their rules, how trials end, what stopping does to estimates, one trial's story."""

from typing import TYPE_CHECKING, Any

from vtrial.look_characteristics import END
from vtrial.report import looks_charts, looks_tables, story_chart
from vtrial.report.figures import Figure, drawn
from vtrial.report.words import point
from vtrial.story import in_words, story_of

if TYPE_CHECKING:
    from vtrial.result import Result


def shown(result: "Result") -> dict[str, Any]:
    """What the page's template wants of looks; `looks` is False where there are none."""
    if not result.protocols[0].plan.looks:
        return {"looks": False, "looks_figures": []}
    rules, left_out = looks_tables.rules_tables(result, "rules")
    bounds = [] if looks_charts.bounds_table(result).empty else [_bounds(result)]
    trial = first_stopped(result)
    table = story_of(result.protocols[0], seed=result.scenario.design.simulation.seed, trial=trial)
    drawable = not story_chart.story_points(table).empty
    story = [_story(table, trial)] if drawable else []
    ends = _ends(result)
    cells = len(result.scenario.cells)
    exact: Any = result.characteristics
    exact = set(exact.loc[exact["method"] == "exact", "metric"])
    return {
        "looks": True,
        "rules": rules,
        "rules_left_out": left_out,
        "by_graph": result.protocols[0].plan.graph,
        "ends_figure": ends,
        "bounds_figures": bounds,
        "estimates": looks_tables.estimates_table(result, "after") if looks_tables.judged(result) else None,
        "patients_at_end": looks_tables.patients_table(result, "patients-at-end"),
        "after_left_out": max(0, cells - looks_tables.MOST_CELLS),
        "exact_patients": [m for m in ("n.enrolled", "n.infused", "n.evaluated") if m in exact],
        "exact_estimates": any(".bias" in metric or ".coverage" in metric for metric in exact),
        "looks_in_calendar": result.protocols[0].plan.in_calendar,
        "story": looks_tables.story_table(table, "story"),
        "story_in_words": in_words(table, trial),
        "story_of": point(result.scenario.cells[0].swept),
        "story_figures": story,
        "looks_figures": [ends, *bounds, *story],
    }


def first_stopped(result: "Result", cell: int = 0) -> int:
    """The first trial of a cell that a look stopped; 0 where none did."""
    trials: Any = result.trials[result.trials["cell"] == cell]
    stopped = trials.loc[trials["end"] != END, "trial"]
    return 0 if stopped.empty else int(stopped.iloc[0])


def _ends(result: "Result") -> Figure:
    return drawn(
        looks_charts.ends(result),
        name="ends",
        caption="How the simulated trials end: at which look and for what, or at the final analysis and with what shown. "
        "Black strokes: where a bar would end by the exact probabilities, as far as there are any."
        + ("" if len(result.scenario.cells) <= looks_charts.MOST_CELLS else " The first cells of the sweep."),
        description="For each cell a bar of shares of trials by how they end.",
    )


def _bounds(result: "Result") -> Figure:
    of = f" Of the first cell, {point(result.scenario.cells[0].swept)}." if result.scenario.swept else ""
    graph = " Tests have the alpha that they begin with." if result.protocols[0].plan.graph else ""
    return drawn(
        looks_charts.bounds(result),
        name="bounds",
        caption="The counts from which on (triangle up), or up to which (down), a rule fires, against the number of "
        "patients that the look analyses; and the critical count of each test at the end. A bound that no count reaches "
        f"is left out.{graph}{of}",
        description="For each endpoint, count bounds of rules and tests against patients analysed.",
    )


def _story(table: Any, trial: int) -> Figure:
    return drawn(
        story_chart.story(table, trial),
        name="story",
        caption="One simulated trial: what each look saw (circles; filled where the rule fired or the test rejected, grey "
        "where the trial had ended before) against the bound of each rule (triangles: up, it fires from there on; down, "
        "up to there). Broken line: the end of the trial.",
        description="Counts seen at each look of one trial, with the bounds of the rules.",
    )
