"""Time a report over many documents against one over few: `python -m tests.bench.bench_adoption`.

Both get the same number of new events before each report. A report costs the events since
the last one, not the collection: the ratio is to be 1.5 at most.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo.write_concern import WriteConcern

from consumer.mongodb.client import connect, open_database
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.mongodb.indexes import create_indexes
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.adoption import Adoption
from tests.support.adoption import NOW, Db, documents, job, registered, spread
from tests.support.jobs import Run

_SUBJECTS = [f"contact.kind_{n}" for n in range(10)]
_DAYS = timedelta(days=30)
_BATCH = 20_000
_STEP = timedelta(minutes=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=1_000, help="new events before each report")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cxone-bench-") as directory:
        server = EmbeddedMongo(Path(directory)).start()
        client = connect(server.uri, timeout=60)
        try:
            sides = {
                count: Side(open_database(client, f"bench_{count}"), count)
                for count in (given.few, given.many)
            }
            for round_ in range(given.rounds):
                now = NOW + (round_ + 1) * _STEP
                for side in sides.values():
                    side.report(now, given.new)
        finally:
            client.close()
            server.stop(grace=0)
    medians = {count: statistics.median(side.seconds) for count, side in sides.items()}
    for count, median in medians.items():
        print(f"{count:>10,} documents: {median * 1000:8.1f} ms a report (median)")
    print(f"ratio {medians[given.many] / medians[given.few]:.2f} (at most 1.50)")


class Side:
    """A database with so many documents, all rolled up; `seconds` of each report so far."""

    def __init__(self, db: Db, count: int) -> None:
        self.db = db
        self.seconds: list[float] = []
        self._chance = random.Random(count)
        create_indexes(db)
        self._registry: SchemaRegistry = registered(db, _SUBJECTS)
        begun = time.perf_counter()
        for start in range(0, count, _BATCH):
            size = min(_BATCH, count - start)
            self._insert(size, NOW - _DAYS, NOW)
        inserted = time.perf_counter()
        self._job(NOW)(Run())
        done = time.perf_counter()
        print(
            f"{count:>10,} documents: inserted in {inserted - begun:.1f} s,"
            f" first report and roll-up in {done - inserted:.1f} s",
            flush=True,
        )

    def report(self, now: datetime, new: int) -> None:
        """Add new events, and time the report on them."""
        self._insert(new, now - _STEP, now)
        adoption = self._job(now)
        begun = time.perf_counter()
        adoption(Run())
        self.seconds.append(time.perf_counter() - begun)

    def _job(self, now: datetime) -> Adoption:
        return job(self.db, now, self._registry)

    def _insert(self, count: int, start: datetime, end: datetime) -> None:
        made: list[Any] = documents(
            self._chance, spread(self._chance, count, start, end), _SUBJECTS
        )
        for each in made:
            # No backlog: what the conforming rate may cost is left aside here.
            each["_meta"]["backfilled_to"] = 3
            each["payload"] = "x" * 500
        unjournaled = WriteConcern(w=1, j=False)
        self.db["events"].with_options(write_concern=unjournaled).insert_many(made, ordered=False)


if __name__ == "__main__":
    main()
