"""One simulated trial with looks as an Altair chart: what each look saw, against the bounds of its rules."""

import textwrap
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from vtrial._support.text import capitalised
from vtrial.characteristics.stopping import END
from vtrial.report.charts.looks import THEN
from vtrial.report.words.looks import endpoint_in_words
from vtrial.workflows.trial_log import in_words

FIRES, QUIET, AFTER = "seen: fires or rejects", "seen: does not", "not held: the trial had ended"
_SEEN = {FIRES: "#222222", QUIET: "white", AFTER: "white"}
_EDGE = {FIRES: "#222222", QUIET: "#222222", AFTER: "#bbbbbb"}
_PAIRS = {"count": "patients with it", "z": "normal statistic z", "median": "median, months"}


def story(table: pd.DataFrame, trial: int, *, told: bool = True) -> alt.VConcatChart:
    """The chart of a table that `vtrial.workflows.trial_log.story_of` made: a panel for each thing that is watched.

    told: whether the title says what happened.
    """
    points = story_points(table)
    calendar = bool(table["month"].notna().any())
    title = "month since the first enrolment" if calendar else "patients enrolled"
    most = float(points["x"].max())
    scale = alt.Scale(domain=[0, 1.15 * most], nice=False)
    x = alt.X("x:Q", title=title, scale=scale)
    stop: Any = table[(table["outcome"] != "") & (table["look"] != END)]
    last: Any = table[table["held"]].iloc[-1]
    first = stop.iloc[0] if not stop.empty else last
    at = pd.DataFrame({"x": [float(first["month"] if calendar else first["enrolled"])], "what": ["the trial ends"]})
    kinds = [kind for kind in THEN if kind in set(points["then"])]
    seen_kinds = [kind for kind in _SEEN if kind in set(points["seen_as"])]
    panels = []
    for panel in dict.fromkeys(points["panel"]):
        mine: Any = points[points["panel"] == panel]
        values = [*mine["seen"], *mine["bound"].dropna()]
        low, high = min(0.0, *values), max(values)
        room = 0.18 * max(high - low, 1.0)
        y_title = str(mine["axis"].iloc[0])
        y_scale = alt.Scale(domain=[low - (room if low < 0 else 0), high + room], nice=False)
        y = alt.Y("seen:Q", title=y_title, scale=y_scale)
        tooltip = [
            alt.Tooltip("look:N"), alt.Tooltip("rule:N"), alt.Tooltip("words:N", title="seen"),
            alt.Tooltip("x:Q", title=title, format=".1f"), alt.Tooltip("seen_as:N", title=" "),
        ]  # fmt: skip
        base = alt.Chart(mine).encode(x=x, tooltip=tooltip)
        layers: list[Any] = [
            alt.Chart(at).mark_rule(strokeDash=[5, 3], color="#777777").encode(x=x, tooltip=["what:N"])
        ]
        bounded = base.transform_filter("isValid(datum.bound)")
        if mine["bound"].notna().any():
            layers.append(bounded.mark_rule(color="#bbbbbb").encode(y=y, y2="bound:Q"))
            strokes = bounded.mark_tick(orient="horizontal", size=34, thickness=3, opacity=1)
            layers.append(
                strokes.encode(
                    y=alt.Y("bound:Q", title=y_title, scale=y_scale),
                    color=alt.Color(
                        "then:N",
                        title="bound for",
                        scale=alt.Scale(domain=kinds, range=[THEN[kind] for kind in kinds]),
                        legend=alt.Legend(orient="top", symbolType="square", symbolStrokeWidth=0),
                    ),
                )
            )
            limits = bounded.mark_text(align="right", dx=-20, dy=1, fontSize=10, color="#555555")
            layers.append(limits.encode(y=alt.Y("bound:Q", title=y_title, scale=y_scale), text="limit:N"))
        colours = [alt.Scale(domain=seen_kinds, range=[of[kind] for kind in seen_kinds]) for of in (_SEEN, _EDGE)]
        dots = base.mark_point(size=80, opacity=1, strokeWidth=1.6)
        legend = alt.Legend(orient="top")
        layers.append(
            dots.encode(
                y=y,
                fill=alt.Fill("seen_as:N", title=None, scale=colours[0], legend=legend),
                stroke=alt.Stroke("seen_as:N", title=None, scale=colours[1], legend=legend),
            )
        )
        layers.append(base.mark_text(align="left", dx=20, dy=1, fontSize=11).encode(y=y, text="label:N"))
        panels.append(alt.layer(*layers, width=600, height=170, title=panel))
    head = alt.Title(f"Trial {trial}", subtitle=textwrap.wrap(in_words(table, trial), 105) if told else "")
    return alt.vconcat(*panels, title=head)


def story_points(table: pd.DataFrame) -> pd.DataFrame:
    """What is drawn of a story: panel, axis, x (month, or patients enrolled), seen, bound (NaN where none), then,
    limit (in words), seen_as, label, look, rule, words. Left out: looks that never
    came, and tests whose end did not.
    """
    calendar = bool(table["month"].notna().any())
    rows = []
    for _, row in table.iterrows():
        x = row["month"] if calendar else row["enrolled"]
        counted = pd.notna(row["count"])
        if pd.isna(x) or not (counted or np.isfinite(row["value"])):
            continue
        if counted:
            seen, bound, axis = float(row["count"]), row["bound"], "count"
            panel, label = capitalised(endpoint_in_words(row["endpoint"])), f"{row['count']} of {row['n']}"
        else:
            seen, bound = float(row["value"]), row["limit"]
            axis = "z" if str(row["words"]).startswith("z =") else "median"
            panel, label = f"{str(row['endpoint']).upper()}: {_PAIRS[axis]}", f"{seen:.2f}"
        sign = "≥" if row["at_least"] else "≤"
        known = pd.notna(bound) and np.isfinite(float(bound))
        rows.append(
            {
                "panel": panel,
                "axis": _PAIRS[axis],
                "x": float(x),
                "seen": seen,
                "bound": float(bound) if known else np.nan,
                "limit": f"{sign} {float(bound):.4g}" if known else "",
                "then": "rejection" if row["then"] == "rejects" else row["then"],
                "seen_as": AFTER if not row["held"] else FIRES if row["fires"] else QUIET,
                "label": label,
                "look": row["look"],
                "rule": row["rule"],
                "words": row["words"],
            }
        )
    return pd.DataFrame(rows)
