"""Times over the trials, as Altair charts: Kaplan-Meier curves, states over time.

What they show is worked out in `characteristics.over_time`. Times are months since infusion, for duration of response
since the response.
"""

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from vtrial.characteristics.over_time import AT_RISK, HALF, MEDIAN, MOST, STATES, STEP, ceiling
from vtrial.model.endpoints import TIME_WORDS as WORDS
from vtrial.model.endpoints import TimeEndpoint
from vtrial.model.vocabulary import in_figures

if TYPE_CHECKING:
    from vtrial.evidence import Evidence

WIDTH = 640

STATE_COLOURS = ("#d9d9d9", "#56B4E9", "#0072B2", "#E69F00", "#4d4d4d")
_FAN = {MOST: "#d3e5f2", HALF: "#8dbfe0", MEDIAN: "#0072B2"}
_PUBLISHED = "#222222"
_X = {"dor": "months since the documented response"}


def fan(curves: pd.DataFrame, published: pd.DataFrame, endpoint: TimeEndpoint) -> alt.VConcatChart:
    """The trials' Kaplan-Meier curves of an endpoint, the published median, and the numbers at risk below.

    curves: of `over_time.survival`. published: of `published_median`.
    """
    bands, at_risk = curves[curves["what"] != AT_RISK], curves[curves["what"] == AT_RISK]
    apart = round(_apart(ceiling(float(bands["month"].max()), 3)) / STEP)
    left = pd.DataFrame({"month": at_risk["month"], "at_risk": at_risk["low"], "row": AT_RISK}).iloc[::apart]
    limits = [] if published.empty else published[["value", "low", "high"]].to_numpy().ravel()
    end = ceiling(max([float(bands["month"].max()), STEP, *(float(v) for v in limits if math.isfinite(v))]), 3)
    published = published.replace(math.inf, float(end))
    x = alt.X(
        "month:Q",
        title=_X.get(endpoint, "months since infusion"),
        scale=alt.Scale(domain=[0, end], nice=False),
        axis=alt.Axis(values=_ticks(end), labelFlush=False),
    )
    y_title = "still in response, share" if endpoint == "dor" else f"{WORDS[endpoint]}, share"  # type: ignore[index]
    y = alt.Y("low:Q", title=y_title, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", minExtent=40))
    kinds = [*_FAN, *([published["what"].iloc[0]] if not published.empty else [])]
    colour = alt.Color(
        "what:N",
        title=None,
        scale=alt.Scale(domain=kinds, range=[*_FAN.values(), _PUBLISHED][: len(kinds)]),
        legend=alt.Legend(orient="top", symbolType="square", symbolOpacity=1, symbolStrokeWidth=0),
    )
    tooltip = [
        alt.Tooltip("what:N", title="curve"),
        alt.Tooltip("month:Q", title="month", format=".2f"),
        alt.Tooltip("low:Q", title="from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
    ]
    layers: list[Any] = []
    for what in (MOST, HALF):
        of: Any = bands[bands["what"] == what]
        area = alt.Chart(of).mark_area(interpolate="step-after", opacity=1)
        layers.append(area.encode(x=x, y=y, y2="high:Q", color=colour, tooltip=tooltip))
    middle: Any = bands[bands["what"] == MEDIAN]
    line = alt.Chart(middle).mark_line(interpolate="step-after", strokeWidth=2)
    layers.append(line.encode(x=x, y=y, color=colour, tooltip=[*tooltip[:2], alt.Tooltip("low:Q", format=".1%")]))
    layers += _marks(published, x, colour)
    above = alt.layer(*layers, width=WIDTH, height=250)
    risk = (
        alt.Chart(left, width=WIDTH, height=18)
        .mark_text(fontSize=11)
        .encode(
            x=x.axis(None),
            y=alt.Y("row:N", title=None, axis=alt.Axis(domain=False, ticks=False, labelPadding=20)),
            text=alt.Text("at_risk:Q", format=".0f"),
            tooltip=[alt.Tooltip("at_risk:Q", title="at risk, median over trials"), alt.Tooltip("month:Q")],
        )
    )
    return alt.vconcat(above, risk, spacing=44, bounds="flush").configure_view(stroke=None)


def states(shares: pd.DataFrame) -> alt.Chart:
    """The share of the infused in each state over time, of `over_time.states`."""
    end = float(shares["month"].max())
    return (
        alt.Chart(shares, width=WIDTH, height=250)
        .mark_area()
        .encode(
            x=alt.X(
                "month:Q",
                title="months since infusion",
                scale=alt.Scale(domain=[0, end], nice=False),
                axis=alt.Axis(values=_ticks(int(end))),
            ),
            y=alt.Y(
                "share:Q",
                stack="zero",
                title="share of the infused",
                axis=alt.Axis(format="%"),
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=alt.Color(
                "state:N",
                title=None,
                sort=list(STATES),
                scale=alt.Scale(domain=list(STATES), range=list(STATE_COLOURS)),
                legend=alt.Legend(orient="right"),
            ),
            order=alt.Order("layer:Q"),
            tooltip=[alt.Tooltip("state:N"), alt.Tooltip("month:Q"), alt.Tooltip("share:Q", format=".1%")],
        )
    )


def published_median(evidence: "Evidence", endpoint: str) -> pd.DataFrame:
    """The published median of all patients, one row; without rows where there is none."""
    fact = f"{endpoint}.all"
    if fact not in evidence.facts.index or evidence.facts.at[fact, "statistic"] != "km_median":
        return pd.DataFrame()
    row: Any = evidence.facts.loc[fact]
    value, low, high = (float(row[c]) for c in ("value", "low", "high"))
    words = [in_figures(v, "g") for v in (value, low, high)]
    what = f"published median, 95% interval: {words[0]} ({words[1]} to {words[2]})"
    shown = {"what": what, "value": value, "low": low, "high": high, "half": 0.5}
    return pd.DataFrame([shown | {"open": not math.isfinite(high)}])


def _marks(published: pd.DataFrame, x: Any, colour: Any) -> list[Any]:
    """The published median as a dot with its limits, an arrow where the upper one was not reached."""
    if published.empty:
        return []
    base = alt.Chart(published).encode(y="half:Q", color=colour, tooltip=[alt.Tooltip("what:N", title="study")])
    layers = [
        base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"),
        base.mark_tick(orient="vertical", thickness=2, height=10).encode(x="low:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q"),
    ]
    end = base.mark_tick(orient="vertical", thickness=2, height=10).encode(x="high:Q")
    if published["open"].iloc[0]:
        end = base.mark_point(filled=True, shape="triangle-right", size=90, opacity=1).encode(x="high:Q")
    return [*layers, end]


def _apart(end: int) -> int:
    """Months between the ticks of an axis: 3, and more on a long one."""
    return next((apart for apart in (3, 6, 12, 24) if end <= 20 * apart), 60)


def _ticks(end: int) -> list[int]:
    return list(range(0, end + 1, _apart(end)))
