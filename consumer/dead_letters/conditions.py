"""Read the conditions that dead letters wait for (secrets, settings, indexes, schemas)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from consumer.core.clock import EPOCH
from consumer.events.constraints import read_constraints
from consumer.mongodb.client import EVENTS, RETRY_CONDITIONS, Document
from consumer.mongodb.errors import translated
from consumer.schemas.registry.registry import SchemaRegistry

SIGNATURE, SETTINGS, CONSTRAINTS, SCHEMA = "signature", "settings", "constraints", "schema"

# By reason, the conditions that an entry waits for; others wait for time, or for a person.
WAITS_FOR: dict[str, tuple[str, ...]] = {
    "signature_missing": (SIGNATURE,),
    "signature_invalid": (SIGNATURE,),
    "missing_fields": (SETTINGS,),
    "source_unknown": (SETTINGS,),
    "too_deep": (SETTINGS,),
    "id_conflict": (SETTINGS,),
    "contract_hold": (SETTINGS, SCHEMA),
    "constraint_violation": (SETTINGS, CONSTRAINTS),
    # Among those of before there are refusals by an index.
    "store_error": (CONSTRAINTS,),
}
# Requeued though their attempts are used up: what changed was out of their reach.
REQUEUE_PARKED = frozenset({"constraint_violation", "store_error"})
# For so long after a change other processes may still work as before it, and refuse deliveries that
# would pass now.
_OVERLAP = timedelta(minutes=10)
# Subjects have a part of their own, kept while dead letters wait; behind all of them is _BEHIND.
_OBJECTIONS, _BEHIND = "objections ", "objections!"
_FORGOTTEN = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class ConditionSet:
    """The conditions of one attempt: under the same `fingerprint` it ends the same way. What is
    blocked since before `since` may have been so under another set."""

    fingerprint: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ConfiguredConditions:
    """The conditions that the settings of this process give.

    `signing`: the secrets and how they are used; `settings`: a text that differs when a setting
    does that decides what is accepted; `one_subject`: the subject of all event types, if there is
    one.
    """

    signing: Sequence[bytes]
    settings: str
    one_subject: str | None = None


class ConditionStore:
    """The collection `retry_conditions`: the fingerprints last seen, and since when."""

    def __init__(
        self,
        database: Database[Document],
        registry: SchemaRegistry,
        configured: ConfiguredConditions,
    ) -> None:
        self._seen: Collection[Document] = database[RETRY_CONDITIONS]
        self._events = database[EVENTS]
        self._registry = registry
        self._configured = configured

    def read(self) -> Conditions:
        """The conditions of now, each with the time since which it holds; raises
        StoreUnavailable."""
        constraints = read_constraints(self._events)
        self._forget()
        now = {
            SIGNATURE: self._signature(),
            SETTINGS: _digest(self._configured.settings),
            CONSTRAINTS: _digest(*constraints.fingerprint),
        }
        parts = {part: ConditionSet(found, self._since(part, found)) for part, found in now.items()}
        return Conditions(
            parts,
            self._registry,
            self._configured.one_subject,
            constraints.digest,
            self._objections,
        )

    def _signature(self) -> str:
        """An HMAC under a salt of this database: it shows whether the secrets are others, and
        nothing of what they are."""
        with translated(self._seen.name):
            kept = self._upsert(
                "salt", [{"$set": {"value": {"$ifNull": ["$value", secrets.token_bytes(32)]}}}]
            )
        mac = hmac.new(bytes(kept["value"]), digestmod=hashlib.sha256)
        for part in self._configured.signing:
            mac.update(len(part).to_bytes(8, "big") + part)
        return mac.hexdigest()

    def _objections(self, subject: str) -> ConditionSet:
        """The readers and people who object to changes of a subject; where nobody ever did nothing
        is kept of it."""
        found, part = self._registry.objections(subject).fingerprint, f"{_OBJECTIONS}{subject}"
        with translated(self._seen.name):
            if not found and self._seen.find_one({"_id": part}, {"_id": 1}) is None:
                return ConditionSet("", EPOCH)
        return ConditionSet(found, self._since(part, found))

    def _forget(self) -> None:
        """Delete what nobody asked for of late: no dead letter of the subject waits any more."""
        age = {"$subtract": ["$$NOW", {"$ifNull": ["$read_on", EPOCH]}]}
        is_old = {"$expr": {"$gt": [age, int(_FORGOTTEN.total_seconds() * 1000)]}}
        with translated(self._seen.name):
            self._seen.delete_many({"_id": {"$gte": _OBJECTIONS, "$lt": _BEHIND}, **is_old})

    def _since(self, part: str, fingerprint: str) -> datetime:
        """When this fingerprint was first seen, the overlap included unless it is the first."""
        overlap = int(_OVERLAP.total_seconds() * 1000)
        anew = {
            "$cond": [
                {"$eq": [{"$type": "$fingerprint"}, "missing"]},
                "$$NOW",
                {"$add": ["$$NOW", overlap]},
            ]
        }
        same = {"$eq": ["$fingerprint", fingerprint]}
        update = {
            "since": {"$cond": [same, "$since", anew]},
            "fingerprint": fingerprint,
            # Written once a day at most.
            "read_on": {"$dateTrunc": {"date": "$$NOW", "unit": "day"}},
        }
        with translated(self._seen.name):
            return _utc(self._upsert(part, [{"$set": update}])["since"])

    def _upsert(self, part: str, update: list[Document]) -> dict[str, Any]:
        for last in (False, True):
            try:
                found = self._seen.find_one_and_update(
                    {"_id": part}, update, upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:
                # Two first looks raced: the other inserted.
                if last:
                    raise
            else:
                return found or {}
        raise AssertionError


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions as they are now; `constraints` is the digest of what may refuse an event, as
    dead letters have it."""

    parts: dict[str, ConditionSet]
    registry: SchemaRegistry
    one_subject: str | None
    constraints: str
    objections: Callable[[str], ConditionSet]

    def of(self, reason: str, event_type: str | None) -> ConditionSet:
        """The conditions of entries that wait for `reason`; raises StoreUnavailable."""
        sets = [
            self._schema(event_type) if part == SCHEMA else self.parts[part]
            for part in WAITS_FOR[reason]
        ]
        return ConditionSet(
            _digest(*(each.fingerprint for each in sets)),
            max(each.since for each in sets),
        )

    def _schema(self, event_type: str | None) -> ConditionSet:
        subject = self.one_subject or event_type
        if subject is None:
            # What the type is was not known when it came: any schema may be the one.
            return ConditionSet(
                _digest(json.dumps(sorted(self.registry.subjects().items()))), EPOCH
            )
        head = self.registry.refreshed(subject)
        if head is None:
            return ConditionSet("0", EPOCH)
        objections = self.objections(subject)
        return ConditionSet(
            f"{head.number}{objections.fingerprint}", max(_utc(head.created_at), objections.since)
        )


def _digest(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
