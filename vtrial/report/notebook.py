"""Result -> what a notebook shows of it."""

import html
from typing import TYPE_CHECKING

import pandas as pd

from vtrial.report.headline.answer import characteristics_in_short, sentence
from vtrial.report.tables import comparisons
from vtrial.report.words.general import estimate, number

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData


def notebook(result: "ResultData") -> str:
    """The display in a notebook: title, answer, how true rates differ between cells, table."""
    title = html.escape(result.scenario.design.title or result.scenario.name)
    rows = characteristics_in_short(result)
    for column in ("estimate", "mcse", "mc_low", "mc_high", "exact"):
        rows[column] = [_cell(value, column) for value in rows[column]]
    table = rows.to_html(index=False, na_rep="", border=0)
    compared = comparisons.sentence(result)
    said = "".join(f"<p>{html.escape(text)}</p>" for text in (sentence(result), compared) if text)
    warned = "".join(f"<p><b>Warning:</b> {html.escape(text)}.</p>" for text in result.warnings)
    return f"<h3>{title}</h3>{said}{warned}{table}"


def _cell(value: float, column: str) -> str:
    if column == "estimate":
        return estimate(value)
    return "" if pd.isna(value) else number(value)
