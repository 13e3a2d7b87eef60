"""The rates and medians that the trials observed, with their nulls and critical rates, as an Altair chart."""

import math
from typing import TYPE_CHECKING, Any, cast

import altair as alt
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial.characteristics.stopping import END
from vtrial.model.endpoints import TIME_WORDS as TIMES
from vtrial.model.endpoints import TimeEndpoint
from vtrial.report.charts.rates import COLOURS
from vtrial.scenario.wording import claim, percent

if TYPE_CHECKING:
    from vtrial.protocol.build import Protocol
    from vtrial.scenario import TestSection
    from vtrial.workflows.result_data import ResultData

_MOST_BARS = 36
_STOPPED = "a look stopped the trial"


def over_trials(result: "ResultData") -> alt.VConcatChart | alt.ConcatChart:
    """Each tested rate, or median, over the trials of the first cell, with its null and critical rate.

    Raises `InputError` where nothing is tested, or no trial observes a rate or a median.
    """
    protocol, tests = result.protocols[0], seen_tests(result)
    if not tests:
        raise InputError(f"{result.scenario.where}: there is no [[test]] of which a trial observes a rate or a median")
    trials: Any = result.trials[result.trials["cell"] == 0]
    return alt.concat(
        *(_times(test, trials) if test.timed else _histogram(protocol, test, trials) for test in tests),
        columns=2,
    )


def seen_tests(result: "ResultData") -> list["TestSection"]:
    """The tests of the first cell whose rate, or median, some trial observes."""
    trials: Any = result.trials[result.trials["cell"] == 0]
    return [
        test
        for test in result.protocols[0].tests
        if (np.isfinite(trials[f"{test.endpoint}.median"]) if test.timed else trials[f"n.{test.population}"] > 0).any()
    ]


def _histogram(protocol: "Protocol", test: "TestSection", trials: Any) -> Any:
    """A test's observed rate over trials, coloured by whether its count alone rejects (under a graph: whether it does);
    trials that a look stopped have a colour of their own, with the rate of those infused by then."""
    trials = trials[trials[f"n.{test.population}"] > 0]
    looks, graph = bool(protocol.plan.looks), protocol.plan.graph
    stopped = (trials["end"] != END).to_numpy() if looks else np.zeros(len(trials), bool)
    size, counts = trials[f"n.{test.population}"].to_numpy(int), trials[f"{test.endpoint}.count"].to_numpy(int)
    table = protocol.numbers.bounds[test.name]
    table = table[0] if graph else table
    bound = table[size]
    rejects = test.side.reached(counts, bound)
    rejects = trials[f"{test.name}.reject"].to_numpy(bool) if graph else rejects
    n = int(trials.loc[~stopped if not stopped.all() else stopped, f"n.{test.population}"].mode().iloc[0])
    critical = int(table[n])
    possible = 0 <= critical <= n
    # Bars a whole number of patients wide, with an edge where the decision changes: at one n no bar holds both.
    first = critical if test.side.upper else critical + 1
    edge = first / n if possible else test.null
    seen = counts / size
    step = max(1, math.ceil((seen.max() - seen.min()) * n / _MOST_BARS)) / n
    sides = np.where(stopped, _STOPPED, np.where(rejects, "rejects", "does not reject"))
    kinds = {"rejects": COLOURS[0], "does not reject": "#b9b9b9"} | ({_STOPPED: COLOURS[1]} if stopped.any() else {})
    bars = pd.DataFrame({"bar": np.floor((seen - edge) / step + 1e-9), "side": sides})
    data: Any = (bars.value_counts(normalize=True).rename("share").reset_index()).sort_values(["bar", "side"])
    data["left"] = (edge + step * data["bar"]).clip(lower=0.0)
    data["right"] = edge + step * (data["bar"] + 1)
    low, high = min(data["left"].min(), test.null), max(data["right"].max(), test.null)
    margin = max(0.02 * (high - low), 0.005)
    scale = alt.Scale(domain=[max(0.0, low - margin), high + margin], nice=False)
    colour = alt.Scale(domain=list(kinds), range=list(kinds.values()))
    whom = f"rate observed in a trial, of the {test.population}"
    histogram = (
        alt.Chart(data[["left", "right", "share", "side"]])
        .mark_bar(stroke="white", strokeWidth=0.4)
        .encode(
            x=alt.X("left:Q", bin="binned", title=whom, scale=scale, axis=alt.Axis(format="~%", tickCount=6)),
            x2="right:Q",
            y=alt.Y("share:Q", title="share of trials", axis=alt.Axis(format="~%", tickCount=5)),
            color=alt.Color("side:N", title=None, scale=colour, legend=alt.Legend(orient="top")),
            tooltip=[
                alt.Tooltip("left:Q", title="rate from", format=".1%"),
                alt.Tooltip("right:Q", title="to below", format=".1%"),
                alt.Tooltip("share:Q", title="share of trials", format=".2%"),
                alt.Tooltip("side:N", title="the test" if graph else "the count alone"),
            ],
        )
    )
    null = alt.Chart(pd.DataFrame({"rate": [test.null]})).mark_rule(strokeDash=[5, 3], strokeWidth=1.5)
    layers = [histogram, null.encode(x=alt.X("rate:Q", scale=scale))]
    where = f"no count rejects at n = {n}"
    if possible:
        mark = alt.Chart(pd.DataFrame({"rate": [edge]})).mark_rule(strokeWidth=1.5)
        layers.append(mark.encode(x=alt.X("rate:Q", scale=scale)))
        way = "begins by rejecting" if graph else "rejects"
        where = f"{way} at {test.side.sign} {critical} of {n}, {critical / n:.1%} (solid)"
    title = alt.Title(claim(test, test.null), subtitle=f"null {percent(test.null)} (dashed), {where}")
    return alt.layer(*layers, width=380, height=190, title=title)


def _times(test: "TestSection", trials: Any) -> Any:
    """A test's observed Kaplan-Meier median over the trials where it is estimable, coloured by the test's decision."""
    median, reject = trials[f"{test.endpoint}.median"].to_numpy(float), trials[f"{test.name}.reject"].to_numpy(bool)
    known = np.isfinite(median)
    step = max(0.1, round((median[known].max() - median[known].min()) / _MOST_BARS, 1))
    words = TIMES[cast("TimeEndpoint", test.endpoint)]
    names = {True: "rejects", False: "does not reject"}
    bars = pd.DataFrame(
        {"left": step * np.floor(median[known] / step + 1e-9), "side": [names[bool(r)] for r in reject[known]]}
    )
    data: Any = (bars.value_counts().div(len(trials)).rename("share").reset_index()).sort_values(["left", "side"])
    data["right"] = data["left"] + step
    low, high = min(data["left"].min(), test.null), max(data["right"].max(), test.null)
    scale = alt.Scale(domain=[max(0.0, low - step), high + step], nice=False)
    colour = alt.Scale(domain=list(names.values()), range=[COLOURS[0], "#b9b9b9"])
    histogram = (
        alt.Chart(data)
        .mark_bar(stroke="white", strokeWidth=0.4)
        .encode(
            x=alt.X("left:Q", bin="binned", title=f"median {words} observed in a trial, months", scale=scale),
            x2="right:Q",
            y=alt.Y("share:Q", title="share of trials", axis=alt.Axis(format="~%", tickCount=5)),
            color=alt.Color("side:N", title=None, scale=colour, legend=alt.Legend(orient="top")),
            tooltip=[
                alt.Tooltip("left:Q", title="months from", format=".1f"),
                alt.Tooltip("right:Q", title="to below", format=".1f"),
                alt.Tooltip("share:Q", title="share of trials", format=".2%"),
                alt.Tooltip("side:N", title="the test"),
            ],
        )
    )
    null = alt.Chart(pd.DataFrame({"month": [test.null]})).mark_rule(strokeDash=[5, 3], strokeWidth=1.5)
    subtitle = f"null {test.null:g} months (dashed), not reached in {np.isinf(median).mean():.1%} of trials"
    if np.isnan(median).any():
        subtitle += f", not estimable in {np.isnan(median).mean():.1%}"
    if "end" in trials and (early := float((trials["end"] != END).mean())) > 0:
        subtitle += f"; a look stopped {early:.1%} (as followed later)"
    return alt.layer(
        histogram,
        null.encode(x=alt.X("month:Q", scale=scale)),
        width=380,
        height=190,
        title=alt.Title(claim(test, test.null), subtitle=subtitle),
    )
