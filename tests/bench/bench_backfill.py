"""Measure a backfill beside one raw `update_many` on the same documents, and beside paced ingest.

By hand: `python -m tests.bench.bench_backfill [DOCUMENTS]` (200,000 documents of 1 KB by default).
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from pymongo.database import Database

from consumer.clock import utc_now
from consumer.metrics import Metrics
from consumer.schema.defaults import fill
from consumer.storage import mongo
from consumer.storage.backfill_store import BackfillStore
from consumer.storage.documents import encode
from consumer.storage.embedded import EmbeddedMongo
from consumer.storage.migration_failures import MigrationFailures
from consumer.storage.schema_registry import SchemaRegistry
from jobs.backfill import Backfill, BackfillRules
from jobs.backfill_pace import PaceRules
from jobs.backfill_subject import Parts
from tests.backfill import Run, laid_out

Db = Database[dict[str, Any]]

_EVENTS_PER_SECOND = 100


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
    events = database[mongo.EVENTS]
    template = laid_out(schemas, "first", payload(0))
    for start in range(0, count, 5_000):
        numbers = range(start, min(start + 5_000, count))
        events.insert_many([{**template, **payload(n), "_id": f"{n:064x}"} for n in numbers])
    new = {**payload(0), "sentiment": "good"}
    new["agent"] = {**new["agent"], "team": "blue"}
    events.insert_one(encode(laid_out(schemas, "new", new)))


def raw_update(database: Db) -> float:
    """Seconds for one update that sets one field on all."""
    start = time.perf_counter()
    database[mongo.EVENTS].update_many({}, {"$set": {"one_field": None}})
    taken = time.perf_counter() - start
    database[mongo.EVENTS].update_many({}, {"$unset": {"one_field": ""}})
    return taken


def set_back(database: Db) -> None:
    """Make all documents as they were."""
    database[mongo.EVENTS].update_many(
        {"_id": {"$ne": "new"}},
        {"$unset": {"sentiment": "", "agent.team": ""}, "$set": {"_meta.backfilled_to": 1}},
    )


def backfill(database: Db, schemas: SchemaRegistry, pace: PaceRules) -> Backfill:
    parts = Parts(
        BackfillStore(database[mongo.EVENTS]),
        MigrationFailures(database[mongo.DEAD_LETTERS]),
        utc_now,
    )
    return Backfill(schemas, parts, Metrics(), BackfillRules(0, pace))


def paced_inserts(database: Db, schemas: SchemaRegistry, stop: threading.Event) -> list[float]:
    """Latencies of durable inserts of new events, 100 a second, until told to stop."""
    latencies: list[float] = []
    began, number = time.perf_counter(), 0
    while not stop.is_set():
        due = began + number / _EVENTS_PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        event = payload(number)
        fill(event, schemas.admit("s", event))
        document = encode({**laid_out(schemas, f"paced {began} {number}", event)})
        database[mongo.EVENTS].insert_one(document)
        # From when it was due, so that a wait is not hidden by the one before.
        latencies.append(time.perf_counter() - due)
        number += 1
    return sorted(latencies)


def beside_ingest(
    database: Db, schemas: SchemaRegistry, job: Backfill | None, seconds: float
) -> None:
    stop = threading.Event()
    found: list[list[float]] = []
    ingest = threading.Thread(target=lambda: found.append(paced_inserts(database, schemas, stop)))
    ends = time.perf_counter() + seconds

    class Until(Run):
        def stopping(self) -> bool:
            return time.perf_counter() > ends

    ingest.start()
    result = job(Until()) if job else None
    time.sleep(max(0.0, ends - time.perf_counter()))
    stop.set()
    ingest.join()
    latencies = found[0]
    for share in (0.5, 0.99, 1.0):
        at = latencies[min(len(latencies) - 1, int(share * len(latencies)))]
        print(f"  ingest p{share * 100:g}: {at * 1000:.1f} ms of {len(latencies)} events")
    if result:
        print(f"  backfill meanwhile: {result['documents'] / result['seconds']:,.0f} documents/s")


def main(count: int = 200_000) -> None:
    with tempfile.TemporaryDirectory(prefix="cxone-bench-") as directory:
        server = EmbeddedMongo(Path(directory)).start()
        try:
            _measure(server.uri, count)
        finally:
            server.stop(grace=0)


def _measure(uri: str, count: int) -> None:
    client = mongo.connect(uri, timeout=600)
    database = mongo.database(client, "bench")
    mongo.create_indexes(database)
    schemas = SchemaRegistry(database[mongo.SCHEMA_VERSIONS])
    load(database, schemas, count)
    size = database.command("collstats", mongo.EVENTS)["avgObjSize"]
    print(f"{count:,} documents of {size:,} bytes")
    # In turns and the best of each, for other work on the machine comes and goes.
    raws, rates = [], []
    for _ in range(3):
        raws.append(count / raw_update(database))
        result = backfill(database, schemas, PaceRules(1000, 0, throttle=False))(Run())
        rates.append(result["documents"] / result["seconds"])
        set_back(database)
    print(f"raw update_many: {max(raws):,.0f} documents/s of {[round(raw) for raw in raws]}")
    print(f"backfill, throttle off: {max(rates):,.0f} of {[round(rate) for rate in rates]}")
    print(f"ratio of the best: {max(rates) / max(raws):.2f}")
    # What was written until here goes to disk first.
    time.sleep(60)
    print("20 s of 100 events/s alone:")
    beside_ingest(database, schemas, None, 20)
    print("throttle on, 20 s beside 100 events/s:")
    beside_ingest(database, schemas, backfill(database, schemas, PaceRules()), 20)
    client.close()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
