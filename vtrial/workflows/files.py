"""The files of a result, as parts of its folder (`vtrial._support.folders`), and where the results come from."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import pandas as pd

from vtrial._support.folders import Part
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior

CHARACTERISTICS, DIFFERENCES, TRIALS = "characteristics.csv", "differences.csv", "trials.parquet"
SCENARIO, REPORT = "scenario.toml", "report.html"
_NUMBERS = ("estimate", "mcse", "mc_low", "mc_high", "difference")
_GUESSED = 100  # rows from which a reader guesses what a column holds


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV: `inf` for what is not reached, empty for what is not estimable."""
    as_written(table).to_csv(path, index=False, lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """A table that `write_table` wrote: the same numbers."""
    return pd.read_csv(path, converters=dict.fromkeys(_NUMBERS, _number))


def _number(text: str) -> float:
    """As Python reads it, exactly; some versions of pandas are off by the last bit."""
    return float(text or "nan")


def table_part(name: str, table: pd.DataFrame) -> Part:
    """A table as a part of a folder."""
    return Part(name, lambda path: write_table(path, table))


def text_part(name: str, text: Callable[[], str]) -> Part:
    """A text, made when it is written, as a part of a folder."""
    return Part(name, lambda path: path.write_text(text(), encoding="utf-8", newline="\n"))


def as_written(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is written: numbers that every reader of CSV files takes for numbers without being told.

    polars guesses a column's type from its first 100 rows: where all of them are missing, missing numbers of the column
    are written "NaN".
    """
    written = table.copy()
    for column in table.columns[[kind.kind == "f" for kind in table.dtypes]]:
        missing = table[column].isna()
        if missing.head(_GUESSED).all() and not missing.all():
            written[column] = table[column].astype(object).where(~missing, "NaN")
    return written


def provenance(read: Evidence, posteriors: dict[float, Posterior]) -> dict[str, Any]:
    """Hashes of evidence and posteriors (by discount), versions, device."""
    packages = ("vtrial", "jax", "jaxlib", "numpy", "pandas", "scipy", "pymc", "nutpie", "arviz")
    device = jax.devices()[0]
    return {
        "study": read.study,
        "evidence_sha256": read.sha256,
        "posterior_sha256": {f"discount {discount:g}": p.sha256 for discount, p in posteriors.items()},
        "posterior_fit": {
            f"discount {discount:g}": f"fit version {p.fit_version}"
            + "".join(f", {name} {number}" for name, number in p.versions.items())
            for discount, p in posteriors.items()
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "device": f"{device.platform}: {device.device_kind}",
    }
