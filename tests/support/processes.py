"""Run the command as a user does: a process of its own, with an environment of its own."""

from __future__ import annotations

import http.client
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# What a test's own environment says must not reach the program under test.
_INHERITED = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "HOME", "USERPROFILE")
_RUN = "import runpy; runpy.run_module('consumer', run_name='__main__', alter_sys=True)"


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "PYTHONUTF8": "1", **(settings or {})}


def run(
    arguments: Sequence[str],
    cwd: Path,
    settings: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """The finished `cxone-consumer ARGUMENTS`; what it printed, with the line ends of POSIX."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        cwd=cwd,
        env=environment(settings),
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if sys.platform == "win32":
        done.stdout, done.stderr = (
            printed.replace(b"\r\n", b"\n") for printed in (done.stdout, done.stderr)
        )
    return done


def start(
    arguments: Sequence[str],
    cwd: Path,
    settings: Mapping[str, str],
    *,
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[str]:
    """`cxone-consumer ARGUMENTS`, which `ask_to_stop` ends in good order."""
    windows = sys.platform == "win32"
    words = ["-c", signalled_at_end("SIGBREAK") + _RUN] if windows else ["-m", "consumer"]
    return subprocess.Popen(
        [sys.executable, *words, *arguments],
        cwd=cwd,
        env=environment(settings),
        stdin=subprocess.PIPE if windows else None,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
    )


def signalled_at_end(name: str) -> str:
    """Code by which a program on Windows gets a signal when its input ends. From outside only a
    console that both share brings it one, and Wine gives none that could be shared."""
    return f"""
import os, signal, threading
def await_end():
    os.read(0, 1)
    signal.raise_signal(signal.{name})
threading.Thread(target=await_end, daemon=True).start()
"""


def freeze(pid: int) -> None:
    """Stop a process where it stands until `thaw`. POSIX only."""
    if sys.platform == "win32":
        raise NotImplementedError("no process can be stopped from outside here")
    os.kill(pid, signal.SIGSTOP)
    # On a busy machine its threads go on for some time after the signal; Linux tells.
    threads = Path(f"/proc/{pid}/task")
    ends = time.monotonic() + 30
    while any(not _is_stopped(stat) for stat in threads.glob("*/stat")):
        assert time.monotonic() < ends, f"{pid} does not stop"
        time.sleep(0.001)


def _is_stopped(stat: Path) -> bool:
    try:
        # The name, in parentheses, may have any character.
        return stat.read_text().rpartition(")")[2].split()[0] in "TtZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def thaw(pid: int) -> None:
    """Let a frozen process go on as if nothing had happened."""
    if sys.platform != "win32":
        os.kill(pid, signal.SIGCONT)


def ask_to_stop(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """Send it this signal, on Windows that of `signalled_at_end`."""
    if process.stdin is None:
        process.send_signal(number)
    else:
        process.stdin.close()


class Serving:
    """A `serve` process; `lines` is what it logged so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._arrived: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = self._await_url()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.lines.append(line)
                self._arrived.put(line)
        self._arrived.put(None)

    def _await_url(self) -> str:
        while (line := self._arrived.get(timeout=120)) is not None:
            found = re.search(r"http://[^\s\"']+", line) if "listening" in line else None
            if found:
                return found.group()
        raise AssertionError("".join(self.lines))

    def has_logged(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def await_line(self, words: str, seconds: float = 60) -> None:
        """Return when a line with these words was logged."""
        ends = time.monotonic() + seconds
        while not self.has_logged(words):
            assert time.monotonic() < ends, "".join(self.lines)
            time.sleep(0.05)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = self.connect()
        try:
            connection.request("POST", urlsplit(self.url).path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop as a service manager does; its exit status."""
        ask_to_stop(self.process, number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(timeout=40)
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._reader.join(10)
        return status


@contextmanager
def serving(
    cwd: Path, settings: Mapping[str, str], arguments: Sequence[str] = ()
) -> Iterator[Serving]:
    """`cxone-consumer serve` on a free port, killed at the end if it still runs."""
    words = ["serve", "--listen", "127.0.0.1:0", *arguments]
    process = start(words, cwd, settings, stderr=subprocess.PIPE)
    try:
        running = Serving(process)
    except BaseException:
        process.kill()
        raise
    try:
        yield running
    finally:
        if process.poll() is None:
            running.kill()
