"""A connection that answers at once, and wakes the loop only when that has something to do."""

from __future__ import annotations

from time import monotonic, time
from typing import Any

import structlog
from waitress.channel import ClientDisconnected, HTTPChannel

from consumer.errors import place_of
from consumer.server.task import Task

log = structlog.get_logger(__name__)


class AnsweringChannel(HTTPChannel):  # type: ignore[misc]
    """waitress's channel with a shorter way for answers, on a server with a `loop` (Loop).

    No thread waits for a sender to take its answer: what the system does not take at once the loop
    sends, and the next request is begun when nothing is left of it. `begun`: the first request
    waits for a thread or has one. `refused`: the request that was answered last never reached the
    application. `half_closed`: the sender will send no more, but may wait for its answers.
    `sending_since`: when an answer began to wait for the sender.
    """

    task_class = Task

    request: Any
    requests: list[Any]
    current_outbuf_count: int
    close_when_flushed: bool
    begun = False
    refused = False
    half_closed = False
    sending_since: float | None = None

    def add_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's name
        super().add_channel(map)
        self.server.loop.tell(self)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002
        self.server.loop.forget(self._fileno)
        super().del_channel(map)

    def readable(self) -> bool:
        return not self.half_closed and bool(super().readable())

    def handle_read(self) -> None:
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            self.handle_close()
            return
        if data:
            self.last_activity = time()
            self.received(data)
        else:
            self._hear_the_end()

    def begin(self) -> None:
        """Have the first request answered, unless it is already, or an answer before it waits to
        be sent; the caller holds `requests_lock`."""
        if self.requests and not (self.begun or self.total_outbufs_len) and self.connected:
            self.begun = True
            self.server.add_task(self)

    def handle_write(self) -> None:
        super().handle_write()
        self.sent()

    def sent(self) -> None:
        """Go on with what waited for an answer to be sent."""
        self._note_unsent()
        with self.requests_lock:
            self.begin()

    def _hear_the_end(self) -> None:
        """The sender's end is not the connection's while something is still to be answered."""
        with self.requests_lock:
            self.half_closed = bool(self.requests or self.total_outbufs_len)
            if self.half_closed and not self.requests:
                self.close_when_flushed = True
        if not self.half_closed:
            self.handle_close()

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
        if self.half_closed and not self.requests:
            self.close_when_flushed = True
        if self.connected and (self.total_outbufs_len or self.close_when_flushed):
            self._wake_the_loop()
        self.last_activity = time()

    def _tell(self, error: Exception) -> None:
        # Whoever found a fault can repeat it.
        kind, place = type(error).__name__, place_of(error)
        suppressed = self.server.warnings.allow(f"{kind} {place}")
        if suppressed is not None:
            log.error("fault in an answer", error=kind, place=place, suppressed=suppressed)

    def _answered(self, task: Task) -> bool:
        try:
            task.service()
        except ClientDisconnected:
            return False
        except Exception as error:
            # Falcon answers whatever our code raises, so half an answer may be on the wire.
            self._tell(error)
            return False
        return True

    def _end(self) -> None:
        with self.requests_lock:
            self.close_when_flushed = True
            for request in self.requests:
                request.close()
            self.requests = []
            self.begun = False

    def _next(self) -> None:
        """Forget the request that is answered, and see to the one that came meanwhile."""
        # What comes next gets a buffer of its own, so that this one is let go.
        if self.current_outbuf_count > 0:
            self.current_outbuf_count = self.adj.outbuf_high_watermark
        with self.requests_lock:
            self.requests.pop(0).close()
            self.begun = False
            read_no_more = len(self.requests) >= self.adj.channel_request_lookahead
            self.begin()
            if not self.requests and self.connected and self.waits_to_continue():
                self.send_continue()
        if read_no_more:
            self._wake_the_loop()

    def _wake_the_loop(self) -> None:
        self.server.loop.tell(self)
        self.server.pull_trigger()

    def waits_to_continue(self) -> bool:
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
            self._leave_to_the_loop()
            return taken
        with self.outbuf_lock:
            try:
                sent = self.send(data, do_close=False)
            except OSError as error:
                raise ClientDisconnected from error
        if sent < len(data):
            super().write_soon(data[sent:])
            self._leave_to_the_loop()
        return len(data)

    def _leave_to_the_loop(self) -> None:
        self._note_unsent()
        self._wake_the_loop()
        if self.will_close:
            raise ClientDisconnected

    def _flush_outbufs_below_high_watermark(self) -> None:
        """waitress would wait here for the sender."""

    def _note_unsent(self) -> None:
        with self.outbuf_lock:
            if self.total_outbufs_len:
                self.sending_since = self.sending_since or monotonic()
                self.server.make_way(self, self.total_outbufs_len)
            elif self.sending_since is not None:
                self.sending_since = None
                self.server.unsent.free(self)
