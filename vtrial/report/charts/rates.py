"""The charts of a report, as Altair objects: what a notebook shows and the page draws.

Published is black, fitted blue; what is compared is told apart by colour and shape. Bars about a simulated
probability are its 95% Monte Carlo interval.
"""

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial._support.text import listed
from vtrial.evidence import Evidence
from vtrial.model.endpoints import WORDS
from vtrial.model.posterior import Posterior
from vtrial.report.tables.fitted import BY_DOSE, fitted_rates
from vtrial.report.words.general import claim_of, point
from vtrial.scenario.sweep import shown

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

Chart = alt.LayerChart | alt.FacetChart | alt.VConcatChart | alt.Chart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#000000")
_PUBLISHED, _FITTED = "published, 95% Jeffreys interval", "fitted, 80% (thick) and 95% interval"
_LEGEND = alt.Legend(symbolOpacity=1)
_SHAPES = ["circle", "square", "triangle-up", "diamond"]
_CROSS = "M-.8,-.8L.8,.8M.8,-.8L-.8,.8"


def fit(result: "ResultData") -> Chart:
    """Published against fitted rates by dose: a panel an endpoint."""
    return fit_of(result.evidence, result.posterior)


def fit_of(evidence: Evidence, posterior: Posterior) -> Chart:
    """As `fit`, for one posterior of the study."""
    rates = fitted_rates(evidence, posterior)
    rows = []
    for _, rate in rates[rates["endpoint"].isin(list(BY_DOSE)) & (rates["dose"] != "all")].iterrows():
        count = f"{rate['count']} of {rate['n']}"
        common = {"endpoint": rate["words"], "dose": rate["dose"], "count": count}
        low, high = rate["jeffreys_low"], rate["jeffreys_high"]
        rows.append(common | {"what": _PUBLISHED, "rate": rate["published"], "low95": low, "high95": high})
        limits = {"low95": "q025", "high95": "q975", "low80": "q10", "high80": "q90"}
        rows.append(common | {"what": _FITTED, "rate": rate["mean"]} | {k: rate[q] for k, q in limits.items()})
    data = pd.DataFrame(rows)
    doses, kinds = [f"{dose:g}" for dose in evidence.doses], [_PUBLISHED, _FITTED]
    base = alt.Chart().encode(
        x=alt.X("dose:O", sort=doses, title=f"dose, {evidence.priors.dose.unit}", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("what:N", sort=kinds),
        color=alt.Color(
            "what:N", title=None, scale=alt.Scale(domain=kinds, range=["#222222", COLOURS[0]]), legend=_LEGEND
        ),
        tooltip=[
            alt.Tooltip("what:N", title="rate"),
            alt.Tooltip("dose:N", title="dose"),
            alt.Tooltip("count:N", title="published count"),
            alt.Tooltip("rate:Q", title="rate", format=".1%"),
            alt.Tooltip("low95:Q", title="95% from", format=".1%"),
            alt.Tooltip("high95:Q", title="95% to", format=".1%"),
        ],
    )
    percents = alt.Axis(format="%", tickCount=5, minExtent=36)
    roomy = alt.Scale(padding=6, nice=False)
    wide = base.mark_rule(strokeWidth=1.5).encode(
        y=alt.Y("low95:Q", title="rate", axis=percents, scale=roomy), y2="high95:Q"
    )
    thick = (
        base.transform_filter("isValid(datum.low80)")
        .mark_rule(strokeWidth=7, opacity=0.35)
        .encode(y="low80:Q", y2="high80:Q")
    )
    dots = base.mark_point(filled=True, size=55, opacity=1).encode(
        y="rate:Q",
        shape=alt.Shape(
            "what:N", title=None, scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), legend=_LEGEND
        ),
    )
    order = list(dict.fromkeys(data["endpoint"]))
    return (
        alt.layer(wide, thick, dots, data=data)
        .properties(width=235, height=170)
        .facet(facet=alt.Facet("endpoint:N", sort=order, title=None), columns=3)
        .resolve_scale(y="independent")
        .configure_legend(orient="top")
    )


def power(result: "ResultData") -> Chart:
    """Each test's rejection probability over what was swept, exact values beside the simulated ones.

    Raises `InputError` where nothing was swept, or nothing is tested.
    """
    if not result.scenario.swept:
        raise InputError(f"{result.scenario.where}: nothing was swept, so there is no power curve; add a [sweep]")
    tests = result.protocols[0].tests
    if not tests:
        raise InputError(f"{result.scenario.where}: there is no [[test]], so there is no power curve")
    words = {f"{test.name}.reject": f"{claim_of(result, test.name)} ({test.name})" for test in tests}
    return over_sweep(result, words, title="probability that it is shown")


def rates(result: "ResultData") -> Chart:
    """Each endpoint's mean rate over what was swept: for a sweep without tests."""
    words = {f"{endpoint}.rate": WORDS[endpoint] for endpoint in result.protocols[0].plan.endpoints}
    return over_sweep(result, words, title="mean rate over trials, of the infused")


def over_sweep(result: "ResultData", words: dict[str, str], *, title: str) -> Chart:
    """Metrics (their words by name) over what was swept, exact values beside the simulated ones."""
    data, key, others = _swept_table(result, words)
    data = data[data["estimate"].notna()]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in data["x"]):
        return _curves(data, key, others, list(words.values()), title=title)
    metrics = dict.fromkeys(data["metric"])
    panels = [_dots(data[data["metric"] == metric].drop(columns="x"), metric, title=title) for metric in metrics]
    return alt.vconcat(*panels)


def _curves(data: Any, key: str, others: list[str], metrics: list[str], *, title: str) -> Chart:
    """Curves over a numeric key; a panel for each combination of the others."""
    scale = alt.Scale(domain=_domain(data), nice=False)
    x = alt.X("x:Q", title=key, scale=alt.Scale(zero=False, nice=False, padding=15))
    y = alt.Y("estimate:Q", title=title, scale=scale, axis=alt.Axis(format="~%"))
    base = alt.Chart().encode(x=x, tooltip=_tooltip(data), color=_by_metric(alt.Color, metrics, list(COLOURS)))
    layers = [
        base.mark_line(strokeWidth=1.5, opacity=0.8).encode(y=y),
        base.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=_by_metric(alt.Shape, metrics, _SHAPES)),
    ]
    if data["low"].notna().any():
        layers.append(base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"))
    if data["exact"].notna().any():
        layers.append(_cross(base).encode(y=alt.Y("exact:Q", scale=scale), color=alt.value("black")))
    width = 300 if others else 640
    chart = alt.layer(*layers, data=data, width=width, height=300 if not others else 220)
    if others:
        chart = chart.facet(
            facet=alt.Facet("others:N", title=None, sort=list(dict.fromkeys(data["others"]))), columns=2
        )
    return chart.configure_legend(orient="top", columns=1)


def _dots(data: Any, metric: str, *, title: str) -> Any:
    """One metric, a row a cell, on an axis of its own."""
    scale = alt.Scale(domain=_domain(data), nice=False)
    order = list(dict.fromkeys(data["cell"]))
    base = alt.Chart().encode(
        y=alt.Y("cell:N", title=None, sort=order, axis=alt.Axis(labelLimit=360, grid=True)), tooltip=_tooltip(data)
    )
    x = alt.X("estimate:Q", title=title, scale=scale, axis=alt.Axis(format="~%", tickCount=8))
    layers = [base.mark_point(filled=True, size=50, opacity=1, color=COLOURS[0]).encode(x=x)]
    if data["low"].notna().any():
        bars = base.mark_rule(strokeWidth=2, color=COLOURS[0])
        layers.append(bars.encode(x=alt.X("low:Q", scale=scale), x2="high:Q"))
    if data["exact"].notna().any():
        layers.append(_cross(base).encode(x=alt.X("exact:Q", scale=scale)))
    return alt.layer(*layers, data=data, width=520, height=alt.Step(30), title=metric)


def _by_metric(channel: Any, metrics: list[str], values: list[str]) -> Any:
    """Colour or shape by metric; with the same domain and title, so that both share one legend."""
    steps = [values[k % len(values)] for k in range(len(metrics))]
    return channel("metric:N", title=None, scale=alt.Scale(domain=metrics, range=steps), legend=_LEGEND)


def _cross(base: alt.Chart) -> alt.Chart:
    """A thin cross at the exact value, where there is one."""
    known = base.transform_filter("isValid(datum.exact)")
    return known.mark_point(shape=_CROSS, size=70, filled=False, strokeWidth=1.3, color="black", opacity=1)


def _tooltip(data: Any) -> list[alt.Tooltip]:
    exact = [alt.Tooltip("exact:Q", format=".4f")] if data["exact"].notna().any() else []
    limits = [alt.Tooltip(f"{end}:Q", title=f"MC limit, {end}", format=".4f") for end in ("low", "high")]
    error = [alt.Tooltip("mcse:Q", title="± MC error", format=".4f"), *limits]
    simulated = alt.Tooltip("estimate:Q", title="simulated", format=".4f")
    return [alt.Tooltip("metric:N", title=" "), alt.Tooltip("cell:N", title="cell"), simulated, *error, *exact]


def _swept_table(result: "ResultData", words: dict[str, str]) -> tuple[Any, str, list[str]]:
    """A row a cell and metric; the key of the x axis; the keys that need panels of their own.

    Where every value of the first key has one cell ([sweep.zip]), the other keys go along with it.
    """
    first, *others = result.scenario.swept
    values = [shown(cell.swept[first]) for cell in result.scenario.cells]
    together = len({str(value) for value in values}) == len(values)
    rows = []
    for cell in result.scenario.cells:
        table: Any = result.characteristics[result.characteristics["cell"] == cell.number]
        simulated = table[table["method"] == "simulated"].set_index("metric")
        exact = table[table["method"] == "exact"].set_index("metric")["estimate"]
        for metric, metric_words in words.items():
            found = simulated.loc[metric]
            rows.append(
                {
                    "x": shown(cell.swept[first]),
                    "others": ", ".join(f"{key} = {shown(cell.swept[key])}" for key in others),
                    "cell": point(cell.swept),
                    "metric": metric_words,
                    "estimate": float(found["estimate"]),
                    "mcse": float(found["mcse"]),
                    "low": float(found["mc_low"]),
                    "high": float(found["mc_high"]),
                    "exact": float(exact.get(metric, math.nan)),
                }
            )
    title = f"{first} (with {listed(others)})" if together and others else first
    return pd.DataFrame(rows), title, [] if together else others


def _domain(data: Any) -> tuple[float, float]:
    """Limits of a probability axis: 0 unless all is above one half, 1 unless all is small."""
    low = float(np.nanmin(data[["estimate", "low", "exact"]].to_numpy()))
    high = float(np.nanmax(data[["estimate", "high", "exact"]].to_numpy()))
    bottom = 0.0 if low < 0.5 else max(0.0, math.floor(20 * (low - 0.01)) / 20)
    return bottom, 1.0 if high > 0.5 else min(1.0, math.ceil(20 * (high + 1e-9)) / 20)


def learned(table: Any) -> Chart:
    """What the data moved: posterior over prior SD of each parameter.

    table: parameter, prior_sd, sd, ratio, moved (text).
    """
    data = table[["parameter", "prior_sd", "sd", "ratio", "moved"]]
    words = ["moved by the data", "hardly moved: ratio above 0.9"]
    top = max(1.0, float(data["ratio"].max())) + 0.05
    dots = (
        alt.Chart(data)
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            x=alt.X("ratio:Q", title="posterior SD / prior SD", scale=alt.Scale(domain=[0, top], nice=False)),
            y=alt.Y("parameter:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, grid=True)),
            color=alt.Color("moved:N", title=None, scale=alt.Scale(domain=words, range=[COLOURS[0], COLOURS[1]])),
            shape=alt.Shape("moved:N", title=None, scale=alt.Scale(domain=words, range=["circle", "triangle-up"])),
            tooltip=["parameter:N", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("prior_sd", "sd", "ratio"))],
        )
    )
    limit = alt.Chart(pd.DataFrame({"ratio": [0.9]})).mark_rule(strokeDash=[4, 3], color="#555555").encode(x="ratio:Q")
    return alt.layer(limit, dots).properties(width=460, height=alt.Step(17)).configure_legend(orient="top")
