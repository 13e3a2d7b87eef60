"""How well a median is known in each cell of a sweep, as an Altair chart: where times are what is asked about."""

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from vtrial.model.vocabulary import in_figures
from vtrial.report.words.general import point

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

_PARTS = {"lower 95% limit": "median.low", "median": "median", "upper 95% limit": "median.high"}
_COLOURS = {"lower 95% limit": "#56B4E9", "median": "#222222", "upper 95% limit": "#0072B2"}
_SHAPES = {"lower 95% limit": "triangle-up", "median": "circle", "upper 95% limit": "square"}


def table(result: "ResultData", endpoint: str) -> pd.DataFrame:
    """A row a cell and part of the estimate: quantiles over trials in months (+inf: NR), share of trials without."""
    simulated: Any = result.characteristics[result.characteristics["method"] == "simulated"]
    simulated, rows = simulated.set_index(["cell", "metric"]), []
    for cell in result.scenario.cells:
        for part, metric in _PARTS.items():
            found = {q: result.value(f"{endpoint}.{metric}.{q}", cell=cell.number)[0] for q in ("q025", "q50", "q975")}
            never = simulated.loc[(cell.number, f"{endpoint}.{metric}.nr")]
            share = {"nr": never["estimate"], "low": never["mc_low"], "high": never["mc_high"]}
            rows.append({"cell": point(cell.swept), "part": part} | found | share)
    return pd.DataFrame(rows)


def medians(result: "ResultData", endpoint: str) -> Any:
    """Median and limits over trials in each cell, and beside them how often they are not reached."""
    data = table(result, endpoint)
    known = [v for v in data[["q025", "q50", "q975"]].to_numpy().ravel() if math.isfinite(v)]
    end = 3.0 * math.ceil((max(known, default=3.0) + 0.5) / 3)
    data["open"] = ~data["q975"].map(math.isfinite)
    data["from"], data["to"] = data["q025"].clip(upper=end), data["q975"].clip(upper=end)
    for q in ("q025", "q50", "q975"):
        data[f"{q}_words"] = [in_figures(v) for v in data[q]]
    data["middle"] = [v if math.isfinite(v) else None for v in data["q50"]]
    data = data.drop(columns=["q025", "q50", "q975"])
    y = alt.Y("cell:N", title=None, sort=list(dict.fromkeys(data["cell"])), axis=alt.Axis(labelLimit=360, grid=True))
    parts = list(_PARTS)
    offset = alt.YOffset("part:N", sort=parts, scale=alt.Scale(domain=parts))
    colour = alt.Color("part:N", title=None, scale=alt.Scale(domain=parts, range=[_COLOURS[p] for p in parts]))
    shape = alt.Shape("part:N", title=None, scale=alt.Scale(domain=parts, range=[_SHAPES[p] for p in parts]))
    tooltip = [
        alt.Tooltip("cell:N"),
        alt.Tooltip("part:N", title="of"),
        alt.Tooltip("q50_words:N", title="median over trials, months"),
        alt.Tooltip("q025_words:N", title="95% of trials, from"),
        alt.Tooltip("q975_words:N", title="to"),
        alt.Tooltip("nr:Q", title="not reached in", format=".1%"),
    ]
    base = alt.Chart(data).encode(y=y, yOffset=offset, color=colour, tooltip=tooltip)
    scale = alt.Scale(domain=[0, end], nice=False)
    months = alt.X("from:Q", title="months, median over trials and 95% of trials", scale=scale)
    left = alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=months, x2="to:Q"),
        base.transform_filter("datum.open").mark_point(shape="triangle-right", filled=True, size=45).encode(x="to:Q"),
        base.transform_filter("isValid(datum.middle)")
        .mark_point(filled=True, size=45, opacity=1)
        .encode(x="middle:Q", shape=shape),
        width=290,
        height=alt.Step(13),
    )
    shares = alt.Scale(domain=[0, 1])
    bare = base.encode(y=y.axis(alt.Axis(labels=False, ticks=False, grid=True)))
    share = alt.X(
        "low:Q",
        title="share of trials, not reached",
        scale=shares,
        axis=alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    right = alt.layer(
        bare.mark_rule(strokeWidth=2).encode(x=share, x2="high:Q"),
        bare.mark_point(filled=True, size=45, opacity=1).encode(x="nr:Q", shape=shape),
        width=180,
        height=alt.Step(13),
    )
    return alt.hconcat(left, right, spacing=12).configure_legend(orient="top")
