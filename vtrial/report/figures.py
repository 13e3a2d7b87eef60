"""An Altair chart -> what the page needs of it. A chart that cannot be drawn is refused here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
LOOK: dict[str, Any] = {
    "background": "white",
    "font": FONT,
    "view": {"stroke": "#d0d0d0"},
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "gridColor": "#ececec"},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 420},
    "header": {"labelFontSize": 12, "labelFontWeight": "bold", "labelLimit": 400, "titleFontSize": 12},
    "title": {"fontSize": 13, "subtitleFontSize": 12, "subtitleColor": "#444444", "anchor": "start"},
}


class FigureError(RuntimeError):
    """A chart that cannot be drawn, or that would be empty; the message says which."""


@dataclass(frozen=True)
class Figure:
    """A chart that has been drawn once.

    name: its id in the page. caption, description: for those who see it, and who hear it. spec: Vega-Lite.
    svg: the same chart as it was drawn.
    """

    name: str
    caption: str
    description: str
    spec: dict[str, Any]
    svg: str


def drawn(chart: Any, *, name: str, caption: str, description: str) -> Figure:
    """Validate and compile a chart. Raises `FigureError` where that fails, or where a panel stays empty."""
    try:
        with alt.data_transformers.enable("default", max_rows=None):
            spec = chart.to_dict()
        spec["description"] = description
        own = spec.get("config", {})
        spec["config"] = {
            key: value | own.get(key, {}) if isinstance(value, dict) else value for key, value in LOOK.items()
        }
        scene = vl_convert.vegalite_to_scenegraph(spec)
        svg = vl_convert.vegalite_to_svg(spec)
    except Exception as problem:
        raise FigureError(f"the chart '{name}' cannot be drawn: {problem}") from problem
    marks = list(_marks(scene["scenegraph"]))
    empty = [mark["name"] for mark in marks if not mark.get("items")]
    if empty or not marks:
        raise FigureError(f"the chart '{name}' would be empty ({', '.join(empty) or 'no marks'})")
    return Figure(name=name, caption=caption, description=description, spec=spec, svg=svg)


def _marks(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every layer of every panel that stands for data: lists of items, down the scene graph."""
    if node.get("role") == "mark" and node.get("marktype") != "group":
        yield node
    for item in node.get("items", ()):
        yield from _marks(item)
