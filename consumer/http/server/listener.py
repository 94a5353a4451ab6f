"""Take connections and queue their requests, within bounds of number and memory."""

from __future__ import annotations

import socket
import sys
import threading
from time import monotonic

import structlog
from waitress.server import TcpWSGIServer, ThreadedTaskDispatcher

from consumer.core.ratelimit import FaultLog, RateLimit
from consumer.http.server.channel import Channel
from consumer.http.server.event_loop import EventLoop
from consumer.http.server.responses import OVERLOADED

log = structlog.get_logger(__name__)

# Connections taken in one turn of the loop, so that a flood of them delays nobody's request.
_TAKEN_AT_ONCE = 64
# waitress would stop listening at its limit, and leave everybody out for as long as those who are
# in say nothing.
NO_LIMIT = sys.maxsize


class MemoryLimit:
    """Bytes by the connection that holds them; `limit` for all together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Channel, int] = {}
        self._total = 0
        self._lock = threading.Lock()

    def reserve(self, holder: Channel, size: int) -> bool:
        """Note what `holder` holds now; False when all together hold more than the limit."""
        with self._lock:
            self._total += size - self._held.get(holder, 0)
            self._held[holder] = size
            return self._total <= self._limit

    def release(self, holder: Channel) -> None:
        """Note that `holder` holds nothing any more."""
        if holder in self._held:
            with self._lock:
                self._total -= self._held.pop(holder, 0)

    def holders(self) -> tuple[Channel, ...]:
        with self._lock:
            return tuple(self._held)


class Listener(TcpWSGIServer):  # type: ignore[misc]
    """A listening socket. The server sets what stands below before the first turn of the loop.

    `bodies` bounds the memory that bodies take while they arrive and wait, `answers` that of
    answers which nobody takes.
    """

    channel_class = Channel
    draining = False
    request_timeout = 0.0
    max_waiting = 0
    max_connections = 0
    other_sockets = 0
    delivery_paths: frozenset[str] | None = None
    others: ThreadedTaskDispatcher
    shedder: ThreadedTaskDispatcher
    bodies: MemoryLimit
    answers: MemoryLimit
    loop: EventLoop
    faults: FaultLog
    warnings: RateLimit

    def set_reuse_addr(self) -> None:
        """Let a restart have the port at once, and no second process beside us."""
        if sys.platform == "win32":
            # There SO_REUSEADDR would share the port with whoever asks for it.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            super().set_reuse_addr()

    def handle_accept(self) -> None:
        """Take what waits; beyond the bound, close those that have been waiting longest."""
        for _ in range(_TAKEN_AT_ONCE):
            before = len(self._map)
            super().handle_accept()
            if len(self._map) == before:
                return
            # The system counts those of all listeners: a name may stand for several addresses.
            if before >= self.max_connections + self.other_sockets:
                self._close_the_idlest()

    def add_task(self, task: Channel) -> None:
        """Queue the request, or have it answered 503 at once when too many wait already."""
        request = task.requests[0]
        is_delivery = self.delivery_paths is None or request.path in self.delivery_paths
        dispatcher = self.task_dispatcher if is_delivery else self.others
        idle = len(dispatcher.threads) - dispatcher.active_count
        refused = request.error is not None
        if not refused and len(dispatcher.queue) < self.max_waiting + idle:
            dispatcher.add_task(task)
            return
        # Not by the busy threads, behind whose work it would wait: by one that does only this.
        if not refused:
            request.error = OVERLOADED
        self.shedder.add_task(task)

    def reserve_body(self, channel: Channel, size: int) -> None:
        """Note that a body has grown. Beyond the limit those that have been arriving longest are
        answered 503 until the rest fits."""
        while not self.bodies.reserve(channel, size):
            arriving = [one for one in self.bodies.holders() if one.is_receiving]
            slowest = min(arriving, key=lambda one: one.receiving_since or 0)
            slowest.refuse(OVERLOADED)
            self.bodies.release(slowest)
            if slowest is channel:
                return

    def reserve_answer(self, channel: Channel, size: int) -> None:
        """Note what of an answer waits to be sent. Beyond the limit those that have been waiting
        longest for their senders are closed."""
        while not self.answers.reserve(channel, size):
            slowest = min(self.answers.holders(), key=lambda one: one.sending_since or 0)
            self.answers.release(slowest)
            slowest.will_close = True
            self.loop.recheck(slowest)
            if slowest is channel:
                return

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
        self.loop.forget(self._fileno)
        self.del_channel(self._map)
        self.socket.close()
        for channel in list(self.active_channels.values()):
            channel.close_after_answers()

    def _close_the_idlest(self) -> None:
        """First those that never sent a whole request; none that waits for an answer."""
        idle = [
            channel
            for channel in self.active_channels.values()
            if not channel.requests and not channel.will_close
        ]
        idlest = min(idle, key=lambda one: (one.served, one.waiting_since), default=None)
        if idlest is not None:
            # Not closed here: its descriptor could be another's before this turn's events end.
            idlest.will_close = True
            self.loop.recheck(idlest)
        suppressed = self.warnings.allow("connections")
        if suppressed is not None:
            log.warning(
                "more connections than the limit: the idlest are closed",
                limit=self.max_connections,
                suppressed=suppressed,
            )
