"""Metrics, tests and sizes in words, for the tables and charts of a report."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from vtrial.characteristics import metrics
from vtrial.model.vocabulary import NOT_ESTIMABLE, NOT_REACHED
from vtrial.scenario.sweep import shown

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData

MC_LIMITS = ("mc_low", "mc_high")  # columns of the 95% Monte Carlo limits


def claim_of(result: "ResultData", name: str) -> str:
    """What the rejection of a test shows, in all cells."""
    return metrics.claim_of(result.protocols, name)


def metric_in_words(result: "ResultData", metric: str) -> tuple[str, str]:
    """A heading and a line for a metric: ("Decisions", "CR or better > 10% is shown")."""
    found = result.metrics.get(metric)
    return ("Other", metric) if found is None else (found.heading, found.label)


def point(swept: dict[str, object]) -> str:
    """A cell's swept values: "cohort.enrolled = 40"."""
    return ", ".join(f"{key} = {shown(value)}" for key, value in swept.items())


def number(value: float, digits: int = 4) -> str:
    """A number for a table; what is not known is a dash, what is not reached (infinite) is NR.

    What these digits would make 0 and is not has one digit of its own: 3e-05.
    """
    if value is not None and math.isinf(value):
        return NOT_REACHED
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" if value == 0.0 or round(abs(value), digits) > 0.0 else f"{value:.1g}"


def error_in_words(row: Mapping[str, Any] | pd.Series, digits: int = 4) -> str:
    """The Monte Carlo error of a row of characteristics: "±0.0009".

    Where all trials agree there is no spread, which does not mean no error: "95% limits 0.0000 to 0.0038".
    """
    mcse, (low, high) = float(row["mcse"]), (float(row[column]) for column in MC_LIMITS)
    if mcse == 0.0 and low < high:
        return f"95% limits {limits_in_words(low, high, digits)}"
    return f"±{number(mcse, digits)}"


def limits_in_words(low: float, high: float, digits: int = 4) -> str:
    """ "0.0000 to 0.0038", with as many more digits as tell the two apart."""
    while digits < 12 and f"{low:.{digits}f}" == f"{high:.{digits}f}":
        digits += 1
    return f"{low:.{digits}f} to {high:.{digits}f}"


def simulated_row(result: "ResultData", metric: str, cell: int) -> pd.Series:
    """The row of a simulated metric. Raises `InputError` where there is none."""
    result.value(metric, cell=cell)
    table: Any = result.characteristics
    return table[(table["cell"] == cell) & (table["metric"] == metric) & (table["method"] == "simulated")].iloc[0]


def estimate(value: float, digits: int = 4) -> str:
    """As `number`, of an estimate: one that is missing is not estimable."""
    return NOT_ESTIMABLE if math.isnan(value) else number(value, digits)
