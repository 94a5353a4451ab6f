"""Measure `serve` from its start to the first answer 200, and its memory when idle after that:
`python -m tests.bench.startup [--uri URI] [--runs N]`."""

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

from tests.bench import machine
from tests.bench.requests import SECRET, requests
from tests.bench.subject import resident


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.startup", description=__doc__)
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    with machine.mongod(options.uri) as uri:
        found = [start(uri) for _ in range(options.runs)]
    times, memory = [time for time, _ in found], [rss for _, rss in found]
    print(
        f"start to first delivery: median {median(times):.2f} s ({min(times):.2f}-{max(times):.2f})"
        f"; resident when idle: {median(memory):.1f} MB"
    )


def start(uri: str) -> tuple[float, float]:
    """Seconds until a delivery was answered 200, and resident MB two seconds later."""
    request = requests(1, 1000)[0]
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="cxone-bench-", ignore_cleanup_errors=True) as data:
        command = [sys.executable, "-m", "consumer", "serve", "--listen", f"127.0.0.1:{port}"]
        given = {
            "CXONE_SHARED_SECRET": SECRET,
            "CXONE_DATA_DIR": data,
            "MONGODB_URI": uri,
            "MONGODB_DATABASE": "bench_startup",
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
            took = monotonic() - began
            sleep(2)
            return took, resident(process.pid)
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
