"""Draw series over time as SVG that obeys the content security policy and the style sheet.

pygal computes scales, axes and paths; chart_svg makes of them what a page may hold.

Make of a drawing by pygal what a page may hold.

Its styles and scripts are taken out: colours are classes (`c0` to `c7`), so that one drawing serves
light and dark, and what JavaScript would show on hover is the `<title>` of a strip over each
moment, which needs none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

import pygal
from markupsafe import Markup

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
    fit(root, [(each.colour, each.values) for each in series], said, height)
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


Element = ElementTree.Element
Values = Sequence[float | None]


def fit(
    root: Element, series: Sequence[tuple[str, Values]], said: Sequence[str], height: int
) -> None:
    """Change the drawing in its place. `series` are colours and values in the order of pygal, which
    draws one more, with a dot at each moment; `said` is what the strip there says."""
    _clean(root)
    _colour(root, series)
    _strips(root, said, height)


def _clean(root: Element) -> None:
    """Take out what the policy refuses, and what only pygal's own script would use."""
    for parent in list(root.iter()):
        for child in list(parent):
            kind = _class(child)
            is_comment = not isinstance(child.tag, str)
            unused = kind == "titles" or "tooltip-overlay" in kind or "text-overlay" in kind
            if is_comment or unused or _tag(child) in ("defs", "title", "style", "script"):
                parent.remove(child)
            child.attrib.pop("style", None)


def _colour(root: Element, series: Sequence[tuple[str, Values]]) -> None:
    """Give each series its class, and take out what is drawn for the one more."""
    own = {f"series serie-{n} color-{n}": each for n, each in enumerate(series)}
    for parent in list(root.iter()):
        for child in list(parent):
            kind = _class(child)
            if kind in own:
                colour, values = own[kind]
                child.attrib["class"] = f"series {colour}"
                _keep_lone_dots(child, values)
            elif kind.startswith("series") and not _has_dots(child):
                parent.remove(child)


def _keep_lone_dots(group: Element, values: Values) -> None:
    """Of the dots of a series leave those that no line reaches: what is before and after is not
    known."""
    dots = [child for child in group if _class(child) == "dots"]
    if not dots:
        return
    known = {n for n, value in enumerate(values) if value is not None}
    for number, dot in zip(sorted(known), dots, strict=True):
        if known & {number - 1, number + 1}:
            group.remove(dot)
        for child in list(dot):
            if _tag(child) != "circle":
                dot.remove(child)


def _strips(root: Element, said: Sequence[str], height: int) -> None:
    """Put a strip from top to bottom where each dot of the last series is."""
    parent = next(each for each in root.iter() if _has_dots(each) and "serie-" in _class(each))
    centres = [
        float(child.attrib["cx"]) for dots in parent for child in dots if _tag(child) == "circle"
    ]
    parent.attrib["class"] = "strips"
    for child in list(parent):
        parent.remove(child)
    width = centres[1] - centres[0] if len(centres) > 1 else 40.0
    for centre, text in zip(centres, said, strict=True):
        strip = ElementTree.SubElement(
            parent,
            "rect",
            {"x": f"{centre - width / 2:.2f}", "y": "0", "width": f"{width:.2f}",
             "height": str(height)},
        )  # fmt: skip
        ElementTree.SubElement(strip, "title").text = text


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _class(element: Element) -> str:
    return str(element.attrib.get("class", ""))


def _has_dots(element: Element) -> bool:
    return any(_class(child) == "dots" for child in element)
