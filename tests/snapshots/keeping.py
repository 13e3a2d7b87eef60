"""Kept parts on disk: tables and texts as a reviewer reads them, trials beside their hashes as compressed columns."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd

from tests.snapshots.cases import Part, hashes
from tests.snapshots.comparing import Mode, tables, texts, trials

KEPT = Path(__file__).with_name("kept")
FINGERPRINT = KEPT / "fingerprint.json"


def keep(parts: dict[str, Part]) -> None:
    """Write parts in place of what was kept of them."""
    for name, part in parts.items():
        file = KEPT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(part, pd.DataFrame):
            file.write_text(_csv(part), encoding="utf-8")
        elif isinstance(part, str):
            file.write_text(part, encoding="utf-8")
        else:
            file.with_name(f"{file.name}.csv").write_text(_csv(hashes(part)), encoding="utf-8")
            np.savez_compressed(file.with_name(f"{file.name}.npz"), allow_pickle=False, **part)  # type: ignore[arg-type]


def differing(parts: dict[str, Part], mode: Mode) -> list[str]:
    """What of the parts differs from what was kept, a line a difference."""
    found: list[str] = []
    for name, part in parts.items():
        file = KEPT / name
        file = file if not isinstance(part, dict) else file.with_name(f"{file.name}.npz")
        if not file.exists():
            found.append(f"{name}: nothing is kept")
        elif isinstance(part, pd.DataFrame):
            before = pd.read_csv(file, keep_default_na=False, na_values=[""])
            now = pd.read_csv(io.StringIO(_csv(part)), keep_default_na=False, na_values=[""])
            found += [f"{name}: {line}" for line in tables(before, now, mode)]
        elif isinstance(part, str):
            found += [f"{name}: {line}" for line in texts(file.read_text(encoding="utf-8"), part, mode)]
        else:
            with np.load(file) as kept:
                before = {column: kept[column] for column in kept.files}
            found += [f"{name}: {line}" for line in trials(before, part, mode)]
    return found


def kept_fingerprint() -> dict[str, str]:
    """The fingerprint with which the snapshots were made."""
    return json.loads(FINGERPRINT.read_text(encoding="utf-8"))


def files() -> set[str]:
    """Names of all kept files but the fingerprint."""
    found = {str(file.relative_to(KEPT)) for file in KEPT.rglob("*") if file.is_file()}
    return found - {FINGERPRINT.name}


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.12g", lineterminator="\n")
