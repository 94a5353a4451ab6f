"""Let threads that wait for the same round trip, or the same sync of a disk, share it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Generic

from consumer.core.deadline import remaining
from consumer.core.fibers import Item, gather

# Far below the 48 MB of one message, so that no batch is split and its outcome is one outcome.
MAX_BYTES = 8 * 1024 * 1024
MAX_COUNT = 1000
# More in flight make smaller batches (3: 14 of 64 waiting requests, 2: 21, at a sixth less CPU
# for each), fewer make those wait that come meanwhile: see tests/bench.
IN_FLIGHT = 2


class _Waiter(Generic[Item]):
    """One thread with its items. `turn` is held until they are written, or there is a batch to
    write. `ends`: its deadline, 0 where it waits for ever."""

    __slots__ = ("batch", "ends", "items", "size", "turn")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.size = sum(item.size for item in items)
        seconds = remaining()
        self.ends = monotonic() + seconds if seconds >= 0 else 0.0
        self.turn = threading.Lock()
        self.turn.acquire()
        self.batch: list[_Waiter[Item]] | None = None


class GroupCommit(Generic[Item]):
    """Hands items to `write` in batches, from the threads that wait for them: no thread of its
    own, and no timer.

    Who finds a free slot writes at once and alone. Who finds none queues; a writer that is done
    makes one in the queue the writer of all that queue: who has the most time left, but who has no
    end only among its like, for the others would wait for it. `write` leaves the outcome in the
    items and raises nothing that is expected: what it raises ends that one thread, and its batch
    finds its items as they were.
    """

    def __init__(self, write: Callable[[Sequence[Item]], None], in_flight: int = IN_FLIGHT) -> None:
        self._write = write
        self._free = in_flight
        self._mutex = threading.Lock()
        self._queue: deque[_Waiter[Item]] = deque()

    @property
    def waiting(self) -> int:
        """Number of items that queue for a batch just now."""
        return sum(len(waiter.items) for waiter in list(self._queue))

    def submit(self, item: Item) -> None:
        """Return once `write` has had the item, or at this thread's deadline: then the item may
        still be written."""
        if items := gather(self, item):
            self._write_or_queue(items)

    def _write_or_queue(self, items: list[Item]) -> None:
        with self._mutex:
            writes_now = self._free > 0
            if writes_now:
                self._free -= 1
            else:
                waiter = _Waiter(items)
                self._queue.append(waiter)
        if writes_now:
            self._write_batch(items, ())
            return
        if not waiter.turn.acquire(timeout=remaining()) and self._leave(waiter):
            return
        if waiter.batch is not None:
            batch = waiter.batch
            self._write_batch([item for other in batch for item in other.items], batch[1:])

    def _leave(self, waiter: _Waiter[Item]) -> bool:
        """Take the waiter out of the queue; False for one that just became the writer of others."""
        with self._mutex:
            if waiter in self._queue:
                self._queue.remove(waiter)
            return waiter.batch is None

    def _write_batch(self, items: Sequence[Item], followers: Sequence[_Waiter[Item]]) -> None:
        try:
            self._write(items)
        finally:
            # The next batch first: it has a round trip before it, the followers have none.
            self._start_next()
            for follower in followers:
                follower.turn.release()

    def _start_next(self) -> None:
        with self._mutex:
            if not self._queue:
                self._free += 1
                return
            batch = self._next_batch()
            batch[0].batch = batch
        batch[0].turn.release()

    def _next_batch(self) -> list[_Waiter[Item]]:
        queue = self._queue
        batch = [queue.popleft()]
        count, size = len(batch[0].items), batch[0].size
        while queue:
            count += len(queue[0].items)
            size += queue[0].size
            if count > MAX_COUNT or size > MAX_BYTES:
                break
            batch.append(queue.popleft())
        # Stable: of those that have no end the first is the writer.
        batch.sort(key=lambda waiter: waiter.ends, reverse=True)
        return batch
