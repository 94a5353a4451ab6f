"""Draw series over time as SVG that obeys the content security policy and the style sheet.

Colours are classes (`c0` to `c8`), so that one drawing serves light and dark. A strip over each
moment says its values in a `<title>` on hover, which needs no script.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from markupsafe import Markup

Kind = Literal["area", "lines"]
Values = Sequence[float | None]

# Units of the drawing: free beside the plot and below it, and the size of a letter and a label.
_MARGIN = 10
_BELOW = 26
_LETTER = 8
_LABEL = 90
_MOST_STEPS = 5

_SVG = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" class="chart {}" viewBox="0 0 {} {}" role="img"'
    ' aria-label="{}">{}</svg>'
)
_GROUP = Markup('<g class="{}">{}</g>')
_GUIDE = Markup('<path class="{}" d="M{:.2f} {:.2f}H{:.2f}"/><text x="{:.2f}" y="{:.2f}">{}</text>')
_LABELLED = Markup('<text x="{:.2f}" y="{}">{}</text>')
_LINE = Markup('<path class="line" d="M{}"/>')
_DOT = Markup('<g class="dots"><circle cx="{:.2f}" cy="{:.2f}" r="4" class="dot"/></g>')
_STRIP = Markup('<rect x="{:.2f}" y="0" width="{:.2f}" height="{}"><title>{}</title></rect>')


@dataclass(frozen=True, slots=True)
class Series:
    """A row of values, as long as the labels; None: not known. `colour` is one of the classes."""

    name: str
    colour: str
    values: Values


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, what its colours mean, and the same as a table: column names, rows of text.
    `unit` says what is counted, like `per 5 min`."""

    title: str
    unit: str
    svg: Markup
    legend: tuple[tuple[str, str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def draw(
    title: str,
    unit: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    kind: Kind = "area",
    width: int = 760,
    height: int = 240,
    shown: Callable[[float], str] = lambda value: f"{value:,.0f}",
    total: Callable[[Values], str] | None = None,
) -> Chart:
    """A chart over the moments of `labels`. Areas are counts, each as wide as its moment, on top of
    each other. `shown` writes a value, `total` what the legend says of a series."""
    names = [each.name for each in series]
    rows = [
        (label, *("\u2013" if value is None else shown(value) for value in values))
        for label, *values in zip(labels, *(each.values for each in series), strict=True)
    ]
    levels = _stacked(series) if kind == "area" else [each.values for each in series]
    scale = _scale(max((value or 0 for level in levels for value in level), default=0), shown)
    left = _MARGIN + _LETTER * max(len(shown(mark)) for mark in scale)
    plot = _Plot(left, width, height, max(1, len(labels)), scale[-1])
    draw_one = plot.area if kind == "area" else plot.line
    said = (" · ".join([row[0], *map(" ".join, zip(names, row[1:], strict=True))]) for row in rows)
    groups = [
        ("axis y", [plot.guide(mark, shown(mark)) for mark in scale]),
        ("axis x", plot.moments(labels)),
        *(
            (f"series {each.colour}", draw_one(levels, number))
            for number, each in enumerate(series)
        ),
        ("strips", [plot.strip(n, text) for n, text in enumerate(said)]),
    ]
    drawn = Markup().join(_GROUP.format(name, Markup().join(parts)) for name, parts in groups)
    classes = f"{kind} wide" if width > 500 else kind
    return Chart(
        title,
        unit,
        _SVG.format(classes, width, height, title, drawn),
        tuple((each.name, each.colour, total(each.values) if total else "") for each in series),
        ("Time", *names),
        tuple(row for n, row in enumerate(rows) if any(each.values[n] for each in series)),
    )


def _stacked(series: Sequence[Series]) -> list[Values]:
    """The upper edge of each area; below the first is zero."""
    levels: list[Values] = []
    below: Sequence[float] = [0.0] * len(series[0].values) if series else []
    for each in series:
        below = [under + (value or 0) for under, value in zip(below, each.values, strict=True)]
        levels.append(below)
    return levels


def _scale(highest: float, shown: Callable[[float], str]) -> list[float]:
    """Even values from zero to `highest` or beyond, no two written alike."""
    power = math.floor(math.log10(highest / _MOST_STEPS)) if highest > 0 else 0
    while True:
        for step in (1 * 10.0**power, 2 * 10.0**power, 5 * 10.0**power):
            steps = max(1, math.ceil(highest / step))
            marks = [n * step for n in range(steps + 1)]
            if steps <= _MOST_STEPS and len(set(map(shown, marks))) == len(marks):
                return marks
        power += 1


@dataclass(frozen=True, slots=True)
class _Plot:
    """Places of `count` moments and of values up to `top` in the drawing."""

    left: float
    width: int
    height: int
    count: int
    top: float

    @property
    def _strip(self) -> float:
        return (self.width - _MARGIN - self.left) / self.count

    def _at(self, n: int, value: float) -> tuple[float, float]:
        bottom = self.height - _BELOW
        return (
            self.left + (n + 0.5) * self._strip,
            bottom - (bottom - _MARGIN) * value / self.top,
        )

    def guide(self, value: float, text: str) -> Markup:
        """A line across at a value, and its text."""
        _, y = self._at(0, value)
        name = "guide" if value else "zero"
        return _GUIDE.format(name, self.left, y, self.width - _MARGIN, self.left - 5, y + 4.5, text)

    def moments(self, labels: Sequence[str]) -> list[Markup]:
        """As many labels as stand clear of each other and of the edge."""
        size = max(_LABEL, 11 * max(map(len, labels), default=0))
        every = max(1, len(labels) * size // self.width)
        shown = range(0, len(labels) - every // 2, every)
        return [_LABELLED.format(self._at(n, 0)[0], self.height - 7, labels[n]) for n in shown]

    def area(self, levels: Sequence[Values], number: int) -> list[Markup]:
        """The area between this level and the one below, in steps: what came in a moment came in
        all of it, and one alone is a bar."""
        below = levels[number - 1] if number else [0.0] * self.count
        edge, back = self._steps(levels[number]), self._steps(below)
        return [_LINE.format(_path([*edge, *reversed(back)]))]

    def _steps(self, level: Values) -> list[tuple[float, float]]:
        found = []
        for n, value in enumerate(level):
            x, y = self._at(n, value or 0)
            found += [(x - self._strip / 2, y), (x + self._strip / 2, y)]
        return found

    def line(self, levels: Sequence[Values], number: int) -> list[Markup]:
        """A line where values are known one after another, and a dot for one that stands alone."""
        dots, lines = [], []
        for known, run in groupby(enumerate(levels[number]), lambda each: each[1] is not None):
            points = [self._at(n, value or 0) for n, value in run] if known else []
            if len(points) == 1:
                dots.append(_DOT.format(*points[0]))
            elif points:
                lines.append(_LINE.format(_path(points)))
        return dots + lines

    def strip(self, n: int, text: str) -> Markup:
        """A strip over a moment, from top to bottom, which says its values."""
        return _STRIP.format(self.left + n * self._strip, self._strip, self.height, text)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.2f} {y:.2f}" for x, y in points)
