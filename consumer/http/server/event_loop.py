"""Wait for the sockets of waitress, asking only those of which something is new.

waitress asks every connection, in each turn, what it waits for: a thousand idle ones cost more than
all requests. Here the system keeps that list (epoll, kqueue), and a connection is asked again after
an event of its own, or when it says that another thread changed it. A look at all of them now and
then is the net below.
"""

from __future__ import annotations

import selectors
from collections import deque
from time import monotonic, sleep
from typing import Any

from waitress import wasyncore

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
# Seconds between two looks at all connections.
_RECHECK_EVERY = 0.25


class EventLoop:
    """The sockets of a map of waitress's dispatchers by descriptor; used in one thread, but for
    `recheck` and `forget`."""

    def __init__(self, sockets: dict[int, Any]) -> None:
        self._sockets = sockets
        self._selector = selectors.DefaultSelector()
        self._masks: dict[int, int] = {}
        self._to_recheck: deque[Any] = deque()
        self._rechecked_at = 0.0

    def recheck(self, socket: Any) -> None:
        """Have the socket asked before the next wait, for which another thread wakes the loop."""
        self._to_recheck.append(socket)

    def forget(self, descriptor: int) -> None:
        """A socket is about to be closed."""
        if self._masks.pop(descriptor, 0):
            self._selector.unregister(descriptor)

    def turn(self, timeout: float) -> None:
        """Wait for events, at most `timeout` seconds, and see to them."""
        now = monotonic()
        if now - self._rechecked_at > _RECHECK_EVERY:
            self._rechecked_at = now
            for socket in list(self._sockets.values()):
                self._ask(socket)
        while self._to_recheck:
            self._ask(self._to_recheck.popleft())
        wait = min(timeout, _RECHECK_EVERY)
        if not self._selector.get_map():
            # Windows knows no wait for nothing: `select` would raise.
            sleep(wait)
            return
        for key, events in self._selector.select(wait):
            socket = key.data
            # A descriptor may have become another socket's since the wait.
            if events & _READ and self._sockets.get(key.fd) is socket:
                wasyncore.read(socket)
            if events & _WRITE and self._sockets.get(key.fd) is socket:
                wasyncore.write(socket)
            self._ask(socket)

    def close(self) -> None:
        self._selector.close()

    def _ask(self, socket: Any) -> None:
        descriptor: int = socket._fileno
        # A closed one has no descriptor, or one that is another's by now.
        if self._sockets.get(descriptor, self) is not socket:
            return
        if getattr(socket, "will_close", False):
            # Given up. Its sender may take nothing, and then there would be no event to close it.
            wasyncore.write(socket)
            return
        mask = _READ if socket.readable() else 0
        if socket.writable() and not socket.accepting:
            mask |= _WRITE
        before = self._masks.get(descriptor, 0)
        if mask == before:
            return
        self._masks[descriptor] = mask
        if not before:
            self._selector.register(descriptor, mask, socket)
        elif not mask:
            self._selector.unregister(descriptor)
        else:
            self._selector.modify(descriptor, mask, socket)
