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
    for number, (_, values) in enumerate(series):
        _keep_lone_dots(root, f"serie-{number} ", values)
    _colour(root, [colour for colour, _ in series])
    _strips(root, said, height)


def _clean(root: Element) -> None:
    """Take out what the policy refuses, and what only pygal's own script would use."""
    for parent in list(root.iter()):
        for child in list(parent):
            kind = child.attrib.get("class", "")
            is_comment = not isinstance(child.tag, str)
            unused = kind == "titles" or "tooltip-overlay" in kind or "text-overlay" in kind
            if is_comment or unused or _tag(child) in ("defs", "title", "style", "script"):
                parent.remove(child)
            child.attrib.pop("style", None)


def _keep_lone_dots(root: Element, series: str, values: Values) -> None:
    """Of the dots of a series leave those that no line reaches: what is before and after is not
    known."""
    known = {n for n, value in enumerate(values) if value is not None}
    lone = [not known & {n - 1, n + 1} for n in sorted(known)]
    for parent in root.iter():
        if series in _class(parent) and _has_dots(parent):
            dots = [child for child in parent if _class(child) == "dots"]
            for dot, stays in zip(dots, lone, strict=True):
                if not stays:
                    parent.remove(dot)
                for child in list(dot):
                    if _tag(child) != "circle":
                        dot.remove(child)


def _colour(root: Element, colours: Sequence[str]) -> None:
    classes = {f"series serie-{n} color-{n}": f"series {each}" for n, each in enumerate(colours)}
    for parent in list(root.iter()):
        for child in list(parent):
            kind = child.attrib.get("class", "")
            if kind.startswith("series"):
                if kind in classes:
                    child.attrib["class"] = classes[kind]
                elif not any(each.attrib.get("class") == "dots" for each in child):
                    parent.remove(child)


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
