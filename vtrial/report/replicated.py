"""Replication -> its forest, its histogram of percentiles, and one self-contained HTML file."""

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from vtrial.report.charts.figures import drawn
from vtrial.report.charts.rates import COLOURS, Chart
from vtrial.report.page import environment, provenance_table, runtime
from vtrial.report.tables import overview
from vtrial.report.tables.fitted import use_in_words
from vtrial.report.words.general import number
from vtrial.workflows.replication.data import furthest
from vtrial.workflows.replication.predicted import PRINTED

if TYPE_CHECKING:
    from vtrial.workflows.replication.data import ReplicationData

_BINS = 10
_USES = {
    "fit": "fitted",
    "check": "held back",
    "unread": "read by no model",
    "derived": "follows from other rows",
}
ASSUMED = (
    "Flags that are drawn on their own (adverse events, baseline characteristics) are independent within a patient: "
    "the paper prints no joint tables.",
    "Expansion of CAR T cells by dose, in responders and with progression-free survival is published as directions "
    "alone: its strength is [expansion] of priors.toml, and no number here judges it. Nor is what a characteristic "
    "does to response and progression ([covariate]), which comes in only where a scenario shifts the mix of patients.",
    "Replications enrol and infuse exactly as many as the study did, at its doses, in its order, until its data cut.",
    "Where fewer were evaluated than could have been, the first so many of each replication are.",
)


def percentiles(result: "ReplicationData") -> Chart:
    """Histograms of percentiles: fitted, held back, left out.

    They are flat where the published numbers are like replications.
    """
    kinds = {kind: rows[rows["reason"] == ""] for kind, rows in result.by_kind().items() if kind != "totals"}
    rows = pd.concat([rows.assign(kind=kind) for kind, rows in kinds.items()], ignore_index=True)
    rows = rows.astype({"percentile": float})
    order = list(dict.fromkeys(rows["kind"]))
    rows["bin"] = np.minimum((rows["percentile"] * _BINS).astype(int), _BINS - 1)
    table = rows.groupby(["kind", "bin"], sort=False).size().rename("numbers").reset_index()
    every = pd.MultiIndex.from_product([order, range(_BINS)], names=["kind", "bin"])
    table = table.set_index(["kind", "bin"]).reindex(every, fill_value=0).reset_index()
    size = table.groupby("kind")["numbers"].transform("sum")
    table["flat"] = size / _BINS
    table["from"], table["to"], table["zero"] = table["bin"] / _BINS, (table["bin"] + 1) / _BINS, 0
    table["panel"] = table["kind"] + " (" + size.astype(str) + " numbers)"
    base = alt.Chart().encode(
        x=alt.X(
            "from:Q", title="percentile among replications", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")
        )
    )
    bars = base.mark_rect(color=COLOURS[0], opacity=0.75, stroke="white").encode(
        x2="to:Q",
        y=alt.Y("numbers:Q", title="published numbers", axis=alt.Axis(tickMinStep=1)),
        y2="zero:Q",
        tooltip=[alt.Tooltip("panel:N", title="facts"), alt.Tooltip("numbers:Q", title="numbers")],
    )
    flat = base.mark_rule(color="#222222", strokeDash=[4, 3]).encode(x2="to:Q", y="flat:Q")
    panels = [f"{kind} ({n} numbers)" for kind, n in rows["kind"].value_counts().reindex(order).items()]
    return (
        alt.layer(bars, flat, data=table)
        .properties(width=330, height=150)
        .facet(facet=alt.Facet("panel:N", title=None, sort=panels), columns=2)
        .resolve_scale(y="independent")
    )


def forest(result: "ReplicationData", system: str | None = None) -> Chart:
    """Published dots on predictive bars: a line a number, a panel a system and unit."""
    systems = [system] if system else list(dict.fromkeys(result.covered["system"]))
    panels = [panel for name in systems for panel in _panels(result, name)]
    return panels[0] if len(panels) == 1 else alt.vconcat(*panels).resolve_scale(x="independent")


def _panels(result: "ReplicationData", system: str) -> list[Any]:
    """A panel for the shares of a system, and one for each unit of its other numbers."""
    rows = result.covered[result.covered["system"] == system]
    facts = result.evidence.facts.loc[rows["fact"]]
    share = (facts["count"] >= 0).to_numpy() | (facts["statistic"] == "km_survival").to_numpy()
    unit = np.where(share, "percent", facts["unit"].to_numpy())
    return [_panel(rows[unit == one], system, str(one)) for one in dict.fromkeys(unit)]


def _panel(rows: pd.DataFrame, system: str, unit: str) -> Any:
    scale = 100.0 if unit == "percent" else 1.0
    published = np.array([row[PRINTED[row["number"]]] for _, row in rows.iterrows()], float)
    numbers = rows[["predicted", "low95", "high95"]].astype(float) * scale
    finite = np.concatenate([numbers.to_numpy().ravel(), published * scale])
    edge = float(finite[np.isfinite(finite)].max(initial=0.0)) * 1.05
    label = [f"{f}{'' if n == 'value' else ', ' + n}" for f, n in zip(rows["fact"], rows["number"], strict=True)]
    data = pd.DataFrame(
        {
            "label": label,
            "told": [number(v * scale, 1) for v in published],
            "published": np.where(np.isfinite(published), published * scale, edge),
            "predicted": np.minimum(numbers["predicted"], edge),
            "low": np.minimum(numbers["low95"], edge),
            "high": np.minimum(numbers["high95"], edge),
            "use": rows["use"].map(_USES).to_numpy(),
            "percentile": rows["percentile"].astype(float).to_numpy(),
        }
    )
    uses = list(_USES.values())
    base = alt.Chart(data).encode(
        y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=330, labelFontSize=10)),
        tooltip=[
            alt.Tooltip("label:N", title="number"),
            alt.Tooltip("told:N", title="published"),
            alt.Tooltip("predicted:Q", title="median of replications", format=".1f"),
            alt.Tooltip("low:Q", title="95% from", format=".1f"),
            alt.Tooltip("high:Q", title="95% to", format=".1f"),
            alt.Tooltip("percentile:Q", title="percentile", format=".1%"),
        ],
    )
    x = alt.X("low:Q", title=unit, scale=alt.Scale(zero=False, nice=True))
    bars = base.mark_rule(strokeWidth=5, opacity=0.35, color=COLOURS[0]).encode(x=x, x2="high:Q")
    ticks = base.mark_tick(thickness=2, size=9, color=COLOURS[0]).encode(x="predicted:Q")
    dots = base.mark_point(filled=True, size=34, opacity=1, color="#111111").encode(
        x="published:Q",
        shape=alt.Shape(
            "use:N",
            title="published",
            scale=alt.Scale(domain=uses, range=["circle", "diamond", "triangle-up", "square"]),
            legend=None,
        ),
    )
    return alt.layer(bars, ticks, dots).properties(
        width=520, height=alt.Step(13), title=alt.TitleParams(system.replace("_", " "), fontSize=12)
    )


def sentence(result: "ReplicationData") -> str:
    """What the replication found, in a sentence or two."""
    table, facts = result.summary(), result.covered["fact"].nunique()
    scored = result.table[result.table["use"].isin(["fit", "check", "unread"]) & ~result.table["fact"].duplicated()]
    parts = [
        f"{facts} of {result.table['fact'].nunique()} published facts are simulated, "
        f"{scored.loc[scored['reason'] == '', 'fact'].nunique()} of the {scored['fact'].nunique()} that describe "
        "patients or outcomes and are no totals."
    ]
    judged = table[~table["facts"].isin(["fitted", "read by nothing", "totals"])]
    for _, row in judged[judged["produced"] > 0].iterrows():
        inside = round(row["inside95"] * row["produced"])
        parts.append(f"{inside} of {row['produced']} {row['facts']} lie inside their 95% intervals.")
    for _, row in judged[judged["produced"] == 0].iterrows():
        parts.append(f"Of {row['of']} {row['facts']} none is simulated.")
    if judged["produced"].sum() == 0:
        why = "No fact was held back" if judged.empty else "None that was held back is simulated"
        parts.append(f"{why}, so nothing judges the fit.")
    return " ".join(parts)


def summary_table(result: "ReplicationData") -> pd.DataFrame:
    """`Replication.summary` as texts."""
    table = result.summary()
    shares = {column: table[column].map(_percent) for column in ("inside50", "inside80", "inside95", "limits95")}
    counts = {column: table[column].astype(str) for column in ("produced", "of", "limits")}
    shown = table.assign(**shares, **counts)
    return shown[["facts", "produced", "of", "inside50", "inside80", "inside95", "limits", "limits95"]]


def _percent(value: float) -> str:
    return "" if value != value else f"{value:.0%}"


def numbers_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers beside their replications, as texts."""
    shown = []
    for _, row in rows.iterrows():
        shown.append(
            {
                "fact": row["fact"] + ("" if row["number"] == "value" else f", {row['number']}"),
                "use": _USES.get(row["use"], row["use"]),
                "published": number(float(row[PRINTED[row["number"]]]), 3),
                "predicted": number(float(row["predicted"]), 3),
                "interval": f"{number(float(row['low95']), 3)} to {number(float(row['high95']), 3)}",
                "percentile": f"{float(row['percentile']):.3f}",
                "sharpness": "" if row["sharpness"] != row["sharpness"] else f"{float(row['sharpness']):.2f}",
            }
        )
    columns = ["fact", "use", "published", "predicted", "interval", "percentile", "sharpness"]
    return pd.DataFrame(shown, columns=columns)


_LABELS = {"interval": "95% of replications", "predicted": "median"}


def html(result: "ReplicationData") -> str:
    """The report. Raises `FigureError` where a chart cannot be drawn."""
    histogram = drawn(
        percentiles(result),
        name="percentiles",
        caption="Where the published numbers stand among those of the replications, in tenths. Flat (dashed) where "
        "they are as replications are; what was fitted stands in the middle.",
        description="Histograms of percentiles, a panel for each kind of fact.",
    )
    forests = [
        drawn(
            forest(result, str(system)),
            name=f"forest-{k}",
            caption="",
            description=f"Published numbers of {system} on the median and 95% interval of their replications.",
        )
        for k, system in enumerate(dict.fromkeys(result.covered["system"]))
    ]
    labels = {
        "produced": "simulated",
        "inside50": "inside 50%",
        "inside80": "80%",
        "inside95": "95%",
        "limits95": "95% ",
    }
    right = ["produced", "of", "inside50", "inside80", "inside95", "limits", "limits95"]
    out = result.left_out
    far = None if out is None or out.empty else furthest(out[out["reason"] == ""])
    context = result.not_covered()
    context = context[~context["use"].isin(["context"])]
    trials = result.manifest["trials"]
    numeric = ["published", "predicted", "interval", "percentile", "sharpness"]
    return (
        environment()
        .get_template("replication.html.jinja")
        .render(
            title=result.evidence.priors.title,
            study=result.evidence.study,
            trials=f"{trials:,}",
            answer=sentence(result),
            summary=overview.drawn(summary_table(result), "summary", labels=labels, right=right),
            worst=overview.drawn(numbers_table(result.worst()), "worst", labels=_LABELS, right=numeric, code=["fact"]),
            percentiles=histogram,
            forests=forests,
            left_out=None
            if far is None
            else overview.drawn(numbers_table(far.head(10)), "left-out", labels=_LABELS, right=numeric, code=["fact"]),
            left_out_rows=0 if far is None else len(far),
            left_out_all=None
            if far is None
            else overview.drawn(numbers_table(far), "left-out-all", labels=_LABELS, right=numeric, code=["fact"]),
            used=use_in_words(result.evidence),
            not_covered=overview.drawn(context, "not-covered", code=["fact"]) if len(context) else "Nothing.",
            assumed=ASSUMED,
            provenance=provenance_table(result.manifest),
            specs={figure.name: figure.spec for figure in (histogram, *forests)},
            runtime=runtime(),
        )
    )
