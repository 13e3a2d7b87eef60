"""Studies: the facts and priors of KarMMa and of the invented one, altered."""

import copy
import csv
import io
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.schema import Schema, altered
from vtrial._support import paths
from vtrial._support.validation import read_toml
from vtrial.evidence.facts import COLUMNS, STATISTICS, USES
from vtrial.evidence.priors import Priors
from vtrial.scenario.written import as_toml

NAMES = ("invented", "karmma")
Rows = list[dict[str, str]]

CELLS = (
    "",
    "0",
    "1",
    "-1",
    "3",
    "12",
    "50",
    "128",
    "1e9",
    "0.5",
    "nan",
    "inf",
    "NR",
    "NE",
    "x",
    "٣",
    "1_0",
    " 5",
    '"',
    "2020-02-30",
)
HINTS: dict[str, st.SearchStrategy[Any]] = {
    "mean": st.sampled_from([0.0, 1.0, -3, 60]),
    "sd": st.sampled_from([0.5, 1.5, 10]),
    "given": st.sampled_from(["crs", "orr", "baseline.male", "not cr", "pr and crs", "("]),
    "of": st.sampled_from(["baseline.male", "orr", "n(orr.all)"]),
    "has": st.sampled_from(["orr", "baseline.male"]),
    "family": st.sampled_from(["normal", "lognormal"]),
    "reason": st.just("For the tests."),
}
SCHEMA = Schema(Priors, HINTS)


def read(name: str) -> tuple[Rows, dict[str, Any]]:
    """The facts and priors of a study, as written."""
    folder = paths.study_folder(name if name == "karmma" else f"priors/{name}")
    rows = list(csv.DictReader(io.StringIO((folder / "facts.csv").read_text())))
    return rows, read_toml(folder / "priors.toml", name)


STUDIES = {name: read(name) for name in NAMES}


@st.composite
def studies(draw: st.DrawFn) -> tuple[Rows, dict[str, Any]]:
    """Facts and priors, altered in one of them or both."""
    rows, priors = copy.deepcopy(STUDIES[draw(st.sampled_from(["invented", "invented", "invented", "karmma"]))])
    if draw(st.booleans()):
        for _ in range(draw(st.integers(1, 3))):
            _alter(draw, rows)
    else:
        priors = draw(altered(priors, SCHEMA))
    return rows, priors


def _alter(draw: st.DrawFn, rows: Rows) -> None:
    row = draw(st.sampled_from(rows)) if rows else None
    match draw(
        st.sampled_from(["cell", "cell", "count", "use", "statistic", "drop", "double", "rename", "swap", "system"])
    ):
        case _ if row is None:
            return
        case "cell":
            row[draw(st.sampled_from(COLUMNS))] = draw(st.sampled_from(CELLS))
        case "count" if row["count"]:
            row["count"] = (
                str(int(float(row["count"])) + draw(st.sampled_from([-1, 1]))) if row["count"].isdigit() else "1"
            )
        case "use":
            row["use"] = draw(st.sampled_from(USES))
        case "statistic":
            row["statistic"] = draw(st.sampled_from(list(STATISTICS)))
        case "drop":
            rows.remove(row)
        case "double":
            rows.append(dict(row))
        case "rename":
            row["fact"] = draw(
                st.sampled_from([f"{row['fact']}.all", row["fact"].rsplit(".", 1)[0], "new.fact", "infused.0"])
            )
        case "swap":
            other = draw(st.sampled_from(rows))
            column = draw(st.sampled_from(COLUMNS))
            row[column], other[column] = other[column], row[column]
        case "system":  # all of an endpoint
            stem = row["fact"].split(".")[0]
            rows[:] = [one for one in rows if one["fact"].split(".")[0] != stem]


def write(folder: Path, rows: Rows, priors: dict[str, Any]) -> Path:
    """A folder of a study."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    (folder / "facts.csv").write_text(text.getvalue(), encoding="utf-8")
    (folder / "priors.toml").write_text(as_toml(priors), encoding="utf-8")
    return folder
