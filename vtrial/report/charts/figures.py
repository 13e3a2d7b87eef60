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
    if empty := list(_empty(scene["scenegraph"])):
        raise FigureError(f"the chart '{name}' would be empty ({', '.join(empty)})")
    return Figure(name=name, caption=caption, description=description, spec=spec, svg=svg)


def _empty(scene: dict[str, Any]) -> Iterator[str]:
    """What draws nothing: a panel without any mark, or a layer that has none in any panel."""
    drawn_by: dict[str, int] = {}
    for panel, marks in _panels(scene, "chart"):
        for mark in marks:
            drawn_by[mark["name"]] = drawn_by.get(mark["name"], 0) + len(mark.get("items", ()))
        if not any(mark.get("items") for mark in marks):
            yield f"nothing is drawn in {panel}"
    yield from (f"{layer} draws nothing" for layer, items in drawn_by.items() if items == 0)
    if not drawn_by:
        yield "no marks"


def _panels(node: dict[str, Any], name: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each group of the scene graph that holds marks which stand for data, with these marks."""
    items = node.get("items", ())
    if marks := [item for item in items if item.get("role") == "mark" and item.get("marktype") != "group"]:
        yield name, marks
    for item in items:
        yield from _panels(item, item.get("name", name))
