"""Write to the disk in one thread, so that nobody else waits for a disk that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Task(Generic[Item]):
    """Work to be done; `ended` is set when it is, and `error` is what it raised."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.ended = threading.Event()
        self.error: BaseException | None = None


class DiskThread(Generic[Item]):
    """Calls `work` in a thread of its own, made at the first call, for one caller at a time.

    A caller waits `timeout` seconds. Until that work ends after all, others are refused at once.
    """

    def __init__(self, work: Callable[[Sequence[Item]], None], timeout: float) -> None:
        self._work = work
        self._timeout = timeout
        self._tasks: SimpleQueue[_Task[Item] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._since: float | None = None

    @property
    def overdue(self) -> float | None:
        """Seconds for which the work under way has taken longer than anybody waits for; None where
        none has."""
        since = self._since
        took = 0.0 if since is None else monotonic() - since
        return took if took > self._timeout else None

    def run(self, items: Sequence[Item]) -> bool:
        """Do the work: True when it was done in time; raises what it raised. Work that was late may
        still be done, work that was refused is not."""
        if self._since is not None:
            return False
        if self._thread is None:
            # A disk that never answers must not keep the process from ending.
            self._thread = threading.Thread(target=self._work_off, name="spool", daemon=True)
            self._thread.start()
        task = _Task(items)
        self._since = monotonic()
        self._tasks.put(task)
        if not task.ended.wait(self._timeout):
            return False
        if task.error is not None:
            raise task.error
        return True

    def close(self) -> None:
        """End the thread once the work under way has ended."""
        if self._thread is not None:
            self._tasks.put(None)
            self._thread = None

    def _work_off(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._work(task.items)
            except BaseException as error:
                task.error = error
            self._since = None
            task.ended.set()
