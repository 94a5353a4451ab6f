"""A connection that knows since when its request is being received, and ends politely."""

from __future__ import annotations

import contextlib
import socket
from time import monotonic, time
from typing import Any

import structlog
from waitress.channel import ClientDisconnected, HTTPChannel

from consumer.errors import place_of
from consumer.server.parser import RequestParser
from consumer.server.refusal import Refusal
from consumer.server.room import SMALL_BODY
from consumer.server.task import Task

log = structlog.get_logger(__name__)

# Seconds for which a refused sender may go on sending: closed at once, with bytes of its unread,
# the connection would be reset, and the answer lost on the way.
_LINGER = 2.0


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection with a deadline.

    waitress closes idle connections only, and a dripping client is never idle: so the time of a
    request's first byte is kept, and the server closes what is older than the deadline.
    `waiting_since` is when it was made or its last request was whole; `served`: there was one.
    """

    parser_class = RequestParser
    task_class = Task

    request: Any
    requests: list[Any]
    current_outbuf_count: int
    close_when_flushed: bool
    receiving_since: float | None = None
    lingering_since: float | None = None
    refused = False
    served = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.waiting_since = monotonic()
        super().__init__(*args, **kwargs)

    def add_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's name
        super().add_channel(map)
        self.server.loop.tell(self)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002
        self.server.loop.forget(self._fileno)
        super().del_channel(map)

    def received(self, data: bytes) -> bool:
        if self.lingering_since is not None:
            return False
        before = self.request
        taken = bool(super().received(data))
        request = self.request
        if request is None:
            self.receiving_since = None
            self.waiting_since = monotonic()
            self.served = True
        elif request is not before:
            self.receiving_since = monotonic()
        elif request.held_bytes > SMALL_BODY:
            self.server.make_room(self, request.held_bytes)
        if self.server.draining:
            self.close_after_answers()
        return taken

    def service(self) -> None:
        """Answer the first request. As waitress does, but for what it wakes the loop for: that has
        nothing to do after an answer that is sent, on a connection it goes on reading."""
        request = self.requests[0]
        self.refused = request.error is not None
        task = (self.error_task_class if self.refused else self.task_class)(self, request)
        if not (self.connected and self._answered(task)) or task.close_on_finish:
            self._end()
        else:
            self._next()
        if self.connected and (self.total_outbufs_len or self.close_when_flushed):
            self._wake_the_loop()
        self.last_activity = time()
        if not self.requests:
            self.server.room.free(self)

    def _answered(self, task: Task) -> bool:
        try:
            task.service()
        except ClientDisconnected:
            return False
        except Exception as error:
            # Falcon answers whatever our code raises, so half an answer may be on the wire.
            log.error("fault in an answer", error=type(error).__name__, place=place_of(error))  # noqa: TRY400
            return False
        return True

    def _end(self) -> None:
        with self.requests_lock:
            self.close_when_flushed = True
            for request in self.requests:
                request.close()
            self.requests = []

    def _next(self) -> None:
        """Forget the request that is answered, and see to the one that came meanwhile."""
        # What comes next gets a buffer of its own, so that this one is let go.
        if self.current_outbuf_count > 0:
            self.current_outbuf_count = self.adj.outbuf_high_watermark
        with self.requests_lock:
            self.requests.pop(0).close()
            read_no_more = len(self.requests) >= self.adj.channel_request_lookahead
            if self.connected and self.requests:
                self.server.add_task(self)
            elif self.connected and self._waits_to_continue():
                self.send_continue()
        if read_no_more:
            self._wake_the_loop()

    def _wake_the_loop(self) -> None:
        self.server.loop.tell(self)
        self.server.pull_trigger()

    def _waits_to_continue(self) -> bool:
        request = self.request
        return bool(
            request is not None
            and request.expect_continue
            and request.headers_finished
            and not self.sent_continue
        )

    def write_soon(self, data: Any) -> int:
        """Send at once what the system takes, without a detour over the buffers."""
        if type(data) is not bytes or self.total_outbufs_len or not self.connected:
            taken = int(super().write_soon(data))
            self._wake_the_loop()
            return taken
        with self.outbuf_lock:
            try:
                sent = self.send(data, do_close=False)
            except OSError as error:
                raise ClientDisconnected from error
        if sent < len(data):
            super().write_soon(data[sent:])
            self._wake_the_loop()
        return len(data)

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request that is being received, whatever of it is still to come."""
        with self.requests_lock:
            self.request.refuse(refusal)
            self.requests.append(self.request)
            self.request = self.receiving_since = None
            first = len(self.requests) == 1
        if first:
            self.server.add_task(self)

    def handle_write(self) -> None:
        if not (self.refused and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif self.connected and not self.total_outbufs_len:
            self.close_when_flushed = False
            self.lingering_since = monotonic()
            with contextlib.suppress(OSError):  # the sender has closed already
                self.socket.shutdown(socket.SHUT_WR)

    def handle_close(self) -> None:
        super().handle_close()
        # What waits or is worked on is in memory until that has ended.
        if not self.requests:
            self.server.room.free(self)

    def is_busy(self) -> bool:
        """Whether a request is being received, worked on, or its answer sent."""
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def is_overdue(self, deadline: float, now: float) -> bool:
        """Whether one request has been arriving for more than `deadline` seconds, or a refused
        sender is still sending."""
        if self.lingering_since is not None:
            return now - self.lingering_since > _LINGER
        # While another one is worked on, nothing is read.
        return bool(
            not self.requests
            and self.receiving_since is not None
            and now - self.receiving_since > deadline
        )

    def close_after_answers(self) -> None:
        """Have the answer to the last waiting request say `Connection: close`."""
        with self.requests_lock:
            if self.requests:
                self.requests[-1].headers["CONNECTION"] = "close"
