"""Run many calls in one thread: a call that waits for a shared round trip steps aside meanwhile.

A thread for each waiting request costs two switches of threads a request, and a fight for the
interpreter's lock at each. A fiber (a greenlet: a call with a stack of its own) costs two switches
of stacks instead, and the code that waits reads as if it had its thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

from greenlet import getcurrent, greenlet


class Sized(Protocol):
    """An item that calls wait for together; `size` is in bytes."""

    @property
    def size(self) -> int: ...


Item = TypeVar("Item", bound=Sized)


class _Fiber(greenlet):
    """Runs one call after the other, for making a fiber costs more than switching to it."""

    def __init__(self, fibers: Fibers) -> None:
        super().__init__()
        self.fibers = fibers
        self.call: Callable[[], None] | None = None

    def run(self) -> None:
        while self.call is not None:
            call, self.call = self.call, None
            call()
            self.fibers.park(self)


class Fibers:
    """The calls that one thread has under way; made and used in that thread alone.

    `aside` counts those that stepped aside, `size` the bytes of what they wait for.
    """

    def __init__(self) -> None:
        self.aside = 0
        self.size = 0
        self._hub = getcurrent()
        self._parked: list[_Fiber] = []
        self._waiting: list[_Fiber] = []
        self._gathered: dict[Hashable, list[Any]] = {}

    def start(self, call: Callable[[], None]) -> None:
        """Run `call`, which raises nothing, until it ends or steps aside."""
        fiber = self._parked.pop() if self._parked else _Fiber(self)
        fiber.call = call
        fiber.switch()

    def go_on(self) -> None:
        """Let all that stepped aside go on, in that order, until they end or do so again."""
        waiting, self._waiting = self._waiting, []
        self.aside = self.size = 0
        for fiber in waiting:
            fiber.switch()

    def close(self) -> None:
        """End the fibers; none may be aside."""
        for fiber in self._parked:
            fiber.switch()

    def park(self, fiber: _Fiber) -> None:
        self._parked.append(fiber)
        self._hub.switch()

    def gather(self, fiber: _Fiber, key: Hashable, item: Item) -> list[Item]:
        items = self._gathered.get(key)
        leads = items is None
        if items is None:
            items = self._gathered[key] = []
        items.append(item)
        self._waiting.append(fiber)
        self.aside += 1
        self.size += item.size
        self._hub.switch()
        if not leads:
            return []
        del self._gathered[key]
        return items


def gather(key: Hashable, item: Item) -> list[Item]:
    """Step aside with `item`, and come back with the items gathered under `key` meanwhile.

    The first that stepped aside gets all the items, the others get none: by the time they go on the
    first has dealt with theirs. Outside of a fiber nothing is waited for, and `item` comes back.
    """
    fiber = getcurrent()
    return fiber.fibers.gather(fiber, key, item) if isinstance(fiber, _Fiber) else [item]
