"""Make of a drawing by pygal what a page may hold.

Its styles and scripts are taken out: colours are classes (`c0` to `c7`), so that one drawing serves
light and dark, and what JavaScript would show on hover is the `<title>` of a strip over each
moment, which needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

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
