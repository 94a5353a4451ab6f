"""Give tests of the registry a clock, its commands, lost answers, and what must hold."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

from pymongo import monitoring
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect

from consumer.schemas.check import compile_schema
from consumer.schemas.model import SchemaVersion, from_document, shape_of
from consumer.schemas.shape import join
from tests.support.strategies import learn

Document = dict[str, Any]
Versions = Collection[Document]


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class Commands(monitoring.CommandListener):
    """Counts the commands that reach MongoDB, and keeps the last of each name."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.last: dict[str, Any] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        # A new connection logs in first, with the client's first command or a later one.
        if event.command_name.startswith("sasl"):
            return
        self.names.append(event.command_name)
        self.last[event.command_name] = event.command

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def stored(versions: Versions, subject: str) -> list[SchemaVersion]:
    utc = versions.with_options(
        codec_options=versions.codec_options.with_options(tz_aware=True, tzinfo=timezone.utc)
    )
    return [from_document(d) for d in utc.find({"_id.subject": subject}).sort("_id.version")]


def event(worker: int, turn: int, rng: random.Random) -> Document:
    """A payload that brings something new now and then."""
    payload: Document = {"id": f"{worker}-{turn}", "type": "contact.created"}
    payload[f"field_{rng.randrange(40)}"] = rng.choice([1, 1.5, "x", None, {"deep": turn}, [turn]])
    return payload


def faults(versions: Versions, subject: str, admitted: list[tuple[int, Document]]) -> list[str]:
    """Faults in the versions of a subject after `admitted` (version, payload) pairs."""
    found = []
    history = stored(versions, subject)
    if [version.number for version in history] != list(range(1, len(history) + 1)):
        found.append("the numbers have a gap")
    whole = shape_of(None)
    by_number = {version.number: version for version in history}
    for number, payload in admitted:
        whole = join(whole, shape_of(learn([payload])))
        version = by_number.get(number)
        if version is None or compile_schema(version).check(payload).unknown:
            found.append(f"version {number} lacks fields of a payload it admitted")
    if history and shape_of(history[-1]) != whole:
        found.append("the head is not the join of all that was admitted")
    for older, newer in pairwise(history):
        if [f.path for f in newer.fields][: len(older.fields)] != [f.path for f in older.fields]:
            found.append("a version does not extend the one before")
    return found


class LossyCollection:
    """Loses the server's answers to inserts: `after` they happened, or `before`."""

    def __init__(self, collection: Versions, lost: list[str]) -> None:
        self._collection = collection
        self._lost = lost

    def with_options(self, **options: Any) -> LossyCollection:
        return LossyCollection(self._collection.with_options(**options), self._lost)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def insert_one(self, document: Document) -> None:
        how = self._lost.pop(0) if self._lost else "answered"
        if how != "before":
            self._collection.insert_one(document)
        if how != "answered":
            raise AutoReconnect("the connection was closed")
