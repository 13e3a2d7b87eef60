"""Kept numbers against those of today's code, in one of two modes.

"bit for bit": the same fingerprint as when the snapshot was made. Whole numbers and decisions are equal, floats to
1e-6. "another machine": any other. Exact rows agree to 1e-9, of a trial column at most 0.1% of the trials (or 2)
differ, estimates lie within half a Monte Carlo error; of text the words alone are compared, since a figure in a
sentence or a table of the report has no error beside it that a program could read.
"""

import re
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

Mode = Literal["bit for bit", "another machine"]

_KEYS = ("cell", "arm", "metric", "method", "fact", "number")  # what tells the rows of a table apart
_RELATIVE = 1e-6
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?")
_MOST = 25  # lines of differences that a message holds


def mode_of(kept: dict[str, str], here: dict[str, str]) -> Mode:
    """The mode in which a snapshot of a machine is compared on another, or the same."""
    return "bit for bit" if kept == here else "another machine"


def near(kept: np.ndarray, found: np.ndarray, relative: float, absolute: float | np.ndarray = 0.0) -> np.ndarray:
    """Whether floats agree, elementwise; NaN equals NaN, and an infinity itself."""
    with np.errstate(invalid="ignore"):
        close = np.abs(found - kept) <= np.maximum(absolute, relative * np.abs(kept))
    return close | (kept == found) | (np.isnan(kept) & np.isnan(found))


def tables(kept: pd.DataFrame, found: pd.DataFrame, mode: Mode) -> list[str]:
    """What differs between two tables, a line a difference."""
    if list(kept.columns) != list(found.columns):
        return [f"columns: kept {list(kept.columns)}, found {list(found.columns)}"]
    keys = [key for key in _KEYS if key in kept.columns]
    names = [[" ".join(map(str, row)) for row in table[keys].to_numpy()] for table in (kept, found)]
    if names[0] != names[1]:
        gone, new = (sorted(set(a) - set(b)) for a, b in (names, names[::-1]))
        return [*(f"gone: {row}" for row in gone), *(f"new: {row}" for row in new)] or ["rows in another order"]
    differing: list[str] = []
    for column in kept.columns:
        a, b = kept[column], found[column]
        if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
            wrong = ~_agree(kept, column, a.to_numpy(float), b.to_numpy(float), mode)
        else:
            wrong = (a.where(a.notna(), "").astype(str) != b.where(b.notna(), "").astype(str)).to_numpy()
        differing += [f"{names[0][k]}: {column} was {a.iloc[k]}, is {b.iloc[k]}" for k in np.flatnonzero(wrong)]
    return differing


def _agree(table: pd.DataFrame, column: str, kept: np.ndarray, found: np.ndarray, mode: Mode) -> np.ndarray:
    if mode == "bit for bit":
        return near(kept, found, _RELATIVE, 1e-12)
    if "mcse" not in table.columns:
        return near(kept, found, 0.02, 0.05)  # medians and limits over replications: days and rounded counts
    mcse = np.nan_to_num(table["mcse"].to_numpy(float), posinf=np.inf)
    exact = table["method"].to_numpy() == "exact"
    # limits, and the error itself, move with the trials that differ: one trial moves a rare proportion by much
    slack = np.where(exact, 0.0, (0.5 if column in ("estimate", "difference") else 1.0) * mcse)
    if column == "mcse":
        return near(kept, found, 1e-9) | (~exact & (near(kept, found, 0.5) | (np.minimum(kept, found) == 0.0)))
    return near(kept, found, 1e-9, slack)


def trials(kept: dict[str, np.ndarray], found: dict[str, np.ndarray], mode: Mode) -> list[str]:
    """What differs between the trials of two runs, by column, a line a column."""
    if list(kept) != list(found):
        gone, new = sorted(set(kept) - set(found)), sorted(set(found) - set(kept))
        return [f"trial columns gone: {gone}, new: {new}" if gone or new else "trial columns in another order"]
    differing: list[str] = []
    for column, before in kept.items():
        now = found[column]
        if len(before) != len(now) or before.dtype.kind != now.dtype.kind:
            differing.append(f"{column}: {len(before)} {before.dtype} were kept, {len(now)} {now.dtype} found")
            continue
        same = near(before, now, _RELATIVE) if before.dtype.kind == "f" else before == now
        allowed = 0 if mode == "bit for bit" else max(2, int(0.001 * len(before)))
        if (wrong := int((~same).sum())) > allowed:
            first = int(np.flatnonzero(~same)[0])
            differing.append(
                f"{column}: {wrong} of {len(before)} trials differ; row {first} was {before[first]}, is {now[first]}"
            )
    return differing


def texts(kept: str, found: str, mode: Mode) -> list[str]:
    """What differs between two texts, line by line."""
    if mode == "another machine":
        kept, found = (_NUMBER.sub("#", text) for text in (kept, found))
        kept, found = (re.sub(r"\s+", " ", text) for text in (kept, found))
        return [] if kept == found else ["the words differ: " + "; ".join(_lines(kept, found))]
    return [] if kept == found else list(_lines(kept, found))


def _lines(kept: str, found: str) -> Iterator[str]:
    import difflib

    a, b = (re.split(r"\n|(?<=[.;]) ", text) for text in (kept, found))
    for line in difflib.unified_diff(a, b, "kept", "found", lineterm="", n=0):
        if not line.startswith(("---", "+++", "@@")):
            yield line[:300]


def message(name: str, mode: Mode, differing: list[str]) -> str:
    """What a failing test says."""
    more = f"\n... and {len(differing) - _MOST} more" if len(differing) > _MOST else ""
    return (
        f"{name} moved ({mode}); if it should, say why in CHANGELOG.md and keep it: pytest tests/snapshots "
        f"--update-snapshots\n" + "\n".join(differing[:_MOST]) + more
    )
