"""A chart that cannot be drawn, or would be empty, stops the report and leaves nothing behind."""

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from vtrial.report.charts import figures, rates
from vtrial.workflows.result import Result


def _without_data() -> alt.Chart:
    return alt.Chart(pd.DataFrame({"x": [], "y": []})).mark_point().encode(x="x:Q", y="y:Q")


def _wrong_field() -> alt.Chart:
    return alt.Chart(pd.DataFrame({"x": [1.0], "y": [2.0]})).mark_point().encode(x="x:Q", y="nowhere:Q")


def _wrong_spec() -> alt.Chart:
    chart = alt.Chart(pd.DataFrame({"x": [1.0]})).mark_point().encode(x="z:Q")
    return chart.transform_calculate(z="datum.x +")


def _empty_panel() -> alt.HConcatChart:
    whole = alt.Chart(pd.DataFrame({"x": [1.0], "y": [2.0]})).mark_point().encode(x="x:Q", y="y:Q")
    return whole | whole.transform_filter("datum.x > 5")


@pytest.mark.parametrize("broken", [_without_data, _wrong_field, _wrong_spec, _empty_panel])
def test_a_chart_that_cannot_be_drawn_stops_the_report(
    broken: Any, karmma_result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "fit_of", lambda *_: broken())
    with pytest.raises(figures.FigureError, match="fit-0"):
        karmma_result.report(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_layer_may_be_empty_in_one_panel_but_not_in_all() -> None:
    data = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0], "exact": [1.0, np.nan], "panel": ["a", "b"]})
    base = alt.Chart().encode(x="x:Q")
    layers = [base.mark_point().encode(y="y:Q"), base.mark_square().encode(y="exact:Q")]
    whole = alt.layer(*layers, data=data).facet("panel:N")
    figures.drawn(whole, name="one", caption="", description="")
    nowhere = alt.layer(*layers, data=data.assign(exact=np.nan)).facet("panel:N")
    with pytest.raises(figures.FigureError, match="draws nothing"):
        figures.drawn(nowhere, name="none", caption="", description="")
