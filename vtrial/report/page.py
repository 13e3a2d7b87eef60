"""The page: every figure drawn, every table made, all of it put into the template."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd
import vl_convert
from markupsafe import Markup

from vtrial._support.text import listed
from vtrial.characteristics import over_time
from vtrial.model.endpoints import TIME_WORDS as WORDS
from vtrial.model.posterior import Posterior
from vtrial.report import looks
from vtrial.report.charts import histogram, rates, survival, swimmer, worlds
from vtrial.report.charts.figures import drawn
from vtrial.report.headline.answer import mix_in_words, not_yet, sentence
from vtrial.report.headline.figure import answer_figure
from vtrial.report.tables import assumptions, comparisons, overview, sensitivity, sizes
from vtrial.report.tables import times as times_table
from vtrial.report.tables.fitted import correction_in_words
from vtrial.report.words.general import point
from vtrial.report.words.worlds import world_in_words
from vtrial.workflows.patients import MOST_PATIENTS

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

_TEMPLATE = "report.html.jinja"


def html(result: "ResultData") -> str:
    """The report of a result, one HTML page that asks for nothing outside itself.

    The same result gives the same page. Raises `FigureError` where a chart cannot be drawn.
    """
    fits = [
        _fit(result, posterior, number, discount)
        for number, (discount, posterior) in enumerate(result.posteriors.items())
    ]
    answers = [answer_figure(result)] if histogram.seen_tests(result) or result.scenario.swept else []
    answers += worlds.figures(result)
    times = _times(result)
    of_looks = looks.shown(result)
    figures = [
        *answers,
        *of_looks["looks_figures"],
        *times["times_figures"],
        *(figure for part in fits for figure in part["figures"]),
    ]
    return (
        environment()
        .get_template(_TEMPLATE)
        .render(
            **_question(result),
            **_characteristics(result),
            **_assumed(result),
            **times,
            **of_looks,
            answer_figures=answers,
            fits=fits,
            provenance=provenance_table(result.manifest),
            specs={figure.name: figure.spec for figure in figures},
            runtime=runtime(),
        )
    )


def _question(result: "ResultData") -> dict[str, Any]:
    design = result.scenario.design
    table, trials = assumptions.shifted(result), design.simulation.trials
    return {
        "title": design.title or result.scenario.name,
        "scenario": result.scenario.name,
        "question": design.question,
        "answer": sentence(result),
        "warnings": result.warnings,
        "comparison": comparisons.sentence(result),
        "not_yet": f"{not_yet(result)} {mix_in_words(result)}".strip(),
        "shifted": None
        if table is None
        else overview.drawn(table[0], "shifted", labels={"sd": "between-trial SD (logit)"}),
        "shift_in_words": table[1] if table else "",
        "trials": f"{trials:,} simulated trials" if trials > 1 else "1 simulated trial",
    }


def _characteristics(result: "ResultData") -> dict[str, Any]:
    cells = result.scenario.cells
    shown = cells[: overview.MOST_CELLS] if result.scenario.swept else ()
    by_cell, left_out = (
        overview.decisions_by_cell(result, "decisions")
        if result.scenario.swept
        else (overview.characteristics(result, 0, "characteristics", every=False), 0)
    )
    timed = bool(result.protocols[0].plan.curves)
    if (timed or result.protocols[0].plan.looks) and not result.scenario.swept:
        shown = cells
    exact_sizes, of_times = sizes.sizes(result), result.illustrations.sizes_of_times
    differences, differences_left_out = comparisons.table(result, "differences")
    return {
        "swept": listed(result.scenario.swept) if result.scenario.swept else "",
        "cells": len(cells),
        "characteristics": by_cell,
        "rows_left_out": left_out,
        "differences": differences,
        "differences_left_out": differences_left_out,
        "details": [_every_metric(result, cell.number, timed) for cell in shown],
        "cells_left_out": len(cells) - len(shown) if shown else 0,
        "sizes": None if exact_sizes.empty else sizes.sizes_table(exact_sizes, "sizes"),
        "sizes_of_times": None if of_times.empty else sensitivity.sizes_of_times_table(of_times, "sizes-of-times"),
        "excess": [] if exact_sizes.empty else sizes.excess(exact_sizes),
        "posterior_method": not exact_sizes.empty and bool((exact_sizes["method"] == "posterior").any()),
        "over_looks": not exact_sizes.empty and bool(exact_sizes["looks"].notna().any()),
        "count_method": not exact_sizes.empty and bool((exact_sizes["method"] == "count").any()),
    }


def _every_metric(result: "ResultData", cell: int, timed: bool) -> tuple[str, Markup, Markup]:
    """A cell in words, its curves (of a sweep; else they stand further below), and all of its metrics."""
    swept = result.scenario.cells[cell].swept
    curves = Markup("")
    if swept and timed:
        curves = times_table.curves_table(result, times_table.NOTHING_PUBLISHED, f"curves-{cell}", cell=cell)
    rows: Any = result.characteristics["cell"] == cell
    count = result.characteristics.loc[rows, "metric"].nunique()
    words = point(swept) if swept else f"All {count} metrics, each with its Monte Carlo error"
    return words, curves, overview.characteristics(result, cell, f"cell-{cell}")


def _assumed(result: "ResultData") -> dict[str, Any]:
    world = result.protocols[0].design.world
    by_section, varied = assumptions.settings(result), result.illustrations.visits_varied
    return {
        "study": result.evidence.study,
        "priors_file": result.evidence.priors,
        "world": world_in_words([result.protocols[0]], every_look=True),
        "settings": overview.drawn(by_section, "settings", group="section", code=["key"]),
        "priors": overview.drawn(assumptions.priors(result), "priors", code=["parameter", "prior"]),
        "correlations": overview.drawn(
            assumptions.correlations(result), "correlations", right=["value"], code=["pair"], labels={"origin": "from"}
        ),
        "visits_varied": None if varied.empty else sensitivity.visits_varied_table(varied, "visits-varied"),
        "nearly_circular": assumptions.NEARLY_CIRCULAR,
        "between_trial_sd": world.between_trial_sd,
        "sd_swept": "world.between_trial_sd" in result.scenario.swept,
    }


def _fit(result: "ResultData", posterior: Posterior, number: int, discount: float) -> dict[str, Any]:
    """What is shown of one posterior: the fit, its table, its diagnostics."""
    table = overview.diagnostics(posterior, result.evidence)
    unmoved = list(table.loc[table["ratio"] > 0.9, "parameter"])
    seen = posterior.tree["diagnostics"].to_dataset()
    fit = drawn(
        rates.fit_of(result.evidence, posterior),
        name=f"fit-{number}",
        caption="Published against fitted rates by dose. A published rate stands with the Jeffreys interval of that "
        "count alone, a fitted one is the posterior mean. The vertical axes differ between panels. Counts are in the "
        "tooltips and in the table.",
        description="For each endpoint a panel: published and fitted rates with their intervals, at each dose.",
    )
    learned = drawn(
        rates.learned(table),
        name=f"learned-{number}",
        caption="How far the data narrowed each prior. Near 1 the posterior is as wide as the prior: the data said "
        "nothing.",
        description="For each parameter, the ratio of its posterior to its prior standard deviation.",
    )
    return {
        "heading": f"discount {discount:g}" if len(result.posteriors) > 1 or discount < 1 else "",
        "figures": [fit, learned],
        "fit": fit,
        "learned": learned,
        "rates": overview.fitted(result.evidence, posterior, f"rates-{number}"),
        "diagnostics": overview.diagnostics_table(table, f"diagnostics-{number}"),
        "unmoved": listed(unmoved) if unmoved else "",
        "parameters": len(table),
        "draws": posterior.draws,
        "rhat": float(seen["rhat"].max()),
        "bulk": float(seen["ess_bulk"].min()),
        "tail": float(seen["ess_tail"].min()),
        "divergences": int(seen["divergences"]),
        "moved": correction_in_words(posterior),
    }


_ASSUMED_OF_TIMES = (
    "When visits are, how many are missed and how often another therapy begins are assumptions that the paper does not "
    "give."
)


def _times(result: "ResultData") -> dict[str, Any]:
    """What is shown of times to an event, of the first cell; nothing where no trial has a curve of all patients."""
    shown = result.illustrations
    if shown.patients is None:
        return {"times_figures": [], "times_of": "", "published": False}
    departures = times_table.departures(result)
    orientation = " (for orientation: this is not the study as it was run)" if departures else ""
    table = times_table.published(result)
    trials = f"{min(over_time.TRIALS_OF_CURVES, result.scenario.design.simulation.trials)} trials"
    figures = [
        drawn(
            survival.fan(curves, survival.published_median(result.evidence, endpoint), endpoint),
            name=f"survival-{endpoint}",
            caption=f"Kaplan-Meier curves of {WORDS[endpoint]} in {trials} as each data cut shows them: pointwise "
            f"median and bands over trials, to the last month at which {over_time.KEPT:.0%} of the trials have a "
            f"curve. Black: the published median with its 95% limits{orientation}, at 50%; an arrow is an upper limit "
            "that was not reached. Below: patients at risk, median over trials. "
            + (_ASSUMED_OF_TIMES if endpoint != "os" else "Those alive are censored at their last attended visit."),
            description=f"Survival over months for {WORDS[endpoint]}: median and bands over trials, published median.",
        )
        for endpoint, curves in shown.curves.items()
    ]
    of_curves = len(figures)
    figures.append(
        drawn(
            swimmer.swimmer(shown.patients),
            name="patients",
            caption="One simulated trial, the first with patients to show, as the data cut shows them: at most "
            f"{MOST_PATIENTS}, evenly spaced in order of enrolment, the longest known alive on top. A bar "
            "ends at death or at the last attended visit; response, CR and progression stand where a visit documents "
            "them. A red stroke is where progression-free survival is censored: at the last visit free of progression, "
            "or before an event that missed visits or a new therapy precede. Months since infusion. "
            + _ASSUMED_OF_TIMES,
            description="A bar for each patient of one simulated trial, with response, progression, death and the "
            "censoring of progression-free survival marked.",
        )
    )
    figures.append(
        drawn(
            survival.states(shown.states),
            name="states",
            caption="Where the infused truly are, whether or not the cut has seen it: share in each state, mean over "
            f"{min(over_time.TRIALS_OF_STATES, result.scenario.design.simulation.trials)} trials, nobody censored. "
            "Months since infusion, up to the longest follow-up at the cut. A response counts from the visit that "
            "documents it; progression from when it happens, which no visit shows at once. " + _ASSUMED_OF_TIMES,
            description="Stacked shares over months: no response, response, complete response, progressed, dead.",
        )
    )
    return {
        "times_figures": figures,
        "curve_figures": figures[:of_curves],
        "path_figures": figures[of_curves:],
        "curves": times_table.curves_table(result, table, "curves"),
        "times_of": f"of the first cell, {point(result.scenario.cells[0].swept)}" if result.scenario.swept else "",
        "times_trials": result.scenario.design.simulation.trials,
        "departures": listed(departures) if departures else "",
        "outside": int((~table["inside95"]).sum()),
        "compared": len(table),
        "published": not table.empty,
        "others": times_table.others_table(table, "published-times"),
    }


def environment() -> jinja2.Environment:
    """Where the templates lie, and how they are filled."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def provenance_table(manifest: dict[str, Any]) -> Markup:
    """A manifest for readers."""
    rows: list[tuple[str, str, str]] = []
    for key, value in manifest.items():
        if isinstance(value, dict):
            rows += [(key.replace("_", " "), str(name), str(inner)) for name, inner in value.items()]
        else:
            rows.append(("run", key.replace("_", " "), str(value)))
    frame = pd.DataFrame(rows, columns=["of", "what", "value"])
    return overview.drawn(frame, "provenance", group="of", code=["value"])


@lru_cache(maxsize=1)
def runtime() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return Markup(script.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
