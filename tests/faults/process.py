"""The service as a process that a test may kill, stop and start again on the same port and data."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import environment
from tests.support.service import SECRET

Address = tuple[str, int]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """`cxone-consumer serve`; its log goes to `log.txt` beside the data directory."""

    def __init__(self, uri: str, database: str, data_dir: Path, **settings: str) -> None:
        self.address: Address = ("127.0.0.1", free_port())
        self.log = data_dir.with_name(f"{data_dir.name}-log.txt")
        host, port = self.address
        self._command = [sys.executable, "-m", "consumer", "serve", "--listen", f"{host}:{port}"]
        self._environment = environment(
            {
                "CXONE_SHARED_SECRET": SECRET,
                "MONGODB_URI": uri,
                "MONGODB_DATABASE": database,
                "CXONE_DATA_DIR": str(data_dir),
                "LOG_FORMAT": "json",
                **{name.upper(): value for name, value in settings.items()},
            }
        )
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> float:
        """Start it and wait for its first answer; after how many seconds that came."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            # In no project directory: a `.env` there would be read.
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=self.log.parent, stderr=log
            )
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() - began < 60, "it does not answer"
            time.sleep(0.01)
        return time.monotonic() - began

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Ask it to end, as a service manager does."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(60)

    def ready(self) -> dict[str, Any]:
        """The answer of `/readyz`."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("GET", "/readyz")
            facts: dict[str, Any] = json.loads(connection.getresponse().read())
            return facts
        finally:
            connection.close()

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far; a line that a kill cut off is left out."""
        found = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def process(uri: str, database: str, data_dir: Path, **settings: str) -> Iterator[Process]:
    """A running service, killed at the end if it still runs."""
    data_dir.mkdir(exist_ok=True)
    running = Process(uri, database, data_dir, **settings)
    try:
        yield running
    finally:
        running.kill()
