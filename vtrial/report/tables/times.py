"""Every curve in numbers, and what the study published of times beside the same statistic over the trials."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from vtrial._support.text import capitalised
from vtrial.characteristics.survival import name
from vtrial.evidence.times import months_between
from vtrial.fitting.inputs import used
from vtrial.model.endpoints import TIME_WORDS as WORDS
from vtrial.model.vocabulary import in_figures
from vtrial.report.tables.overview import drawn
from vtrial.report.words.general import number
from vtrial.trial.analysis.times import LANDMARKS

if TYPE_CHECKING:
    from vtrial.protocol.build import Protocol
    from vtrial.workflows.result_data import ResultData

_PARTS = {"median": "median", "low": "median.low", "high": "median.high"}
_STATISTICS = {"median": "median", "low": "lower limit", "high": "upper limit"}
_DEPTH = {"none": "no response", "pr": "PR", "vgpr": "VGPR", "cr": "CR"}
COLUMNS = (
    "fact", "what", "statistic", "published", "q50", "q025", "q975", "not_reached", "inside95", "use", "trials",
)  # fmt: skip
_RETREATED = (
    ("retreatment.retreated.all", "retreated.n", "patients retreated after progression"),
    ("retreatment.response.all", "retreated.responses", "of these, patients who responded again"),
)
OUT_OF_ORDER = "† "  # before a limit whose middle is no limit of the middle median
NOTHING_PUBLISHED = pd.DataFrame(columns=list(COLUMNS))


def published(result: "ResultData") -> pd.DataFrame:
    """A row a published number and statistic, beside the first cell; +inf is "not reached".

    Columns: fact, what (in words), statistic ("median", "lower limit", "upper limit", "survival", "deaths",
    "follow-up", "patients"), published, q50, q025 and q975 (of the same statistic over trials, order statistics),
    not_reached (share of trials), inside95 (published within q025 to q975), use ("fit": the models read it; "check":
    held back; "derived": it follows from what they read), trials. Without rows where no curve is estimated.
    """
    protocol = result.protocols[0]
    of_cell: Any = result.trials[result.trials["cell"] == 0]
    rows: list[dict[str, object]] = []
    facts, use = result.evidence.facts, used(result.evidence)

    def add(fact: str, what: str, statistic: str, value: float, simulated: Any) -> None:
        if math.isnan(value):
            return
        values = np.asarray(simulated, float)
        values = values[~np.isnan(values)]  # what is not estimable has no rank
        if not values.size:
            return
        low, middle, high = np.quantile(values, (0.025, 0.5, 0.975), method="inverted_cdf")
        rows.append(
            {
                "fact": fact, "what": what, "statistic": statistic, "published": value, "q50": middle, "q025": low,
                "q975": high, "not_reached": float(np.isinf(values).mean()), "inside95": bool(low <= value <= high),
                "use": use.kind(fact, str(facts.at[fact, "use"])), "trials": len(values),
            }
        )  # fmt: skip

    for curve in protocol.plan.curves:
        prefix = name(protocol, curve)
        fact = f"{curve[0]}.all" if curve[1] == "all" else prefix
        if fact not in facts.index or facts.at[fact, "statistic"] != "km_median":
            continue
        row: Any = facts.loc[fact]
        what = _in_words(protocol, curve)
        add(fact, what, "median", float(row["value"]), of_cell[f"{prefix}.median"])
        add(fact, what, "lower limit", float(row["low"]), of_cell[f"{prefix}.median.low"])
        add(fact, what, "upper limit", float(row["high"]), of_cell[f"{prefix}.median.high"])
    for fact, survival in result.illustrations.survival_at.items():
        row = facts.loc[fact]
        what = f"overall survival at {float(row['time']):g} months"
        add(fact, what, "survival", float(row["value"]), survival)
    for curve in protocol.plan.curves:
        fact = "deaths.all" if curve[1] == "all" else f"deaths.{name(protocol, curve).partition('.')[2]}"
        if curve[0] == "os" and fact in facts.index:
            what = "deaths by the data cut" + _group(protocol, curve[1])
            add(fact, what, "deaths", float(facts.at[fact, "count"]), of_cell[f"{name(protocol, curve)}.events"])  # type: ignore[arg-type]
    if "follow_up" in of_cell and "follow_up.all" in facts.index:
        value = float(facts.at["follow_up.all", "value"])  # type: ignore[arg-type]
        add("follow_up.all", "median follow-up to death or last contact", "follow-up", value, of_cell["follow_up"])
    for fact, column, what in _RETREATED:
        if column in of_cell and fact in facts.index:
            add(fact, what, "patients", float(facts.at[fact, "count"]), of_cell[column])  # type: ignore[arg-type]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def departures(result: "ResultData", *, cell: int = 0) -> list[str]:
    """In what a cell is not the study as it was run; empty where it is, so that the table is a check of the model."""
    protocol, study = result.protocols[cell], result.evidence
    design, found = protocol.design, []
    world, calendar = design.world, design.calendar
    if world.truth not in ("posterior", "posterior-mean"):
        found.append("its worlds are stated, not fitted")
    if world.between_trial_sd > 0:
        found.append(f"a between-trial SD of {world.between_trial_sd:g}")
    if world.discount < 1:
        found.append(f"evidence discounted to {world.discount:g}")
    counts = tuple(float(n) for n in study.infused)
    as_infused = protocol.doses == study.doses and protocol.shares == counts and design.arm[0].allocation == "fixed"
    if not as_infused:
        found.append("other doses or numbers of patients at each")
    enrolled = study.enrolled
    if (protocol.plan.target, protocol.size) not in (("enrolled", enrolled), ("infused", sum(study.infused))):
        found.append(f"{protocol.size} patients {protocol.plan.target}")
    cut = calendar.data_cut.get("month")
    if cut is None or abs(cut - months_between(study, "data_cutoff")) > 0.1:
        found.append("another data cut")
    rate = enrolled / months_between(study, "last_enrolment")
    if calendar.accrual_per_month is not None and abs(calendar.accrual_per_month / rate - 1) > 0.03:
        found.append("another accrual")
    assumed = (
        calendar.visits, calendar.visit_window, calendar.missed_visits, calendar.new_therapy_per_month,
    )  # fmt: skip
    if any(value is not None for value in assumed) or len(calendar.censor) < 2:
        found.append("other visits, therapies or rules of censoring than assumed in the fit")
    if calendar.infusion_delay_months != "fitted":
        found.append("another delay from enrolment to infusion")
    return found


def curves_table(result: "ResultData", table: pd.DataFrame, id_: str, *, cell: int = 0) -> Markup:
    """A row a curve of one cell, and under it what was published of its median (`published`; none if it is empty)."""
    protocol, rows = result.protocols[cell], []
    of_cell: Any = result.characteristics[result.characteristics["cell"] == cell]
    found = of_cell[of_cell["method"] == "simulated"].set_index("metric")["estimate"]
    told = {fact: rows.set_index("statistic") for fact, rows in table.groupby("fact")}
    for curve in protocol.plan.curves:
        prefix = name(protocol, curve)

        def over_trials(part: str, of: str = prefix) -> str:
            middle, low, high = (_shown(found[f"{of}.{part}.{q}"], ".1f") for q in ("q50", "q025", "q975"))
            mark = OUT_OF_ORDER if _out_of_order(found, of, part) else ""
            return mark + (middle if low == middle == high else f"{middle} ({low} – {high})")

        start = "documented response" if curve[0] == "dor" else "infusion"
        group = {"group": f"{capitalised(WORDS[curve[0]])}, months since {start}"}
        row = group | {"of": _group(protocol, curve[1]).removeprefix(", ").strip() or "all"}
        row |= {part: number(found[f"{prefix}.{part}"], 1) for part in ("n", "events")}
        row |= {part: over_trials(metric) for part, metric in _PARTS.items()}
        row |= {f"nr_{part}": f"{found[f'{prefix}.{metric}.nr']:.1%}" for part, metric in _PARTS.items()}
        row |= {f"s{month}": _landmark(found, f"{prefix}.s{month}") for month in LANDMARKS}
        rows.append(row)
        fact = f"{curve[0]}.all" if curve[1] == "all" else prefix
        if fact in told and "median" in told[fact].index:
            row = group | {"of": f"published [{fact}, {told[fact]['use'].iloc[0]}]"}
            rows.append(row | {part: _told(told[fact], words) for part, words in _STATISTICS.items()})
    parts, nr, at = list(_PARTS), [f"nr_{part}" for part in _PARTS], [f"s{month}" for month in LANDMARKS]
    frame = pd.DataFrame(rows)[["group", "of", "n", "events", *parts, *nr, *at]].fillna("")
    labels = {"of": "patients", "n": "number", "low": "lower limit", "high": "upper limit"}
    labels |= {"nr_median": "median", "nr_low": "lower", "nr_high": "upper"} | {f"s{m}": str(m) for m in LANDMARKS}
    spanners = {
        "mean": ["n", "events"],
        "median over trials (95% of trials)": parts,
        "not reached in": nr,
        "Kaplan-Meier at month": at,
    }
    right = ["n", "events", *parts, *nr, *at]
    return drawn(frame, id_, group="group", labels=labels, right=right, spanners=spanners)


def _out_of_order(found: Any, stem: str, part: str) -> bool:
    """Whether the middle of a limit over trials lies on the wrong side of that of the median: they are of other trials,
    where limits are missing in some."""
    middle, limit = found[f"{stem}.median.q50"], found[f"{stem}.{part}.q50"]
    return bool(limit > middle if part == "median.low" else limit < middle if part == "median.high" else False)


def _landmark(found: Any, metric: str) -> str:
    """The mean survival; where it is not estimable the true one beside it."""
    words = _shown(found[metric], ".0%")
    true = found.get(f"{metric}.true")
    return words if true is None or math.isnan(true) else f"{words} (true {true:.0%})"


def others_table(table: pd.DataFrame, id_: str) -> Markup | None:
    """What `published` has besides medians and their limits, for readers."""
    rows = []
    for _, row in table[~table["statistic"].isin(list(_STATISTICS.values()))].iterrows():
        form = {"survival": ".0%", "deaths": ".0f", "patients": ".0f"}.get(str(row["statistic"]), ".1f")
        rows.append(
            {
                "what": f"{row['what']} [{row['fact']}, {row['use']}]",
                "published": _shown(row["published"], form),
                "q50": _shown(row["q50"], form),
                "range": f"{_shown(row['q025'], form)} – {_shown(row['q975'], form)}",
                "inside": "inside" if row["inside95"] else "OUTSIDE",
            }
        )
    if not rows:
        return None
    labels = {"what": "", "q50": "median", "range": "95% of trials", "inside": "published is"}
    spanners = {"over simulated trials": ["q50", "range"]}
    return drawn(pd.DataFrame(rows), id_, labels=labels, right=["published", "q50", "range"], spanners=spanners)


def _told(told: pd.DataFrame, statistic: str) -> str:
    """A published number of a curve; marked where it lies outside 95% of the trials."""
    if statistic not in told.index:
        return ""
    row: Any = told.loc[statistic]
    return f"{_shown(row['published'], '.1f')}{'' if row['inside95'] else ' OUTSIDE'}"


def _shown(value: Any, form: str) -> str:
    return in_figures(float(value), form)


def _in_words(protocol: "Protocol", curve: Any) -> str:
    return f"{WORDS[curve[0]]}{_group(protocol, curve[1])}, months"


def _group(protocol: "Protocol", group: str) -> str:
    if group == "all":
        return ""
    if group.startswith("dose"):
        return f" at {protocol.doses[int(group[4:])]:g}"
    return f", best response {_DEPTH[group]}"
