"""Look into a refused delivery, tell of it, and keep it where the bounds have room."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import structlog

from config.ratelimit import RateLimit
from consumer.detective import Finding
from consumer.errors import SignatureError, SignatureInvalid, SignatureMissing
from consumer.events import Delivery
from consumer.metrics import Metrics
from consumer.metrics.table import REFUSALS_DROPPED
from consumer.refusals.bounds import Bounds
from consumer.refusals.peers import KnownPeers
from consumer.refusals.room import Room
from consumer.storage.dead_letters import DeadLetter, DeadLetters, entry_id

log = structlog.get_logger(__name__)

_REASONS = (SignatureMissing.reason, SignatureInvalid.reason)
_RECOUNT_EVERY = 60.0
_RECOUNT_WHEN_FULL = 10.0
_RECOUNTING_SHARE = 0.05
# Headers that sign nothing. One that signs has less than a hundred bytes.
_PLAIN = frozenset({"user-agent", "content-type", "content-encoding"})
_MAX_SIGNATURE = 512
# At most this share of one core goes into finding out why signatures fail.
_INVESTIGATING_SHARE = 0.05


class Keeper:
    """For one thread: it holds who has how much of the room, and when to investigate again."""

    def __init__(
        self,
        *,
        dead_letters: DeadLetters,
        peers: KnownPeers,
        investigate: Callable[[Delivery], Finding | None],
        bounds: Bounds,
        metrics: Metrics,
        warnings: RateLimit,
    ) -> None:
        self._dead_letters = dead_letters
        self._peers = peers
        self._investigate = investigate
        self._bounds = bounds
        self._metrics = metrics
        self._warnings = warnings
        self._room = Room(0, 0)
        self._recounted_at = -_RECOUNT_EVERY
        self._recount_at = 0.0
        self._investigate_at = 0.0

    def keep(self, delivery: Delivery, error: SignatureError) -> None:
        """Keep one as a dead letter, or count it where it is known. Where there is no room another
        goes for it, or it is dropped; either is counted. Raises StoreUnavailable."""
        found = self._look_into(delivery)
        self._warn(delivery, error, found.get("diagnosis", "not looked into"))
        self._recount()
        digest = hashlib.sha256(delivery.body).hexdigest()
        _id, at, size = entry_id(error.reason, digest), delivery.received_at, len(delivery.body)
        known = delivery.peer in self._peers
        details: dict[str, Any] = {"error_message": str(error), **found}
        signature = _signature(delivery)
        at_first: dict[str, Any] = {"signatures": [signature] if signature else []}
        # Whoever sent it first, it is worth what a known sender's are.
        (details if known else at_first)["peer"] = delivery.peer
        counted = self._dead_letters.count_again(error.reason, digest, at, details)
        if counted:
            if signature:
                self._dead_letters.add_signature(_id, signature, first=known)
            if counted == "reopened" or (known and _id in self._room):
                self._take_in(_id, delivery, known=known)
                self._drop(self._room.trim(known=known))
            return
        has_room, losers = self._room.make(size, known=known)
        self._drop(losers)
        if not has_room:
            self._metrics.count(REFUSALS_DROPPED, bound="kept")
            return
        self._dead_letters.keep(
            DeadLetter(
                delivery=delivery,
                digest=digest,
                reason=error.reason,
                error_message=str(error),
                details=details,
                at_first=at_first,
            )
        )
        self._take_in(_id, delivery, known=known)

    def _take_in(self, _id: str, delivery: Delivery, *, known: bool) -> None:
        day = delivery.received_at.toordinal()
        self._room.add(_id, delivery.peer, day, len(delivery.body), known=known)

    def _drop(self, losers: Sequence[str]) -> None:
        for loser in losers:
            if self._dead_letters.claims.drop(loser):
                self._metrics.count(REFUSALS_DROPPED, bound="kept")
            else:
                # Somebody ended it, or another process let it go: there is room not known here.
                self._recounted_at = -_RECOUNT_EVERY

    def _look_into(self, delivery: Delivery) -> dict[str, Any]:
        """Findings of the detective, as fields of the entry, in the place of what was found
        earlier: for a sample that keeps its cost a small share of the time, of the others none."""
        started = monotonic()
        if started < self._investigate_at:
            return {}
        finding = self._investigate(delivery)
        ended = monotonic()
        self._investigate_at = ended + (ended - started) / _INVESTIGATING_SHARE
        return {"diagnosis": finding.advice if finding else None, "examined": True}

    def _recount(self) -> None:
        """Learn anew who has how much, for other processes keep and drop too, and people discard;
        more often where the room is full, at a bounded share of the time."""
        began = monotonic()
        every = _RECOUNT_WHEN_FULL if self._room.is_full else _RECOUNT_EVERY
        due = self._recounted_at + every
        if began < max(due, self._recount_at):
            return
        self._peers.learn()
        room = Room(self._bounds.max_count, self._bounds.max_bytes)
        for row in self._dead_letters.open_ones(_REASONS):
            peer = row.get("peer", "")
            known, day = peer in self._peers, row["timestamp"].toordinal()
            room.add(row["_id"], peer, day, row["size"], known=known)
        self._room = room
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
            )


def _signature(delivery: Delivery) -> dict[str, Any] | None:
    """Parts of a delivery that may prove it once the secret is right; None where out of measure."""
    told = {name: value for name, value in delivery.headers.items() if name not in _PLAIN}
    if sum(len(name) + len(value) for name, value in told.items()) > _MAX_SIGNATURE:
        return None
    return {"headers": dict(sorted(told.items())), "received_at": delivery.received_at}
