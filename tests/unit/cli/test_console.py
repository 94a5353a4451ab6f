"""Output of commands survives any encoding, any width and hostile text."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from consumer.cli.console import console, error_console, print_json, shown, table
from consumer.core.text import safe

NAMES = "Łukasz 王秀英 😟"


def _written(write: Callable[[], None], encoding: str = "utf-8") -> str:
    """Bytes that `write` puts on a redirected standard output of that encoding."""
    raw = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding=encoding, newline="")) as stream:
        write()
        stream.flush()
        return raw.getvalue().decode(encoding)


def test_table_on_cp1252_writes_out_what_the_encoding_lacks() -> None:
    grid = table(("name", "n"), [(NAMES, 1), ("Jürgen", 2)], title="People")

    text = _written(lambda: console().print(grid), "cp1252")

    assert r"\u0141ukasz" in text
    assert r"\U0001f61f" in text
    assert "Jürgen" in text
    assert "+--" in text


def test_table_in_utf8_keeps_names() -> None:
    assert NAMES in _written(lambda: console().print(table(("name",), [(NAMES,)])))


def test_redirected_table_does_not_fold_long_values() -> None:
    value = "x" * 300

    text = _written(lambda: console().print(table(("a", "b"), [(value, value)])))

    assert text.count(value) == 2


def test_a_cell_is_bounded_however_long_its_value_is() -> None:
    grid = table(("id", "n"), [("<" * 900_000, 1)] * 50)

    text = _written(lambda: console().print(grid))

    assert text.count("<") == 50 * 1000
    assert text.count("\u2026") == 50


def test_redirected_output_has_no_escape_sequences() -> None:
    grid = table(("a",), [(1,)], title="T")

    assert "\x1b" not in _written(lambda: console().print(grid, style="bold red"))


def test_no_color_leaves_a_terminal_uncoloured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colored, plain = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", colored)
    console().print("x", style="red")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", plain)
    console().print("x", style="red")

    assert "\x1b[" in colored.getvalue()
    assert "\x1b[" not in plain.getvalue()


def test_values_from_outside_cannot_control_the_terminal_or_the_style() -> None:
    grid = table(("type",), [("\x1b[2J\x9b1m\r\u202e[red]x[/red]",)], title="\x1b]0;t")

    text = _written(lambda: console().print(grid))

    assert r"\x1b[2J\x9b1m\r\u202e[red]x[/red]" in text
    assert r"\x1b]0;t" in text


def test_plain_console_text_is_not_markup() -> None:
    text = "agent_skills[].level [bold]12[/bold] :smile:"

    assert _written(lambda: console().print(text)) == f"{text}\n"


def test_errors_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    error_console().print("no")

    assert capsys.readouterr() == ("", "no\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (1234567, "1,234,567"),
        (0.5, "0.5"),
        (datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=1))), "2026-01-31 12:00:00Z"),
        ("a\nb\tc", "a\nb\\tc"),
        ("", ""),
        (["x"], "['x']"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_lone_surrogates_are_written_out() -> None:
    assert safe("a\ud800b") == r"a\ud800b"


def test_numbers_are_aligned_right_and_empty_tables_have_headings() -> None:
    assert "│     1 │" in _written(lambda: console().print(table(("count",), [(1,), (1000,)])))
    assert "nothing" in _written(lambda: console().print(table(("nothing",), [])))


@dataclass(frozen=True)
class Thing:
    name: str
    at: datetime


def test_json_takes_the_values_of_documents() -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=timezone.utc)

    value = {"t": Thing("王", at), "b": b"\xff\x00", "s": {"b", "a"}, "p": Path("x"), "n": 10**30}

    text = _written(lambda: print_json(value))

    assert json.loads(text) == {
        "t": {"name": "王", "at": "2026-01-31T12:00:00.005000Z"},
        "b": "/wA=",
        "s": ["a", "b"],
        "p": "x",
        "n": 10**30,
    }
    assert "王" in text


def test_json_is_the_same_document_in_any_encoding() -> None:
    value = {"name": NAMES, "half": "\ud800", "control": "\x1b"}

    assert json.loads(_written(lambda: print_json(value), "cp1252")) == value
    assert json.loads(_written(lambda: print_json(value))) == value


def test_json_refuses_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(float("nan"))


@pytest.mark.parametrize("width", [20, 40])
def test_narrow_terminal_folds_instead_of_cutting(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)

    console().print(table(("id",), [("abcdefghij" * 6,)]))

    shown_text = "".join(char for char in terminal.getvalue() if char in "abcefghj")
    assert shown_text.count("abcefghj") == 6
