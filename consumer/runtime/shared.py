"""Wire the parts that work without HTTP: what the command line and the service share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import pymongo
import structlog
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from config.loading import Settings
from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import BUILD
from consumer.core.ratelimit import RateLimit
from consumer.dead_letters.refusal_notes import KnownPeers, RefusalNotes
from consumer.dead_letters.refused import RefusalLimits, RefusalQueue, RefusalStore
from consumer.dead_letters.rejected import RejectionStore
from consumer.dead_letters.replay import Replay
from consumer.dead_letters.store import DeadLetters
from consumer.events.constraints import read_constraints
from consumer.events.filling import FilledEvents, free_key
from consumer.events.keys import EventKeys
from consumer.events.search import EventSearch
from consumer.events.store import EventStore
from consumer.ingest.ingest import Fallback, Ingest
from consumer.ingest.source import Sources
from consumer.mongodb import collection_faults, stored_format
from consumer.mongodb.circuit_breaker import CircuitBreaker
from consumer.mongodb.client import (
    DEAD_LETTERS,
    EVENTS,
    READERS,
    REFUSALS,
    REJECTED_CHANGES,
    SCHEMA_VERSIONS,
    OurDatabase,
    connect,
    open_database,
)
from consumer.mongodb.errors import translated
from consumer.privacy.rules import Redaction
from consumer.readers.judge import Ending, Judge
from consumer.readers.moment import Masks
from consumer.readers.objections import RejectedChanges, StandingObjections
from consumer.readers.pins import Pins
from consumer.readers.views import Views
from consumer.runtime.service_options import dead_letter_retention
from consumer.runtime.settings_map import (
    mongodb_uri,
    redaction,
    retry_rules,
    schema_policy,
)
from consumer.runtime.sources import build_sources
from consumer.schemas.registry.document_stamps import DocumentStamps
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.versions import SchemaVersions
from consumer.signals.store import Signals
from consumer.spool.spool import Spool

log = structlog.get_logger(__name__)

# Seconds between two lines about deliveries refused for the same reason.
_WARN_EVERY = 60.0
# Seconds for the driver to take leave of the server.
_CLOSE_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The parts of one process, on one MongoDB."""

    client: MongoClient[dict[str, Any]]
    database: OurDatabase
    registry: SchemaRegistry
    sources: Sources
    dead_letters: DeadLetters
    events: FilledEvents
    ingest: Ingest
    refusals: RefusalQueue
    metrics: Metrics
    replay: Replay
    breaker: CircuitBreaker
    keys: EventKeys
    peers: KnownPeers

    def refresh(self) -> None:
        """Take over what others changed: schemas, and what may refuse events."""
        self.registry.refresh()
        database = self.database
        self.registry.refresh_aliases(lambda: stored_format.has(database, stored_format.ALIASES))
        self.events.refresh()

    def judge(self, masks: Redaction) -> Judge:
        """The judge of what broke which readers, without what is masked."""
        signals = Signals(self.database)
        return Judge(
            Pins(self.database[READERS]),
            self.registry,
            first_event=EventSearch(self.database[EVENTS]).first,
            shown=masks.path,
            endings=lambda subject: (
                Ending(each.subject, each.kind, each.path, each.since)
                for each in signals.of(subject)
                # A muted one is nothing, as somebody said.
                if each.holds and each.state != "muted"
            ),
        )

    def to_write(self) -> None:
        """Raise FormatTooNew where this program must not write; before a command that may find
        nothing to write. Raises StoreUnavailable."""
        with translated(EVENTS):
            self.database.require_writable(EVENTS)

    def close(self) -> None:
        # The driver has no time limit of its own for it.
        with pymongo.timeout(_CLOSE_TIMEOUT):
            self.client.close()


def build_shared(
    settings: Settings,
    uri: str,
    clock: Callable[[], datetime] = utc_now,
    spool: Spool | None = None,
) -> SharedParts:
    """Wire verification, parsing, schema and storage to the MongoDB at `uri`, connected lazily.

    With a `spool` deliveries go there while MongoDB is away.
    """
    client = connect(
        uri,
        timeout=settings.cxone_store_timeout,
        pool_size=settings.cxone_threads + 8,
        server_api=settings.mongodb_server_api,
    )
    database = open_database(client, settings.mongodb_database, collection_faults.inspect)
    metrics = Metrics(sources=settings.sources)
    metrics.set(BUILD, 1, version=version("cxone-consumer"))
    sources = build_sources(
        settings, lambda: stored_format.require(database, stored_format.SOURCES)
    )
    dead_letters = DeadLetters(database[DEAD_LETTERS], dead_letter_retention(settings))
    breaker = CircuitBreaker(database[EVENTS], settings.cxone_spool_after)
    registry = SchemaRegistry(
        database[SCHEMA_VERSIONS],
        schema_policy(settings),
        clock,
        stamps=DocumentStamps(database[EVENTS]),
        objections=StandingObjections(
            Pins(database[READERS], settings.cxone_max_pins),
            RejectedChanges(database[REJECTED_CHANGES]),
            SchemaVersions(database[SCHEMA_VERSIONS]).one,
            SchemaVersions(database[SCHEMA_VERSIONS]).head,
        ),
    )
    limits = RefusalLimits(settings.cxone_refused_max_count, settings.cxone_refused_max_bytes)
    peers = KnownPeers(RefusalNotes(database[REFUSALS]))
    refusal_store = RefusalStore(
        dead_letters=dead_letters,
        sources=sources,
        peers=peers,
        investigate=sources.investigate,
        limits=limits,
        metrics=metrics,
        warnings=RateLimit(_WARN_EVERY, clock),
    )
    refusals = RefusalQueue(
        store=refusal_store.store,
        proving=sources.proving,
        peers=peers,
        limits=limits,
        metrics=metrics,
    )
    rejection_store = RejectionStore(
        sources=sources,
        dead_letters=dead_letters,
        metrics=metrics,
        hex_bytes=settings.cxone_log_hex_bytes,
        redaction=redaction(settings, registry.aliased),
    )
    keys = EventKeys(
        database,
        settings.cxone_schema_scope,
        settings.cxone_dedupe,
        records=spool is not None,
    )
    stored = database[EVENTS]
    events = FilledEvents(
        EventStore(stored, settings.cxone_dedupe == "id"),
        compiled=registry.compiled,
        read=lambda: read_constraints(stored),
        free=lambda known, refusal: free_key(stored, known, refusal, registry.compiled),
        fills=settings.cxone_defaults != "none",
    )
    ingest = Ingest(
        sources=sources,
        scope=settings.cxone_schema_scope,
        registry=registry,
        events=events,
        keys=keys,
        store_rejected=rejection_store.store,
        refuse=refusals.offer,
        add_verified_peer=peers.add_verified,
        metrics=metrics,
        clock=clock,
        fallback=Fallback(breaker, spool) if spool is not None else None,
    )
    replay = Replay(ingest, dead_letters, clock, retry_rules(settings))
    return SharedParts(
        client=client,
        database=database,
        registry=registry,
        sources=sources,
        dead_letters=dead_letters,
        events=events,
        ingest=ingest,
        refusals=refusals,
        metrics=metrics,
        replay=replay,
        breaker=breaker,
        keys=keys,
        peers=peers,
    )


def build_views(settings: Settings, shared: SharedParts, masks: Callable[[], Masks]) -> Views:
    """The views of readers; `masks` is what all processes hide, as they are now."""
    pins = Pins(shared.database[READERS], settings.cxone_max_pins)
    return Views(shared.database, pins, shared.registry, masks)


@contextmanager
def open_shared(settings: Settings) -> Iterator[SharedParts]:
    """The parts on the configured MongoDB (`MONGODB_URI`), closed at the end. What writes where a
    newer program has written ends as FormatTooNew; what only read warns of it."""
    shared = build_shared(settings, mongodb_uri(settings))
    try:
        yield shared
        _warn_of_newer(shared.database)
    finally:
        shared.close()


def _warn_of_newer(database: OurDatabase) -> None:
    # All was read already: what cannot be said now is not worth an error.
    with suppress(PyMongoError):
        block = database.write_block if database.inspected else database.inspect()
        if block is not None:
            log.warning("only reading is safe here", reason=str(block))
