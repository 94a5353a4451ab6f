"""A connection that knows since when its request is being received, and ends politely."""

from __future__ import annotations

import contextlib
import socket
from time import monotonic
from typing import Any

from consumer.server.answering import AnsweringChannel
from consumer.server.parser import RequestParser
from consumer.server.refusal import Refusal
from consumer.server.room import SMALL_BODY

# Seconds for which a refused sender may go on sending: closed at once, with bytes of its unread,
# the connection would be reset, and the answer lost on the way.
_LINGER = 2.0
# Seconds for which a stop waits for senders that do not send, or do not take their answers.
_PARTING = 3.0


class Channel(AnsweringChannel):
    """A connection with deadlines.

    waitress closes idle connections only, and a dripping client is never idle: so the time of a
    request's first byte is kept, and that of an answer's; the server closes what is older than the
    deadline. `waiting_since` is when it was made or its last request was whole; `served`: there was
    one. `unparsed` came behind the requests that are looked at ahead, in the same packet.
    """

    parser_class = RequestParser

    receiving_since: float | None = None
    lingering_since: float | None = None
    served = False
    unparsed = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.waiting_since = monotonic()
        super().__init__(*args, **kwargs)

    def readable(self) -> bool:
        """Asked by the loop alone; what is here already comes before what can be read."""
        if self.unparsed and super().readable():
            self.received(b"")
        return not self.unparsed and super().readable()

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
            self.server.make_room(self, request.held_bytes)
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
                if self.waits_to_continue() and not self.requests:
                    self.send_continue()
                if request.completed:
                    self.sent_continue = False
                    self.request = None
                    if not request.empty:
                        self.requests.append(request)
                        self.begin()
            self.unparsed = data
        return True

    def service(self) -> None:
        super().service()
        if not self.requests:
            self.server.room.free(self)

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request that is being received, whatever of it is still to come."""
        with self.requests_lock:
            self.request.refuse(refusal)
            self.requests.append(self.request)
            self.request = self.receiving_since = None
            self.begin()

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
        self.sent()

    def handle_close(self) -> None:
        super().handle_close()
        self.server.unsent.free(self)
        # What waits or is worked on is in memory until that has ended.
        if not self.requests:
            self.server.room.free(self)

    def is_awaited(self, stopping_since: float, now: float) -> bool:
        """Whether a stop waits for this connection: its request is worked on, or its sender has had
        no time yet to send the rest of one, or to take an answer."""
        if self.begun:
            return True
        since = max(stopping_since, self.sending_since or 0)
        unended = self.requests or self.request is not None or self.total_outbufs_len
        return bool(unended and now - since < _PARTING)

    def is_overdue(self, deadline: float, now: float) -> bool:
        """Whether one request has been arriving for more than `deadline` seconds, or waiting to be
        taken, or a refused sender is still sending."""
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
