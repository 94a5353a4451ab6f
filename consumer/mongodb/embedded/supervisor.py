"""Bring one mongod up until it can be written to, and keep it so for as long as it is needed."""

from __future__ import annotations

import math
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType

import structlog

from consumer.core.errors import SetupError
from consumer.core.waiting import interruptibly
from consumer.mongodb.embedded import port, process
from consumer.mongodb.embedded.server import Server

logger = structlog.get_logger(__name__)

_LOOK = 0.1  # seconds between two looks at a running mongod
_HOUSEKEEPING = 60.0  # seconds between two looks at the length of its log
_KILLING = 10.0  # seconds beside its grace for a mongod to be gone
_STEADY = 60.0  # seconds after which an earlier crash no longer counts


def backoff(crashes: int) -> float:
    """Seconds to wait before restart number `crashes` (from 1): at most some 8 in a minute."""
    return (0.1, 0.5, 2.0, 5.0, 15.0)[min(crashes, 5) - 1]


class EmbeddedMongo:
    """A one-node replica set on loopback with its files in `data_dir`, while the block lasts.

    The caller owns `data_dir` (see DataDirectory). One thread starts mongod, minds it, restarts
    it on the same port when it ends by itself, and stops it: on Linux the kernel takes mongod
    down with the thread that started it. `port` None: the last one used if free, else a random
    one. `cache_gb` None: MongoDB's own share of the memory, for indexes that outgrow the cache cost
    throughput. Anybody with an account on this machine can reach the port, but only who may read
    the key in the directory can log in.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        mongod: Path | None = None,
        cache_gb: float | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self._server = Server(data_dir.resolve(), cache_gb, mongod)
        self._wanted_port = port
        self._start_timeout = start_timeout
        self._stopping = threading.Event()
        self._grace = 15.0
        self._ready: Future[None] = Future()
        self._thread: threading.Thread | None = None

    @property
    def uri(self) -> str:
        """The URI for clients, with user and password; known once started."""
        return self._server.uri()

    @property
    def port(self) -> int:
        """The port in use; known once started."""
        return self._server.port

    @property
    def pid(self) -> int:
        """The process id of mongod itself as last seen; known once started."""
        return self._server.pid

    @property
    def log_file(self) -> Path:
        return self._server.log

    def start(self) -> EmbeddedMongo:
        """Return once it is a writable primary; raises SetupError with the reason where not."""
        if self._thread is not None:
            raise SetupError("the embedded MongoDB was started before: make a new one")
        # A daemon: a program that ends without stop() must not hang here, and mongod ends with us.
        self._thread = threading.Thread(target=self._run, name="mongod", daemon=True)
        self._thread.start()
        try:
            interruptibly(self._ready.result)
        except BaseException:  # also Ctrl-C while we wait
            self.stop(grace=0)
            raise
        return self

    def stop(self, grace: float = 15.0) -> None:
        """Stop mongod in good order; kill it after `grace` seconds (0: at once, also safe)."""
        self._grace = grace
        self._stopping.set()
        if self._thread is not None:
            # Not for ever: it may still ask a slow mongod for its version. All that it started
            # ends with us.
            interruptibly(partial(self._thread.join, grace + _KILLING))

    def __enter__(self) -> EmbeddedMongo:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            running = first(self._server, self._wanted_port, self._start_timeout, self._stopping)
        except Exception as error:
            self._ready.set_exception(error)  # start() raises it in its caller's thread
            return
        self._ready.set_result(None)
        self._supervise(running)

    def _supervise(self, running: process.Child | None) -> None:
        crashes = 0
        while True:
            began = time.monotonic()
            code = self._await_end(running) if running else None
            if self._stopping.is_set():
                if running and code is None:
                    self._shut_down(running)
                return
            crashes = 1 if time.monotonic() - began > _STEADY else crashes + 1
            delay = backoff(crashes)
            logger.error(
                "mongod ended by itself and is restarted",
                exit_code=code,
                faults=self._server.faults(),
                delay=delay,
                log=str(self.log_file),
            )
            if self._stopping.wait(delay):
                return
            running = self._again()

    def _again(self) -> process.Child | None:
        """Another mongod on the same port, as far as it comes; None where none could be started."""
        running = None
        try:
            running = self._server.find_orphan(self.port) or self._server.launch(self.port)
            # However long it takes: a large journal is replayed now, and killing it would only
            # begin that again.
            await_primary(self._server, running, math.inf, self._stopping)
        except (SetupError, OSError) as error:
            logger.warning("mongod could not be restarted", error=str(error))
        else:
            if not self._stopping.is_set():
                logger.info("mongod is ready again", pid=self.pid, port=self.port)
        return running

    def _await_end(self, running: process.Child) -> int | None:
        """The exit code once mongod ended; None when asked to stop while it runs."""
        tidied = time.monotonic()
        while (code := running.exit_code()) is None and not self._stopping.wait(_LOOK):
            if time.monotonic() - tidied > _HOUSEKEEPING:
                tidied = time.monotonic()
                self._server.bound_log()
        return code

    def _shut_down(self, running: process.Child) -> None:
        if self._grace > 0:
            if sys.platform == "win32":
                self._server.request_shutdown()
            else:
                running.terminate()
            if running.wait(self._grace):
                return
            logger.warning("mongod did not stop in time and is killed", after=self._grace)
        running.kill()


def first(
    server: Server, wanted_port: int | None, timeout: float, stopping: threading.Event
) -> process.Child:
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
    if not stopping.is_set():
        logger.info("mongod is ready", pid=server.pid, port=server.port, log=str(server.log))
    return running


def await_primary(
    server: Server, running: process.Child, timeout: float, stopping: threading.Event
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
