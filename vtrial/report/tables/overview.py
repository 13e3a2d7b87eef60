"""The tables of a report: operating characteristics, fitted rates, diagnostics."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from great_tables import GT, loc, style
from markupsafe import Markup

from vtrial.evidence import Evidence
from vtrial.evidence.priors import Normal, Priors
from vtrial.model.endpoints import ENDPOINTS, TIME_ENDPOINTS, WORDS
from vtrial.model.posterior import DESCRIBED, Posterior
from vtrial.model.vocabulary import OUTCOMES
from vtrial.report.headline.answer import of_looks, precision
from vtrial.report.tables.fitted import fitted_rates
from vtrial.report.words.general import error_in_words, estimate, metric_in_words, number
from vtrial.scenario.sweep import shown

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

MOST_ROWS = 300  # of one table
MOST_CELLS = 30  # whose every metric is shown
DECISIONS = (".reject", ".error", ".worthwhile")
_SIMULATED = {"simulated": "estimate", "error": "± MC error", "low": "low", "high": "high"}
_EXACT = {"exact": "value", "exact_error": "± draws"}


def drawn(
    frame: pd.DataFrame,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    group: str | None = None,
    right: Sequence[str] = (),
    code: Sequence[str] = (),
    spanners: Mapping[str, Sequence[str]] | None = None,
) -> Markup:
    """A frame of texts as an HTML table with id `name`; great_tables escapes every text.

    labels: column heads. group: column whose values head groups of rows. right: columns that stand on the right. code:
    columns in a typewriter face. spanners: heads over several columns.
    """
    table = GT(frame.astype(str), groupname_col=group, id=name).tab_options(
        table_width="100%", table_font_size="0.86rem", data_row_padding="3px", row_group_padding="5px"
    )
    table = table.cols_label(cases=dict(labels or {})) if labels else table
    rest = [column for column in frame.columns if column not in right and column != group]
    table = table.cols_align("left", columns=rest).cols_align("right", columns=list(right))
    for label, columns in (spanners or {}).items():
        table = table.tab_spanner(label=label, columns=list(columns))
    if code:
        table = table.tab_style(style.text(font="monospace", size="0.8rem"), loc.body(columns=list(code)))
    return Markup(table.as_raw_html())


def characteristics(result: "ResultData", cell: int, name: str, *, every: bool = True) -> Markup:
    """The operating characteristics of one cell, a row a metric, in groups.

    every: all of them; else, of times, follow-up and the medians of all patients alone; of looks, how trials end, in
    which ways they can, without estimates after stopping.
    """
    table: Any = result.characteristics
    wanted: Any = table["cell"] == cell
    if not every:
        first = table["metric"].str.partition(".")[0]
        wanted &= ~first.isin(list(TIME_ENDPOINTS)) | table["metric"].isin(headlines())
        wanted &= ~table["metric"].isin([*estimates_after(result), *never(result)])
    rows = _figures(result, wanted)
    order = {f"Rate of {words}": k for k, words in enumerate(_rate_heads(result))}
    rows = rows.sort_values("group", key=lambda g: g.map(order).fillna(-1), kind="stable")
    return _figures_table(rows.drop(columns=["cell"]), name, group="group")


def estimates_after(result: "ResultData") -> list[str]:
    """The metrics of estimates after stopping, which have tables of their own."""
    metrics: Any = result.characteristics["metric"]
    return list(metrics[metrics.str.contains(r"\.(?:bias|coverage)(?:\.|$)")])


def never(result: "ResultData") -> list[str]:
    """Stops that no rule decides."""
    protocol = result.protocols[0]
    possible = {rule.then for rule in protocol.plan.rules}
    return [f"stop.{then}" for then in OUTCOMES if then not in possible]


def headlines() -> list[str]:
    """The metrics of times that stand among the rates: the medians of all patients."""
    return [f"{endpoint}.median.{part}" for endpoint in TIME_ENDPOINTS for part in ("q50", "nr")]


def decisions_by_cell(result: "ResultData", name: str) -> tuple[Markup, int]:
    """The decision metrics of every cell of a sweep, a group a metric; and how many rows were left out.

    Without tests and looks: the rates of every endpoint. With looks: how trials end, patients and months. With times:
    their medians too, and how wide the interval is of the one that the answer is about.
    """
    metric: Any = result.characteristics["metric"]
    wanted = metric.str.endswith(DECISIONS)
    wanted |= metric.isin(of_looks(result))
    if not wanted.any():
        wanted = metric.isin([f"{endpoint}.rate" for endpoint in ENDPOINTS])
    wanted |= metric.isin([*headlines(), *precision(result)])
    rows = _figures(result, wanted)
    timed = rows["metric"].str.partition(".")[0].isin(list(TIME_ENDPOINTS))
    rows["group"] = (rows["group"] + ": ").where(timed, "") + rows["words"] + " [" + rows["metric"] + "]"
    rows = rows.sort_values("group", key=lambda g: g.map({v: k for k, v in enumerate(dict.fromkeys(g))}), kind="stable")
    for key in reversed(result.scenario.swept):
        values = [shown(cell.swept[key]) for cell in result.scenario.cells]
        rows.insert(0, key, [str(values[number]) for number in rows["cell"]])
    table = _figures_table(rows.drop(columns=["cell", "words", "metric"]).head(MOST_ROWS), name, group="group")
    return table, max(0, len(rows) - MOST_ROWS)


def fitted(evidence: Evidence, posterior: Posterior, name: str) -> Markup:
    """Published against fitted, every rate that the models read."""
    rates: Any = fitted_rates(evidence, posterior)
    rows = [
        {
            "group": "for all doses together (conditional rates)" if rate["dose"] == "all" else "by dose",
            "words": rate["words"],
            "dose": rate["dose"],
            "count": f"{rate['count']}/{rate['n']}",
            "published": f"{rate['published']:.1%}",
            "jeffreys": f"{rate['jeffreys_low']:.1%} – {rate['jeffreys_high']:.1%}",
            "mean": f"{rate['mean']:.1%}",
            "q80": f"{rate['q10']:.1%} – {rate['q90']:.1%}",
            "q95": f"{rate['q025']:.1%} – {rate['q975']:.1%}",
        }
        for _, rate in rates.iterrows()
    ]
    labels = {
        "words": "rate", "count": "count", "published": "rate", "jeffreys": "95% Jeffreys", "q80": "80% interval",
        "q95": "95% interval",
    }  # fmt: skip
    spanners = {"published": ["count", "published", "jeffreys"], "fitted": ["mean", "q80", "q95"]}
    right = ["dose", "count", "published", "jeffreys", "mean", "q80", "q95"]
    return drawn(pd.DataFrame(rows), name, group="group", labels=labels, right=right, spanners=spanners)


def diagnostics(posterior: Posterior, evidence: Evidence) -> pd.DataFrame:
    """A row a parameter: prior and posterior mean and SD, their ratio, R-hat, effective sample sizes, and moved or not.

    Steps and rates; those of flags and measures are left out. The prior's mean and SD are those of priors.toml, not of
    draws.
    """
    table: Any = posterior.tree["diagnostics"].to_dataset().drop_vars("divergences").to_dataframe().reset_index()
    table = table[~table["parameter"].str.startswith(DESCRIBED)].reset_index(drop=True)
    priors = evidence.priors
    for column in ("mean", "sd"):
        table[f"prior_{column}"] = [getattr(_prior(priors, name), column) for name in table["parameter"]]
    table["ratio"] = table["sd"] / table["prior_sd"]
    table["moved"] = np.where(table["ratio"] > 0.9, "hardly moved: ratio above 0.9", "moved by the data")
    return table


def _prior(priors: Priors, parameter: str) -> Normal:
    kind, _, name = parameter.removesuffix("]").partition("[")
    return priors.slope if kind == "slope" else getattr(priors, kind)[name]


def diagnostics_table(table: pd.DataFrame, name: str) -> Markup:
    """`diagnostics` for readers."""
    columns = {"prior_mean": 2, "prior_sd": 2, "mean": 2, "sd": 2, "ratio": 2, "rhat": 4}
    frame = pd.DataFrame({"parameter": table["parameter"]})
    for column, digits in columns.items():
        frame[column] = [f"{value:.{digits}f}" for value in table[column]]
    for column in ("ess_bulk", "ess_tail"):
        frame[column] = [f"{value:,.0f}" for value in table[column]]
    labels = {
        "prior_mean": "mean", "prior_sd": "SD", "mean": "mean", "sd": "SD", "ratio": "SD ratio", "rhat": "R-hat",
        "ess_bulk": "bulk", "ess_tail": "tail",
    }  # fmt: skip
    spanners = {
        "prior": ["prior_mean", "prior_sd"],
        "posterior": ["mean", "sd"],
        "effective sample size": ["ess_bulk", "ess_tail"],
    }
    right = [column for column in frame.columns if column != "parameter"]
    return drawn(frame, name, labels=labels, right=right, code=["parameter"], spanners=spanners)


def _figures(result: "ResultData", wanted: Any) -> Any:
    """Simulated and exact side by side, last what is known exactly alone: texts, with cell, group, words, metric."""
    table: Any = result.characteristics[wanted]
    exact: Any = table[table["method"] == "exact"].set_index(["cell", "metric"])
    place = {f"{test.name}.reject": k for k, test in enumerate(result.protocols[0].tests)}
    simulated = table[table["method"] == "simulated"]
    simulated = simulated.sort_values("metric", key=lambda m: m.map(place).fillna(len(place)), kind="stable")
    rows = []
    both = set(zip(simulated["cell"], simulated["metric"], strict=True))
    alone: Any = exact[~exact.index.isin(both)].reset_index()
    everything: Any = pd.concat([simulated, alone])
    for _, row in everything.iterrows():
        group, words = metric_in_words(result, row["metric"])
        counted = group == "Patients" or row["metric"].endswith((".n", ".events"))
        digits = 2 if counted or (group.endswith("months") and not row["metric"].endswith((".ne", ".nr"))) else 4
        key = (row["cell"], row["metric"])
        known = exact.loc[key] if key in exact.index else None
        rows.append(
            {
                "cell": int(row["cell"]),
                "group": group,
                "words": words,
                "metric": row["metric"],
                "simulated": estimate(row["estimate"], digits) if key in both else "",
                "error": number(row["mcse"], digits) if key in both else "",
                "low": number(row["mc_low"], digits) if key in both else "",
                "high": number(row["mc_high"], digits) if key in both else "",
                "exact": "" if known is None else estimate(known["estimate"]),
                "exact_error": "" if known is None else _error(known),
            }
        )
    return pd.DataFrame(rows)


def _figures_table(rows: Any, name: str, *, group: str) -> Markup:
    labels = {"words": "quantity", "metric": "name"} | _SIMULATED | _EXACT
    labels = {column: label for column, label in labels.items() if column in rows}
    spanners = {"simulated (95% Monte Carlo interval)": list(_SIMULATED), "exact": list(_EXACT)}
    code = [column for column in ("metric",) if column in rows]
    right = [*_SIMULATED, *_EXACT]
    if not rows["exact"].str.len().any():
        rows = rows.drop(columns=list(_EXACT))
        labels = {column: label for column, label in labels.items() if column not in _EXACT}
        spanners.pop("exact")
        right = list(_SIMULATED)
    return drawn(rows, name, group=group, labels=labels, right=right, code=code, spanners=spanners)


def _error(known: Any) -> str:
    words = error_in_words(known)
    return "none" if words == "±0.0000" else words.removeprefix("±")


def _rate_heads(result: "ResultData") -> list[str]:
    return [WORDS[endpoint] for endpoint in ENDPOINTS if endpoint in result.protocols[0].plan.endpoints]
