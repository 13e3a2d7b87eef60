"""What replications print, beside what the study printed: the tables, and how far published numbers lie inside."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior


@dataclass(frozen=True, repr=False)
class ReplicationData:
    """What replications of a study print, beside what it printed, without its views.

    table: a row for each published number (`number`: "value", "low" or "high" of the fact), columns fact, system,
    published, published_low, published_high, predicted (median over replications), low95, high95, percentile
    (mid-rank), inside95 (inclusive), use ("fit", "check", "unread" or "derived", by what the models read), number,
    sharpness (SD over the posterior's replications over that in the posterior-mean world), not_reached and
    not_estimable (shares of replications), status (of what is predicted: "estimated", "NR", "NE"; empty where it is not
    produced), reason (why a fact is not covered, else ""). left_out: the same of facts that a refit had not seen, and
    what was left out; None where that was not asked for.
    """

    evidence: Evidence
    posterior: Posterior
    table: pd.DataFrame
    left_out: pd.DataFrame | None
    manifest: dict[str, Any]

    @property
    def covered(self) -> pd.DataFrame:
        """The numbers that are produced."""
        return self.table[self.table["reason"] == ""]

    def summary(self) -> pd.DataFrame:
        """How many facts of each use lie inside their 50%, 80% and 95% intervals, by their first number alone.

        Columns: facts, of, inside50, inside80, inside95 (shares), limits (numbers besides: ranges and limits of
        intervals), limits95.
        """
        valued = {*self.table.loc[self.table["number"] == "value", "fact"]}
        return pd.DataFrame([{"facts": kind} | _inside(rows, valued) for kind, rows in self.by_kind().items()])

    def by_kind(self) -> dict[str, pd.DataFrame]:
        """The rows of each kind of fact that has any.

        Fitted, held back, labelled `fit` though no model reads it, totals (among them what follows by arithmetic from
        what was fitted), and what was left out.
        """
        kinds = {"fit": "fitted", "check": "held back", "unread": "read by nothing", "derived": "totals"}
        parts = {kind: self.table[self.table["use"] == use] for use, kind in kinds.items()}
        if self.left_out is not None:
            told = self.left_out[self.left_out["use"] != "derived"]
            dose = told["left_out"].str.startswith("dose ").astype(bool)
            parts |= {"left out with their dose": told[dose], "left out with their event": told[~dose]}
        return {kind: rows for kind, rows in parts.items() if len(rows)}

    def worst(self, count: int = 10) -> pd.DataFrame:
        """The numbers furthest from the middle of their replications, of those produced."""
        return furthest(self.covered).head(count)

    def not_covered(self) -> pd.DataFrame:
        """The facts that are not produced, each with the reason."""
        return self.table.loc[self.table["reason"] != "", ["fact", "system", "use", "reason"]]


def furthest(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers that are produced, those furthest from the middle of their replications first."""
    far = (rows["percentile"].astype(float) - 0.5).abs()
    return rows.loc[far.sort_values(ascending=False, kind="stable").index]


def _inside(rows: pd.DataFrame, valued: set[str]) -> dict[str, object]:
    """valued: the facts that have a value, whose other numbers are limits."""
    limit = (rows["number"].isin(["low", "high"]) & rows["fact"].isin(valued)) | rows["fact"].duplicated()
    produced = rows["reason"] == ""
    values, limits = rows[produced & ~limit], rows[produced & limit]
    percentile = values["percentile"].astype(float)
    return {
        "produced": len(values),
        "of": rows.loc[~limit, "fact"].nunique(),
        "inside50": float(percentile.between(0.25, 0.75).mean()) if len(values) else float("nan"),
        "inside80": float(percentile.between(0.1, 0.9).mean()) if len(values) else float("nan"),
        "inside95": float(values["inside95"].astype(bool).mean()) if len(values) else float("nan"),
        "limits": len(limits),
        "limits95": float(limits["inside95"].astype(bool).mean()) if len(limits) else float("nan"),
    }
