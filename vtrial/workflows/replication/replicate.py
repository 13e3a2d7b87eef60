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
from typing import TYPE_CHECKING

from vtrial import evidence as evidence_room
from vtrial._support.errors import InputError
from vtrial._support.folders import MANIFEST, Part, save, save_file
from vtrial.evidence import Evidence
from vtrial.fitting.cache import posterior_of
from vtrial.workflows import views
from vtrial.workflows.compiled_programs import keep_compiled_programs
from vtrial.workflows.files import provenance, table_part, text_part
from vtrial.workflows.replication.coverage import coverage
from vtrial.workflows.replication.data import ReplicationData
from vtrial.workflows.replication.left_out import left_out as refitted_without
from vtrial.workflows.replication.predicted import compared, predicted

if TYPE_CHECKING:
    from vtrial.workflows.views import Chart

REPLICATION, LEFT_OUT, REPORT = "replication.csv", "left-out.csv", "replication.html"
FILES = (REPLICATION, REPORT, MANIFEST)  # and LEFT_OUT, where it was asked for
MAX_TRIALS = 100_000  # a few kilobytes each are held


@dataclass(frozen=True, repr=False)
class Replication(ReplicationData):
    """What replications print, as `ReplicationData` holds it, and how it shows itself."""

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
