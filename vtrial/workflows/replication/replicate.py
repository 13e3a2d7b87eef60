"""The paper's own numbers against the predictive distribution: the study run again, thousands of times, as it was run.

Each published number stands beside what as many replications of the study print of it: computed as the paper computed
it, in the same population, at the same cut. A count is compared as a share of its own denominator, which varies from
replication to replication where it did in the study. `coverage` says which facts are produced and how, `predicted`
simulates and compares, `left_out` refits without a dose or an event. Facts that were fitted sit in the middle of
their intervals by construction: the judgement is on those that were held back or left out.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vtrial import evidence as evidence_room
from vtrial._support.errors import InputError
from vtrial._support.folders import MANIFEST, Part, save, save_file
from vtrial.evidence import Evidence
from vtrial.fitting.cache import posterior_of
from vtrial.model.posterior import Posterior
from vtrial.workflows import views
from vtrial.workflows.compiled_programs import keep_compiled_programs
from vtrial.workflows.files import provenance, table_part, text_part
from vtrial.workflows.replication.coverage import coverage
from vtrial.workflows.replication.left_out import left_out as refitted_without
from vtrial.workflows.replication.predicted import compared, predicted

if TYPE_CHECKING:
    from vtrial.workflows.views import Chart

REPLICATION, LEFT_OUT, REPORT = "replication.csv", "left-out.csv", "replication.html"
FILES = (REPLICATION, REPORT, MANIFEST)  # and LEFT_OUT, where it was asked for
MAX_TRIALS = 100_000  # a few kilobytes each are held


@dataclass(frozen=True, repr=False)
class Replication:
    """What replications of a study print, beside what it printed.

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

    def plot_forest(self, system: str | None = None) -> "Chart":
        """Published dots on predictive bars, a panel a system. Raises `InputError` for a system that is not there."""
        known = list(dict.fromkeys(self.covered["system"]))
        if system is not None and system not in known:
            raise InputError(f"no fact of system '{system}' is covered (known: {', '.join(known)})")
        return views.forest(self, system)

    def plot_percentiles(self) -> "Chart":
        """Percentiles of the published numbers among their replications."""
        return views.percentiles(self)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report, one self-contained HTML file, whole or not at all."""
        return save_file(path, text_part(REPORT, lambda: views.page_of_replication(self)).write)

    def parts(self) -> list[Part]:
        """The files of `save`, but for manifest.json."""
        return [
            table_part(REPLICATION, self.table),
            *([] if self.left_out is None else [table_part(LEFT_OUT, self.left_out)]),
            text_part(REPORT, lambda: views.page_of_replication(self)),
        ]

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write the folder `out`, whole or not at all: replication.csv, left-out.csv, replication.html, manifest.json.

        Raises `InputError` where a file of somebody else's would be lost, `OutputError` where it cannot be written.
        """
        return save(out, self.parts(), self.manifest)

    def __repr__(self) -> str:
        facts = self.covered["fact"].nunique()
        return f"<vtrial.Replication of '{self.evidence.study}': {facts} of {self.table['fact'].nunique()} facts>"


def replicate(
    study: str | os.PathLike[str] | Evidence = "karmma",
    *,
    trials: int = 10_000,
    seed: int = 1,
    left_out: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Replication:
    """Run a study again, `trials` times as it was run, and set every published number beside what the trials print.

    left_out: refit without each dose and each adverse event as well (minutes), and compare what is predicted. progress:
    called with (what, done, all). Raises `InputError` and `FitError`.
    """
    if not 1 <= trials <= MAX_TRIALS:
        raise InputError(f"trials is {trials}; a number from 1 to {MAX_TRIALS:,}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}; a number from 0 to 2**32 - 1")
    keep_compiled_programs()
    read = study if isinstance(study, Evidence) else evidence_room.load(study)
    posterior = posterior_of(read, progress_of_fit=progress)
    read = read.without_unfitted(posterior.unfitted)
    found = coverage(read)
    if not found.covered:
        raise InputError(f"study '{read.study}': no fact is one that can be simulated")
    done = 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress("simulating", done, 2 * trials)

    over_posterior, in_mean_world = (
        predicted(read, posterior, found, trials=trials, seed=seed, mean_world=mean, progress=step)
        for mean in (False, True)
    )
    table = compared(read, found, over_posterior, in_mean_world)
    refitted = refitted_without(read, trials=trials, seed=seed, progress=progress) if left_out else None
    manifest = {"replication": read.study, "seed": seed, "trials": trials} | provenance(read, {1.0: posterior})
    return Replication(read, posterior, table, refitted, manifest)


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
