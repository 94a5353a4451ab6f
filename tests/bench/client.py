"""Load a server over kept-alive connections from one lean process, and tell what came back.

    python -m tests.bench.client HOST PORT REQUESTS CONNECTIONS SECONDS [RATE]

With RATE, requests are due at fixed times and waiting for a free connection counts as latency.
Of the other requests in the file one is sent each second between them.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time

from tests.bench.requests import load


@dataclass(slots=True)
class Load:
    """Figures of one run; latencies in seconds, `busy` the client's share of one core."""

    seconds: float = 0.0
    busy: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


class _Connection:
    """One socket with at most one request under way."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self._got = b""

    def post(self, request: bytes, due: float) -> None:
        self.since = due
        self._got = b""
        self.socket.sendall(request)

    def status(self) -> str | None:
        """The status once the whole answer is here."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return None
        start = head.lower().index(b"content-length:") + 15
        length = int(head[start:].split(b"\r\n", 1)[0])
        return head[9:12].decode() if len(body) >= length else None


def run(
    host: str,
    port: int,
    requests: list[bytes],
    connections: int,
    seconds: float,
    rate: float | None = None,
    each_second: Sequence[bytes] = (),
) -> Load:
    """Send each request once, until all are answered or the time is over."""
    selector = selectors.DefaultSelector()
    idle: deque[_Connection] = deque(_Connection(host, port) for _ in range(connections))
    for connection in idle:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    cpu, began = process_time(), perf_counter()
    pending = _schedule(requests, rate, each_second, lambda: perf_counter() - began)
    following = next(pending, None)
    while following is not None or len(idle) < connections:
        now = perf_counter() - began
        if now > seconds:
            following = None
        while following is not None and idle and following[0] <= now:
            idle.popleft().post(following[1], following[0] if rate else now)
            following = next(pending, None)
            now = perf_counter() - began
        wait = max(following[0] - now, 0.0) if following is not None and idle else 1.0
        for key, _ in selector.select(wait):
            status = key.data.status()
            if status is not None:
                latencies.append(perf_counter() - began - key.data.since)
                statuses[status] += 1
                idle.append(key.data)
    took = perf_counter() - began
    for connection in idle:
        connection.socket.close()
    selector.close()
    latencies.sort()
    count = len(latencies)
    return Load(
        took,
        (process_time() - cpu) / took,
        dict(statuses),
        latencies[count // 2],
        latencies[count * 99 // 100],
        latencies[-1],
    )


def _schedule(
    requests: list[bytes],
    rate: float | None,
    each_second: Sequence[bytes],
    clock: Callable[[], float],
) -> Iterator[tuple[float, bytes]]:
    between = iter(each_second)
    seconds = 0.0
    for number, request in enumerate(requests):
        due = number / rate if rate else 0.0
        if clock() > seconds + 1:
            seconds += 1
            yield from ((due, other) for other in islice(between, 1))
        yield due, request


def main(arguments: list[str]) -> None:
    host, port, path, connections, seconds, *rate = arguments
    requests, each_second = load(Path(path))
    outcome = run(
        host,
        int(port),
        requests,
        int(connections),
        float(seconds),
        float(rate[0]) if rate else None,
        each_second,
    )
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main(sys.argv[1:])
