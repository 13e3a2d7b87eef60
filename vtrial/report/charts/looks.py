"""Looks as Altair charts: how trials end, the bounds of rules that count, one trial's story."""

from typing import TYPE_CHECKING, Any, cast

import altair as alt
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial._support.text import capitalised
from vtrial.characteristics import stopping as looks
from vtrial.model.side import Side
from vtrial.model.vocabulary import CLOSES
from vtrial.protocol.build import Protocol
from vtrial.protocol.rule_bounds import patients_at
from vtrial.report.tables.rules import final_bounds, final_n
from vtrial.report.words.general import point
from vtrial.report.words.looks import endpoint_in_words

if TYPE_CHECKING:
    from vtrial.model.vocabulary import Then
    from vtrial.workflows.result_data import ResultData

MOST_CELLS = 40
MOST_LOOKS = 8  # of a section that have a colour each
_SHADES: dict[str, tuple[str, str]] = {  # of looks from the first to the last, by outcome
    "harm": ("#8b1a1a", "#f2a6a0"),
    "futility": ("#D55E00", "#f6d2a8"),
    "success": ("#00543d", "#8fd3b8"),
    "stop-enrolment": ("#8c6d00", "#ecd680"),
    "consider": ("#7a5195", "#cdb5dd"),
}
_SHOWN, _SOME, _NONE = "#0072B2", "#8dbfe0", "#d9d9d9"
THEN = {
    "harm": "#b22222",
    "futility": "#D55E00",
    "success": "#009E73",
    "stop-enrolment": "#8c6d00",
    "consider": "#7a5195",
    "rejection": "#0072B2",
}


def ends(result: "ResultData") -> Any:
    """The share of trials by how they end: at which look and for what, or at the end with what shown; a bar a cell."""
    shares = ends_table(result)
    kinds = list(dict.fromkeys(shares.sort_values("place")["end"]))
    colours = [shares.loc[shares["end"] == kind, "colour"].iloc[0] for kind in kinds]
    order = list(dict.fromkeys(shares["cell"]))
    y = alt.Y("cell:N", sort=order, title=None, axis=alt.Axis(labelLimit=300))
    bars = (
        alt.Chart(shares[shares["share"] > 0])
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            y=y,
            x=alt.X(
                "low:Q", title="share of trials", axis=alt.Axis(format="~%"), scale=alt.Scale(domain=[0, 1], nice=False)
            ),
            x2="high:Q",
            color=alt.Color(
                "end:N",
                title=None,
                scale=alt.Scale(domain=kinds, range=colours),
                legend=alt.Legend(orient="top", columns=2, labelLimit=400),
            ),
            tooltip=[
                alt.Tooltip("cell:N", title="cell"),
                alt.Tooltip("end:N", title="the trial"),
                alt.Tooltip("share:Q", format=".2%", title="simulated"),
                alt.Tooltip("exact:Q", format=".2%", title="exact"),
            ],
        )
    )
    exact: Any = shares[shares["exact_high"].notna() & (shares["exact"] >= 0.01)]
    if exact.empty:
        return bars.properties(width=600, height=alt.Step(34))
    ticks = alt.Chart(exact).mark_tick(color="black", thickness=1.6, size=26)
    marks = ticks.encode(y=y, x="exact_high:Q", tooltip=[alt.Tooltip("exact_high:Q", format=".2%", title="exact")])
    return alt.layer(bars, marks, width=600, height=alt.Step(34))


def ends_table(result: "ResultData") -> pd.DataFrame:
    """A row a cell and way to end, in order: cell, end (words), place, share, low, high (where its bar lies), exact,
    exact_high (where its bar ends, NaN where not known), colour."""
    rows: list[dict[str, Any]] = []
    for cell in result.scenario.cells[:MOST_CELLS]:
        protocol = result.protocols[cell.number]
        trials: Any = result.trials[result.trials["cell"] == cell.number]
        table: Any = result.characteristics
        known = table[(table["cell"] == cell.number) & (table["method"] == "exact")].set_index("metric")["estimate"]
        low, exact_high = 0.0, 0.0
        for place, (words, mask, metric, colour) in enumerate(_ways(protocol, trials)):
            share = float(mask.mean())
            exact = float(known.get(metric, np.nan)) if metric else np.nan
            exact_high += exact
            rows.append(
                {
                    "cell": point(cell.swept) or "all trials", "end": words, "place": place, "share": share, "low": low,
                    "high": low + share, "exact": exact, "exact_high": exact_high, "colour": colour,
                }
            )  # fmt: skip
            low += share
    return pd.DataFrame(rows)


def _ways(protocol: Protocol, trials: Any) -> list[tuple[str, Any, str, str]]:
    """Each way to end: words, the trials that end so, its metric ("" where it has none), its colour."""
    plan, found = protocol.plan, []
    at_end = trials["end"] == looks.END
    outcome = trials["outcome"]
    early: list[tuple[str, str, list[str], Then]] = []
    for section, places in looks.groups(protocol).items():
        if plan.looks[places[0]].final:
            continue
        several = 1 < len(places) <= MOST_LOOKS
        for group in [[place] for place in places] if several else [places]:
            name = plan.looks[group[0]].name if several else section
            for then in looks.decided_by(protocol, group):
                if then != "consider":
                    early.append((name, f"stop.{name}.{then}", [plan.looks[k].name for k in group], cast("Then", then)))
    for name, metric, of, then in early:
        alike = [one for one in early if one[3] == then]
        shade = _between(*_SHADES[then], [one[0] for one in alike].index(name) / max(1, len(alike) - 1))
        verb = "stops enrolment" if then == CLOSES else f"stops for {then}"
        found.append((f"{verb} at '{name}'", trials["end"].isin(of) & (outcome == then), metric, shade))
    final = [k for k, look in enumerate(plan.looks) if look.final]
    for then in looks.decided_by(protocol, final):
        found.append((f"ends with {then}", at_end & (outcome == then), "", _SHADES[then][0]))
    rest, tests = at_end & (outcome == ""), [test.name for test in plan.tests]
    if not tests:
        return [*found, ("goes to its end", rest, "", _NONE)]
    number = trials[[f"{name}.reject" for name in tests]].sum(axis=1)
    if len(tests) == 1:
        parts = [(f"at its end shows '{tests[0]}'", number == 1, _SHOWN)]
    else:
        parts = [
            (f"at its end shows {' and '.join(repr(name) for name in tests)}", number == len(tests), _SHOWN),
            ("at its end shows some of them", (number > 0) & (number < len(tests)), _SOME),
        ]
    parts.append(("at its end shows nothing", number == 0, _NONE))
    return [*found, *((words, rest & mask, "", colour) for words, mask, colour in parts)]


def _between(dark: str, light: str, part: float) -> str:
    ends = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (dark, light)]
    return "#" + "".join(f"{round(a + part * (b - a)):02x}" for a, b in zip(*ends, strict=True))


def bounds_table(result: "ResultData", cell: int = 0) -> pd.DataFrame:
    """The counts at which rules fire, where looks analyse known numbers, and tests reject at the end.

    Columns: panel (the endpoint in words), series, then, n, bound, at_least, label. Empty where no rule counts at a
    known number.
    """
    protocol = result.protocols[cell]
    trials: Any = result.trials[result.trials["cell"] == cell]
    assert protocol.looks is not None
    assert protocol.numbers.looks is not None
    rows: list[dict[str, Any]] = []
    sections = {place: name for name, places in looks.groups(protocol).items() for place in places}

    def add(endpoint: str, series: str, then: str, n: int, bound: int, side: Side) -> None:
        if side.attainable(bound, n):
            panel = capitalised(endpoint_in_words(endpoint))
            label = f"{side.sign} {bound}"
            rows.append(
                {
                    "panel": panel,
                    "series": f"{series} ({endpoint})",
                    "then": then,
                    "n": n,
                    "bound": bound,
                    "label": label,
                }
                | {"at_least": side.upper}
            )

    for r, rule in enumerate(protocol.plan.rules):
        n = patients_at(protocol.looks.sections[rule.look], protocol.levels.planned)
        if rule.time is None and n is not None and not rule.enrolled:
            name, bound = protocol.plan.watched[rule.watched].name, int(protocol.numbers.looks.bounds[r, n])
            add(name, f"{sections[rule.look]}: {rule.name}", rule.then, n, bound, rule.side)
    if not rows:
        return pd.DataFrame(rows)
    for test in (test for test in protocol.tests if not test.timed):
        n = final_n(protocol, test.population, trials)
        bound = int(final_bounds(protocol, test.name)[0][n])
        add(test.endpoint, f"end: {test.name}", "rejection", n, bound, test.side)
    return pd.DataFrame(rows)


def bounds(result: "ResultData", cell: int = 0) -> alt.ConcatChart:
    """Count bounds against patients, a panel an endpoint.

    Raises `InputError` where no rule counts at a known number.
    """
    table = bounds_table(result, cell)
    if table.empty:
        raise InputError(
            f"{result.scenario.where}: no rule can fire at a known number of patients, so there is no chart of bounds"
        )
    kinds = [then for then in THEN if then in set(table["then"])]
    colour = alt.Color(
        "then:N",
        title="bound for",
        scale=alt.Scale(domain=kinds, range=[THEN[then] for then in kinds]),
        legend=alt.Legend(orient="top", symbolOpacity=1),
    )
    most, ways = int(table["n"].max()), sorted(set(table["at_least"]), reverse=True)
    panels = []
    for panel in dict.fromkeys(table["panel"]):
        mine: Any = table[table["panel"] == panel]
        x = alt.X("n:Q", title="patients analysed", scale=alt.Scale(domain=[0, round(1.08 * most)], nice=False))
        top = float(mine["bound"].max())
        y = alt.Y(
            "bound:Q",
            title="patients with it",
            scale=alt.Scale(domain=[0, max(4.0, 1.15 * top)], nice=False),
            axis=alt.Axis(tickMinStep=1),
        )
        base = alt.Chart(mine).encode(
            x=x,
            y=y,
            color=colour,
            tooltip=[
                alt.Tooltip("series:N", title="rule"),
                alt.Tooltip("n:Q", title="patients"),
                alt.Tooltip("label:N", title="fires at"),
                alt.Tooltip("then:N", title="then"),
            ],
        )
        marks = base.mark_point(filled=True, size=70, opacity=1).encode(
            shape=alt.Shape(
                "at_least:N",
                title="fires",
                scale=alt.Scale(domain=ways, range=["triangle-up" if up else "triangle-down" for up in ways]),
                legend=alt.Legend(
                    orient="top", labelExpr="datum.value ? 'from there on' : 'up to there'", symbolFillColor="#555555"
                ),
            )
        )
        text = base.mark_text(align="right", dx=-6, dy=-9, fontSize=11).encode(text="label:N")
        layers = [marks, text]
        if mine["series"].duplicated().any():
            layers.insert(0, base.mark_line(strokeWidth=1.2).encode(detail="series:N"))
        panels.append(alt.layer(*layers, width=400, height=230, title=panel))
    return alt.concat(*panels, columns=2).configure_legend(columns=4)
