"""A process that rolls up adoption again and again until it is killed: `URI DATABASE`.

It takes a fence of its own for each run but no lease, so that two workers overlap all the time:
the earlier of two runs is the stale holder of .github/ARCHITECTURE.md#adoption-figures.
"""

from __future__ import annotations

import sys
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database

from consumer.adoption.counts import Superseded
from consumer.mongodb.client import connect, open_database
from tests.support.adoption import job
from tests.support.jobs import Run

Db = Database[dict[str, Any]]


def note(db: Db, what: str) -> int:
    """Count one more of something; how many there are."""
    found = db["test_notes"].find_one_and_update(
        {"_id": what}, {"$inc": {"n": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    return int(found["n"]) if found else 0


def main(uri: str, name: str) -> None:
    client = connect(uri, timeout=30)
    db = open_database(client, name)
    while True:
        clock = db["test_notes"].find_one({"_id": "clock"})
        assert clock is not None
        fence = note(db, "begun")
        try:
            job(db, clock["now"], retention_days=2)(Run(fence))
            note(db, "done")
        except Superseded:
            note(db, "superseded")


if __name__ == "__main__":
    main(*sys.argv[1:])
