"""Run a WSGI application in waitress, and stop it so that everything accepted is answered."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import ThreadedTaskDispatcher

from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.core.ratelimit import FaultLog, RateLimit
from consumer.http.server.event_loop import EventLoop
from consumer.http.server.listener import NO_LIMIT, Listener, MemoryLimit
from consumer.http.server.parser import max_wire_bytes
from consumer.http.server.worker_pool import WorkerPool

log = structlog.get_logger(__name__)

# Seconds an idle kept-alive connection stays open while stopping: a request already on the wire is
# still answered, and told to close.
_LINGER = 0.5
_HEADER_BYTES = 32 * 1024
_RECEIVE = 32 * 1024
# Bytes of answers that the system keeps for a connection (Linux takes twice that). By itself it
# would keep megabytes for each of those that read nothing.
_SEND_BUFFER = 128 * 1024
# Threads for what is no delivery and may wait for MongoDB, so that deliveries never wait behind it:
# these, and as many as a quarter of the others, for the console takes that many at most.
_OTHERS = 4
# Seconds between two looks at deliveries that wait for a thread.
_UNSTICK_EVERY = 0.005
# Seconds between two lines of the log about the same thing.
_WARN_EVERY = 60.0
# Files that a process opens beside its connections and those of its threads to MongoDB.
_RESERVED_FILES = 128
# On Windows `select` takes 512 sockets, ours and the listening ones among them.
MOST_ON_WINDOWS = 500
_FEWEST_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`listen` is host:port; times in seconds. `request_timeout` runs from a request's first byte
    to its last, and again for its answer. Requests to `delivery_paths` (None: to any) share
    `threads`, many in each. `max_waiting` are whole requests, `max_waiting_bytes` of bodies over
    `channel.SMALL_BODY`, `max_unsent_bytes` of answers that their senders do not take."""

    listen: str
    threads: int
    max_body_bytes: int
    delivery_paths: frozenset[str] | None = None
    request_timeout: float = 30.0
    idle_timeout: float = 75.0
    drain_timeout: float = 30.0
    max_connections: int = 1000
    max_waiting: int = 500
    max_waiting_bytes: int = 64 * 1024 * 1024
    max_unsent_bytes: int = 16 * 1024 * 1024


class Server:
    """One waitress process; binds at once, serves in `run`."""

    def __init__(self, app: Callable[..., Any], options: ServerOptions) -> None:
        self._options = options
        self._map: dict[int, Any] = {}
        self._loop = EventLoop(self._map)
        self.stopping = threading.Event()
        self._turned: float | None = None
        self._workers = WorkerPool()
        self._others = ThreadedTaskDispatcher()
        self._shedder = ThreadedTaskDispatcher()
        try:
            adjustments = _adjustments(options)
            self._listeners = [
                Listener(
                    app, self._map, dispatcher=self._workers, adj=adjustments, sockinfo=sockinfo
                )
                for sockinfo in adjustments.listen
            ]
        except (OSError, ValueError) as error:
            wasyncore.close_all(self._map, ignore_all=True)
            raise SetupError(
                f"cannot listen on {options.listen}: {error}; is another process using it?"
                " Set CXONE_LISTEN or --listen to another address"
            ) from error
        bodies = MemoryLimit(options.max_waiting_bytes)
        answers = MemoryLimit(options.max_unsent_bytes)
        faults, warnings = FaultLog(log), RateLimit(_WARN_EVERY, utc_now)
        most = _connections_within(options.max_connections, options.threads)
        if most < options.max_connections:
            log.warning(
                "fewer connections than asked for", connections=most, asked=options.max_connections
            )
        for listener in self._listeners:
            listener.request_timeout = options.request_timeout
            listener.max_waiting = options.max_waiting
            listener.max_connections = most
            listener.other_sockets = len(self._map)
            listener.delivery_paths = options.delivery_paths
            listener.others = self._others
            listener.shedder = self._shedder
            listener.bodies = bodies
            listener.answers = answers
            listener.loop = self._loop
            listener.faults = faults
            listener.warnings = warnings

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on; the port is the real one where 0 was asked for."""
        return self._listeners[0].effective_host, int(self._listeners[0].effective_port)

    @property
    def silent_for(self) -> float | None:
        """Seconds since the accept loop last came round, which it does every second at least; None
        before the first time."""
        return None if self._turned is None else monotonic() - self._turned

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return sum(len(listener.active_channels) for listener in self._listeners)

    def run(self) -> None:
        """Serve until `stop` is called, then drain; returns when everything accepted is answered or
        the drain timeout is over."""
        self._workers.set_thread_count(self._options.threads)
        self._others.set_thread_count(_OTHERS + self._options.threads // 4)
        self._shedder.set_thread_count(1)
        try:
            while not self.stopping.is_set():
                self._turn(_UNSTICK_EVERY if self._workers.unstick() else 1.0)
            self._drain()
        finally:
            self._workers.shutdown()
            self._others.shutdown()
            self._shedder.shutdown()
            wasyncore.close_all(self._map, ignore_all=True)
            self._loop.close()

    def stop(self) -> None:
        """Ask `run` to drain and return; callable from any thread and from a signal handler."""
        self.stopping.set()
        # The loop may have ended already, and its trigger with it.
        with contextlib.suppress(OSError, ValueError):
            self._listeners[0].pull_trigger()

    def _turn(self, timeout: float) -> None:
        self._loop.turn(timeout)
        self._turned = monotonic()

    def _drain(self) -> None:
        for listener in self._listeners:
            listener.stop_listening()
        started = monotonic()
        while monotonic() - started < self._options.drain_timeout:
            channels = [
                channel
                for listener in self._listeners
                for channel in listener.active_channels.values()
            ]
            now = monotonic()
            lingering = bool(channels) and now - started < _LINGER
            if not lingering and not any(each.is_awaited(started, now) for each in channels):
                return
            self._workers.unstick()
            self._turn(_UNSTICK_EVERY)
        log.warning("stopped with requests unanswered", after=self._options.drain_timeout)


def _adjustments(options: ServerOptions) -> Adjustments:
    wire_bytes = max_wire_bytes(options.max_body_bytes)
    adjustments = Adjustments(
        listen=options.listen,
        threads=options.threads,
        max_request_body_size=wire_bytes,
        max_request_header_size=_HEADER_BYTES,
        # Bodies are bounded, so they stay in memory rather than in temporary files.
        inbuf_overflow=wire_bytes,
        outbuf_overflow=options.max_unsent_bytes,
        connection_limit=NO_LIMIT,
        channel_timeout=int(max(options.idle_timeout, 1)),
        cleanup_interval=1,
        # Read on while a request is worked on: so the loop need not be woken after each answer.
        channel_request_lookahead=1,
        recv_bytes=_RECEIVE,
        expose_tracebacks=False,
        clear_untrusted_proxy_headers=False,
        ident="cxone-consumer",
    )
    adjustments.max_body_bytes = options.max_body_bytes
    adjustments.socket_options = [
        *adjustments.socket_options,
        (socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER),
    ]
    return adjustments


def _connections_within(wanted: int, threads: int) -> int:
    """Connections that the system lets this process hold, at most `wanted`; the limit of open files
    is raised as far as that needs and is allowed."""
    if sys.platform == "win32":
        return min(wanted, MOST_ON_WINDOWS)
    # Only there on POSIX.
    import resource  # noqa: PLC0415

    reserved = _RESERVED_FILES + threads
    needed = wanted + reserved
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(_FEWEST_CONNECTIONS, min(wanted, soft - reserved))
