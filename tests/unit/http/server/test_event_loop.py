from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from consumer.http.server.event_loop import EventLoop


class End:
    """A waitress channel, as far as the loop knows one."""

    accepting = False

    def __init__(self, sock: socket.socket, sockets: dict[int, Any]) -> None:
        self.socket = sock
        self._fileno = sock.fileno()
        self.wants_read, self.wants_write = True, False
        self.asked = 0
        self.got: list[bytes] = []
        self.wrote = 0
        sockets[self._fileno] = self

    def readable(self) -> bool:
        self.asked += 1
        return self.wants_read

    def writable(self) -> bool:
        return self.wants_write

    def handle_read_event(self) -> None:
        self.got.append(self.socket.recv(100))

    def handle_write_event(self) -> None:
        self.wrote += 1
        self.wants_write = False


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


Pairs = list[tuple[socket.socket, socket.socket]]


def test_what_came_is_read_and_the_others_are_left_alone(pairs: Pairs) -> None:
    sockets: dict[int, Any] = {}
    ends = [End(ours, sockets) for ours, _ in pairs]
    loop = EventLoop(sockets)
    loop.turn(0)
    asked = [end.asked for end in ends]

    pairs[1][1].send(b"hello")
    loop.turn(0.1)

    assert [end.got for end in ends] == [[], [b"hello"], []]
    assert [end.asked - before for end, before in zip(ends, asked, strict=True)] == [0, 1, 0]
    loop.close()


def test_a_socket_that_tells_of_a_change_is_asked_at_once(pairs: Pairs) -> None:
    sockets: dict[int, Any] = {}
    end = End(pairs[0][0], sockets)
    loop = EventLoop(sockets)
    loop.turn(0)

    end.wants_write = True
    loop.turn(0)
    untold = end.wrote
    loop.recheck(end)
    loop.turn(0.1)
    loop.turn(0)

    assert (untold, end.wrote) == (0, 1)
    loop.close()


def test_a_change_that_nobody_told_is_found_all_the_same(
    pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("consumer.http.server.event_loop.monotonic", lambda: now)
    sockets: dict[int, Any] = {}
    end = End(pairs[0][0], sockets)
    loop = EventLoop(sockets)
    loop.turn(0)

    end.wants_write = True
    now += 1
    loop.turn(0.1)

    assert end.wrote == 1
    loop.close()


def test_a_socket_that_is_not_to_be_read_is_not_watched(pairs: Pairs) -> None:
    sockets: dict[int, Any] = {}
    end = End(pairs[0][0], sockets)
    loop = EventLoop(sockets)
    loop.turn(0)
    end.wants_read = False
    loop.recheck(end)
    loop.turn(0)

    pairs[0][1].send(b"hello")
    loop.turn(0.05)
    before = list(end.got)
    end.wants_read = True
    loop.recheck(end)
    loop.turn(0.1)

    assert (before, end.got) == ([], [b"hello"])
    loop.close()


def test_a_forgotten_descriptor_can_be_another_socket_s(pairs: Pairs) -> None:
    sockets: dict[int, Any] = {}
    old = End(pairs[0][0], sockets)
    loop = EventLoop(sockets)
    loop.turn(0)
    loop.forget(old._fileno)
    new = End(pairs[0][0], sockets)
    loop.recheck(new)

    pairs[0][1].send(b"hello")
    loop.turn(0.1)

    assert (old.got, new.got) == ([], [b"hello"])
    loop.close()


class AsOnWindows(selectors.SelectSelector):
    """There `select` raises WSAEINVAL for three empty lists."""

    def _select(self, r: Any, w: Any, x: Any, timeout: float | None = None) -> Any:
        if not (r or w or x):
            raise OSError(22, "Invalid argument")
        return r, w, x


def test_nothing_to_wait_for_is_waited_for(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "DefaultSelector", AsOnWindows)
    sockets: dict[int, Any] = {}
    end = End(pairs[0][0], sockets)
    end.wants_read = False
    loop = EventLoop(sockets)

    loop.turn(0.01)

    assert end.asked == 1
