"""Measure what judging costs: 1,000 subjects of ten versions with 20 pins each, without views.

By hand: `python -m tests.bench.bench_verdicts [SUBJECTS] [PINS]`. All anew, as a process does at
its start; again where nothing changed, as it does every minute; and what one new version costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from time import perf_counter, process_time
from typing import Any

from consumer.events.search import EventSearch
from consumer.mongodb.client import EVENTS, READERS, SCHEMA_VERSIONS, connect, open_database
from consumer.readers.judge import Judge
from consumer.readers.pins import Pin, Pins
from consumer.schemas.admission import Candidate, Quota, decide
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Guards, SubjectPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from tests.bench import machine

_NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
_FIELDS = 100
# The versions that bring another type; the others add a field.
_CONFLICTS = (4, 8)
_VERSIONS = 10


def history() -> list[SchemaVersion]:
    """Ten versions of one subject of a hundred fields, and one more."""
    payload: dict[str, Any] = {f"group_{n // 10}": {} for n in range(_FIELDS)}
    for n in range(_FIELDS):
        payload[f"group_{n // 10}"][f"field_{n}"] = n
    found: list[SchemaVersion] = []
    for number in range(1, _VERSIONS + 2):
        if number in _CONFLICTS:
            payload["group_0"][f"field_{number}"] = "text"
        elif number > 1:
            payload[f"more_{number}"] = number
        made = decide(
            found[-1] if found else None,
            Candidate("s", payload, f"event {number}"),
            number=number,
            policy=SubjectPolicy(),
            guards=Guards(),
            quota=Quota(),
            now=_NOW,
        ).next
        assert made is not None
        found.append(made)
    return found


def timed(what: str, work: Callable[[], object]) -> None:
    """Print how long it takes, and how much of that this process works."""
    began, worked = perf_counter(), process_time()
    work()
    took, worked = perf_counter() - began, process_time() - worked
    print(f"{what:<40} {took:8.3f} s, CPU {worked:8.3f} s", flush=True)


def main(subjects: int = 1000, pins: int = 20) -> None:
    versions = history()
    with machine.mongod(None) as uri:
        client = connect(uri, timeout=60, pool_size=4)
        database = open_database(client, "bench_verdicts")
        kept = Pins(database[READERS], subjects * pins)
        names = [f"subject {n}" for n in range(subjects)]
        for name in names:
            database[SCHEMA_VERSIONS].insert_many(
                [replace(each, subject=name).to_document() for each in versions[:_VERSIONS]]
            )
            of_subject = [
                Pin(f"r{n}.{name}", f"r{n}", name, n % _VERSIONS + 1, _NOW, "bench")
                for n in range(pins)
            ]
            database[READERS].insert_many([each.to_document() for each in of_subject])
        registry = SchemaRegistry(database[SCHEMA_VERSIONS])
        first_event = EventSearch(database[EVENTS]).first
        judge = Judge(kept, registry, first_event, lambda path, _: path, lambda _: ())
        print(f"{subjects:,} subjects of {_VERSIONS} versions, {pins} pins each")
        timed("the pins read", kept.all)
        timed("the newest versions read", registry.subjects)
        timed("all judged anew", lambda: judge.tallies(registry.subjects))
        timed("all again, nothing changed", lambda: judge.tallies(registry.subjects))
        last = replace(versions[_VERSIONS], subject=names[0])
        database[SCHEMA_VERSIONS].insert_one(last.to_document())
        timed("all again, one subject changed", lambda: judge.tallies(registry.subjects))
        newest = _VERSIONS + 1
        timed(
            "one new version, for its event", lambda: judge.breaches(names[0], newest, newest - 1)
        )
        timed("all versions of a subject", lambda: judge.breaches(names[0], newest))
        broken = sum(len(each.broken) for each in judge.tallies(registry.subjects).values())
        print(f"broken: {broken:,} of {subjects * pins:,} pins")
        client.drop_database("bench_verdicts")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
