"""Run the whole service as users run it, and send it events at a steady rate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench import machine
from tests.bench.client import Load
from tests.bench.requests import SECRET
from tests.bench.startup import answered, free_port

_CONNECTIONS = 16


@contextmanager
def service(
    uri: str,
    database: str,
    settings: Mapping[str, str],
    first: bytes,
    *,
    on_the_first_core: bool = False,
) -> Iterator[int]:
    """The port of a service that has answered the `first` request; its log is thrown away."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="cxone-bench-", ignore_cleanup_errors=True) as data:
        given = {
            "CXONE_SHARED_SECRET": SECRET,
            "CXONE_DATA_DIR": data,
            "MONGODB_URI": uri,
            "MONGODB_DATABASE": database,
            **settings,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer", "serve", "--listen", f"127.0.0.1:{port}"],
            env={**os.environ, **given},
            stderr=subprocess.DEVNULL,
            cwd=Path.cwd(),
        )
        if on_the_first_core:
            machine.give_the_first_core(process.pid)
        try:
            until = time.monotonic() + 60
            while not answered(port, first):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the service did not start: run `cxone-consumer serve`")
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(40)


def load(port: int, requests: list[bytes], seconds: float, rate: float) -> Load:
    """Figures of a client in a process of its own, with waiting for a connection counted."""
    with machine.prepared(requests) as path:
        arguments = ["127.0.0.1", str(port), str(path), str(_CONNECTIONS), str(seconds), str(rate)]
        finished = subprocess.run(
            [sys.executable, "-m", "tests.bench.client", *arguments],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    return Load(**json.loads(finished.stdout))
