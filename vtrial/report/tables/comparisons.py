"""Cells against the first, in words and as a table: what trials leave open, and what is not known of the truth."""

import math
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
from markupsafe import Markup

from vtrial._support.text import capitalised, listed
from vtrial.model.endpoints import ENDPOINTS, WORDS, Endpoint
from vtrial.report.tables.overview import DECISIONS, MOST_ROWS, drawn
from vtrial.report.words.general import limits_in_words, metric_in_words, number, point

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

MOST_CELLS = 4  # each of which the sentence compares with the first; of more, the last alone


def sentence(result: "ResultData") -> str:
    """How far the true rates of the cells differ over the worlds of the posterior; "" where they do not, or have none.

    Of the rates that tests are about, else of all.
    """
    found: Any = result.differences()
    if found.empty:
        return ""
    found = found[found["probability_positive"].notna() & found["metric"].str.endswith(".true")]
    found = found[(found["worlds_low"] != 0.0) | (found["worlds_high"] != 0.0)]
    tested = {f"{test.endpoint}.true" for protocol in result.protocols for test in protocol.tests}
    about = found[found["metric"].isin(tested)]
    found = found if about.empty else about
    cells = result.scenario.cells
    parts: list[str] = []
    for cell in cells[1:] if len(cells) <= MOST_CELLS else cells[-1:]:
        rows = found[found["cell"] == cell.number]
        rates = [f"{WORDS[_endpoint(row['metric'])]} {_in_worlds(row)}" for _, row in rows.iterrows()]
        if rates:
            parts.append(f"{point(cell.swept)} against {point(cells[0].swept)}: {listed(rates)}")
    if not parts:
        return ""
    return f"True rates over the worlds of the posterior, {'; '.join(parts)}. Monte Carlo limits say nothing of this."


def _in_worlds(row: Any) -> str:
    """ "+0.077 (95% of worlds -0.057 to 0.211, above 0 in 86.2% of them)"."""
    low, high = float(row["worlds_low"]), float(row["worlds_high"])
    return (
        f"{row['difference']:+.3f} (95% of worlds {limits_in_words(low, high, 3)}, above 0 in "
        f"{row['probability_positive']:.1%} of them)"
    )


def table(result: "ResultData", name: str) -> tuple[Markup | None, int]:
    """The differences that a reader compares cells by, a group a metric, and how many rows were left out.

    Decisions, exact where they can be had, and true rates; rates as simulated where the true ones are not known.
    """
    found: Any = result.differences()
    if found.empty:
        return None, 0
    exact = set(found.loc[found["method"] == "exact", "metric"])
    known = {f"{metric.removesuffix('.true')}.rate" for metric in exact if metric.endswith(".true")}
    alone = ~((found["method"] == "simulated") & found["metric"].isin(exact | known))
    wanted = found["metric"].str.endswith((*DECISIONS, ".true")) | found["metric"].str.fullmatch(r"stop\.\w+")
    wanted |= found["metric"].isin([f"{endpoint}.rate" for endpoint in ENDPOINTS])
    rows = []
    shown = found[wanted & alone].sort_values("metric", key=lambda m: m.map(_order(result)), kind="stable")
    for _, row in shown.iterrows():
        over_worlds = not math.isnan(row["probability_positive"])
        limits = "exact" if row["mcse"] == 0.0 and row["method"] == "exact" else _limits(row, "mc")
        rows.append(
            {
                "group": _words(result, row["metric"]),
                "cell": point(result.scenario.cells[int(row["cell"])].swept),
                "difference": number(row["difference"]),
                "mc": limits,
                "worlds": _limits(row, "worlds") if over_worlds else "–",
                "positive": f"{row['probability_positive']:.1%}" if over_worlds else "–",
            }
        )
    labels = {
        "cell": f"against {point(result.scenario.cells[0].swept)}", "mc": "95% Monte Carlo limits",
        "worlds": "95% of worlds", "positive": "above 0 in",
    }  # fmt: skip
    spanners = {"over the posterior's worlds": ["worlds", "positive"]}
    right = ["difference", "mc", "worlds", "positive"]
    frame = pd.DataFrame(rows).head(MOST_ROWS)
    return drawn(frame, name, group="group", labels=labels, right=right, spanners=spanners), len(rows) - len(frame)


def _limits(row: Any, which: str) -> str:
    low, high = float(row[f"{which}_low"]), float(row[f"{which}_high"])
    return "–" if math.isnan(low) else limits_in_words(low, high) if low < high else number(low)


def _endpoint(metric: str) -> Endpoint:
    return cast(Endpoint, metric.partition(".")[0])


def _words(result: "ResultData", metric: str) -> str:
    if metric.endswith(".true"):
        return f"True rate of {WORDS[_endpoint(metric)]} [{metric}]"
    group, words = metric_in_words(result, metric)
    return f"{capitalised(words) if not metric.endswith('.rate') else f'{group}: {words}'} [{metric}]"


def _order(result: "ResultData") -> Any:
    """Decisions first, tests in order, then stops and rates."""
    tests = [f"{test.name}.reject" for test in result.protocols[0].tests]
    return lambda metric: tests.index(metric) if metric in tests else len(tests) + (not metric.endswith(DECISIONS))
