"""Windows programs under Wine: run to their end, started, served, typed to."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from tests.support.processes import Serving, environment

PYTHON = "C:\\Python311\\python.exe"
# Kills what it started as the task manager does, with TerminateProcess, when its input ends.
_TERMINATING = """
import os, subprocess, sys, threading
started = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: (sys.stdin.read(), started.kill()), daemon=True).start()
os._exit(started.wait())
"""


def windows_path(path: Path) -> str:
    """A path of this machine as Windows programs name it."""
    return "Z:" + str(path).replace("/", "\\")


class Wine:
    """A Windows of its own, in the directory `prefix`."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix

    @property
    def drive(self) -> Path:
        return self.prefix / "drive_c"

    def environment(self, settings: Mapping[str, str] | None = None) -> dict[str, str]:
        wine = {
            "WINEPREFIX": str(self.prefix),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",
            "DISPLAY": "",
            # Words on the command line come through whole.
            "LC_ALL": "C.UTF-8",
        }
        return {**environment(settings), **wine}

    def run(
        self,
        *words: str,
        cwd: Path,
        settings: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = 300,
    ) -> subprocess.CompletedProcess[bytes]:
        """The finished `python WORDS`. All standard handles are pipes: Wine 8 gives Python neither
        /dev/null nor a file opened for writing only."""
        return subprocess.run(
            ["wine", PYTHON, *words],
            cwd=cwd,
            env=self.environment(settings),
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )

    def consumer(
        self, *words: str, cwd: Path, settings: Mapping[str, str] | None = None, status: int = 0
    ) -> str:
        """The output of `cxone-consumer WORDS`, which ended with that status."""
        done = self.run("-m", "consumer", *words, cwd=cwd, settings=settings)
        printed = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert done.returncode == status, printed
        return printed.replace("\r\n", "\n")

    def start(
        self, *words: str, cwd: Path, settings: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """`python WORDS` on pipes."""
        return subprocess.Popen(
            ["wine", PYTHON, *words],
            cwd=cwd,
            env=self.environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def serve(
        self, cwd: Path, settings: Mapping[str, str], listen: str = "127.0.0.1:0"
    ) -> subprocess.Popen[str]:
        """`serve`, which `terminate_process` ends."""
        words = ("-m", "consumer", "serve", "--listen", listen)
        return self.start("-c", _TERMINATING, *words, cwd=cwd, settings=settings)

    @contextmanager
    def serving(
        self, cwd: Path, settings: Mapping[str, str], listen: str = "127.0.0.1:0"
    ) -> Iterator[Serving]:
        """`serve` that listens; `terminate_process` ends it, and so does the end of the context."""
        started = self.serve(cwd, settings, listen)
        try:
            yield Serving(started)
        finally:
            terminate_process(started)


def terminate_process(started: subprocess.Popen[str]) -> None:
    """Call TerminateProcess for what runs below `started`, and wait."""
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.close()
    started.wait(60)
    started.stdout.close()


class Terminal:
    """A program on a console of its own, read and typed to through a pty."""

    def __init__(
        self, wine: Wine, *words: str, cwd: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        # Not on Windows, where these tests are collected, too.
        fcntl, pty, termios = map(import_module, ("fcntl", "pty", "termios"))
        self._ours, theirs = pty.openpty()
        self.screen = ""
        self.process = subprocess.Popen(
            ["wine", PYTHON, *words],
            cwd=cwd,
            env={**wine.environment(settings), "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Without a terminal that controls it, Ctrl-C reaches nobody.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)

    def await_text(self, pattern: str, seconds: float = 120) -> re.Match[str]:
        """Return when the screen has shown this."""
        ends = time.monotonic() + seconds
        while not (found := re.search(pattern, self.screen)):
            assert time.monotonic() < ends, self.screen
            self._read(0.1)
        return found

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait(self, seconds: float = 120) -> int:
        """The exit status; the screen is read on meanwhile, or the program would wait for it."""
        ends = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < ends, self.screen
            self._read(0.1)
        self._read(0.1)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if ready:
            try:
                self.screen += os.read(self._ours, 1 << 16).decode("utf-8", "replace")
            except OSError:
                # Linux says EIO once nobody has the other end open.
                time.sleep(seconds)
