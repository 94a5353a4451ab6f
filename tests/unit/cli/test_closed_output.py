"""A command whose reader has left (`| head`, `| more` and q) ends without a word."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import cast

import pytest

from consumer.cli.failures import exit_status
from consumer.cli.main import run
from consumer.cli.service import windows
from consumer.cli.table import COMMANDS
from consumer.os_service.layout import windows_layout


class Closed(io.RawIOBase):
    """Standard output that nobody reads any more, as Windows has it."""

    def writable(self) -> bool:
        return True

    def write(self, _data: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")


# A buffer keeps what could not be written; with PYTHONUNBUFFERED there is none.
STREAMS: tuple[Callable[[], io.TextIOWrapper], ...] = (
    lambda: io.TextIOWrapper(io.BufferedWriter(Closed())),
    lambda: io.TextIOWrapper(cast("io.BufferedWriter", Closed()), write_through=True),
)


@contextmanager
def unread(stream: io.TextIOWrapper) -> Iterator[None]:
    """Standard output is a stream that nobody reads."""
    try:
        with redirect_stdout(stream):
            yield
    finally:
        # From Python 3.13 on a stream says so that could not be closed when it ended by itself.
        with suppress(OSError):
            stream.close()


@pytest.mark.parametrize("stream", STREAMS, ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "arguments", [["--version"], *([*name.split(), "--help"] for name in COMMANDS)]
)
def test_a_command_whose_output_nobody_reads_ends_with_1_and_says_nothing(
    arguments: list[str],
    stream: Callable[[], io.TextIOWrapper],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with unread(stream()):
        status = run(arguments)

    assert (status, capfd.readouterr().err) == (1, "")


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["doctor"], ["spool", "status"], ["service", "install", "--dry-run"]],
)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_real_pipe_without_a_reader_leaves_no_traceback(
    arguments: list[str], both: bool, unbuffered: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        said = process.stderr.read() if process.stderr else b""

    assert (process.returncode, said) == (1, b"")


@pytest.mark.skipif(os.name == "nt", reason="closed by the shell before the program starts")
@pytest.mark.parametrize("arguments", ["--version", "spool --help"])
def test_a_command_without_standard_output_does_its_work_all_the_same(arguments: str) -> None:
    command = f'"{sys.executable}" -m consumer {arguments} >&-'
    ended = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_an_invalid_argument_of_something_else_is_no_reader_that_left() -> None:
    assert exit_status(OSError(errno.EINVAL, "Invalid argument", "a?b")) is None


def test_the_log_of_the_windows_service_is_not_to_blame_for_a_reader_that_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path))
    log = windows_layout().log
    log.parent.mkdir(parents=True)
    log.write_text("a line\n" * 10_000)

    with unread(STREAMS[0]()), pytest.raises(OSError, match="Invalid argument"):
        windows.logs(100_000, follow=False)
