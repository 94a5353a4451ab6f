from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from consumer.core.fibers import Fibers
from consumer.core.group_commit import GroupCommit


@dataclass(slots=True)
class Item:
    name: str
    size: int = 10


class Writes:
    """A group commit and what it was given; `calls` makes calls that settle items one by one."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.ended: list[str] = []
        self.group: GroupCommit[Item] = GroupCommit(self._write)

    def call(self, *names: str) -> Callable[[], None]:
        def settle() -> None:
            for name in names:
                self.group.submit(Item(name))
                self.ended.append(name)

        return settle

    def _write(self, items: Sequence[Item]) -> None:
        self.batches.append([item.name for item in items])


def test_calls_that_wait_for_the_same_share_one_write() -> None:
    writes, fibers = Writes(), Fibers()
    for name in "abc":
        fibers.start(writes.call(name))
    before = (fibers.aside, fibers.size, list(writes.batches))

    fibers.go_on()

    assert before == (3, 30, [])
    assert writes.batches == [["a", "b", "c"]]
    assert writes.ended == ["a", "b", "c"]
    assert (fibers.aside, fibers.size) == (0, 0)


def test_a_call_that_waits_again_shares_with_those_that_do_too() -> None:
    writes, fibers = Writes(), Fibers()
    for names in (("a", "x"), ("b",), ("c", "z")):
        fibers.start(writes.call(*names))

    fibers.go_on()
    between = list(writes.ended)
    fibers.go_on()

    assert between == ["a", "b", "c"]
    assert writes.batches == [["a", "b", "c"], ["x", "z"]]


def test_what_is_written_elsewhere_is_not_mixed_in() -> None:
    one, other, fibers = Writes(), Writes(), Fibers()
    fibers.start(one.call("a"))
    fibers.start(other.call("b"))
    fibers.start(one.call("c"))

    fibers.go_on()

    assert (one.batches, other.batches) == ([["a", "c"]], [["b"]])


def test_outside_of_a_fiber_nobody_waits() -> None:
    writes = Writes()

    writes.call("a", "b")()

    assert writes.batches == [["a"], ["b"]]


def test_each_call_has_context_variables_of_its_own() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="nobody's")
    writes, fibers = Writes(), Fibers()
    seen: list[str] = []

    def call(name: str) -> Callable[[], None]:
        def run() -> None:
            variable.set(name)
            writes.group.submit(Item(name))
            seen.append(variable.get())

        return run

    for name in "ab":
        fibers.start(call(name))
    fibers.go_on()

    assert seen == ["a", "b"]
    assert variable.get() == "nobody's"


def test_a_fiber_serves_one_call_after_the_other() -> None:
    writes, fibers = Writes(), Fibers()
    for name in "abc":
        fibers.start(writes.call(name))
        fibers.go_on()

    fibers.close()

    assert writes.batches == [["a"], ["b"], ["c"]]
