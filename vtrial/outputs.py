"""Folders of results: every file written whole or not at all, and where the results come from."""

import json
import os
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import pandas as pd

from vtrial.errors import InputError
from vtrial.evidence import Evidence
from vtrial.posterior import Posterior

_GUESSED = 100  # rows from which a reader guesses what a column holds


def writable(out: str | os.PathLike[str]) -> Path:
    """The folder `out`, made if need be. Raises `InputError` where nothing can be written into it."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise InputError(
            f"cannot write into {folder}: {problem.strerror or problem}; give another folder with --out"
        ) from None
    return folder


def write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, then rename it: whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        write(Path(temporary))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_page(path: str | os.PathLike[str], page: Callable[[], str]) -> Path:
    """Write a page that is made when the file is there to take it, whole or not at all."""
    target = Path(path)
    write(target, lambda temporary: temporary.write_text(page(), encoding="utf-8"))
    return target


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all: `inf` for what is not reached, empty for what is not estimable."""
    write(path, lambda temporary: as_written(table).to_csv(temporary, index=False, lineterminator="\n"))


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write manifest.json, which marks a folder as whole and is written last."""
    text = json.dumps(manifest, indent=2) + "\n"
    write(folder / "manifest.json", lambda temporary: temporary.write_text(text, encoding="utf-8"))


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
