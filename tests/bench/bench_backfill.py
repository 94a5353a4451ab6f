"""Measure a backfill beside one raw `update_many` on the same documents, and ingest beside it.

By hand: `python -m tests.bench.bench_backfill`. It prints the speed with the throttle off as a
ratio to an `update_many` that sets one field on all documents, both by turns; then how long the
service takes to answer 100 events a second alone, and while its own throttled backfill runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import timedelta
from statistics import median
from typing import Any

from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.events.documents import encode
from consumer.mongodb.client import DEAD_LETTERS, EVENTS, SCHEMA_VERSIONS, connect, open_database
from consumer.mongodb.indexes import create_indexes
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.failures import MigrationFailures
from jobs.backfill.job import Backfill, BackfillRules
from jobs.backfill.pace import PaceRules
from jobs.backfill.run import BackfillParts
from jobs.backfill.store import BackfillStore
from tests.bench import machine, paced
from tests.bench.requests import requests
from tests.support.backfill import LONG_AGO, laid_out
from tests.support.jobs import Run

Db = Database[dict[str, Any]]

_EVENTS_PER_SECOND = 100
_BEHIND = {"_meta.subject": "s", "_meta.backfilled_to": 1}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", help="a MongoDB to use (default: a mongod of its own)")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5, help="of the speed; 0 leaves it out")
    parser.add_argument("--turns", type=int, default=2, help="of the ingest; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=15, help="of each turn of the ingest")
    options = parser.parse_args(arguments)
    with machine.mongod(options.uri) as uri:
        client = connect(uri, timeout=600)
        database = open_database(client, "bench_backfill")
        create_indexes(database)
        schemas = SchemaRegistry(database[SCHEMA_VERSIONS])
        load(database, schemas, options.documents)
        size = database.command("collstats", EVENTS)["avgObjSize"]
        print(f"{options.documents:,} documents of {size:,} bytes")
        if options.rounds:
            compare(database, schemas, options.documents, options.rounds)
        if options.turns:
            beside_ingest(uri, database, options.seconds, options.turns)
        client.drop_database(database.name)
        client.close()


def payload(number: int) -> dict[str, Any]:
    """About a kilobyte as a document; with its neighbours it lacks `sentiment` and `agent.team`."""
    return {
        "id": f"{number:012d}",
        "type": "contact.ended",
        "contactId": number,
        "agent": {"agentId": number % 500, "firstName": "Robin", "skills": [1, 2, 3]},
        "durations": {"queue": 12.5, "talk": 301, "hold": 0, "wrapUp": 45.25},
        **{f"attribute{n:02d}": f"value {number + n:012d}" for n in range(18)},
    }


def load(database: Db, schemas: SchemaRegistry, count: int) -> None:
    """`count` documents at version 1, then the event that makes version 2."""
    events = database[EVENTS]
    template = laid_out(schemas, "first", payload(0))
    for start in range(0, count, 5_000):
        numbers = range(start, min(start + 5_000, count))
        events.insert_many([{**template, **payload(n), **_stamps(n)} for n in numbers])
    new = {**payload(0), "sentiment": "good"}
    new["agent"] = {**new["agent"], "team": "blue"}
    events.insert_one(encode(laid_out(schemas, "new", new)))


def _stamps(number: int) -> dict[str, Any]:
    # The key of an event is a digest: in no order. A hundred and forty came in a second.
    scattered = number * 0x9E3779B97F4A7C15 % 2**64
    return {
        "_id": f"{scattered:064x}",
        "processed_at": LONG_AGO + timedelta(milliseconds=7 * number),
    }


def raw_update(database: Db, count: int) -> float:
    """Documents a second of one update that sets one field on all."""
    start = time.perf_counter()
    database[EVENTS].update_many({}, {"$set": {"one_field": None}})
    rate = count / (time.perf_counter() - start)
    database[EVENTS].update_many({}, {"$unset": {"one_field": ""}})
    return rate


def backfill(database: Db, schemas: SchemaRegistry) -> float:
    """Documents a second of a backfill as fast as it can."""
    parts = BackfillParts(
        BackfillStore(database[EVENTS]),
        MigrationFailures(database[DEAD_LETTERS]),
        utc_now,
    )
    rules = BackfillRules(0, PaceRules(throttle=False))
    result = Backfill(schemas, parts, Metrics(), rules)(Run())
    assert (result["failed"], result["remaining"]) == (0, 0)
    return float(result["documents"] / result["seconds"])


def set_back(database: Db) -> None:
    """Make all documents as they were."""
    database[EVENTS].update_many(
        {**_BEHIND, "_meta.backfilled_to": 2, "_id": {"$ne": "new"}},
        {"$unset": {"sentiment": "", "agent.team": ""}, "$set": {"_meta.backfilled_to": 1}},
        hint={"$natural": 1},
    )


def compare(database: Db, schemas: SchemaRegistry, count: int, rounds: int) -> None:
    """By turns, for other work on the machine comes and goes."""
    raws, rates = [], []
    for _ in range(rounds):
        raws.append(raw_update(database, count))
        rates.append(backfill(database, schemas))
        set_back(database)
    print(f"raw update_many:        {_figures(raws)}")
    print(f"backfill, throttle off: {_figures(rates)}")
    ratios = [rate / raw for rate, raw in zip(rates, raws, strict=True)]
    print(
        f"ratio: {median(rates) / median(raws):.2f} of the medians; of each round"
        f" {', '.join(f'{ratio:.2f}' for ratio in ratios)}"
    )


def _figures(rates: Sequence[float]) -> str:
    shown = f"{median(rates):9,.0f} documents/s in the median"
    return f"{shown} of {len(rates)} ({min(rates):,.0f}-{max(rates):,.0f})"


def beside_ingest(uri: str, database: Db, seconds: float, turns: int) -> None:
    """The latencies of paced events through HTTP, by turns alone and beside a backfill."""
    events, each = database[EVENTS], int(seconds * _EVENTS_PER_SECOND)
    first, *prepared = requests(1 + 2 * turns * each, 1000)
    # Nothing is behind, until it is set back.
    events.update_many(_BEHIND, {"$set": {"_meta.backfilled_to": 2}}, hint={"$natural": 1})
    settings = {"CXONE_BACKFILL_QUIET": "0s", "CXONE_BACKFILL_INTERVAL": "1s"}
    print(f"{_EVENTS_PER_SECOND} events/s through the service, {seconds:g} s each:")
    with paced.service(uri, database.name, settings, first) as port:
        for number in range(2 * turns):
            beside = number % 2 == 1
            if beside:
                set_back(database)
                _wait_for_a_backfill(database)
            left, began = events.count_documents(_BEHIND), time.perf_counter()
            start = number * each
            found = paced.load(port, prepared[start : start + each], seconds, _EVENTS_PER_SECOND)
            filled = (left - events.count_documents(_BEHIND)) / (time.perf_counter() - began)
            print(
                f"  {'beside a backfill of' if beside else 'alone, beside'} {filled:7,.0f}"
                f" documents/s: p50 {found.p50 * 1000:.1f}, p99 {found.p99 * 1000:.1f}, longest"
                f" {found.worst * 1000:.1f} ms; answers {found.statuses}"
            )
            events.update_many(_BEHIND, {"$set": {"_meta.backfilled_to": 2}}, hint={"$natural": 1})
            time.sleep(5)


def _wait_for_a_backfill(database: Db) -> None:
    while not database[EVENTS].count_documents(
        {"_meta.subject": "s", "_meta.backfilled_to": 2, "sentiment": None}, limit=1
    ):
        time.sleep(0.1)


if __name__ == "__main__":
    main()
