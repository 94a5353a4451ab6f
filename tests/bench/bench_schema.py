"""Measure the schema's steady state: what checking and filling an event of a known shape costs.

By hand: `python -m tests.bench.bench_schema [EVENTS]` (5,000 of 1 KB by default). In one run:
beside genson's schema building on the same payloads; over the number of versions; over the size of
the event; and as a share of the CPU time of a request to the running service.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from statistics import median
from time import process_time
from typing import Any

import msgspec
from genson import SchemaBuilder

from consumer.mongodb.client import SCHEMA_VERSIONS, connect, open_database
from consumer.schemas.admission import Candidate, Quota, decide
from consumer.schemas.check import CompiledSchema, compile_schema
from consumer.schemas.defaults import fill
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Guards, SubjectPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from tests.bench import machine
from tests.bench.machine import Contender
from tests.bench.requests import requests

Payload = dict[str, Any]

_NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
_RUNS = 7


def learned(payloads: Sequence[Payload]) -> SchemaVersion:
    """The head after payloads of one subject came one after the other."""
    head: SchemaVersion | None = None
    for payload in payloads:
        head = (
            decide(
                head,
                Candidate("s", payload, ""),
                number=head.number + 1 if head else 1,
                policy=SubjectPolicy(),
                guards=Guards(),
                quota=Quota(),
                now=_NOW,
            ).next
            or head
        )
    assert head is not None
    return head


def best(work: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> float:
    """CPU seconds of the fastest of some runs; `prepare` before each does not count."""
    taken = []
    for _ in range(_RUNS):
        prepare()
        begin = process_time()
        work()
        taken.append(process_time() - begin)
    return min(taken)


def beside_genson(bodies: Sequence[bytes]) -> None:
    by_type: dict[str, list[Payload]] = defaultdict(list)
    for body in bodies:
        payload = msgspec.json.decode(body)
        by_type[payload["type"]].append(payload)
    schemas = {name: compile_schema(learned(found)) for name, found in by_type.items()}
    events: list[Payload] = []

    def renew() -> None:
        # Parsed a moment ago, as ingest has them.
        events[:] = [msgspec.json.decode(body) for body in bodies]

    def check() -> None:
        for payload in events:
            assert not schemas[payload["type"]].check(payload).unknown

    def check_and_fill() -> None:
        for payload in events:
            fill(payload, schemas[payload["type"]].check(payload))

    def build() -> None:
        builders = {name: SchemaBuilder() for name in by_type}
        for payload in events:
            builders[payload["type"]].add_object(payload)

    size = sum(map(len, bodies)) / 1024
    paths = sum(len(schema.version.live) for schema in schemas.values() if schema.version)
    print(f"{len(bodies):,} events of {len(schemas)} types, {paths} paths, {size:,.0f} KB of JSON")
    print(f"{'':34}{'events/s':>10}{'us/KB':>8}{'to genson':>11}")
    genson = best(build, renew)
    for name, seconds in (
        ("check of known shapes", best(check, renew)),
        ("check and fill", best(check_and_fill, renew)),
        ("genson, add_object", genson),
    ):
        print(
            f"{name:34}{len(bodies) / seconds:10,.0f}{seconds / size * 1e6:8.2f}"
            f"{genson / seconds:11.1f}"
        )


def over_versions() -> None:
    print("\n1,000 fields in so many versions; an event with 100 of them (one in ten)")
    print(f"{'versions':>10}{'check us':>10}{'fill us':>10}{'compile ms':>12}")
    for versions in (1, 10, 100, 1000):
        each = 1000 // versions
        head = learned(
            [
                {f"field_{n}": n for n in range(start, start + each)}
                for start in range(0, 1000, each)
            ]
        )
        assert (head.number, len(head.live)) == (versions, 1000)
        schema = compile_schema(head)
        check, filled = _cost(schema, {f"field_{n}": n for n in range(0, 1000, 10)})
        compiled = best(lambda head=head: compile_schema(head))  # type: ignore[misc]
        print(f"{versions:10}{check:10.1f}{filled:10.1f}{compiled * 1000:12.2f}")


def over_sizes() -> None:
    print("\na schema of 500 paths; events with so many of them")
    print(f"{'fields':>10}{'check us':>10}{'ns/field':>10}{'fill us':>10}{'ns/absent':>11}")
    whole = {
        f"group_{g}": {f"field_{n}": (n, "text", 1.5, None)[n % 4] for n in range(49)}
        for g in range(10)
    }
    schema = compile_schema(learned([whole]))
    for fields in (10, 50, 100, 200, 300, 400, 490):
        # All groups are there, so that every absent field is filled one by one.
        event = {name: dict(list(group.items())[: fields // 10]) for name, group in whole.items()}
        check, filled = _cost(schema, event)
        absent = 490 - fields
        print(
            f"{fields:10}{check:10.1f}{check / (fields + 10) * 1000:10.0f}{filled:10.1f}"
            + (f"{filled / absent * 1000:11.0f}" if absent else f"{'-':>11}")
        )


def _cost(schema: CompiledSchema, event: Payload, times: int = 400) -> tuple[float, float]:
    """Microseconds of one check and of one fill."""
    events: list[Payload] = []
    encoded = msgspec.json.encode(event)

    def renew() -> None:
        events[:] = [msgspec.json.decode(encoded) for _ in range(times)]

    def check() -> None:
        for each in events:
            schema.check(each)

    checked: list[tuple[Payload, Any]] = []

    def ready() -> None:
        renew()
        checked[:] = [(each, schema.check(each)) for each in events]

    def fill_all() -> None:
        for each, found in checked:
            fill(each, found)

    return best(check, renew) / times * 1e6, best(fill_all, ready) / times * 1e6


def share_of_a_request(count: int) -> None:
    prepared = requests(count, 1000)
    bodies = [request.split(b"\r\n\r\n", 1)[1] for request in prepared]
    machine.leave_the_first_core()
    contenders = [Contender("service", 16)]
    with machine.mongod(None) as uri, machine.subjects(contenders, uri) as (subject,):
        with machine.prepared(prepared) as path:
            runs = []
            for turn in range(4):
                found = machine.measure(subject, path, 64, 60.0)
                subject.empty()
                # The first run registers the schemas.
                if turn:
                    runs.append(found)
        request = median(run.cpu for run in runs) * 1e6
        client = connect(uri, timeout=30)
        database = open_database(client, contenders[0].database)
        registry = SchemaRegistry(database[SCHEMA_VERSIONS])
        payloads: list[Payload] = []

        def renew() -> None:
            payloads[:] = [msgspec.json.decode(body) for body in bodies]

        def work() -> None:
            for payload in payloads:
                fill(payload, registry.admit(payload["type"], payload))

        renew()
        work()
        taken = []
        for _ in range(_RUNS):
            renew()
            begin = process_time()
            work()
            taken.append(process_time() - begin)
        client.close()
    schema = median(taken) / count * 1e6
    rate = median(run.load.rate for run in runs)
    print(f"\nservice, 16 threads, 64 connections, 1 KB: {rate:,.0f} requests/s")
    print(
        f"CPU of a request {request:.0f} us; admit and fill {schema:.1f} us:"
        f" {100 * schema / request:.1f} % of it"
    )


def main(count: int = 5_000) -> None:
    bodies = [request.split(b"\r\n\r\n", 1)[1] for request in requests(count, 1000)]
    beside_genson(bodies)
    over_versions()
    over_sizes()
    share_of_a_request(count)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
