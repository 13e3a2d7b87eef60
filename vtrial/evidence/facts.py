"""facts.csv -> a table of published numbers, each row checked.

Columns: fact, system, population, dose, subgroup, time, statistic, count, n, value, low, high, level, unit,
method, cut, source, use. README.md and the column's own rules below say what each holds.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd

from vtrial._support.errors import InputError
from vtrial._support.validation import plain_number, read_text

COLUMNS = (
    "fact",
    "system",
    "population",
    "dose",
    "subgroup",
    "time",
    "statistic",
    "count",
    "n",
    "value",
    "low",
    "high",
    "level",
    "unit",
    "method",
    "cut",
    "source",
    "use",
)
# what a row of each statistic must hold
STATISTICS = {
    "count": ("count", "n"),
    "median_range": ("value", "low", "high"),
    "median": ("value",),
    "range": ("low", "high"),
    "km_median": ("value", "low", "high", "level"),
    "km_survival": ("value", "time"),
    "proportion_ci": ("count", "n", "value", "low", "high", "level", "method"),
    "number": ("value",),
    "date": ("value",),
}
USES = ("fit", "check", "context", "derived")
NOT_REACHED, NOT_ESTIMABLE = "NR", "NE"  # as printed, of a limit or a median that was not reached
_NUMBERS = ("time", "count", "n", "value", "low", "high", "level")


def as_id(dose: float) -> str:
    """A dose as it stands in a fact's id: 150, 0.5, 450000000."""
    return f"{dose:.15g}"


def read(path: Path) -> pd.DataFrame:
    """The facts of a study, one row each, indexed by fact; an empty cell is NaN, "NE" and "NR" are +inf.

    Dates (statistic ``date``) stay text in column ``published``, which holds every value as printed.
    Raises `InputError` with file, line and reason for each malformed row.
    """
    text = read_text(path, str(path))
    lines = _lines(text, path)
    _, header = next(lines, (1, []))
    if missing := [c for c in COLUMNS if c not in header]:
        raise InputError(f"{path}: line 1: {_listed(missing)} missing (needed: {', '.join(COLUMNS)})")
    if unknown := [c for c in header if c not in COLUMNS]:
        names = ", ".join(map(repr, unknown))
        raise InputError(f"{path}: line 1: there is no column {names} (allowed: {', '.join(COLUMNS)})")
    if len(set(header)) < len(header):
        raise InputError(f"{path}: line 1: a column stands twice")
    rows: dict[str, dict[str, object]] = {}
    problems: list[str] = []
    for line, cells in lines:
        if not any(cells):
            continue
        where = f"line {line}"
        if len(cells) != len(header):
            problems.append(f"{where}: {len(cells)} cells, but the header has {len(header)}")
            continue
        raw = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
        if raw["fact"] in rows:
            problems.append(f"{where}: fact '{raw['fact']}' stands twice")
        try:
            rows[raw["fact"]] = _checked(raw, where)
        except InputError as problem:
            problems.append(str(problem))
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    if not rows:
        raise InputError(f"{path}: there is no fact in it")
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*COLUMNS[1:], "published"])
    table.index.name = "fact"
    for column in _NUMBERS:
        table[column] = table[column].astype("float64")
    return table


def _listed(columns: list[str]) -> str:
    names = ", ".join(map(repr, columns))
    return f"column {names} is" if len(columns) == 1 else f"columns {names} are"


def _lines(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the number of the line on which it begins."""
    rows, begins = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        for cells in rows:
            yield begins, cells
            begins = rows.line_num + 1
    except csv.Error as problem:
        raise InputError(f"{path}: line {begins}: {problem}") from None


def _checked(raw: dict[str, str], where: str) -> dict[str, object]:
    name, statistic = raw["fact"], raw["statistic"]
    if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*", name):
        raise InputError(f"{where}: fact id {name!r} is not lower-case words joined by dots")
    where = f"{where} ({name})"
    if statistic not in STATISTICS:
        raise InputError(f"{where}: unknown statistic {statistic!r} (allowed: {', '.join(STATISTICS)})")
    if raw["use"] not in USES:
        raise InputError(f"{where}: use is {raw['use']!r} (allowed: {', '.join(USES)})")
    if not raw["system"] or not raw["source"]:
        raise InputError(f"{where}: system and source must be given")
    if raw["dose"] != "all" and not re.fullmatch(r"\d+(\.\d+)?", raw["dose"], re.ASCII):
        raise InputError(f"{where}: dose is {raw['dose']!r}; a number, or 'all'")
    for column in STATISTICS[statistic]:
        if not raw[column]:
            raise InputError(f"{where}: a {statistic} needs '{column}'")
    row: dict[str, object] = {column: raw[column] for column in COLUMNS[1:]}
    row["published"] = raw["value"]
    row.update({column: float("nan") for column in _NUMBERS})
    if statistic == "date":
        _date(raw["value"], where)
    else:
        row.update({column: _number(raw[column], column, where) for column in _NUMBERS})
    if raw["cut"]:
        _date(raw["cut"], where)
    if problems := list(_contradictions(row)):
        raise InputError(f"{where}: {', '.join(problems)}")
    return row


def _number(text: str, column: str, where: str) -> float:
    if not text:
        return float("nan")
    if text in (NOT_REACHED, NOT_ESTIMABLE) and column in ("value", "low", "high"):
        return float("inf")
    try:
        number = plain_number(text)
    except ValueError:
        raise InputError(f"{where}: {column} is {text!r}, not a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise InputError(f"{where}: {column} is {text!r}; write {NOT_ESTIMABLE} for a limit that was not estimable")
    return number


def _date(text: str, where: str) -> None:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{where}: {text!r} is not a date (year-month-day)") from None


def _contradictions(row: dict[str, object]) -> Iterator[str]:
    """What cannot be: each comparison is false where a number is missing (NaN)."""
    count, n, value, low, high = (float(row[c]) for c in ("count", "n", "value", "low", "high"))  # type: ignore[arg-type]
    level, time = float(row["level"]), float(row["time"])  # type: ignore[arg-type]
    for column, number in (("count", count), ("n", n)):
        if number < 0 or (number == number and number != int(number)):
            yield f"{column} is {number:g}, not a whole number from 0"
    if count > n:
        yield f"count {count:g} is above n {n:g}"
    if low > high:
        yield f"the interval is the wrong way round ({low:g} to {high:g})"
    if value < low or value > high:
        yield f"value {value:g} lies outside {low:g} to {high:g}"
    if level <= 0 or level >= 1:
        yield f"level is {level:g}, not between 0 and 1"
    if time < 0:
        yield f"time is {time:g}, before infusion"
    if row["statistic"] in ("count", "proportion_ci"):
        if n == 0:
            yield "n is 0"
        elif abs(value - count / n) > 0.005 + 1e-9:
            yield f"value {value:g} is not {count:g} of {n:g} rounded to a percent ({count / n:.4f})"
    if row["statistic"] in ("km_survival", "proportion_ci") and not 0 <= value <= 1:
        yield f"a proportion is {value:g}, not between 0 and 1"
