"""Pictures of the console: what is drawn, and what a page may hold of it."""

from __future__ import annotations

import re

import pytest

from consumer.console.charts import Series, draw

LABELS = [f"10:0{n}" for n in range(7)]
VALUES = [None, None, 3.0, None, 4.0, 5.0, None]


def test_a_value_between_unknown_ones_is_a_dot_and_the_others_are_a_line() -> None:
    others = [1.0, 1.0, 1.0, 1.0, 1.0, None, 2.0]
    series = [Series("median", "c0", VALUES), Series("99 %", "c2", others)]
    svg = str(draw("Time", "ms", LABELS, series, kind="lines").svg)

    dots = re.findall(r'<g class="series (c\d)"><g class="dots"><circle cx="([\d.]+)"', svg)
    assert [colour for colour, _ in dots] == ["c0", "c2"]
    # Each in the middle of the strip of its moment, the third and the last.
    strips = re.findall(r'<rect x="([\d.-]+)" y="0" width="([\d.]+)" height="240"><title>', svg)
    centres = [float(x) + float(width) / 2 for x, width in strips]
    assert [float(at) for _, at in dots] == pytest.approx([centres[2], centres[6]], abs=0.1)
    assert svg.count('class="line"') == 2


def test_areas_have_no_dots_and_every_moment_says_its_values() -> None:
    chart = draw(
        "Deliveries", "per min", LABELS, [Series("processed", "c1", [0, 1, 2, 3, 4, 5, 6])]
    )

    svg = str(chart.svg)
    assert "<circle" not in svg
    assert re.findall(r"<title>(.*?)</title>", svg)[3] == "10:03 · processed 3"
    assert "<script" not in svg and "style=" not in svg and "<style" not in svg


def test_a_lone_count_is_a_bar_as_wide_as_its_moment() -> None:
    series = [Series("held", "c4", [0, 0, 5, 0, 0, 0, 0])]
    chart = draw("Deliveries", "per min", LABELS, series)

    svg = str(chart.svg)
    left, width = map(float, re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)"', svg)[2])
    (line,) = re.findall(r'<path class="line" d="M([^"]+)"', svg)
    points = [tuple(map(float, point.split())) for point in line.split("L")]
    top = min(y for _, y in points)
    assert chart.unit == "per min"
    assert [x for x, y in points if y == top] == pytest.approx([left, left + width], abs=0.1)
    # Beside it the area lies on the ground: no slope leads up or down.
    assert {y for _, y in points} == {top, max(y for _, y in points)}
