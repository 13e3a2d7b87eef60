"""Power against the true rate, a point a world: what assurance is the average of."""

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from vtrial.characteristics.table import WORTHWHILE
from vtrial.report.charts.figures import Figure, drawn
from vtrial.report.words.general import claim_of, error_in_words, point
from vtrial.scenario.wording import claim

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

MOST_POINTS = 1000


def known_over_worlds(result: "ResultData", cell: int = 0) -> list[str]:
    """The tests whose power is known exactly in each of many worlds."""
    protocol, table = result.protocols[cell], result.characteristics
    there = set(table.loc[table["cell"] == cell, "metric"])
    return [test.name for test in protocol.tests if f"{test.name}.reject.worlds.q50" in there]


def power_over_worlds(result: "ResultData", cell: int = 0) -> Any:
    """For each test a panel: exact P(reject) against the true rate in each world, the null, power `WORTHWHILE`."""
    worlds = result.worlds(cell=cell)
    kept = np.linspace(0, len(worlds) - 1, min(MOST_POINTS, len(worlds))).astype(int)
    panels: list[Any] = []
    for name in known_over_worlds(result, cell):
        test = next(t for t in result.protocols[cell].tests if t.name == name)
        points = pd.DataFrame(
            {"true": worlds[f"{test.endpoint}.true"].iloc[kept], "power": worlds[f"{name}.reject"].iloc[kept]}
        )
        low, high = min(points["true"].min(), test.null), max(points["true"].max(), test.null)
        x = alt.X(
            "true:Q",
            title=f"true rate ({test.endpoint})",
            scale=alt.Scale(domain=[float(low) - 0.01, float(high) + 0.01], nice=False),
            axis=alt.Axis(format="%"),
        )
        y = alt.Y("power:Q", title="P(the test rejects)", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
        dots = alt.Chart(points).mark_point(filled=True, size=12, opacity=0.35, color="#0072B2").encode(x=x, y=y)
        null = alt.Chart(pd.DataFrame({"true": [test.null]})).mark_rule(strokeDash=[4, 3], color="#555").encode(x=x)
        worth = alt.Chart(pd.DataFrame({"power": [WORTHWHILE]})).mark_rule(color="#bbb").encode(y="power:Q")
        panels.append(alt.layer(worth, null, dots).properties(width=330, height=220, title=claim(test, test.null)))
    return alt.hconcat(*panels)


def figures(result: "ResultData") -> list[Figure]:
    """The figure of the first cell; none where there is one world, or no exact power."""
    if not known_over_worlds(result, 0):
        return []
    rows: Any = result.characteristics
    rows = rows[(rows["cell"] == 0) & (rows["method"] == "exact")].set_index("metric")
    worth = "; ".join(
        f"{claim_of(result, name)}: {rows.at[f'{name}.worthwhile', 'estimate']:.4f} "
        f"({error_in_words(rows.loc[f'{name}.worthwhile'])})"
        for name in known_over_worlds(result, 0)
    )
    of = f" of the first cell, {point(result.scenario.cells[0].swept)}" if result.scenario.swept else ""
    return [
        drawn(
            power_over_worlds(result),
            name="power-over-worlds",
            caption=f"Power against the true rate{of}: a point is a world of the posterior (at most {MOST_POINTS}), "
            "its probability of rejection exact; assurance is their average. Dashed: the null. "
            f"Share of worlds in which the design is worthwhile, the claim true and shown with probability at least "
            f"{WORTHWHILE:.0%} (grey line): {worth}; ± is the error of the draws.",
            description="For each test a panel: rejection probability against the true rate, a point a world.",
        )
    ]
