"""`demo` where MongoDB is slow, and where its terminal goes away."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.processes import environment, freeze, thaw
from tests.support.service import eventually

if sys.platform == "win32":
    pytest.skip("stops processes by signals", allow_module_level=True)

import fcntl
import pty
import termios


@pytest.mark.slow
def test_demo_waits_for_a_mongod_that_stands_still_most_of_the_time(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", "demo", "--events", "60", "--json"],
        cwd=tmp_path,
        env={**environment(), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    ended = threading.Event()
    troubled = threading.Thread(target=hold_up_mongod, args=(tmp_path, ended))
    troubled.start()
    try:
        output, _ = process.communicate(timeout=240)
    finally:
        process.kill()
        ended.set()
        troubled.join()

    told = json.loads(output)
    assert process.returncode == 0
    # A slow start is no outage: the copies are told, which nobody can of what waits in the spool.
    words = {answer["word"]: answer["count"] for answer in told["answers"]}
    assert (words["duplicate"], words.get("spooled", 0)) == (3, 0)
    # The sweep may have come by, and made a document of what can be repaired.
    resolved = [each for each in told["dead_letters"] if each["status"] == "resolved"]
    repaired = sum(each["entries"] for each in resolved)
    assert sum(told["documents"].values()) == 60 - 8 + repaired
    assert sum(entry["entries"] for entry in told["dead_letters"]) == 5


def hold_up_mongod(directory: Path, ended: threading.Event) -> None:
    """Stop the mongod below `directory` for 0.4 s of every 0.6 s, once it can be written to."""
    while not ended.wait(0.2):
        for pid in mongods_in(directory):
            with contextlib.suppress(ProcessLookupError):
                freeze(pid)
                ended.wait(0.4)
                thaw(pid)


def mongods_in(directory: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"mongod") and str(directory).encode() in b" ".join(words):
                found.append(int(process.name))
    return found


def take_terminal() -> None:
    """Make standard input the terminal whose closing ends this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("keep_running", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_demo_leaves_nothing_behind_when_its_terminal_is_closed(
    tmp_path: Path, keep_running: bool
) -> None:
    arguments = ["--events", "20", "--keep-running"] if keep_running else ["--events", "100000"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    terminal, ours = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", "demo", *arguments],
        cwd=tmp_path,
        env={**environment(), "TMPDIR": str(temporary)},
        stdin=ours,
        stdout=ours,
        stderr=ours,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509  (it makes one system call)
    )
    os.close(ours)
    try:
        if keep_running:
            told = b""
            while b"password:" not in told:
                told += os.read(terminal, 4096)
        else:
            eventually(lambda: any(temporary.glob("*/spool")) and mongods_in(temporary), 60)
        os.close(terminal)
        process.wait(60)
    finally:
        process.kill()

    assert list(temporary.iterdir()) == []
    assert not mongods_in(temporary)
