"""Decide what becomes of one delivery: verified, processed, held, rejected or spooled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
import structlog

from consumer.core.delivery import Delivery, Outcome, OutcomeStatus, of_source
from consumer.core.errors import (
    ChangeRejected,
    ConsumerError,
    Held,
    IdConflict,
    Rejected,
    SignatureError,
    StoreError,
    StoreUnavailable,
    place_of,
)
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import REJECTED, SECRETS, SPOOLED, UNTRACKED, VERSIONS
from consumer.events.documents import Stamp, encode, layout
from consumer.events.filling import Fill, FilledEvents, Prepared
from consumer.events.keys import COLLECTION_SUBJECT, EventKeys
from consumer.ingest.guard_warnings import GuardWarnings
from consumer.ingest.source import Sources
from consumer.mongodb.circuit_breaker import CircuitBreaker
from consumer.schemas.registry.registry import Admission, SchemaRegistry
from consumer.spool.spool import Spool

log = structlog.get_logger(__name__)


class Processed(msgspec.Struct, frozen=True):
    """A delivery that is stored: its outcome and the `_id` of its document."""

    outcome: Outcome
    document_id: str


class _Prepared(Prepared):
    """The same with its place in the schema and its `_id`."""

    admission: Admission
    document_id: str


@dataclass(frozen=True, slots=True)
class Fallback:
    """The spool for deliveries while MongoDB is away, and the breaker that knows when it is."""

    breaker: CircuitBreaker
    spool: Spool


class Ingest:
    """The way of a delivery from its bytes to its outcome.

    `store_rejected` makes a dead letter of what cannot become a document, and returns once it is
    durable; `refuse` queues a delivery with a wrong signature; `add_verified_peer` is called with
    each peer whose delivery is verified.
    Without a `fallback` what MongoDB cannot take ends as StoreUnavailable.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        scope: Literal["type", "collection"],
        registry: SchemaRegistry,
        events: FilledEvents,
        keys: EventKeys,
        store_rejected: Callable[[Delivery, Rejected | Held], None],
        refuse: Callable[[Delivery, SignatureError], None],
        add_verified_peer: Callable[[str], None],
        metrics: Metrics,
        clock: Callable[[], datetime],
        fallback: Fallback | None = None,
    ) -> None:
        self._sources = sources
        self._scope = scope
        self._registry = registry
        self._events = events
        self._keys = keys
        self._store_rejected = store_rejected
        self._refuse = refuse
        self._add_verified_peer = add_verified_peer
        self._metrics = metrics
        self._clock = clock
        self._fallback = fallback
        self._guards = GuardWarnings(clock)
        # Bound once: the module's binds anew for each line, also for those below the level.
        self._log = log.bind()

    def receive(self, delivery: Delivery) -> Outcome:
        """Verify a delivery from outside, then store or spool it.

        Raises SignatureError (its delivery is handed to `refuse`), Rejected when its
        dead letter is durable, and StoreUnavailable when nothing durable can be said.
        """
        # Compare before parsing: unsigned bytes are untrusted.
        try:
            verified = self.verify(delivery, at=delivery.received_at)
        except SignatureError as error:
            self._metrics.count(REJECTED, source=delivery.source, reason=error.reason)
            self._refuse(delivery, error)
            raise
        if verified.verdict is not None:
            secret = verified.verdict.secret
            self._metrics.count(SECRETS, source=delivery.source, secret=secret)
        self._add_verified_peer(delivery.peer)
        return self.store_or_spool(verified)

    def verify(
        self, delivery: Delivery, presented: Collection[str] = (), at: datetime | None = None
    ) -> Delivery:
        """The delivery with its verdict, counted nowhere; raises SignatureError. `presented` are
        hashes of the credential that it had, where that is not kept; `at` is now."""
        source = self._sources.named(delivery.source)
        return delivery.verified(source.verify(delivery, at or self._clock(), presented))

    def store_or_spool(self, delivery: Delivery) -> Outcome:
        """Make a verified delivery durable in MongoDB, or in the spool while that is away.

        Raises Rejected and StoreUnavailable as `receive` does.
        """
        fallback = self._fallback
        if fallback is None:
            return self.store(delivery)
        if not fallback.breaker.is_open:
            try:
                with fallback.breaker.within_bound():
                    return self.store(delivery)
            except StoreUnavailable as error:
                # It may be stored all the same: then the drain finds a duplicate.
                fallback.breaker.record_failure(error)
        return self._spool(delivery, fallback.spool)

    def store(self, delivery: Delivery) -> Outcome:
        """Process a verified delivery; what cannot become a document is stored as dead letter.

        Raises Rejected and StoreUnavailable as `receive` does; never spools.
        """
        self._sources.require_admitted(delivery.source)
        try:
            return self.process(delivery).outcome
        except (Rejected, Held) as error:
            self._store_rejected(delivery, error)
            if isinstance(error, ChangeRejected):
                return Outcome("discarded")
            if isinstance(error, Held):
                return Outcome("held")
            raise
        except ConsumerError:
            raise
        except Exception as error:
            # A fault of ours must not cost a delivery that nobody sends again. The message of the
            # exception may quote the payload, so only its kind and place are logged.
            log.error(  # noqa: TRY400
                "unexpected fault",
                error=type(error).__name__,
                place=place_of(error),
                **of_source(delivery.source),
            )
            self._store_rejected(delivery, StoreError(f"unexpected {type(error).__name__}"))
            return Outcome("held")

    def process(
        self, delivery: Delivery, repaired: bytes | None = None, repairs: Sequence[str] = ()
    ) -> Processed:
        """Make a verified delivery a document, or find that it is one already.

        `repaired` is read in place of the body; the document's `_id` stays that of the body. Raises
        Rejected, Held, or StoreUnavailable; stores no dead letter.
        """
        body = delivery.body if repaired is None else repaired
        tries: list[_Prepared] = []

        def prepare(fill: Fill) -> Prepared:
            tries.append(self._prepare(delivery, body, repairs, fill))
            return tries[-1]

        try:
            new = self._events.append(prepare, rekeyed=delivery.key is not None)
        except IdConflict:
            if delivery.key is None:
                raise
            # By its key it was one event with another; by what is set now it may be its own.
            return self.process(delivery.keyed(None), repaired, repairs)
        done = tries[-1]
        status: OutcomeStatus = "processed" if new else "duplicate"
        # What the first try registered, the others find.
        self._report(delivery, done.subject, tries[0].admission, status)
        return Processed(Outcome(status, done.admission.version), done.document_id)

    def _prepare(
        self, delivery: Delivery, body: bytes, repairs: Sequence[str], fill: Fill
    ) -> _Prepared:
        """The document of a delivery whose `body` is read; raises Rejected, Held or
        StoreUnavailable."""
        source = self._sources.named(delivery.source)
        event = source.parser.parse(body, delivery.body, delivery.headers)
        subject = event.type if self._scope == "type" else COLLECTION_SUBJECT
        admission = self._registry.admit(subject, event.payload, event.key, vet=encode)
        key = delivery.key or self._keys.of(event)
        filled = fill(subject, event.payload, admission)
        # These refer into the payload, which is to end here.
        admission.gaps.clear()
        stamp = Stamp(
            subject=subject,
            schema_version=admission.version,
            exhibited_version=admission.exhibited,
            received_at=delivery.received_at,
            processed_at=self._clock(),
            filled=filled.positions,
            unfilled=admission.version if filled.left_out else 0,
            untracked=admission.untracked,
            repairs=repairs,
            unsigned=source.unsigned,
        )
        return _Prepared(subject, encode(layout(key, event, stamp)), event.digest, admission, key)

    def take_back(self, processed: Processed) -> None:
        """Delete the document that `process` made, unless it was there before; raises
        StoreUnavailable."""
        if processed.outcome.status == "processed":
            self._events.take_back(processed.document_id)

    def _spool(self, delivery: Delivery, spool: Spool) -> Outcome:
        """Spool what MongoDB cannot take now; the drain makes it an event or dead letter.

        Raises Rejected for what is no event, once that is spooled too.
        """
        rejection: Rejected | None = None
        try:
            # The settings may be others when it is drained, and it may be stored all the same.
            parser = self._sources.named(delivery.source).parser
            event = parser.parse(delivery.body, headers=delivery.headers)
            delivery = delivery.keyed(self._keys.known(event))
        except Rejected as error:
            rejection = error
        spool.append(delivery)
        self._metrics.count(SPOOLED, source=delivery.source)
        # An outage has its own lines: one as it begins, one as it ends.
        log.debug("spooled", delivery=delivery.id, **of_source(delivery.source))
        if rejection is not None:
            raise rejection
        return Outcome("spooled")

    def _report(self, delivery: Delivery, subject: str, admission: Admission, outcome: str) -> None:
        fields: dict[str, Any] = of_source(delivery.source)
        if admission.registered is not None:
            self._metrics.count(VERSIONS)
            fields["registered"] = admission.registered.number
        if admission.guard is not None:
            self._metrics.count(UNTRACKED, source=delivery.source, guard=admission.guard)
            fields["untracked"], fields["guard"] = admission.untracked, admission.guard
            self._guards.warn(subject, admission.guard, admission.untracked)
        # A line for each of a thousand alike a second says less than /metrics, and costs a tenth.
        write = self._log.info if admission.registered is not None else self._log.debug
        write(outcome, delivery=delivery.id, subject=subject, version=admission.version, **fields)
