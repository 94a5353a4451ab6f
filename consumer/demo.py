"""Play a scenario of realistic deliveries against a running service, and read off what it kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from consumer.clock import utc_now
from consumer.runtime import Core
from consumer.samples import Sample, Signature
from consumer.schema.model import Change, SchemaVersion
from consumer.sender import Outgoing, Sender
from consumer.signature import SignatureScheme, sign
from consumer.storage import mongo

_WRONG_KEY = b"not the secret that CXone knows"


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery of the scenario and its answer."""

    sample: Sample
    status: int | None
    word: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What MongoDB holds afterwards: documents by type, dead letters, and schema histories."""

    documents: Mapping[str, int]
    dead_letters: list[dict[str, Any]]
    histories: Mapping[str, list[SchemaVersion]]

    def changes(self) -> Iterator[tuple[str, SchemaVersion, Change]]:
        """What changed after each subject's first version, oldest first."""
        for subject, versions in self.histories.items():
            for version in versions[1:]:
                for change in version.changes:
                    yield subject, version, change


def play(samples: Iterable[Sample], url: str, scheme: SignatureScheme, key: bytes) -> list[Told]:
    """Post the samples in order over one connection, as one CXone tenant would."""
    sender = Sender(url, timeout=10)
    told = []
    for sample in samples:
        outgoing = Outgoing(sample.body, partial(_headers, sample.signature, scheme, key))
        result = sender.post(outgoing)
        told.append(Told(sample, result.status, result.word, result.seconds))
    sender.close()
    return told


def kept(core: Core) -> Kept:
    """Read what became of everything; raises StoreUnavailable."""
    counts = core.database[mongo.EVENTS].aggregate(
        [{"$group": {"_id": "$_meta.subject", "count": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    )
    return Kept(
        documents={row["_id"]: row["count"] for row in counts},
        dead_letters=core.dead_letters.summary(),
        histories={
            subject: list(core.registry.history(subject))
            for subject in sorted(core.registry.subjects())
        },
    )


def answers(told: Iterable[Told]) -> Counter[tuple[int | None, str]]:
    """How often each answer came."""
    return Counter((one.status, one.word) for one in told)


def _headers(
    signature: Signature, scheme: SignatureScheme, key: bytes, body: bytes
) -> dict[str, str]:
    if signature == "missing":
        return {}
    return sign(scheme, key if signature == "good" else _WRONG_KEY, body, utc_now())
