"""Start what a measurement needs: a mongod, servers and a load client, on cores of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from tests.bench.client import Load
from tests.bench.requests import save


def leave_the_first_core() -> None:
    """Keep this process and those it starts off core 0, which belongs to the measured server."""
    if sys.platform == "linux":
        others = os.sched_getaffinity(0) - {0}
        if others:
            os.sched_setaffinity(0, others)


@contextmanager
def mongod(uri: str | None) -> Iterator[str]:
    """The URI given, or that of a fresh embedded mongod which is deleted afterwards."""
    if uri:
        yield uri
        return
    with tempfile.TemporaryDirectory(prefix="cxone-bench-", ignore_cleanup_errors=True) as path:
        server = EmbeddedMongo(Path(path)).start()
        try:
            yield server.uri
        finally:
            server.stop(grace=0)


@dataclass(frozen=True, slots=True)
class Contender:
    """A server under measurement: its KIND and threads (see `tests.bench.subject`)."""

    kind: str
    threads: int

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.threads} threads"

    @property
    def database(self) -> str:
        return f"bench_{self.kind}_{self.threads}"


class Subject:
    """A running contender; `usage` is its CPU seconds and resident MB so far."""

    def __init__(self, contender: Contender, uri: str, directory: Path) -> None:
        self.contender = contender
        self._events = MongoClient[dict[str, Any]](uri)[contender.database]["events"]
        directory.mkdir(parents=True, exist_ok=True)
        module = [sys.executable, "-m", "tests.bench.subject", contender.kind]
        self._process = subprocess.Popen(
            [*module, str(contender.threads), uri, contender.database, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.host, self.port = self._line()[1:]

    def usage(self) -> tuple[float, float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        cpu, memory = self._line()
        return float(cpu), float(memory)

    def empty(self) -> None:
        """Delete the events, so that the same requests are new again; indexes stay."""
        self._events.delete_many({})

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(40)
        self._process.stdout.close()
        self._events.database.client.close()

    def _line(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.contender.name} ended: see its log")
        return line.split()


@contextmanager
def subjects(contenders: Sequence[Contender], uri: str) -> Iterator[list[Subject]]:
    """All of them running side by side, idle but for the one that is measured."""
    running: list[Subject] = []
    with tempfile.TemporaryDirectory(prefix="cxone-bench-", ignore_cleanup_errors=True) as path:
        try:
            for contender in contenders:
                running.append(Subject(contender, uri, Path(path) / contender.database))
            yield running
        finally:
            for subject in running:
                subject.close()


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: what the client saw, CPU seconds of the server for each request, and the server's
    share of one core."""

    load: Load
    cpu: float
    busy: float
    memory: float


def measure(
    subject: Subject, requests: Path, connections: int, seconds: float, rate: float | None = None
) -> Measured:
    """Load the subject once from a process of the client's own."""
    before, _ = subject.usage()
    arguments = [subject.host, subject.port, str(requests), str(connections), str(seconds)]
    if rate:
        arguments.append(str(rate))
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.client", *arguments],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    load = Load(**json.loads(finished.stdout))
    cpu, memory = subject.usage()
    return Measured(load, (cpu - before) / load.answered, (cpu - before) / load.seconds, memory)


@contextmanager
def prepared(requests: list[bytes]) -> Iterator[Path]:
    """The requests in a file for the client."""
    with tempfile.TemporaryDirectory(prefix="cxone-bench-") as directory:
        path = Path(directory) / "requests"
        save(requests, path)
        yield path
