"""The log file of the Windows service: bounded, and never a reason to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumer.os_service.log_file import LogFile


def test_a_full_file_begins_anew_and_the_oldest_part_goes(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "service.log"
    with LogFile(path, limit=10, kept=2) as log:
        for number in range(4):
            log.write(f"line {number}\n")

    assert path.read_text() == "line 3\n"
    assert path.with_name("service.log.1").read_text() == "line 2\n"
    assert path.with_name("service.log.2").read_text() == "line 1\n"
    assert len(list(path.parent.iterdir())) == 3


def test_what_was_logged_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    for text in ("first\n", "Łódź \ud800\n"):
        with LogFile(path) as log:
            log.write(text)

    assert path.read_text(encoding="utf-8") == "first\nŁódź \\ud800\n"


def test_a_file_that_cannot_be_renamed_grows_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, target: Path) -> Path:
        raise PermissionError(13, "another program has it open")

    path = tmp_path / "service.log"
    with LogFile(path, limit=10) as log:
        log.write("line 1\n")
        monkeypatch.setattr(Path, "replace", refused)
        log.write("line 2\n")

    assert path.read_text() == "line 1\nline 2\n"
