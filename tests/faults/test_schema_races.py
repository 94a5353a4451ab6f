"""Processes and threads that bring new fields and subjects at once lose none, killed or not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.mongodb.client import EVENTS, SCHEMA_VERSIONS
from consumer.schemas.check import compile_schema
from consumer.schemas.model import SchemaVersion, from_document, shape_of
from consumer.schemas.shape import Shape, join
from tests.faults.schema_race import Payload, acknowledged, event
from tests.support.strategies import learn

Db = Database[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int
    processes: int
    threads: int
    turns: int


@dataclass(frozen=True, slots=True)
class Race:
    """One round: who runs where, and what they have been told."""

    database: Db
    uri: str
    directory: Path
    number: int
    size: Size
    registry: str = "real"

    def journal(self, worker: int) -> Path:
        return self.directory / f"{self.number}-{worker}.jsonl"

    def start(self, worker: int) -> subprocess.Popen[str]:
        numbers = (self.number, worker, self.size.threads, self.size.turns)
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.schema_race", self.uri, self.database.name),
                *(str(self.journal(worker)), *map(str, numbers), self.registry),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def told(self) -> list[tuple[Payload, int]]:
        """Every acknowledged event with the version that the answer named."""
        return [
            (event(self.number, worker, thread, turn), version)
            for worker in range(self.size.processes)
            for (thread, turn), version in acknowledged(self.journal(worker)).items()
        ]

    def sent(self) -> list[Payload]:
        """Every event that may have been sent until now: of each thread one beyond those told."""
        found = []
        for worker in range(self.size.processes):
            told = acknowledged(self.journal(worker))
            for thread in range(self.size.threads):
                turns = sum(1 for each, _ in told if each == thread) + 1
                found += [
                    event(self.number, worker, thread, turn)
                    for turn in range(min(turns, self.size.turns))
                ]
        return found


@contextmanager
def workers(race: Race, numbers: Sequence[int]) -> Iterator[list[subprocess.Popen[str]]]:
    """The processes, let off together once all are ready."""
    started = [race.start(number) for number in numbers]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def run(race: Race) -> None:
    """All at once, the first process killed in the middle, the others to their end."""
    everyone = range(race.size.processes)
    half = race.size.threads * race.size.turns // 2
    with workers(race, everyone) as (first, *others):
        ends = time.monotonic() + 120
        while len(acknowledged(race.journal(0))) < half:
            assert time.monotonic() < ends, "it does not go on"
            assert first.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        first.kill()
        first.wait()
        assert [process.wait(timeout=300) for process in others] == [0] * len(others)
    assert len(acknowledged(race.journal(0))) < race.size.threads * race.size.turns


def finish(race: Race) -> None:
    """The killed process starts again and its senders repeat what was not answered."""
    with workers(race, [0]) as (again,):
        assert again.wait(timeout=300) == 0


def shapes(payloads: Sequence[Payload]) -> dict[str, Shape]:
    """The join of what payloads show, by subject."""
    joined: dict[str, Shape] = {}
    for payload in payloads:
        shape = shape_of(learn([payload]))
        before = joined.get(payload["type"])
        joined[payload["type"]] = shape if before is None else join(before, shape)
    return joined


def histories(database: Db, number: int) -> dict[str, list[SchemaVersion]]:
    """The versions of the subjects of one round, oldest first."""
    versions = database.get_collection(
        SCHEMA_VERSIONS,
        codec_options=database.codec_options.with_options(tz_aware=True, tzinfo=timezone.utc),
    )
    found: dict[str, list[SchemaVersion]] = defaultdict(list)
    ours = {"_id.subject": {"$regex": f"^race\\.{number}\\."}}
    for document in versions.find(ours).sort([("_id.subject", 1), ("_id.version", 1)]):
        found[document["_id"]["subject"]].append(from_document(document))
    return found


def faults(race: Race) -> set[str]:
    """Everything that is wrong with the registry and the documents, beside what was told."""
    told, found = race.told(), set()
    known = histories(race.database, race.number)
    for subject, history in known.items():
        if [version.number for version in history] != list(range(1, len(history) + 1)):
            found.add("versions have a gap")
        for older, newer in pairwise(history):
            if [field.path for field in newer.fields[: len(older.fields)]] != [
                field.path for field in older.fields
            ]:
                found.add("a version does not extend the one before")
        head, sent = shape_of(history[-1]), shapes(race.sent()).get(subject, Shape())
        if join(head, sent) != sent:
            found.add("the registry knows what nobody sent")
    for subject, shape in shapes([payload for payload, _ in told]).items():
        head = shape_of(known[subject][-1]) if subject in known else Shape()
        if join(head, shape) != head:
            found.add("the registry misses what was acknowledged")
    numbered = {
        (version.subject, version.number): compile_schema(version)
        for history in known.values()
        for version in history
    }
    documents = {
        document["id"]: document
        for document in race.database[EVENTS].find(
            {"id": {"$in": [payload["id"] for payload, _ in told]}}
        )
    }
    for payload, version in told:
        schema = numbered.get((payload["type"], version))
        if schema is None or schema.check(payload).unknown:
            found.add("a version was acknowledged that misses fields of its event")
        document = documents.get(payload["id"], {})
        if not payload.items() <= document.items() or document["_meta"].get("untracked"):
            found.add("an acknowledged event is not stored as sent")
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    [
        Size(rounds=2, processes=4, threads=16, turns=4),
        pytest.param(Size(rounds=20, processes=4, threads=16, turns=12), id="full",
                     marks=pytest.mark.faults_full),
    ],
)  # fmt: skip
def test_the_registry_is_the_join_of_all_that_was_acknowledged(
    database: Db, mongod_uri: str, tmp_path: Path, size: Size
) -> None:
    for number in range(size.rounds):
        race = Race(database, mongod_uri, tmp_path, number, size)

        run(race)

        assert faults(race) == set()
        finish(race)
        assert faults(race) == set()
        everything = race.sent()
        assert len(race.told()) == len(everything) == size.processes * size.threads * size.turns
        heads = {
            subject: shape_of(history[-1])
            for subject, history in histories(database, number).items()
        }
        assert heads == shapes(everything)


@pytest.mark.slow
def test_a_naive_registry_fails_the_same_test(
    database: Db, mongod_uri: str, tmp_path: Path
) -> None:
    size = Size(rounds=1, processes=4, threads=16, turns=4)
    race = Race(database, mongod_uri, tmp_path, 0, size, registry="naive")

    run(race)

    assert {
        "the registry misses what was acknowledged",
        "a version was acknowledged that misses fields of its event",
    } <= faults(race)
