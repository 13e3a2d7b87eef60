"""Tables of what follows the looks: estimates and patients after stopping, one trial's story."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from vtrial.characteristics import stopping as looks
from vtrial.characteristics.metrics_of_looks import ended_in_words
from vtrial.model.endpoints import TIME_ENDPOINTS, WORDS
from vtrial.model.endpoints import TIME_WORDS as TIMES
from vtrial.model.vocabulary import CLOSES
from vtrial.report.tables.overview import drawn
from vtrial.report.words.general import error_in_words, estimate, number, point

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

MOST_CELLS = 12  # of a table by cell
_JUDGED = ("bias", "coverage")


def told(result: "ResultData", metric: str, cell: int, digits: int = 4) -> str:
    """ "23.46 ± 0.29 (exact 23.50)"; a dash where there is none."""
    table: Any = result.characteristics
    rows = table[(table["cell"] == cell) & (table["metric"] == metric)].set_index("method")
    if "simulated" not in rows.index:
        return "–"
    row = rows.loc["simulated"]
    known = f" (exact {estimate(float(rows.at['exact', 'estimate']), digits)})" if "exact" in rows.index else ""
    error = error_in_words(row, digits)
    error = f" ± {error.removeprefix('±')}" if error.startswith("±") else f" ({error})"
    error = "" if math.isnan(row["mcse"]) else error  # none of one trial alone
    return f"{estimate(float(row['estimate']), digits)}{error}{known}"


def judged(result: "ResultData") -> dict[str, str]:
    """The rates and medians of which bias and coverage are told, in words by the stem of their metrics."""
    metrics = set(result.characteristics["metric"])
    known: dict[str, str] = {e: f"rate of {WORDS[e]}" for e in result.protocols[0].plan.endpoints}
    known |= {f"{e}.median": f"median {TIMES[e]}, months" for e in TIME_ENDPOINTS}
    return {stem: words for stem, words in known.items() if f"{stem}.coverage" in metrics}


def estimates_table(result: "ResultData", name: str) -> Markup:
    """Bias and coverage of rates and medians, over all trials and by where they ended; a group a cell."""
    rows: list[dict[str, str]] = []
    endpoints, swept = judged(result), bool(result.scenario.swept)
    for cell in result.scenario.cells[:MOST_CELLS]:
        protocol, trials = result.protocols[cell.number], result.trials[result.trials["cell"] == cell.number]
        here = looks.groups(protocol)
        places = {name: [protocol.plan.looks[k].name for k in found] for name, found in here.items()}
        ends = {name: found for name, found in places.items() if not protocol.plan.looks[here[name][0]].final}
        ends = {"": [*trials["end"].unique()], **ends, looks.END: [looks.END]}
        for end, of in ends.items():
            row = {"cell": point(cell.swept)} if swept else {}
            row |= {"where": ended_in_words(end), "share": f"{float(trials['end'].isin(of).mean()):.1%}"}
            suffix = f".{end}" if end else ""
            for endpoint in endpoints:
                row |= {f"{endpoint}.{w}": told(result, f"{endpoint}.{w}{suffix}", cell.number) for w in _JUDGED}
            rows.append(row)
    labels = {"where": "", "share": "share of trials"} | {f"{e}.{w}": w for e in endpoints for w in _JUDGED}
    spanners = {words: [f"{e}.{w}" for w in _JUDGED] for e, words in endpoints.items()}
    right = ["share", *(f"{e}.{w}" for e in endpoints for w in _JUDGED)]
    group = "cell" if swept else None
    return drawn(pd.DataFrame(rows), name, labels=labels, group=group, right=right, spanners=spanners)


_PATIENTS = {
    "n.enrolled": "enrolled", "n.infused": "infused", "n.not_infused": "enrolled, not infused by the end",
    "n.evaluated": "in the last analysis", "n.not_evaluated": "infused, not in it",
}  # fmt: skip


def patients_table(result: "ResultData", name: str) -> Markup:
    """Patients of each kind when the trial ended, and months; a row a cell."""
    rows = []
    for cell in result.scenario.cells[:MOST_CELLS]:
        row = {"cell": point(cell.swept) or "mean over trials"}
        row |= {metric: told(result, metric, cell.number, 2) for metric in _PATIENTS}
        if result.protocols[0].plan.in_calendar:
            low, high = (number(result.value(f"duration.{q}", cell=cell.number)[0], 1) for q in ("q025", "q975"))
            row |= {"duration": told(result, "duration", cell.number, 2), "range": f"{low} – {high}"}
        rows.append(row)
    frame = pd.DataFrame(rows)
    labels = {"cell": "", **_PATIENTS, "duration": "mean", "range": "95% of trials"}
    labels = {column: label for column, label in labels.items() if column in frame}
    spanners = {"patients, mean over trials": list(_PATIENTS)}
    spanners |= {"duration, months": ["duration", "range"]} if "duration" in frame else {}
    right = [column for column in frame.columns if column != "cell"]
    return drawn(frame, name, labels=labels, right=right, spanners=spanners)


# --- one trial's story


def story_texts(table: pd.DataFrame) -> pd.DataFrame:
    """`vtrial.workflows.trial_log.story_of` for readers, as texts: a row a look and rule."""
    calendar = bool(table["month"].notna().any())
    rows = []
    for _, row in table.iterrows():
        when = f"{row['month']:.1f}" if calendar and np.isfinite(row["month"]) else _whole(row["enrolled"])
        reached = bool(row["held"])
        happens = "not held" if not reached else "fires" if row["fires"] else "does not fire"
        if row["look"] == looks.END and reached:
            happens = ("rejects" if row["fires"] else "does not reject") if row["rule"] else "ends"
        if row["outcome"] and row["fires"] and row["then"] == row["outcome"]:
            happens += f": {ends_in_words(row['outcome'])}"
        # Of a count, what the rule itself speaks of is said where it is something else than the bound; there is none
        # where the rule cannot fire.
        another = pd.isna(row["bound"]) or row["limit"] != row["bound"]
        of_count = pd.notna(row["count"]) and math.isfinite(row["limit"]) and another
        value = f"{row['value']:.4g} against {row['limit']:.4g}" if reached and of_count else ""
        rows.append(
            {
                "look": row["look"],
                "month" if calendar else "enrolled": when or "–",
                "evaluated": _whole(row["evaluated"]),
                "rule": row["rule"],
                "endpoint": row["endpoint"],
                "seen": row["words"],
                "value": value,
                "happens": happens,
            }
        )
    frame = pd.DataFrame(rows)
    return frame if frame["value"].any() else frame.drop(columns="value")


def ends_in_words(outcome: str) -> str:
    """What a story says of the decision that ended its trial, or its enrolment."""
    return "enrolment ends" if outcome == CLOSES else f"the trial ends, {outcome}"


def story_table(table: pd.DataFrame, name: str) -> Markup:
    """`story_texts` as it stands in a report."""
    labels = {
        "evaluated": "analysed", "endpoint": "counts",
        "seen": "seen against bound", "value": "what the rule speaks of", "happens": "",
    }  # fmt: skip
    frame = story_texts(table)
    labels = {column: label for column, label in labels.items() if column in frame}
    return drawn(frame, name, labels=labels, right=[*frame.columns[1:3]], code=["look", "rule", "endpoint"])


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value)}"
