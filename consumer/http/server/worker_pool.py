"""Handle deliveries in threads: one prepares them while others wait for MongoDB."""

from __future__ import annotations

from functools import partial
from threading import Lock, get_ident
from time import monotonic

import structlog
from waitress.channel import HTTPChannel
from waitress.task import ThreadedTaskDispatcher

from consumer.core.fibers import Fibers
from consumer.core.group_commit import MAX_BYTES
from consumer.core.ratelimit import FaultLog

log = structlog.get_logger(__name__)

# Deliveries prepared before they are sent to MongoDB together, even when more wait: smaller batches
# cost more for each, larger ones leave MongoDB idle meanwhile and then us. See tests/bench.
BATCH = 32
# Seconds without a task taken, while some wait, after which another thread is sent to take them.
_STUCK = 0.005
# Seconds after which nobody waits for the preparing of others any more: one of them may be stuck,
# and the time that each may take to be stored is running. A batch of 7 KB each takes half of that;
# with 0.005 a busy machine made smaller batches, for a twentieth more CPU.
_PREPARING = 0.01
_WAKING = -1


class WorkerPool(ThreadedTaskDispatcher):  # type: ignore[misc]
    """waitress's dispatcher with many tasks a thread, and one thread at a time that takes any.

    Who takes tasks starts each as a fiber. When no more wait, or enough are aside, it leaves the
    taking to another thread and lets its own go on. So threads do not fight for the interpreter,
    and what comes during one round trip to MongoDB makes up the next.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queue_cv = LifoCondition(self.lock)
        # The thread that takes tasks, _WAKING while one is waking up to do so, or None.
        self._taker: int | None = None
        self._asleep = 0
        self._taken_at = 0.0
        self._faults = FaultLog(log)

    def add_task(self, task: HTTPChannel) -> None:
        with self.lock:
            self.queue.append(task)
            self._wake()

    def unstick(self) -> bool:
        """Send another thread for the tasks when the one that takes them seems stuck in one; called
        now and then while tasks wait. False when none does."""
        if not self.queue:
            return False
        with self.lock:
            if self._taker is not None and monotonic() - self._taken_at > _STUCK:
                self._taker = None
                self._wake()
        return True

    def handler_thread(self, thread_no: int) -> None:
        fibers = Fibers()
        began = 0.0
        while True:
            task = self._take()
            if task is not None:
                began = began if fibers.aside else self._taken_at
                fibers.start(partial(_serve, task, self._faults))
                if not _is_enough(fibers, began):
                    continue
            if fibers.aside:
                self._leave()
                fibers.go_on()
            elif task is None and not self._sleep(thread_no):
                break
        fibers.close()

    def _take(self) -> HTTPChannel | None:
        me = get_ident()
        with self.lock:
            if self._taker is None or self._taker == _WAKING:
                self._taker = me
            if self._taker != me:
                return None
            if not self.queue:
                self._taker = None
                return None
            self._taken_at = monotonic()
            return self.queue.popleft()

    def _leave(self) -> None:
        with self.lock:
            if self._taker == get_ident():
                self._taker = None
            self._wake()

    def _wake(self) -> None:
        """Wake a thread for what waits, unless one takes it already; the caller holds the lock."""
        if self.queue and self._taker is None and self._asleep:
            self._taker = _WAKING
            self._taken_at = monotonic()
            self.queue_cv.notify()

    def _sleep(self, thread_no: int) -> bool:
        """Wait for tasks; False when the thread is to end."""
        with self.lock:
            if self.stop_count == 0 and not (self.queue and self._taker is None):
                self.active_count -= 1
                self._asleep += 1
                self.queue_cv.wait()
                self._asleep -= 1
                self.active_count += 1
            if self.stop_count == 0:
                return True
            self.active_count -= 1
            self.stop_count -= 1
            self.threads.discard(thread_no)
            self.thread_exit_cv.notify()
            return False


def _is_enough(fibers: Fibers, began: float) -> bool:
    return fibers.aside >= BATCH or fibers.size >= MAX_BYTES or monotonic() - began > _PREPARING


def _serve(task: HTTPChannel, faults: FaultLog) -> None:
    try:
        task.service()
    except Exception as error:
        # The channel answers every fault of the application; this one is the server's own.
        faults.add("fault in a connection", error)
        task.cancel()


class LifoCondition:
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
