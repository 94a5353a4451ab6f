"""Queue deliveries with a wrong signature off the request path, diagnose and store them.

The queue and what is stored are limited: at the limits known peers go first, and whoever sends
most loses most.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any

import msgspec
import structlog

from consumer.core.delivery import Delivery, Headers, body_digest, of_source
from consumer.core.errors import (
    SignatureError,
    SignatureInvalid,
    SignatureMissing,
    StoreUnavailable,
)
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import REFUSALS_DROPPED
from consumer.core.ratelimit import RateLimit
from consumer.dead_letters.fair_share import SharedQuota
from consumer.dead_letters.refusal_notes import KnownPeers
from consumer.dead_letters.store import DeadLetter, DeadLetters, entry_id
from consumer.ingest.signature_diagnosis.findings import Finding
from consumer.ingest.source import Sources

log = structlog.get_logger(__name__)

# A flood of forged deliveries must not become a flood of writes.
_STORED_A_SECOND = 200
_REASONS = (SignatureMissing.reason, SignatureInvalid.reason)
_RECOUNT_EVERY = 60.0
_RECOUNT_WHEN_FULL = 10.0
_RECOUNTING_SHARE = 0.05
_FORM = "application/x-www-form-urlencoded"
_ASKED_HERE = (
    "a client secret came here, and is not kept: let the sender ask for its token at /oauth2/token"
)
# Headers that sign nothing. One that signs has less than a hundred bytes.
_NOT_SIGNING = frozenset({"user-agent", "content-type", "content-encoding"})
_MAX_SIGNATURE = 512
# At most this share of one core goes into finding out why signatures fail.
_INVESTIGATING_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class RefusalLimits:
    """Limits of what is stored in MongoDB, over all processes, and of what waits here for that."""

    max_count: int
    max_bytes: int
    queue_count: int = 256
    queue_bytes: int = 16 * 1024 * 1024


class RefusalQueue:
    """A bounded queue and the thread that empties it into `store`; those of known peers go first,
    and at the limits whoever has most waiting loses one.

    `offer` never blocks and never raises: whoever cannot sign has no claim on this service's time.
    """

    def __init__(
        self,
        *,
        store: Callable[[Delivery, SignatureError, Headers], None],
        peers: KnownPeers,
        limits: RefusalLimits,
        metrics: Metrics,
        proving: Collection[str] = (),
    ) -> None:
        """`proving` headers are handed to `store` beside the delivery, which does not keep all."""
        self._store = store
        self._proving = proving
        self._peers = peers
        self._metrics = metrics
        self._numbers = count(1)
        self._quota = SharedQuota(limits.queue_count, limits.queue_bytes)
        # By whether their peers are known.
        self._waiting: dict[bool, OrderedDict[str, tuple[Delivery, SignatureError, Headers]]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._changed = threading.Condition()
        self._handling = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Store what waits, for at most `timeout` seconds, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait until everything offered so far is stored; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._quota or self._handling), timeout)

    def offer(self, delivery: Delivery, error: SignatureError) -> None:
        """Queue a refused delivery to be diagnosed and stored; when the queue is full another is
        dropped for it, or it is dropped itself, and either is counted."""
        size, known = len(delivery.body), delivery.peer in self._peers
        with self._changed:
            if not self._stopping and self._make_space(size, known=known):
                _id = str(next(self._numbers))
                # The environ behind the headers ends with the request: copy those worth keeping.
                copy = delivery.with_headers(Headers(delivery.headers))
                shown = ((name, delivery.headers.get(name)) for name in self._proving)
                proof = Headers({name: value for name, value in shown if value})
                # A new error: the one on its way up holds the frames of the whole request.
                self._waiting[known][_id] = (copy, error.alone(), proof)
                self._quota.add(_id, delivery.peer, 0, size, known=known)
                self._changed.notify_all()
                return
        self._metrics.count(REFUSALS_DROPPED, bound="queue")

    def _make_space(self, size: int, *, known: bool) -> bool:
        fits, dropped = self._quota.make_space(size, known=known)
        for _id in dropped:
            for waiting in self._waiting.values():
                waiting.pop(_id, None)
            self._metrics.count(REFUSALS_DROPPED, bound="queue")
        return fits

    def _run(self) -> None:
        # Until they are read everybody is a stranger; without MongoDB that stays so.
        with suppress(StoreUnavailable):
            self._peers.reload()
        while True:
            with self._changed:
                while not self._quota and not self._stopping:
                    self._changed.wait()
                if not self._quota:
                    return
                waiting = self._waiting[True] or self._waiting[False]
                _id, (delivery, error, proof) = waiting.popitem(last=False)
                self._quota.remove(_id)
                self._handling = True
                stopping = self._stopping
            try:
                self._store(delivery, error, proof)
            except StoreUnavailable:
                self._metrics.count(REFUSALS_DROPPED, bound="store")
            except Exception:
                # This thread serves all refusals to come; one that breaks it is logged and dropped.
                log.exception(
                    "refused delivery could not be kept",
                    delivery=delivery.id,
                    **of_source(delivery.source),
                )
                self._metrics.count(REFUSALS_DROPPED, bound="fault")
            with self._changed:
                self._handling = False
                self._changed.notify_all()
                if not stopping:
                    self._changed.wait_for(lambda: self._stopping, 1 / _STORED_A_SECOND)


class RefusalStore:
    """Stores refused deliveries within the limits; for one thread, because it holds the shares of
    all peers and the time of the next diagnosis."""

    def __init__(
        self,
        *,
        dead_letters: DeadLetters,
        sources: Sources,
        peers: KnownPeers,
        investigate: Callable[[Delivery], Finding | None],
        limits: RefusalLimits,
        metrics: Metrics,
        warnings: RateLimit,
    ) -> None:
        self._dead_letters = dead_letters
        self._sources = sources
        self._peers = peers
        self._investigate = investigate
        self._limits = limits
        self._metrics = metrics
        self._warnings = warnings
        self._quota = SharedQuota(0, 0)
        self._recounted_at = -_RECOUNT_EVERY
        self._recount_at = 0.0
        self._investigate_at = 0.0

    def store(self, delivery: Delivery, error: SignatureError, proof: Headers) -> None:
        """Store one as a dead letter, or count it where it is stored. At the limits another is
        dropped for it, or it is dropped itself; either is counted. Raises StoreUnavailable.

        Of the headers of its `proof` that are not its own nothing is stored but keyed hashes, and
        for which other source they would have been right.
        """
        found: dict[str, Any] = {}
        if _asks_for_a_token(delivery):
            # Its secret is in the body.
            delivery = msgspec.structs.replace(delivery, body=b"")
            found = {"diagnosis": _ASKED_HERE, "examined": True}
        whole = delivery.with_headers(Headers({**delivery.headers, **proof}))
        found = found or self._diagnose(delivery, whole)
        self._warn(delivery, error, found.get("diagnosis", "not looked into"))
        self._sources.require_admitted(delivery.source)
        self._recount()
        digest = body_digest(delivery.body)
        identity = self._sources.identity(delivery)
        _id = entry_id(error.reason, digest, identity)
        at, size = delivery.received_at, len(delivery.body)
        known = delivery.peer in self._peers
        details: dict[str, Any] = {"error_message": str(error), **found}
        signature = _signature(delivery, self._sources.presented(whole))
        at_first: dict[str, Any] = {"signatures": [signature] if signature else []}
        # Whoever sent it first, it is worth what a known sender's are.
        (details if known else at_first)["peer"] = delivery.peer
        counted = self._dead_letters.count_again(_id, error.reason, at, details)
        if counted:
            if signature:
                self._dead_letters.add_signature(_id, signature, first=known)
            if counted == "reopened" or (known and _id in self._quota):
                self._add_to_quota(_id, delivery, known=known)
                self._drop(self._quota.evict_excess(known=known))
            return
        fits, dropped = self._quota.make_space(size, known=known)
        self._drop(dropped)
        if not fits:
            self._metrics.count(REFUSALS_DROPPED, bound="kept")
            return
        self._dead_letters.add(
            DeadLetter(
                delivery=delivery,
                digest=digest,
                reason=error.reason,
                error_message=str(error),
                identity=identity,
                details=details,
                at_first=at_first,
            )
        )
        self._add_to_quota(_id, delivery, known=known)

    def _add_to_quota(self, _id: str, delivery: Delivery, *, known: bool) -> None:
        day = delivery.received_at.toordinal()
        self._quota.add(_id, delivery.peer, day, len(delivery.body), known=known)

    def _drop(self, ids: Sequence[str]) -> None:
        for _id in ids:
            if self._dead_letters.claims.drop(_id):
                self._metrics.count(REFUSALS_DROPPED, bound="kept")
            else:
                # Somebody ended it, or another process dropped it: there is space not known here.
                self._recounted_at = -_RECOUNT_EVERY

    def _diagnose(self, delivery: Delivery, whole: Delivery) -> dict[str, Any]:
        """Fields of the entry with the findings of the signature diagnosis, in place of earlier
        ones: for a sample that keeps its cost a small share of the time, of the others none.
        `whole` is the delivery with what it presented, of which nothing is told but for whom it was
        right."""
        started = monotonic()
        if started < self._investigate_at:
            return {}
        found: dict[str, Any] = {"examined": True}
        finding = self._investigate(delivery)
        found["diagnosis"] = finding.advice if finding else None
        if self._sources.beside_main:
            right = self._sources.right_for(whole, delivery.received_at)
            found["right_for"] = right.name if right else None
            if right:
                found["diagnosis"] = f"right for the source {right.name}: send it to {right.path}"
        ended = monotonic()
        self._investigate_at = ended + (ended - started) / _INVESTIGATING_SHARE
        return found

    def _recount(self) -> None:
        """Count the shares anew, for other processes store and drop too, and people discard; more
        often where the quota is full, at a bounded share of the time."""
        began = monotonic()
        every = _RECOUNT_WHEN_FULL if self._quota.is_full else _RECOUNT_EVERY
        due = self._recounted_at + every
        if began < max(due, self._recount_at):
            return
        self._peers.reload()
        quota = SharedQuota(self._limits.max_count, self._limits.max_bytes)
        for row in self._dead_letters.open_entries(_REASONS):
            peer = row.get("peer", "")
            known, day = peer in self._peers, row["timestamp"].toordinal()
            quota.add(row["_id"], peer, day, row["size"], known=known)
        self._quota = quota
        self._recounted_at = monotonic()
        took = self._recounted_at - began
        self._recount_at = self._recounted_at + took / _RECOUNTING_SHARE

    def _warn(self, delivery: Delivery, error: SignatureError, diagnosis: str | None) -> None:
        suppressed = self._warnings.allow(f"{error.reason} {diagnosis}")
        if suppressed is not None:
            log.warning(
                "refused",
                delivery=delivery.id,
                reason=error.reason,
                diagnosis=diagnosis or "none found",
                suppressed=suppressed,
                **of_source(delivery.source),
            )


def _asks_for_a_token(delivery: Delivery) -> bool:
    """True for a request for an access token whose sender took one address for the other."""
    body = delivery.body
    if b"client_secret" not in body:
        return False
    kind = delivery.headers.get("content-type", "").lower()
    # Some post it as JSON, or say nothing of its type.
    return b"grant_type" in body or (kind.startswith(_FORM) and b"client_secret=" in body)


def _signature(delivery: Delivery, presented: Sequence[str]) -> dict[str, Any] | None:
    """Parts of a delivery that may prove it once the secret is right, and hashes of what it
    `presented`; None where out of measure."""
    signing = {name: value for name, value in delivery.headers.items() if name not in _NOT_SIGNING}
    if sum(len(name) + len(value) for name, value in signing.items()) > _MAX_SIGNATURE:
        if not presented:
            return None
        signing = {}
    found: dict[str, Any] = {"headers": dict(sorted(signing.items()))}
    if presented:
        found["presented"] = list(presented)
    return {**found, "received_at": delivery.received_at}
