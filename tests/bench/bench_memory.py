"""Measure what a delivery takes in memory: `python -m tests.bench.bench_memory [--bodies 32]`.

So many events of a megabyte, and as many of a kilobyte, wait at the service for their last byte;
then all get it at once and are stored. Each figure is the growth of the process by delivery.
"""

from __future__ import annotations

import argparse
import socket
import threading
import time
from collections.abc import Sequence

from tests.bench import machine
from tests.bench.machine import Contender, Subject
from tests.bench.requests import requests

_SIZES = (1_000, 10_000, 100_000, 1_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_memory", description=__doc__)
    parser.add_argument("--bodies", type=int, default=32)
    options = parser.parse_args(arguments)
    with machine.mongod(None) as uri:
        title = f"{options.bodies} deliveries at once, KB for each:"
        print(f"{title:44}{'waiting':>9}{'stored':>9}{'after':>9}")
        for size in _SIZES:
            # Each in a fresh process: what it freed before it would use again, unseen.
            with machine.subjects([Contender("service", 16)], uri) as (one,):
                measure(one, requests(options.bodies, 1_000, seed=size))
                figures = measure(one, requests(options.bodies, size, seed=size + 1))
            shown = "".join(f"{1024 * mb / options.bodies:9.1f}" for mb in figures)
            print(f"{size:10,} bytes of JSON{'':20}{shown}", flush=True)


def measure(subject: Subject, prepared: list[bytes]) -> tuple[float, float, float]:
    """MB more than before while they wait, at most while they are stored, and afterwards."""
    before = subject.usage()[1]
    senders = [socket.create_connection((subject.host, int(subject.port))) for _ in prepared]
    for sender, request in zip(senders, prepared, strict=True):
        sender.sendall(request[:-1])
    time.sleep(1.0)
    waiting = subject.usage()[1]
    highest = [waiting]
    stored = threading.Event()

    def watch() -> None:
        while not stored.is_set():
            highest.append(subject.usage()[1])
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for sender, request in zip(senders, prepared, strict=True):
        sender.sendall(request[-1:])
    answers = [sender.recv(65536) for sender in senders]
    stored.set()
    watcher.join()
    # So much at once may take MongoDB longer than the service waits before it spools.
    assert all(answer.startswith(b"HTTP/1.1 20") for answer in answers), answers[:2]
    for sender in senders:
        sender.close()
    time.sleep(1.0)
    return waiting - before, max(highest) - before, subject.usage()[1] - before


if __name__ == "__main__":
    main()
