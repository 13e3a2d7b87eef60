"""Result -> one self-contained HTML file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vtrial.result import Result


def html(result: "Result") -> str:
    """The report of a result."""
    from vtrial.report.page import render

    return render(result)
