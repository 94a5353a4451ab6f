"""Many copies of many bodies through two processes at once: each event is stored exactly once."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.demo.client import Outgoing, Sender
from consumer.demo.samples.scenario import traffic
from consumer.ingest.signature import SignatureScheme, sign
from tests.support.processes import serving

SECRET = "a secret for tests"
BODIES, COPIES = 1000, 20


@pytest.mark.slow
def test_a_thousand_bodies_in_twenty_copies_through_two_processes_are_a_thousand_documents(
    mongod_uri: str, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
        # A busy disk of the tests' machine is no outage.
        "CXONE_SPOOL_AFTER": "5",
    }
    bodies = list(traffic(seed=7, count=BODIES))

    def signed(body: bytes) -> dict[str, str]:
        return sign(SignatureScheme(), SECRET.encode(), body, utc_now())

    with (
        serving(tmp_path, given, ["--data-dir", "one"]) as one,
        serving(tmp_path, given, ["--data-dir", "two"]) as two,
        ThreadPoolExecutor(COPIES) as pool,
    ):
        senders = [Sender(one.url, concurrency=COPIES), Sender(two.url, concurrency=COPIES)]
        copies = [
            (senders[copy % 2], Outgoing(body, signed)) for body in bodies for copy in range(COPIES)
        ]
        results = list(pool.map(lambda copy: copy[0].post(copy[1]), copies))
        for sender in senders:
            sender.close()

    assert Counter(result.word for result in results) == {
        "processed": BODIES,
        "duplicate": BODIES * (COPIES - 1),
    }
    sent = sorted(json.loads(body)["id"] for body in bodies)
    assert sorted(event["id"] for event in database["events"].find({}, {"id": 1})) == sent
    for subject in database["schema_versions"].distinct("_id.subject"):
        numbers = database["schema_versions"].distinct("_id.version", {"_id.subject": subject})
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
