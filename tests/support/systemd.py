"""Give tests of systemd its checks of unit files, and a socket that listens as it does."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pytest

# Windows has none, and no systemd to listen on it.
_UNIX: int = getattr(socket, "AF_UNIX", -1)


def analyze(*arguments: str) -> str:
    """All that `systemd-analyze ARGUMENTS` prints. Skips where the program is missing, but not in
    CI, which installs it."""
    program = shutil.which("systemd-analyze")
    if program is None:
        message = "systemd-analyze is missing: install the package systemd"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run(
        [program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat"},
    )
    return done.stdout


def exposure(unit: Path) -> float:
    """From 0 (locked away) to 10 (exposed)."""
    said = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


class NotifySocket:
    """The other end of `NOTIFY_SOCKET`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def read(self, until: Callable[[list[str]], bool], timeout: float = 20.0) -> list[str]:
        """All lines of this call, up to the first datagram of which `until` is true."""
        lines: list[str] = []
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for datagram in self.arrived(end - time.monotonic()):
                lines += datagram
                if until(datagram):
                    return lines
        raise AssertionError(f"it was not said; what was: {lines}")

    def during(self, seconds: float) -> list[str]:
        """All lines of the next `seconds`."""
        end = time.monotonic() + seconds
        lines: list[str] = []
        while (left := end - time.monotonic()) > 0:
            for datagram in self.arrived(left):
                lines += datagram
        return lines

    def arrived(self, timeout: float) -> list[list[str]]:
        self._socket.settimeout(max(timeout, 0.01))
        try:
            return [self._socket.recv(65536).decode().split("\n")]
        except TimeoutError:
            return []

    def __enter__(self) -> NotifySocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
