"""Times over the trials, as Altair charts: Kaplan-Meier curves, states over time.

Both are of one cell, of its first few hundred trials. Times are months since infusion, for duration of response since
the response.
"""

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial.engine import run as engine
from vtrial.model.endpoints import TIME_ENDPOINTS, TimeEndpoint
from vtrial.model.endpoints import TIME_WORDS as WORDS
from vtrial.model.parameters import DAYS
from vtrial.model.vocabulary import NE_SHARE, in_figures

if TYPE_CHECKING:
    from vtrial.evidence import Evidence
    from vtrial.protocol.build import Protocol
    from vtrial.workflows.result import Result

TRIALS = 300  # whose curves make a fan
TRIALS_OF_STATES = 100
KEPT = 1.0 - NE_SHARE  # a fan ends where the curve of more of its trials is not estimable
STEP = 0.25  # months
WIDTH = 640

MEDIAN, HALF, MOST = "median over trials", "50% of trials", "95% of trials"
STATES = ("no response, not progressed", "in response, below CR", "in CR", "progressed, alive", "dead")
STATE_COLOURS = ("#d9d9d9", "#56B4E9", "#0072B2", "#E69F00", "#4d4d4d")
_FAN = {MOST: "#d3e5f2", HALF: "#8dbfe0", MEDIAN: "#0072B2"}
_PUBLISHED = "#222222"
_X = {"dor": "months since the documented response"}


def endpoints(protocol: "Protocol") -> tuple[TimeEndpoint, ...]:
    """The endpoints with a curve of all patients: progression-free survival first."""
    order: tuple[TimeEndpoint, ...] = ("pfs", "dor", "os")
    return tuple(endpoint for endpoint in order if (endpoint, "all") in protocol.plan.curves)


def analysed(result: "Result", endpoint: TimeEndpoint, *, cell: int = 0) -> np.ndarray:
    """In which trials anybody is in the analysis of an endpoint with a curve of all patients, bool (trials,)."""
    of_cell: Any = result.trials["cell"] == cell
    return result.trials.loc[of_cell, f"{endpoint}.median"].notna().to_numpy()


def fan(result: "Result", endpoint: str = "pfs", *, cell: int = 0) -> alt.VConcatChart:
    """The trials' Kaplan-Meier curves of an endpoint, the published median, and the numbers at risk below.

    Of the trials in which anybody is in the analysis. Raises `InputError` where no curve of the endpoint is estimated.
    """
    protocol = result.protocols[cell]
    if endpoint not in endpoints(protocol):
        known = ", ".join(endpoints(protocol)) or "none"
        raise InputError(f"{result.scenario.where}: no curve of '{endpoint}' is estimated (there are: {known})")
    bands, left = _bands(result, protocol, endpoint)
    published = _published(result.evidence, endpoint)
    limits = [] if published.empty else published[["value", "low", "high"]].to_numpy().ravel()
    end = _ceil(max([float(bands["month"].max()), STEP, *(float(v) for v in limits if math.isfinite(v))]), 3)
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
    curves = alt.layer(*layers, width=WIDTH, height=250)
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
    return alt.vconcat(curves, risk, spacing=44, bounds="flush").configure_view(stroke=None)


def states(result: "Result", *, cell: int = 0) -> alt.Chart:
    """The share of the infused in each state over time, true paths, mean over the first trials."""
    shares = occupancy(result, cell=cell)
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


def occupancy(result: "Result", *, cell: int = 0) -> pd.DataFrame:
    """Mean share of the infused in each state by month. Columns: month, state, layer (0 lowest), share.

    To the longest follow-up at the cut; within it as everything truly is, whether or not the cut has seen it. Raises
    `InputError` where nobody is infused.
    """
    protocol = with_times(result, cell)
    simulation = result.scenario.design.simulation
    count = min(TRIALS_OF_STATES, simulation.trials)
    cohort, seen = engine.observed(
        protocol.plan, protocol.numbers, protocol.worlds, seed=simulation.seed, start=0, count=count
    )
    months = np.arange(0.0, max(_ceil(float(seen.follow_up.max()) / DAYS, 3), 3) + STEP / 2, STEP)
    path, someone = cohort.path, cohort.infused.any(axis=1)
    assert path is not None
    if not someone.any():
        raise InputError(f"{result.scenario.where}: nobody is infused in the first {count} trials")
    rows = []
    for month in months:
        day = month * DAYS
        state = np.zeros(cohort.infused.shape, int)
        for k, reached in enumerate(
            (
                (path.response_day > 0) & (path.response_day <= day),
                (path.cr_day > 0) & (path.cr_day <= day),
                path.progression <= month,
                path.death <= month,
            ),
            1,
        ):
            state[reached] = k
        of = cohort.infused[someone]
        for k, name in enumerate(STATES):
            share = ((state[someone] == k) & of).sum(axis=1) / of.sum(axis=1)
            rows.append({"month": month, "state": name, "layer": len(STATES) - k, "share": float(share.mean())})
    return pd.DataFrame(rows)


def _bands(result: "Result", protocol: "Protocol", endpoint: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Median and bands of survival over trials by month, and the median number at risk every third month."""
    simulation, curve = result.scenario.design.simulation, (endpoint, "all")
    reach = _ceil(float(protocol.numbers.calendar.schedule[-1]) + 3.0, 3)  # type: ignore[union-attr]
    months = np.arange(0.0, reach + STEP / 2, STEP)
    found = engine.curves_on_days(
        protocol.plan, protocol.numbers, protocol.worlds, [round(month * DAYS) for month in months],
        curves=(curve,), seed=simulation.seed, start=0, count=min(TRIALS, simulation.trials),
    )  # fmt: skip
    survival, at_risk = found[curve]
    some = at_risk[:, 0] > 0
    if not some.any():
        raise InputError(f"{result.scenario.where}: nobody is in the analysis of '{endpoint}' in the first trials")
    survival, at_risk = survival[some], at_risk[some]
    last = max(int(np.sum((~np.isnan(survival)).mean(axis=0) >= KEPT)), 1)
    survival = survival[:, :last]
    quantiles = np.nanquantile(survival, (0.025, 0.25, 0.5, 0.75, 0.975), axis=0)
    parts = [
        pd.DataFrame({"month": months[:last], "what": what, "low": quantiles[low], "high": quantiles[high]})
        for what, low, high in ((MOST, 0, 4), (HALF, 1, 3), (MEDIAN, 2, 2))
    ]
    end = _ceil(months[last - 1], 3)
    every = [k for k in range(0, len(months), round(_apart(end) / STEP)) if months[k] <= end]
    left = pd.DataFrame({"month": months[every], "at_risk": np.median(at_risk[:, every], axis=0), "row": "at risk"})
    return pd.concat(parts, ignore_index=True), left


def _published(evidence: "Evidence", endpoint: str) -> pd.DataFrame:
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


def with_times(result: "Result", cell: int) -> "Protocol":
    """The protocol of a cell. Raises `InputError` where times are not simulated."""
    protocol = result.protocols[cell]
    if not protocol.plan.curves:
        raise InputError(
            f"{result.scenario.where}: times to an event are not simulated (endpoints: {', '.join(TIME_ENDPOINTS)})"
        )
    return protocol


def _apart(end: int) -> int:
    """Months between the ticks of an axis: 3, and more on a long one."""
    return next((apart for apart in (3, 6, 12, 24) if end <= 20 * apart), 60)


def _ticks(end: int) -> list[int]:
    return list(range(0, end + 1, _apart(end)))


def _ceil(months: float, step: int) -> int:
    return step * math.ceil(months / step - 1e-9)
