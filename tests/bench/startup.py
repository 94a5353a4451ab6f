"""Measure `serve` from its start to the first answer 200, in seconds and in the processor's time,
and its memory when idle after that: `python -m tests.bench.startup [--runs N] [--subjects N]`."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import monotonic, sleep

from consumer.mongodb.client import SCHEMA_VERSIONS, connect, open_database
from consumer.schemas.registry.registry import SchemaRegistry
from tests.bench import machine
from tests.bench.payload_sets import uniform
from tests.bench.requests import SECRET, requests
from tests.bench.subject import cpu_seconds, resident

_DATABASE = "bench_startup"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.startup", description=__doc__)
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--subjects", type=int, default=100, help="event types that are known")
    options = parser.parse_args(arguments)
    with machine.mongod(options.uri) as uri:
        # Once for the indexes and all that is made but once.
        start(uri)
        learn(uri, options.subjects)
        found = [start(uri) for _ in range(options.runs)]
    times, cpus, memory = zip(*found, strict=True)
    for name, each in (("start to first delivery", times), ("the processor's time of that", cpus)):
        print(f"{name}: median {median(each):.2f} s ({min(each):.2f}-{max(each):.2f})")
    print(f"resident when idle: {median(memory):.1f} MB")


def learn(uri: str, subjects: int) -> None:
    """Have the schemas of so many event types registered."""
    with connect(uri, timeout=10) as client:
        registry = SchemaRegistry(open_database(client, _DATABASE)[SCHEMA_VERSIONS])
        for number, event in enumerate(uniform(subjects, 1)):
            registry.admit(f"a type like {number}", event)


def start(uri: str) -> tuple[float, float, float]:
    """Seconds until a delivery was answered 200, of which so many of a processor, and resident MB
    two seconds later."""
    request = requests(1, 1000)[0]
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="cxone-bench-", ignore_cleanup_errors=True) as data:
        command = [sys.executable, "-m", "consumer", "serve", "--listen", f"127.0.0.1:{port}"]
        given = {
            "CXONE_SHARED_SECRET": SECRET,
            "CXONE_DATA_DIR": data,
            "MONGODB_URI": uri,
            "MONGODB_DATABASE": _DATABASE,
        }
        began = monotonic()
        process = subprocess.Popen(
            command, env={**os.environ, **given}, stderr=subprocess.DEVNULL, cwd=Path.cwd()
        )
        try:
            while not answered(port, request):
                if process.poll() is not None or monotonic() - began > 60:
                    raise RuntimeError("the service did not start: run `cxone-consumer serve`")
                sleep(0.01)
            took, cpu = monotonic() - began, cpu_seconds(process.pid)
            sleep(2)
            return took, cpu, resident(process.pid)
        finally:
            process.terminate()
            process.wait(40)


def answered(port: int, request: bytes) -> bool:
    """Tell whether the request is answered 200 now."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request)
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
