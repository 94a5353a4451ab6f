"""Run a WSGI application in waitress, and stop it so that everything accepted is answered."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer, ThreadedTaskDispatcher

from consumer.errors import SetupError
from consumer.server.channel import Channel
from consumer.server.parser import Limits
from consumer.server.refusal import OVERLOADED

log = structlog.get_logger(__name__)

# Seconds an idle kept-alive connection stays open while stopping: a request already on the wire is
# still answered, and told to close.
_LINGER = 0.5
_HEADER_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`listen` is host:port; times in seconds. `request_timeout` runs from a request's first byte
    to its last."""

    listen: str
    threads: int
    max_body_bytes: int
    request_timeout: float = 30.0
    drain_timeout: float = 30.0
    connection_limit: int = 1000
    max_waiting: int = 500


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    channel_class = Channel
    draining = False
    request_timeout = 0.0
    max_waiting = 0
    shedder: ThreadedTaskDispatcher

    def add_task(self, task: Channel) -> None:
        """Queue the request, or have it answered 503 at once when too many wait already."""
        dispatcher = self.task_dispatcher
        idle = len(dispatcher.threads) - dispatcher.active_count
        if len(dispatcher.queue) < self.max_waiting + idle:
            super().add_task(task)
            return
        # Not by the busy threads, behind whose work it would wait: by one that does only this.
        task.requests[0].error = OVERLOADED
        self.shedder.add_task(task)

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.is_overdue(self.request_timeout, monotonic()):
                channel.will_close = True

    def stop_listening(self) -> None:
        """Take what the kernel accepted for us already, then close the listening socket alone."""
        before = -1
        while len(self.active_channels) != before:
            before = len(self.active_channels)
            self.handle_accept()
        self.draining = True
        self.accepting = False
        self.del_channel(self._map)
        self.socket.close()
        for channel in list(self.active_channels.values()):
            channel.close_after_answers()


class Server:
    """One waitress process; binds at once, serves in `run`."""

    def __init__(self, app: Callable[..., Any], options: ServerOptions) -> None:
        self._options = options
        self._map: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._dispatcher = ThreadedTaskDispatcher()
        self._shedder = ThreadedTaskDispatcher()
        try:
            adjustments = _adjustments(options)
            self._listeners = [
                _Listener(
                    app, self._map, dispatcher=self._dispatcher, adj=adjustments, sockinfo=sockinfo
                )
                for sockinfo in adjustments.listen
            ]
        except (OSError, ValueError) as error:
            wasyncore.close_all(self._map, ignore_all=True)
            raise SetupError(
                f"cannot listen on {options.listen}: {error}; is another process using it?"
                " Set CXONE_LISTEN or --listen to another address"
            ) from error
        for listener in self._listeners:
            listener.request_timeout = options.request_timeout
            listener.max_waiting = options.max_waiting
            listener.shedder = self._shedder

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on; the port is the real one where 0 was asked for."""
        return self._listeners[0].effective_host, int(self._listeners[0].effective_port)

    def run(self) -> None:
        """Serve until `stop` is called, then drain; returns when everything accepted is answered or
        the drain timeout is over."""
        self._dispatcher.set_thread_count(self._options.threads)
        self._shedder.set_thread_count(1)
        try:
            while not self._stopping.is_set():
                self._turn(1.0)
            self._drain()
        finally:
            self._dispatcher.shutdown()
            self._shedder.shutdown()
            wasyncore.close_all(self._map, ignore_all=True)

    def stop(self) -> None:
        """Ask `run` to drain and return; callable from any thread and from a signal handler."""
        self._stopping.set()
        # The loop may have ended already, and its trigger with it.
        with contextlib.suppress(OSError, ValueError):
            self._listeners[0].pull_trigger()

    def _turn(self, timeout: float) -> None:
        wasyncore.loop(timeout=timeout, use_poll=True, map=self._map, count=1)

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
            lingering = monotonic() - started < _LINGER
            if not any(channel.is_busy() for channel in channels) and not (channels and lingering):
                return
            self._turn(0.05)
        log.warning("stopped with requests unanswered", after=self._options.drain_timeout)


def _adjustments(options: ServerOptions) -> Adjustments:
    limits = Limits(options.max_body_bytes)
    adjustments = Adjustments(
        listen=options.listen,
        threads=options.threads,
        max_request_body_size=limits.max_wire_bytes,
        max_request_header_size=_HEADER_BYTES,
        # Bodies are bounded, so they stay in memory rather than in temporary files.
        inbuf_overflow=limits.max_wire_bytes,
        connection_limit=options.connection_limit,
        channel_timeout=int(max(options.request_timeout, 1)),
        cleanup_interval=1,
        asyncore_use_poll=True,
        expose_tracebacks=False,
        clear_untrusted_proxy_headers=False,
        ident="cxone-consumer",
    )
    adjustments.limits = limits
    return adjustments
