"""One connection: take its requests, send its answers, and end it politely and in time."""

from __future__ import annotations

import contextlib
import socket
from time import monotonic, time
from typing import Any

from waitress.channel import ClientDisconnected, HTTPChannel

from consumer.http.server.parser import RequestParser
from consumer.http.server.responses import Refusal, Task

# Bytes up to which a body is not counted: the number of connections bounds those, and counting
# would cost every request.
SMALL_BODY = 64 * 1024
# Seconds for which a refused sender may go on sending: closed at once, with bytes of its unread,
# the connection would be reset, and the answer lost on the way.
_LINGER = 2.0
# Seconds for which a stop waits for senders that do not send, or do not take their answers.
_GRACE = 3.0


class Channel(HTTPChannel):  # type: ignore[misc]
    """waitress's channel with deadlines, and with a shorter way for answers.

    No thread waits for a sender to take its answer: what the system does not take at once the event
    loop sends, and the next request is begun when nothing is left of it. The loop is woken only
    when that has something to do.

    waitress closes idle connections only, and a dripping client is never idle: so the time of a
    request's first byte is kept (`receiving_since`), and that of an answer that began to wait for
    the sender (`sending_since`); the listener closes what is older than the deadline.

    `begun`: the first request waits for a thread or has one. `refused`: the request that was
    answered last never reached the application. `half_closed`: the sender will send no more, but
    may wait for its answers. `waiting_since`: when the connection was made or its last request was
    whole; `served`: there was one. `unparsed` came behind the requests that are looked at ahead, in
    the same packet.
    """

    task_class = Task
    parser_class = RequestParser

    request: Any
    requests: list[Any]
    current_outbuf_count: int
    close_when_flushed: bool
    begun = False
    refused = False
    half_closed = False
    served = False
    receiving_since: float | None = None
    sending_since: float | None = None
    lingering_since: float | None = None
    unparsed = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.waiting_since = monotonic()
        super().__init__(*args, **kwargs)

    def add_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's name
        super().add_channel(map)
        self.server.loop.recheck(self)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002
        self.server.loop.forget(self._fileno)
        super().del_channel(map)

    # -- requests come ------------------------------------------------------------------------

    def readable(self) -> bool:
        """Asked by the loop alone; what is here already comes before what can be read."""
        if self.unparsed and self._takes_more():
            self.received(b"")
        return not self.unparsed and self._takes_more()

    def _takes_more(self) -> bool:
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
            self._end_of_input()

    def _end_of_input(self) -> None:
        """The sender's end is not the connection's while something is still to be answered."""
        with self.requests_lock:
            self.half_closed = bool(self.requests or self.total_outbufs_len)
            if self.half_closed and not self.requests:
                self.close_when_flushed = True
        if not self.half_closed:
            self.handle_close()

    def received(self, data: bytes) -> bool:
        if self.lingering_since is not None:
            return False
        before = self.request
        taken = self._parse(self.unparsed + data)
        request = self.request
        if request is None:
            self.receiving_since = None
            self.waiting_since = monotonic()
            self.served = True
        elif request is not before:
            self.receiving_since = monotonic()
        elif request.held_bytes > SMALL_BODY:
            self.server.reserve_body(self, request.held_bytes)
        if self.server.draining:
            self.close_after_answers()
        return taken

    def _parse(self, data: bytes) -> bool:
        """Make requests of what came: as many as may wait, for a packet holds thousands."""
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                return False
            while data and len(self.requests) <= self.adj.channel_request_lookahead:
                if self.request is None:
                    self.request = self.parser_class(self.adj)
                request = self.request
                data = data[request.received(data) :]
                if self._waits_to_continue() and not self.requests:
                    self.send_continue()
                if request.completed:
                    self.sent_continue = False
                    self.request = None
                    if not request.empty:
                        self.requests.append(request)
                        self._begin()
            self.unparsed = data
        return True

    @property
    def is_receiving(self) -> bool:
        return self.receiving_since is not None and self.request is not None

    def _waits_to_continue(self) -> bool:
        request = self.request
        return bool(
            request is not None
            and request.expect_continue
            and request.headers_finished
            and not self.sent_continue
        )

    # -- requests are answered ----------------------------------------------------------------

    def _begin(self) -> None:
        """Have the first request answered, unless it is already, or an answer before it waits to
        be sent; the caller holds `requests_lock`."""
        if self.requests and not (self.begun or self.total_outbufs_len) and self.connected:
            self.begun = True
            self.server.add_task(self)

    def service(self) -> None:
        """Answer the first request. As waitress does, but for what it wakes the loop for: that has
        nothing to do after an answer that is sent, on a connection it goes on reading."""
        request = self.requests[0]
        self.refused = request.error is not None
        task = (self.error_task_class if self.refused else self.task_class)(self, request)
        if not (self.connected and self._run(task)) or task.close_on_finish:
            self._end()
        else:
            self._next()
        if self.half_closed and not self.requests:
            self.close_when_flushed = True
        if self.connected and (self.total_outbufs_len or self.close_when_flushed):
            self._wake_loop()
        self.last_activity = time()
        if not self.requests:
            self.server.bodies.release(self)

    def _run(self, task: Task) -> bool:
        """Answer; False when nothing more can be sent on this connection."""
        try:
            task.service()
        except ClientDisconnected:
            return False
        except Exception as error:
            # Falcon answers whatever our code raises, so half an answer may be on the wire.
            self.server.faults.add("fault in an answer", error)
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
            self._begin()
            if not self.requests and self.connected and self._waits_to_continue():
                self.send_continue()
        if read_no_more:
            self._wake_loop()

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request that is being received, whatever of it is still to come."""
        with self.requests_lock:
            self.request.refuse(refusal)
            self.requests.append(self.request)
            self.request = self.receiving_since = None
            self._begin()

    # -- answers are sent ---------------------------------------------------------------------

    def write_soon(self, data: Any) -> int:
        """Send at once what the system takes, without a detour over the buffers."""
        if type(data) is not bytes or self.total_outbufs_len or not self.connected:
            taken = int(super().write_soon(data))
            self._leave_to_loop()
            return taken
        with self.outbuf_lock:
            try:
                sent = self.send(data, do_close=False)
            except OSError as error:
                raise ClientDisconnected from error
        if sent < len(data):
            super().write_soon(data[sent:])
            self._leave_to_loop()
        return len(data)

    def _leave_to_loop(self) -> None:
        self._note_unsent()
        self._wake_loop()
        if self.will_close:
            raise ClientDisconnected

    def _wake_loop(self) -> None:
        self.server.loop.recheck(self)
        self.server.pull_trigger()

    def _flush_outbufs_below_high_watermark(self) -> None:
        """waitress would wait here for the sender."""

    def _note_unsent(self) -> None:
        with self.outbuf_lock:
            if self.total_outbufs_len:
                self.sending_since = self.sending_since or monotonic()
                self.server.reserve_answer(self, self.total_outbufs_len)
            elif self.sending_since is not None:
                self.sending_since = None
                self.server.answers.release(self)

    def handle_write(self) -> None:
        if self.refused and self.close_when_flushed:
            self._send_refusal()
        else:
            super().handle_write()
        self._note_unsent()
        # What waited for an answer to be sent.
        with self.requests_lock:
            self._begin()

    def _send_refusal(self) -> None:
        """Linger after the answer instead of closing: its sender is still sending."""
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif self.connected and not self.total_outbufs_len:
            self.close_when_flushed = False
            self.lingering_since = monotonic()
            with contextlib.suppress(OSError):  # the sender has closed already
                self.socket.shutdown(socket.SHUT_WR)

    # -- the connection ends ------------------------------------------------------------------

    def handle_close(self) -> None:
        super().handle_close()
        self.server.answers.release(self)
        # What waits or is worked on is in memory until that has ended.
        if not self.requests:
            self.server.bodies.release(self)

    def is_awaited(self, stopping_since: float, now: float) -> bool:
        """True while a stop waits for this connection: its request is worked on, or its sender has
        had no time yet to send the rest of one, or to take an answer."""
        if self.begun:
            return True
        since = max(stopping_since, self.sending_since or 0)
        unended = self.requests or self.request is not None or self.total_outbufs_len
        return bool(unended and now - since < _GRACE)

    def is_overdue(self, deadline: float, now: float) -> bool:
        """True when one request has been arriving for more than `deadline` seconds, or an answer
        waiting to be taken, or a refused sender is still sending."""
        if self.lingering_since is not None:
            return now - self.lingering_since > _LINGER
        if self.sending_since is not None:
            return now - self.sending_since > deadline
        # While another one is worked on, nothing is read.
        return bool(
            not self.requests
            and self.receiving_since is not None
            and now - self.receiving_since > deadline
        )

    def close_after_answers(self) -> None:
        """Have the answer to the last waiting request say `Connection: close`."""
        with self.requests_lock:
            if self.requests and not self.unparsed:
                self.requests[-1].headers["CONNECTION"] = "close"
