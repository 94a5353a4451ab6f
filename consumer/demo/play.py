"""Play a scenario of realistic deliveries against a running service, and read what it stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic, sleep
from typing import Any

from consumer.core.clock import utc_now
from consumer.demo.client import Outgoing, Sender
from consumer.demo.samples.mishaps import Sample, Signature
from consumer.events.recent import as_sent
from consumer.ingest.signature import SignatureScheme, sign
from consumer.mongodb.client import EVENTS
from consumer.runtime.service import Service
from consumer.runtime.shared import SharedParts
from consumer.schemas.model import Change, SchemaVersion

_WRONG_KEY = b"not the secret that CXone knows"
# Seconds without any progress after which what waits is given up; MongoDB may be slow for long.
_GIVE_UP_AFTER = 60.0
# Seconds that older documents may take to get the fields which came later.
_BACKFILL_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Answered:
    """One delivery of the scenario and its answer."""

    sample: Sample
    status: int | None
    word: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Example:
    """A stored event that lacked fields: its document, and its payload as it was sent."""

    document: Mapping[str, Any]
    sent: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """The contents of MongoDB afterwards: documents by type, dead letters, schema histories."""

    documents: Mapping[str, int]
    dead_letters: list[dict[str, Any]]
    histories: Mapping[str, list[SchemaVersion]]
    example: Example | None

    def changes(self) -> Iterator[tuple[str, SchemaVersion, Change]]:
        """The changes after each subject's first version, oldest first."""
        for subject, versions in self.histories.items():
            for version in versions[1:]:
                for change in version.changes:
                    yield subject, version, change


def play(
    samples: Iterable[Sample], url: str, scheme: SignatureScheme, key: bytes
) -> list[Answered]:
    """Post the samples in order over one connection, as one CXone tenant would."""
    sender = Sender(url, timeout=10)
    answered = []
    for sample in samples:
        outgoing = Outgoing(sample.body, partial(_headers, sample.signature, scheme, key))
        result = sender.post(outgoing)
        answered.append(Answered(sample, result.status, result.word, result.seconds))
    sender.close()
    return answered


def await_stored(service: Service, report: Callable[[int], None]) -> int:
    """Wait until MongoDB has all that was answered, however slow it is; how many deliveries do not
    get there, for a minute went by without progress. `report` gets how many wait.
    """
    waiting, since = service.spooled, monotonic()
    refused = service.shared.refusals
    while waiting or not refused.wait_until_empty(0.1):
        if waiting:
            report(waiting)
        sleep(0.05)
        before, waiting = waiting, service.spooled
        if waiting != before:
            since = monotonic()
        elif monotonic() - since > _GIVE_UP_AFTER:
            break
    return waiting


def read_stored(shared: SharedParts) -> Stored:
    """Read what became of everything; raises StoreUnavailable."""
    counts = shared.database[EVENTS].aggregate(
        [{"$group": {"_id": "$_meta.subject", "count": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    )
    histories = {
        subject: list(shared.registry.history(subject))
        for subject in sorted(shared.registry.subjects())
    }
    return Stored(
        documents={row["_id"]: row["count"] for row in counts},
        dead_letters=shared.dead_letters.summary(),
        histories=histories,
        example=_example(shared, histories),
    )


def _example(shared: SharedParts, histories: Mapping[str, list[SchemaVersion]]) -> Example | None:
    """An old document of the type with the fewest fields that the backfill filled; None where it
    did not come to that in time."""
    heads = sorted((versions[-1] for versions in histories.values()), key=lambda v: len(v.live))
    give_up_at = monotonic() + _BACKFILL_WITHIN
    for head in heads:
        fillable = head.newest_fillable
        oldest = {"_meta.subject": head.subject, "schema_version": {"$lt": fillable}}
        while document := shared.database[EVENTS].find_one(oldest, sort=[("processed_at", 1)]):
            if document["_meta"]["backfilled_to"] >= fillable:
                defaults = shared.registry.compiled(head.subject).defaults
                return Example(document, as_sent(document, head, defaults))
            if monotonic() > give_up_at:
                break
            sleep(0.1)
    return None


def count_answers(answered: Iterable[Answered]) -> Counter[tuple[int | None, str]]:
    """Count how often each answer came."""
    return Counter((one.status, one.word) for one in answered)


def _headers(
    signature: Signature, scheme: SignatureScheme, key: bytes, body: bytes
) -> dict[str, str]:
    if signature == "missing":
        return {}
    return sign(scheme, key if signature == "good" else _WRONG_KEY, body, utc_now())
