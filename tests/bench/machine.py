"""Start what a measurement needs: a mongod, servers and a load client, on cores of their own."""

from __future__ import annotations

import json
import os
import re
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


def give_the_first_core(pid: int) -> None:
    """Put a process that has just begun, and so all its threads, on core 0 alone."""
    if sys.platform == "linux":
        os.sched_setaffinity(pid, {0})


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
    """A running contender; `usage` is its CPU seconds and resident MB so far.

    `counted`: it runs in valgrind, and `usage` begins with millions of instructions instead.
    """

    def __init__(
        self, contender: Contender, uri: str, directory: Path, counted: bool = False
    ) -> None:
        self.contender = contender
        self._dumps = directory / "callgrind" if counted else None
        self._events = MongoClient[dict[str, Any]](uri)[contender.database]["events"]
        directory.mkdir(parents=True, exist_ok=True)
        module = [sys.executable, "-m", "tests.bench.subject", contender.kind]
        # Whoever asks for its usage has it call this function, which nothing else calls.
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--dump-before=getsid"]
        counting = [*valgrind, f"--callgrind-out-file={self._dumps}"] if counted else []
        self._process = subprocess.Popen(
            [*counting, *module, str(contender.threads), uri, contender.database, str(directory)],
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
        return self._instructions() if self._dumps else float(cpu), float(memory)

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

    def _instructions(self) -> float:
        """Millions of instructions so far; each dump has those since the one before."""
        assert self._dumps is not None
        dumps = self._dumps.parent.glob(f"{self._dumps.name}.*")
        found = (re.search(r"^totals: (\d+)$", dump.read_text(), re.M) for dump in dumps)
        return sum(int(each[1]) for each in found if each) / 1e6

    def _line(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.contender.name} ended: see its log")
        return line.split()


@contextmanager
def subjects(
    contenders: Sequence[Contender], uri: str, counted: bool = False
) -> Iterator[list[Subject]]:
    """All of them running side by side, idle but for the one that is measured."""
    running: list[Subject] = []
    with tempfile.TemporaryDirectory(prefix="cxone-bench-", ignore_cleanup_errors=True) as path:
        try:
            for contender in contenders:
                place = Path(path) / contender.database
                running.append(Subject(contender, uri, place, counted))
            yield running
        finally:
            for subject in running:
                subject.close()


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: what the client saw, CPU seconds of the server for each request (of one that is
    counted, millions of instructions), and the server's share of one core."""

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
def prepared(requests: list[bytes], each_second: Sequence[bytes] = ()) -> Iterator[Path]:
    """The requests in a file for the client, and those of which it sends one each second."""
    with tempfile.TemporaryDirectory(prefix="cxone-bench-") as directory:
        path = Path(directory) / "requests"
        save(requests, [*each_second], path)
        yield path
