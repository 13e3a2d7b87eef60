"""One trial's patients as its data cut shows them, as an Altair chart: a bar each (a swimmer plot)."""

from typing import Any

import altair as alt

from vtrial.characteristics.over_time import STATES
from vtrial.report.charts.survival import STATE_COLOURS, WIDTH
from vtrial.workflows.patients import CENSORED, AsSeen

_CROSS = "M-.8,-.8L.8,.8M.8,-.8L-.8,.8"
_STROKE = "M0,-1.3L0,1.3"
_DARK = "#222222"
_MARKS = {  # a mark's shape, fill and outline; later ones lie on top
    "response": ("circle", "white", _DARK),
    "CR": ("circle", _DARK, _DARK),
    "progression": ("triangle-up", "white", _DARK),
    "new therapy": ("diamond", "#CC79A7", _DARK),
    "death": (_CROSS, _DARK, _DARK),
    "last seen alive": ("triangle-right", "#009E73", _DARK),
    CENSORED: (_STROKE, "#D40000", "#D40000"),
}


def swimmer(seen: AsSeen) -> Any:
    """The patients of one trial as its cut shows them: a bar each, with what was seen on it."""
    bars, marks = seen.bars, seen.marks
    order = list(dict.fromkeys(marks["patient"]))
    y = alt.Y("patient:N", sort=order, title="patient number", axis=alt.Axis(labelFontSize=8, ticks=False))
    tooltip = [alt.Tooltip("patient:N"), alt.Tooltip("dose:N")]
    layers: list[Any] = []
    if not bars.empty:
        layers.append(
            alt.Chart(bars)
            .mark_bar(height={"band": 0.72})
            .encode(
                x=alt.X("from:Q", title="months since infusion", scale=alt.Scale(nice=False, padding=8)),
                x2="to:Q",
                y=y,
                color=alt.Color(
                    "state:N",
                    title="as seen",
                    scale=alt.Scale(domain=list(STATES[:4]), range=list(STATE_COLOURS[:4])),
                ),
                tooltip=[
                    *tooltip,
                    alt.Tooltip("state:N"),
                    alt.Tooltip("from:Q", format=".1f"),
                    alt.Tooltip("to:Q", format=".1f"),
                ],
            )
        )
    kinds = [kind for kind in _MARKS if (marks["what"] == kind).any()]
    marks = marks.sort_values("what", key=lambda what: what.map(kinds.index), kind="stable", ignore_index=True)
    shape, fill, stroke = (alt.Scale(domain=kinds, range=[_MARKS[kind][part] for kind in kinds]) for part in range(3))
    layers.append(
        alt.Chart(marks)
        .mark_point(size=34, strokeWidth=1.3, opacity=1)
        .encode(
            x=alt.X("month:Q", title="months since infusion"),
            y=y,
            shape=alt.Shape("what:N", title="seen", scale=shape),
            fill=alt.Fill("what:N", title="seen", scale=fill),
            stroke=alt.Stroke("what:N", title="seen", scale=stroke),
            tooltip=[*tooltip, alt.Tooltip("what:N"), alt.Tooltip("month:Q", format=".1f")],
        )
    )
    chart = alt.layer(*layers, width=WIDTH, height=max(60, 12 * len(order)))
    return chart.properties(
        title=alt.Title(f"Trial {seen.trial}: {len(order)} of {seen.infused} patients infused by the data cut")
    )
