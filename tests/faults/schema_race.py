"""A process that ingests drifting events from many threads at once, and may be killed:

    python -m tests.faults.schema_race URI DATABASE JOURNAL ROUND WORKER THREADS TURNS REGISTRY

It says `ready`, waits for a line, and then sends every event that JOURNAL does not list yet. A line
is written to JOURNAL, past all buffers of the process, when an event is acknowledged and before the
next one is sent: what a kill loses is at most one acknowledgement of each thread. REGISTRY is
`real`, or `naive` for the one that the test must find out.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers
from consumer.ingest.ingest import Ingest
from consumer.ingest.signature import sign
from consumer.runtime import shared
from consumer.runtime.settings_map import signature_scheme
from consumer.runtime.shared import build_shared
from consumer.schemas.admission import Candidate, Quota, decide
from consumer.schemas.check import compile_schema
from consumer.schemas.objections import NONE, Objections
from consumer.schemas.policy import Contract, SchemaPolicy
from consumer.schemas.registry.document_stamps import DocumentStamps
from consumer.schemas.registry.registry import Admission, SchemaRegistry
from consumer.schemas.registry.versions import SchemaVersions
from tests.support.service import SECRET
from tests.support.spool import load

Payload = dict[str, Any]

# Few, so that all threads of all processes want the same ones at the same time.
SUBJECTS = 4


def event(round_: int, worker: int, thread: int, turn: int) -> Payload:
    """The same event for the same numbers: a new subject for the first who comes, new fields for
    all, some of which others bring at the same moment, of this or of another type."""
    name = f"{round_}.{worker}.{thread}.{turn}"
    chance = random.Random(name)
    # All begin with the same subject and go on to the next one at about the same time.
    subject = (turn + chance.randrange(2)) % SUBJECTS
    types: tuple[Any, ...] = (1, 1.5, "x", True, None, {"deep": turn}, [turn], [{"in": turn}], [])
    return {
        "id": name,
        "type": f"race.{round_}.{subject}",
        f"shared_{chance.randrange(30)}": chance.choice(types),
        f"late_{turn}": {"of": {"this": chance.choice(types)}},
        f"own_{worker}_{thread % 4}_{turn}": chance.choice(types),
        "by_id": {f"00000000-0000-4000-8000-{chance.randrange(99):012d}": chance.choice(types)},
    }


class NaiveRegistry(SchemaRegistry):
    """Read the newest version, add what is new, save it as the next one: nothing keeps two who do
    so from saving the same number, and then the field of the first is gone."""

    def __init__(
        self,
        collection: Collection[Payload],
        policy: SchemaPolicy | None = None,
        clock: Callable[[], datetime] = utc_now,
        *,
        stamps: DocumentStamps | None = None,
        objections: Callable[[str, Contract], Objections] = lambda *_: NONE,
    ) -> None:
        super().__init__(collection, policy, clock, stamps=stamps, objections=objections)
        self._naive_policy = policy or SchemaPolicy()
        self._collection = collection

    def admit(
        self,
        subject: str,
        payload: Payload,
        caused_by: object = "",
        vet: Callable[[Payload], object] | None = None,
    ) -> Admission:
        head = SchemaVersions(self._collection).head(subject)
        version = decide(
            head,
            Candidate(subject, payload, str(caused_by)),
            number=head.number + 1 if head else 1,
            policy=self._naive_policy.of(subject),
            guards=self._naive_policy.guards,
            quota=Quota(),
            now=utc_now(),
        ).next
        if version is not None:
            document = version.to_document()
            try:
                self._collection.replace_one({"_id": document["_id"]}, document, upsert=True)
            except DuplicateKeyError:
                self._collection.replace_one({"_id": document["_id"]}, document)
        known = version or head
        check = compile_schema(known).check(payload)
        return Admission(known.number if known else 0, check.exhibited, gaps=check.gaps)


def acknowledged(journal: Path) -> dict[tuple[int, int], int]:
    """The versions told, by thread and turn; a last line that was cut is none."""
    if not journal.exists():
        return {}
    lines = journal.read_bytes().split(b"\n")[:-1]
    return {(thread, turn): version for thread, turn, version in map(json.loads, lines)}


def main(
    uri: str, database: str, journal: str, numbers: tuple[int, int, int, int], registry: str
) -> None:
    """Ingest what `numbers` (round, worker, threads, turns) say."""
    if registry == "naive":
        setattr(shared, "SchemaRegistry", NaiveRegistry)  # noqa: B010
    round_, worker, threads, turns = numbers
    done = acknowledged(Path(journal))
    with tempfile.TemporaryDirectory() as directory:
        settings = load(
            uri,
            database,
            Path(directory),
            cxone_schema_max_versions_per_hour="100000",
            # Under the whole load of the race a store may take long; that is no outage.
            cxone_store_timeout="60s",
        )
        built = build_shared(settings, uri)
        scheme = signature_scheme(settings.main)
        log = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        begin = threading.Barrier(threads)

        def send(ingest: Ingest, thread: int) -> None:
            begin.wait()
            for turn in range(turns):
                if (thread, turn) not in done:
                    body = json.dumps(event(round_, worker, thread, turn)).encode()
                    now = utc_now()
                    headers = sign(scheme, SECRET.encode(), body, now)
                    outcome = ingest.receive(Delivery(str(turn), body, Headers(headers), now))
                    assert outcome.status in ("processed", "duplicate"), outcome
                    line = json.dumps([thread, turn, outcome.schema_version])
                    os.write(log, line.encode() + b"\n")

        print("ready", flush=True)
        sys.stdin.readline()
        workers = [
            threading.Thread(target=send, args=(built.ingest, thread)) for thread in range(threads)
        ]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        os.close(log)
        built.close()


if __name__ == "__main__":
    _, _uri, _database, _journal, *_numbers, _registry = sys.argv
    _round, _worker, _threads, _turns = map(int, _numbers)
    main(_uri, _database, _journal, (_round, _worker, _threads, _turns), _registry)
