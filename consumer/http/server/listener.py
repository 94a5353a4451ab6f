"""Take connections and queue their requests, each within a bound that keeps room for others."""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection
from time import monotonic
from typing import Any

import structlog
from waitress.server import TcpWSGIServer, ThreadedTaskDispatcher

from consumer.core.ratelimit import RateLimit
from consumer.http.server.channel import Channel
from consumer.http.server.event_loop import Loop
from consumer.http.server.memory_limit import Room
from consumer.http.server.responses import OVERLOADED

log = structlog.get_logger(__name__)

# Connections taken in one turn of the loop, so that a flood of them delays nobody's request.
_TAKEN_AT_ONCE = 64
# waitress would stop listening at its limit, and leave everybody out for as long as those who are
# in say nothing.
NO_LIMIT = sys.maxsize


class Listener(TcpWSGIServer):  # type: ignore[misc]
    """A listening socket. The server sets what stands below before the first turn of the loop."""

    channel_class = Channel
    draining = False
    request_timeout = 0.0
    max_waiting = 0
    max_connections = 0
    delivery_paths: Collection[str] | None = None
    others: ThreadedTaskDispatcher
    shedder: ThreadedTaskDispatcher
    room: Room
    unsent: Room
    loop: Loop
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
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return
            if before >= self.max_connections:
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

    def make_room(self, channel: Channel, size: int) -> None:
        """Note that a body has grown. Beyond the bound those that have been arriving longest are
        answered 503 until the rest has room."""
        while not self.room.hold(channel, size):
            arriving: list[Any] = [one for one in self.room.holders() if is_arriving(one)]
            slowest = min(arriving, key=lambda one: one.receiving_since)
            slowest.refuse(OVERLOADED)
            self.room.free(slowest)
            if slowest is channel:
                return

    def make_way(self, channel: Channel, size: int) -> None:
        """Note what of an answer waits to be sent. Beyond the bound those that have been waiting
        longest for their senders are closed."""
        while not self.unsent.hold(channel, size):
            waiting: list[Any] = list(self.unsent.holders())
            slowest = min(waiting, key=lambda one: one.sending_since or 0)
            self.unsent.free(slowest)
            slowest.will_close = True
            self.loop.tell(slowest)
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
            self.loop.tell(idlest)
        suppressed = self.warnings.allow("connections")
        if suppressed is not None:
            log.warning(
                "more connections than the limit: the idlest are closed",
                limit=self.max_connections,
                suppressed=suppressed,
            )


def is_arriving(channel: Any) -> bool:
    return channel.receiving_since is not None and channel.request is not None
