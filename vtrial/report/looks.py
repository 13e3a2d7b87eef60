"""What a report shows of looks: their rules, how trials end, what stopping does to estimates, one trial's story."""

from typing import TYPE_CHECKING, Any

from vtrial.characteristics.metrics_of_looks import headlines
from vtrial.report.charts import looks as looks_charts
from vtrial.report.charts import trial_log
from vtrial.report.charts.figures import Figure, drawn
from vtrial.report.tables import after_stopping
from vtrial.report.tables import rules as looks_tables
from vtrial.report.words.general import claim_of, metric_in_words, point
from vtrial.workflows.trial_log import in_words

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData


def shown(result: "ResultData") -> dict[str, Any]:
    """What the page's template wants of looks; `looks` is False where there are none."""
    if not result.protocols[0].plan.looks:
        return {"looks": False, "looks_figures": []}
    rules, left_out = looks_tables.rules_tables(result, "rules")
    bounds = [] if looks_charts.bounds_table(result).empty else [_bounds(result)]
    table, trial = result.illustrations.log, result.illustrations.log_of
    drawable = not trial_log.story_points(table).empty
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
        "estimates": after_stopping.estimates_table(result, "after") if after_stopping.judged(result) else None,
        "patients_at_end": after_stopping.patients_table(result, "patients-at-end"),
        "after_left_out": max(0, cells - after_stopping.MOST_CELLS),
        "exact_patients": [m for m in ("n.enrolled", "n.infused", "n.evaluated") if m in exact],
        "exact_estimates": any(".bias" in metric or ".coverage" in metric for metric in exact),
        "looks_in_calendar": result.protocols[0].plan.in_calendar,
        "story": after_stopping.story_table(table, "story"),
        "story_in_words": in_words(table, trial),
        "story_of": point(result.scenario.cells[0].swept),
        "story_figures": story,
        "looks_figures": [ends, *bounds, *story],
    }


def probabilities(result: "ResultData") -> dict[str, str]:
    """Rejections and stops of a design with looks, in words by metric; empty without looks."""
    protocol = result.protocols[0]
    if not protocol.plan.looks:
        return {}
    found = {f"{test.name}.reject": f"{claim_of(result, test.name)} ({test.name})" for test in protocol.tests}
    stops = [metric for metric in headlines(protocol) if metric.startswith("stop.")]
    return found | {metric: f"the trial {metric_in_words(result, metric)[1]}" for metric in stops}


def _ends(result: "ResultData") -> Figure:
    exact = looks_charts.ends_table(result)["exact"].notna().any()
    strokes = " Black strokes: where a bar would end by the exact probabilities, where these are known and 1% or more."
    first = " The first cells of the sweep." if len(result.scenario.cells) > looks_charts.MOST_CELLS else ""
    return drawn(
        looks_charts.ends(result),
        name="ends",
        caption="How the simulated trials end: at which look and for what, or at the final analysis and with what "
        f"shown.{strokes if exact else ''}{first}",
        description="For each cell a bar of shares of trials by how they end.",
    )


def _bounds(result: "ResultData") -> Figure:
    of = f" Of the first cell, {point(result.scenario.cells[0].swept)}." if result.scenario.swept else ""
    graph = " Tests have the alpha that they begin with." if result.protocols[0].plan.graph else ""
    return drawn(
        looks_charts.bounds(result),
        name="bounds",
        caption="The counts from which on (triangle up), or up to which (down), a rule fires, against the number of "
        "patients that the look analyses; and the critical count of each test at the end (rejection). A bound that no "
        f"count reaches is left out.{graph}{of}",
        description="For each endpoint, count bounds of rules and tests against patients analysed.",
    )


def _story(table: Any, trial: int) -> Figure:
    return drawn(
        trial_log.story(table, trial, told=False),
        name="story",
        caption="One simulated trial: what each look saw (circles; filled where the rule fired or the test rejected, "
        "grey where the trial had ended before) against the bound of each rule (coloured strokes, with the counts at "
        "which it fires). Broken line: the end of the trial.",
        description="Counts seen at each look of one trial, with the bounds of the rules.",
    )
