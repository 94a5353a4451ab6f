"""Bring one mongod up until it can be written to."""

from __future__ import annotations

import threading
import time

import structlog

from consumer.errors import SetupError
from consumer.storage.embedded import child, port
from consumer.storage.embedded.server import Server

logger = structlog.get_logger(__name__)


def first(
    server: Server, wanted_port: int | None, timeout: float, stopping: threading.Event
) -> child.Child:
    """The mongod of an earlier run if it still runs, else a new one on `wanted_port` or a free one.
    Raises SetupError with the reason where there is none within `timeout` seconds."""
    orphan = server.find_orphan(wanted_port)
    if orphan is not None:
        await_primary(server, orphan, timeout, stopping)
        logger.warning("adopted the mongod of an earlier run", pid=server.pid, port=server.port)
        return orphan
    for attempt in (1, 2, 3):
        chosen = wanted_port or port.choose(server.last_port())
        if not port.is_free(chosen):
            raise SetupError(
                f"port {chosen} on 127.0.0.1 is in use, so the embedded MongoDB cannot listen"
                " there: stop what uses it, or choose another port"
            )
        running = server.launch(chosen)
        try:
            await_primary(server, running, timeout, stopping)
            break
        except SetupError:
            # Somebody else took our random port between the look and the start: draw again.
            if wanted_port or port.is_free(chosen) or attempt == 3:
                raise
    logger.info("mongod is ready", pid=server.pid, port=server.port, log=str(server.log))
    return running


def await_primary(
    server: Server, running: child.Child, timeout: float, stopping: threading.Event
) -> None:
    """Return once it is writable or `stopping` is set; else kill it and raise SetupError."""
    deadline = time.monotonic() + timeout
    while not server.is_primary():
        code = running.exit_code()
        if code is not None:
            raise SetupError(
                f"mongod ended with exit code {code} before it was ready:"
                f" {server.faults()}. Its log is {server.log}"
            )
        if time.monotonic() > deadline:
            running.kill()
            raise SetupError(
                f"mongod was not ready after {timeout:g} s: {server.faults()}. Read its"
                f" log {server.log}, or allow it more time"
            )
        if stopping.wait(0.01):
            return
