"""What is kept: every shipped scenario, replication, smallest sizes, decisions on data, calculators, reports.

Each function runs today's code on the small posterior and gives its parts by file name: a table, a text, or the columns
of trials.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from functools import cache
from unittest import mock

import numpy as np
import pandas as pd

import vtrial
from tests.snapshots.fixture import small_posterior
from tests.snapshots.page_text import page_text
from vtrial._support import paths
from vtrial.cli import app
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.workflows.replication.replicate import Replication
from vtrial.workflows.result import Result

TRIALS = 200
Part = pd.DataFrame | str | dict[str, np.ndarray]
SCENARIOS = tuple(paths.scenarios())
# Reports that hold every kind of table between them; those of times simulate further trials, a minute each.
REPORTS = (
    "karmma",
    "crs-stopping",
    "futility-predictive-probability",
    "group-sequential-orr",
    "hierarchical-with-interim",
    "pfs-benchmark-with-interim",
    "simon-two-stage",
)
SOLVED = {
    "group-sequential-orr": {"key": "cohort.infused", "from_": 120, "to": 150, "metric": "orr.reject", "at_least": 0.95,
                             "cell": 1},
    "crs-stopping": {"key": "look.safety.rule.severe-crs.alpha", "values": [0.02, 0.05, 0.1, 0.2],
                     "metric": "stop.harm", "at_least": 0.9, "cell": 1},
    "karmma-sample-size": {"key": "cohort.enrolled", "from_": 40, "to": 90, "by": 10, "metric": "cr.reject",
                           "at_least": 0.9},
    "accrual-and-drop-out": {"key": "calendar.accrual_per_month", "from_": 6, "to": 9, "metric": "duration",
                             "at_most": 30},
}  # fmt: skip
DECIDED = {
    "karmma-as-published": ("karmma", [{"name": "end", "infused": 128, "counts": {"orr": 94, "cr": 42}}]),
    "karmma-just-not": ("karmma", [{"name": "end", "infused": 128, "counts": {"orr": 75, "cr": 42}}]),
    "interim-stops": ("hierarchical-with-interim", [{"name": "interim", "infused": 64, "counts": {"orr@3": 31}}]),
    "interim-goes-on": ("hierarchical-with-interim", [{"name": "interim", "infused": 64, "counts": {"orr@3": 40}}]),
    "success-at-the-look": ("group-sequential-orr", [{"name": "half", "infused": 64, "counts": {"orr": 44}}]),
    "success-at-the-end": (
        "group-sequential-orr",
        [
            {"name": "half", "infused": 64, "counts": {"orr": 43}},
            {"name": "end", "infused": 128, "counts": {"orr": 76}},
        ],
    ),
    "simon-second-stage": (
        "simon-two-stage",
        [
            {"name": "first-stage", "infused": 15, "counts": {"orr": 9}},
            {"name": "end", "infused": 43, "counts": {"orr": 27}},
        ],
    ),
    "predictive": (
        "futility-predictive-probability",
        [{"name": "interim-32", "infused": 32, "counts": {"orr@3": 14}}],
    ),
    "log-rank": (
        "pfs-benchmark-with-interim",
        [{"name": "interim", "infused": 100, "log_rank": {"pfs": {"observed": 50, "expected": 77.0}}}],
    ),
}
CALCULATED = {
    "simon": "simon --null .2 --alternative .4 --alpha .05 --power .8",
    "simon-json": "simon --null .5 --alternative .7 --alpha .05 --power .8 --json",
    "one-sample": "one-sample --null .5 --alternative .65",
    "one-sample-n": "one-sample --null .1 --alternative .2 --n 128",
    "predictive": "predictive --null .2 --alternative .4 --n 36 --first 10 --futility .001 --final .9 --prior .2,.8",
    "spending-normal": "spending --looks 64,128",
    "spending-futility": "spending --looks 40,80,128 --beta .1 --beta-kind pocock --drift 3 --kind pocock --json",
    "spending-counts-normal": "spending --looks 64,128 --null .5 --alternative .65 --method normal",
    "spending-counts-exact": "spending --looks 43,86,128 --null .5 --alternative .65 --beta .2 --beta-kind pocock "
    "--method exact --json",
}


def _small(read: Evidence, *, discount: float = 1.0, **_: object) -> Posterior:
    return small_posterior(read, discount)


def small() -> contextlib.AbstractContextManager[object]:
    """The small posterior wherever a study's is asked for."""
    found = contextlib.ExitStack()
    for room in ("vtrial.workflows.cells", "vtrial.workflows.replication.replicate"):
        found.enter_context(mock.patch(f"{room}.posterior_of", _small))
    return found


@cache
def ran(name: str) -> Result:
    """A shipped scenario, few trials."""
    with small():
        return vtrial.run(name, trials=TRIALS)


@cache
def _replication() -> Replication:
    with small():
        return vtrial.replicate("karmma", trials=TRIALS)


def columns(trials: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns of trials, text as whole numbers of its sorted values."""
    found: dict[str, np.ndarray] = {}
    for name in trials.columns:
        values = trials[name].to_numpy()
        if values.dtype == object:
            values = np.array([str(value) for value in values])
        found[str(name)] = values
    return found


def hashes(found: dict[str, np.ndarray]) -> pd.DataFrame:
    """A row a column of trials: its kind, a hash of its values (floats to six digits), their mean."""
    rows = []
    for name, values in found.items():
        kind = values.dtype.kind
        text = (
            [f"{value:.6g}" for value in values.tolist()] if kind == "f" else [str(value) for value in values.tolist()]
        )
        known = values[np.isfinite(values)] if kind in "fiub" else values[:0]
        mean = f"{np.mean(known):.6g}" if len(known) else ""
        digest = hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]
        rows.append({"metric": name, "kind": {"U": "text"}.get(kind, str(values.dtype)), "hash": digest, "mean": mean})
    return pd.DataFrame(rows)


def scenario(name: str) -> dict[str, Part]:
    """Characteristics, trials, differences and answer of a shipped scenario."""
    result = ran(name)
    found: dict[str, Part] = {
        f"scenarios/{name}.csv": result.characteristics,
        f"scenarios/{name}.trials": columns(result.trials),
        f"scenarios/{name}.txt": f"{result.answer()}\n",
    }
    if result.scenario.swept:
        found[f"scenarios/{name}.differences.csv"] = result.differences()
    return found


def report(name: str) -> dict[str, Part]:
    """What a reader sees of a report."""
    from vtrial.report.page import html

    with small():
        return {f"reports/{name}.txt": page_text(html(ran(name)))}


def replication(_: str) -> dict[str, Part]:
    """The replication's table and page."""
    from vtrial.report.replicated import html

    found = _replication()
    return {"replicate/karmma.csv": found.table, "replicate/karmma.txt": page_text(html(found))}


def solved(name: str) -> dict[str, Part]:
    """What `solve` finds."""
    with small():
        scenario = vtrial.load_scenario(name).replace({"simulation.trials": TRIALS})
        found = vtrial.solve(scenario, **SOLVED[name])
    return {f"solve/{name}.txt": f"{found.sentence}\n{_lines(found.table)}"}


def decided(name: str) -> dict[str, Part]:
    """What a design says of actual numbers."""
    scenario, looks = DECIDED[name]
    verdict = vtrial.decide(scenario, {"look": looks})
    return {f"decide/{name}.txt": f"{verdict.sentence}\n{_lines(verdict.table)}"}


def calculated(name: str) -> dict[str, Part]:
    """What `vtrial design` prints."""
    printed, words = io.StringIO(), CALCULATED[name].split()
    with (
        mock.patch("sys.argv", ["vtrial", "design", *words]),
        contextlib.redirect_stdout(printed),  # where the console, too, prints
        contextlib.suppress(SystemExit),
    ):
        app.main()
    text = printed.getvalue()
    if "--json" in words:
        text = json.dumps(json.loads(text, parse_float=lambda x: float(f"{float(x):.10g}")), indent=1)
    return {f"calculators/{name}.txt": f"$ vtrial design {CALCULATED[name]}\n{text.rstrip()}\n"}


def _lines(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.10g", lineterminator="\n")


CASES: dict[str, tuple[Callable[[str], dict[str, Part]], str]] = {
    **{f"scenario {name}": (scenario, name) for name in SCENARIOS},
    **{f"report {name}": (report, name) for name in REPORTS},
    **{f"solve {name}": (solved, name) for name in SOLVED},
    **{f"decide {name}": (decided, name) for name in DECIDED},
    **{f"design {name}": (calculated, name) for name in CALCULATED},
    "replicate karmma": (replication, "karmma"),
}
