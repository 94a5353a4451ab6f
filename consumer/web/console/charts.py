"""Draw series over time as SVG that obeys the content security policy and the style sheet.

pygal computes scales, axes and paths; chart_svg makes of them what a page may hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

import pygal
from markupsafe import Markup

from consumer.web.console import chart_svg

# Importing pygal leaves a finder of an old kind behind, for plugins that nobody uses here; every
# import of this process that fails would warn of it (an error in tests).
sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, pygal.PluginImportFixer)]

Kind = Literal["area", "lines"]


@dataclass(frozen=True, slots=True)
class Series:
    """A row of values, as long as the labels; None: not known. `colour` is one of the classes."""

    name: str
    colour: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, what its colours mean, and the same as a table: column names, rows of text."""

    title: str
    svg: Markup
    legend: tuple[tuple[str, str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def draw(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    kind: Kind = "area",
    width: int = 760,
    height: int = 240,
    shown: Callable[[float], str] = lambda value: f"{value:,.0f}",
    total: Callable[[Sequence[float | None]], str] | None = None,
    most: float | None = None,
) -> Chart:
    """A chart over the moments of `labels`. `shown` writes a value, `total` what the legend says of
    a series; `most` fixes the top of the scale."""
    graph = _graph(kind, labels, (width, height), shown, most)
    for each in series:
        graph.add(each.name, list(each.values), show_dots=kind == "lines")
    # Through its dots the last series tells where each moment is; strips take their place.
    graph.add("", [0] * len(labels), show_dots=True)
    said = [
        " · ".join([label, *(f"{each.name} {_text(each.values[n], shown)}" for each in series)])
        for n, label in enumerate(labels)
    ]
    root = graph.render_tree()
    chart_svg.fit(root, [(each.colour, each.values) for each in series], said, height)
    root.attrib.update(
        {
            "role": "img",
            "aria-label": title,
            "class": f"chart {kind}{' wide' if width > 500 else ''}",
        }
    )
    root.attrib.pop("id", None)
    legend = tuple((each.name, each.colour, total(each.values) if total else "") for each in series)
    rows = tuple(
        (label, *(_text(each.values[n], shown) for each in series))
        for n, label in enumerate(labels)
        if any(each.values[n] for each in series)
    )
    svg = ElementTree.tostring(root, encoding="unicode")
    return Chart(title, Markup(svg), legend, ("Time", *(each.name for each in series)), rows)  # noqa: S704


def _graph(
    kind: Kind,
    labels: Sequence[str],
    size: tuple[int, int],
    shown: Callable[[float], str],
    most: float | None,
) -> Any:
    # Each label has room to stand clear of the next.
    room = max(90, 11 * max(map(len, labels), default=0))
    every = max(1, len(labels) * room // size[0])
    make = pygal.StackedLine if kind == "area" else pygal.Line
    return make(
        fill=kind == "area",
        width=size[0],
        height=size[1],
        js=(),
        css=(),
        no_prefix=True,
        disable_xml_declaration=True,
        show_legend=False,
        show_dots=False,
        dots_size=4,
        allow_interruptions=True,
        margin=6,
        margin_right=10,
        x_labels=list(labels),
        # The last ones would be cut at the edge.
        x_labels_major=list(labels[: len(labels) - every // 2 : every]),
        show_minor_x_labels=False,
        truncate_label=-1,
        include_x_axis=True,
        min_scale=2,
        max_scale=5,
        range=None if most is None else (0, most),
        value_formatter=lambda value: "" if value is None else shown(value),
    )


def _text(value: float | None, shown: Callable[[float], str]) -> str:
    return "\u2013" if value is None else shown(value)
