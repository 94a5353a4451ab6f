"""`service logs` on Windows: the end of a file that the service goes on writing."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from consumer.os_service import log_file
from consumer.os_service.log_file import appended, tail


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(log_file, "_LOOK", 0)
    path = tmp_path / "service.log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(10)))
    return path


def test_the_last_lines_are_shown_as_they_are(log: Path) -> None:
    assert tail(log, 2) == ["line 8\n", "line 9\n"]


def test_of_a_long_file_only_the_end_is_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "_MOST", 10)

    assert tail(log, 5) == [" 8\n", "line 9\n"]


def test_bytes_that_are_no_text_are_shown_as_such(log: Path) -> None:
    log.write_bytes(b"a\xff\n")

    assert tail(log, 1) == ["a\ufffd\n"]


def test_what_is_appended_follows(log: Path) -> None:
    more = appended(log)

    assert next(more) == ""
    with log.open("ab") as file:
        file.write(b"new\n")
    assert list(islice(more, 2)) == ["new\n", ""]


def test_a_file_that_begins_anew_is_followed_from_its_beginning(log: Path) -> None:
    more = appended(log)
    next(more)

    log.write_bytes(b"first\n")

    assert next(more) == "first\n"
