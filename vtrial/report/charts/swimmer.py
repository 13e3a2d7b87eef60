"""One trial's patients as its data cut shows them, as an Altair chart: a bar each (a swimmer plot)."""

from typing import TYPE_CHECKING, Any

import altair as alt
import jax
import numpy as np
import pandas as pd

from vtrial._support.errors import InputError
from vtrial.engine import run as engine
from vtrial.model.parameters import DAYS
from vtrial.report.charts.survival import STATE_COLOURS, STATES, WIDTH, with_times

if TYPE_CHECKING:
    from vtrial.protocol.build import Protocol
    from vtrial.workflows.result import Result

MOST_PATIENTS = 60
CENSORED = "PFS censored"

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


def swimmer(result: "Result", trial: int = 0, *, cell: int = 0) -> Any:
    """The patients of one trial as its cut shows them: a bar each, with what was seen on it."""
    protocol = with_times(result, cell)
    cohort, seen = _one(result, protocol, trial)
    there = np.flatnonzero(seen.infused_by_cut)
    if there.size == 0:
        raise InputError(f"{result.scenario.where}: in trial {trial} nobody is infused by the data cut")
    chosen = there[np.unique(np.linspace(0, there.size - 1, min(MOST_PATIENTS, there.size)).round().astype(int))]
    chosen = chosen[np.argsort(-seen.os_time[chosen], kind="stable")]
    order, bars, marks = [str(i + 1) for i in chosen], [], []
    therapy = np.ceil(np.minimum(cohort.path.new_therapy, 1e5) * DAYS)
    for i in chosen:
        patient = {"patient": str(i + 1), "dose": f"{protocol.doses[int(cohort.dose[i])]:g}"}
        end, response, cr, progression = (
            int(v[i]) for v in (seen.os_time, seen.response_day, seen.cr_day, seen.progression_day)
        )
        turns = [(0, 0), *((day, k) for k, day in enumerate((response, cr, progression), 1) if day)]
        for (day, state), (until, _) in zip(turns, [*turns[1:], (end, 0)], strict=True):
            if until > day:
                bars.append(patient | {"from": day / DAYS, "to": until / DAYS, "state": STATES[state]})
        happened = [("response", response), ("CR", cr), ("progression", progression)]
        happened += [("death", end)] if seen.os_event[i] else [("last seen alive", end)]
        happened += [("new therapy", int(therapy[i]))] if therapy[i] <= min(end, progression or end) else []
        happened = [(what, day) for what, day in happened if day or what in ("death", "last seen alive")]
        happened += [] if seen.pfs_event[i] else [(CENSORED, int(seen.pfs_time[i]))]
        marks += [patient | {"what": what, "month": day / DAYS} for what, day in happened]
    y = alt.Y("patient:N", sort=order, title="patient number", axis=alt.Axis(labelFontSize=8, ticks=False))
    tooltip = [alt.Tooltip("patient:N"), alt.Tooltip("dose:N")]
    layers: list[Any] = []
    if bars:
        layers.append(
            alt.Chart(pd.DataFrame(bars))
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
    kinds = [kind for kind in _MARKS if any(mark["what"] == kind for mark in marks)]
    marks.sort(key=lambda mark: kinds.index(mark["what"]))
    shape, fill, stroke = (alt.Scale(domain=kinds, range=[_MARKS[kind][part] for kind in kinds]) for part in range(3))
    layers.append(
        alt.Chart(pd.DataFrame(marks))
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
        title=alt.Title(f"Trial {trial}: {len(order)} of {there.size} patients infused by the data cut")
    )


def _one(result: "Result", protocol: "Protocol", trial: int) -> Any:
    seed = result.scenario.design.simulation.seed
    both = engine.observed(protocol.plan, protocol.numbers, protocol.worlds, seed=seed, start=trial)
    return jax.tree.map(lambda a: a[0], both)
