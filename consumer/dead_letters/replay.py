"""Replay one dead letter: ingest its delivery again, corrected or not, and record the result."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import structlog
from bson.binary import Binary

from consumer.core.delivery import Delivery, Headers, Verdict, source_of
from consumer.core.errors import (
    ChangeRejected,
    ConsumerError,
    Held,
    MalformedJson,
    Rejected,
    SignatureError,
    SignatureMissing,
    StoreError,
    StoreUnavailable,
    place_of,
)
from consumer.core.json_repairs import repair, repair_by_name
from consumer.dead_letters.claims import Blocked
from consumer.dead_letters.requeue import MIGRATION_FAILED
from consumer.dead_letters.retry import (
    DISCARDED,
    OPEN,
    PARKED,
    RESOLVED,
    NextState,
    RetryRules,
    state_after,
)
from consumer.dead_letters.store import DeadLetters, verdict_document
from consumer.ingest.ingest import Ingest, Processed

log = structlog.get_logger(__name__)

# So often may an attempt end with its process, which was killed, before the entry is parked.
_MAX_LOST = 20

_NOT_GIVEN: Mapping[str, str] = MappingProxyType({})
# In place of the name of a secret, where a person answers for a delivery.
BY_HAND = "by hand"

# The result where there is nothing to do.
ALREADY = "already resolved"
# The name of the correction that a person made.
EDITED = "edited"


@dataclass(frozen=True, slots=True)
class Correction:
    """A body to read in place of the stored one. An `edited` one is a body of its own, with its own
    digest as key; a repaired one keeps that of the original."""

    body: bytes
    repairs: tuple[str, ...]
    edited: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result: an outcome's status, or the reason why the entry stays (`busy`: another process
    tries it just now; `left`: it is not for replay). `status` is that of the entry now."""

    resolved: bool
    result: str
    message: str = ""
    status: str = ""


class Replay:
    """Sends dead letters the way of a delivery again; the original bytes always stay."""

    def __init__(
        self,
        ingest: Ingest,
        dead_letters: DeadLetters,
        clock: Callable[[], datetime],
        rules: RetryRules | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.rules = rules or RetryRules()
        self._ingest = ingest
        self._claims = dead_letters.claims
        self._clock = clock
        self._jitter = jitter

    def entry(
        self,
        entry: Mapping[str, Any],
        by: str,
        correction: Correction | None = None,
        as_source: str | None = None,
    ) -> Replayed:
        """Replay one dead letter for `by`, a person; raises StoreUnavailable.

        A verdict travels with the entry, because secrets rotate; only signature failures, which
        have none, are verified again, against their original bytes and the time they came. One that
        the person gives to the source `as_source` is taken as proven, and is that source's from
        then on.
        """
        if entry["reason"] == MIGRATION_FAILED:
            return Replayed(False, "left", "the next backfill tries its document again")
        claimed = self._claims.claim(entry["_id"], by, (*OPEN, PARKED, DISCARDED))
        if claimed is None:
            if self._claims.is_resolved(entry["_id"]):
                return Replayed(True, ALREADY, status=RESOLVED)
            return Replayed(False, "busy", "another process tries it just now, or it is gone")
        given = {"as_source": as_source} if as_source else {}
        correction = correction or recorded_correction(claimed)
        return self._attempt({**claimed, **given}, by, correction, given)

    def due(self, _id: str, by: str) -> Replayed | None:
        """Replay one entry that the sweep found due; None when it is not any more. Raises
        StoreUnavailable."""
        claimed = self._claims.claim(_id, by, OPEN, only_due=True)
        if claimed is None:
            return None
        if claimed["claim"]["taken"] > _MAX_LOST:
            return self._park(claimed, by)
        correction = recorded_correction(claimed)
        if correction is None and claimed.get("blocked_by") == MalformedJson.reason:
            # Without a repair nothing has changed, and the attempt says so in the history.
            correction = safe_repair(bytes(claimed["original_payload"]))
        return self._attempt(claimed, by, correction)

    def _attempt(
        self,
        entry: dict[str, Any],
        by: str,
        correction: Correction | None,
        given: Mapping[str, str] = _NOT_GIVEN,
    ) -> Replayed:
        delivery = stored_delivery(entry)
        now = self._clock()
        attempt: dict[str, Any] = {"at": now, "by": by, **given}
        details: dict[str, Any] = dict(given)
        if given and delivery.verdict is None:
            delivery = delivery.verified(Verdict(BY_HAND, now))
            details["verdict"] = verdict_document(delivery.verdict)
        if correction:
            attempt["repairs"] = list(correction.repairs)
        try:
            if delivery.verdict is None:
                delivery = self._verified(entry, delivery)
                details["verdict"] = verdict_document(delivery.verdict)
            processed = self._process(delivery, correction)
        except (SignatureError, Rejected, Held) as error:
            return self._put_back(entry, error, attempt, details | _kept_fields(error, correction))
        except StoreUnavailable:
            raise
        except Exception as error:
            # One entry must not end the sweep of all. The message may quote the payload.
            log.error(  # noqa: TRY400
                "unexpected fault", entry=entry["_id"], error=type(error).__name__,
                place=place_of(error),
            )  # fmt: skip
            fault = StoreError(f"unexpected {type(error).__name__}")
            return self._put_back(entry, fault, attempt, details | _kept_fields(fault, correction))
        status = processed.outcome.status
        attempt["result"] = status
        if self._claims.resolve(entry, processed.document_id, attempt, now):
            return Replayed(True, status, status="resolved")
        # One that expired went by itself, and is wanted.
        expires_at = entry.get("expires_at")
        expired = expires_at is not None and expires_at <= self._clock()
        if not expired and self._claims.is_gone(entry["_id"]):
            self._ingest.take_back(processed)
            return Replayed(False, "erased", "its entry was erased meanwhile", "erased")
        # Whoever took the entry over finds the event stored, by its `_id`.
        return Replayed(True, status, "its entry was taken over by another process")

    def _verified(self, entry: Mapping[str, Any], delivery: Delivery) -> Delivery:
        """The delivery with the verdict on the first of its entry's signatures that is right.

        Raises the SignatureError of the first that was there and wrong, else SignatureMissing.
        """
        wrong: SignatureError | None = None
        for signed, presented in signed_copies(entry, delivery):
            try:
                verdict = self._ingest.verify(signed, presented).verdict
            except SignatureError as error:
                # Of a credential, what the headers say is that it is missing.
                wrong = error if isinstance(wrong, SignatureMissing) else wrong or error
            else:
                return delivery if verdict is None else delivery.verified(verdict)
        raise wrong or SignatureMissing("no copy of it was signed")

    def _process(self, delivery: Delivery, correction: Correction | None) -> Processed:
        if correction is None:
            return self._ingest.process(delivery)
        if correction.edited:
            edited = Delivery(
                delivery.id,
                correction.body,
                delivery.headers,
                delivery.received_at,
                delivery.verdict,
                source=delivery.source,
            )
            return self._ingest.process(edited, repairs=correction.repairs)
        return self._ingest.process(delivery, correction.body, correction.repairs)

    def _put_back(
        self,
        entry: dict[str, Any],
        error: ConsumerError,
        attempt: dict[str, Any],
        details: Mapping[str, Any],
    ) -> Replayed:
        attempt |= {"result": error.reason, "error": error.explained}
        if isinstance(error, ChangeRejected):
            if not self._claims.end_unwanted(entry, error.explained, attempt, attempt["at"]):
                return Replayed(False, "busy", "another process took it over")
            return Replayed(False, error.reason, error.explained, DISCARDED)
        state = state_after(
            error,
            was=entry.get("blocked_by", entry["reason"]),
            attempts=entry["retry_count"] + 1,
            now=attempt["at"],
            rules=self.rules,
            jitter=self._jitter(),
        )
        blocked = Blocked(state, error.reason, error.explained, details)
        if not self._claims.put_back(entry, blocked, attempt):
            return Replayed(False, "busy", "another process took it over")
        return Replayed(False, error.reason, error.explained, state.status)

    def _park(self, entry: dict[str, Any], by: str) -> Replayed:
        """Park an entry whose attempts never came to an end."""
        message = f"{_MAX_LOST} attempts ended with their process: see its log, then retry by hand"
        attempt = {"at": self._clock(), "by": by, "result": PARKED, "error": message}
        blocked = Blocked(NextState(PARKED), entry.get("blocked_by", entry["reason"]), message)
        self._claims.put_back(entry, blocked, attempt)
        return Replayed(False, PARKED, message, PARKED)


def stored_delivery(entry: Mapping[str, Any]) -> Delivery:
    """The delivery that a dead letter was made of."""
    verdict = entry.get("verdict")
    return Delivery(
        id=entry.get("delivery_id", ""),
        body=bytes(entry["original_payload"]),
        headers=Headers(entry.get("headers") or {}),
        received_at=entry["timestamp"],
        verdict=Verdict(verdict["secret"], verdict["verified_at"]) if verdict else None,
        source=source_of(entry),
    )


def signed_copies(
    entry: Mapping[str, Any], first: Delivery
) -> Iterator[tuple[Delivery, Sequence[str]]]:
    """The copies of a refused delivery whose signatures its entry keeps, from the first one on,
    with the hashes of what they presented."""
    yield first, ()
    for signature in entry.get("signatures") or ():
        headers, at = Headers(signature["headers"]), signature["received_at"]
        copy = Delivery(first.id, first.body, headers, at, source=first.source)
        yield copy, signature.get("presented") or ()


def _kept_fields(error: ConsumerError, correction: Correction | None) -> dict[str, Any]:
    """The fields that the entry needs for its next attempt."""
    kept: dict[str, Any] = error.details if isinstance(error, Held) else {}
    # A correction is worth keeping only where it made an event, one that now waits.
    if correction and isinstance(error, Held):
        kept |= correction_fields(correction)
    return kept


def recorded_correction(entry: Mapping[str, Any]) -> Correction | None:
    """The correction that somebody made before, when what it led to had to wait."""
    if entry.get("edited_payload") is not None:
        return Correction(bytes(entry["edited_payload"]), (EDITED,), edited=True)
    found = repair_by_name(bytes(entry["original_payload"]), entry.get("repairs") or ())
    return Correction(found.body, found.names) if found else None


def safe_repair(body: bytes) -> Correction | None:
    """The body with the repairs that are safe to make unasked; None where they do not help."""
    found = repair(body, safe_only=True)
    return Correction(found.body, found.names) if found else None


def correction_fields(correction: Correction) -> dict[str, Any]:
    """The fields of an entry that keep a correction for its next attempt."""
    if correction.edited:
        return {"edited_payload": Binary(correction.body)}
    return {"repairs": list(correction.repairs)}
