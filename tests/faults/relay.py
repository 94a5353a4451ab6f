"""A small TCP balancer: between senders and services, or between a service and its MongoDB."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Address = tuple[str, int]


class Relay:
    """Passes bytes between each client and the next backend, in turn, that takes a connection.

    While `deaf` is set, what the backends say is thrown away: their clients' requests are carried
    out, and the answers lost. Before, they come `delay` seconds late.
    """

    def __init__(self, backends: Sequence[Address]) -> None:
        self.deaf = threading.Event()
        self.delay = 0.0
        self._turns = itertools.cycle(range(len(backends)))
        self._backends = list(backends)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def address(self) -> Address:
        host, port = self._listener.getsockname()
        return str(host), int(port)

    def close(self) -> None:
        # Requeue the thread that accepts, which closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            _end(connection)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        backend = self._connect()
        if backend is None:
            client.close()
            return
        self._open |= {client, backend}
        back = self._start(self._pass, backend, client, True)
        self._pass(client, backend, False)
        back.join()
        self._open -= {client, backend}
        client.close()
        backend.close()

    def _connect(self) -> socket.socket | None:
        first = next(self._turns)
        for address in self._backends[first:] + self._backends[:first]:
            try:
                connection = socket.create_connection(address, timeout=5)
            except OSError:
                continue
            connection.settimeout(None)
            return connection
        return None

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and self.delay:
                    time.sleep(self.delay)
                if not (answers and self.deaf.is_set()):
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _end(source)
            _end(sink)

    def _start(self, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@contextmanager
def relay(*backends: Address) -> Iterator[Relay]:
    running = Relay(backends)
    try:
        yield running
    finally:
        running.close()
