"""Wake the thread that fell asleep last."""

from __future__ import annotations

from threading import Lock


class Sleepers:
    """A condition on `lock` whose `notify` wakes the latest; the caller of each method holds it.

    The earliest, which `threading.Condition` wakes, would make all threads take turns at a light
    load: each with cold caches, and a share of the memory in the allocator's store of each thread.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._waiting: list[Lock] = []

    def wait(self) -> None:
        mine = Lock()
        mine.acquire()
        self._waiting.append(mine)
        self._lock.release()
        try:
            mine.acquire()
        finally:
            self._lock.acquire()

    def notify(self) -> None:
        if self._waiting:
            self._waiting.pop().release()

    def notify_all(self) -> None:
        while self._waiting:
            self.notify()
