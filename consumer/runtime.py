"""The composition root: settings in, wired parts out; the only place that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import falcon
import structlog
from pymongo import MongoClient
from pymongo.database import Database

from config.logs import RateLimit
from config.settings import Settings
from consumer.clock import utc_now
from consumer.detective import investigate
from consumer.errors import StoreUnavailable
from consumer.ingest import Ingest
from consumer.metrics import BUILD, Metrics
from consumer.options import (
    event_fields,
    ingest_policy,
    mongodb_uri,
    schema_policy,
    server_options,
    signature_scheme,
)
from consumer.parsing import EventParser
from consumer.refusals import Bounds, Refusals
from consumer.server.server import Server
from consumer.storage import mongo
from consumer.storage.dead_letters import DeadLetters
from consumer.storage.event_store import EventStore
from consumer.storage.health import Reachability
from consumer.storage.schema_registry import SchemaRegistry
from consumer.web import app as web_app
from consumer.web.health import Condition, Probe
from consumer.web.webhook import ROUTE, Webhook
from jobs.scheduler import Job, Scheduler

log = structlog.get_logger(__name__)

# Seconds between looks for schema versions that other processes registered, so that few documents
# are stamped with an older one.
_REFRESH_EVERY = 10.0
_WARN_EVERY = 60.0
_PREPARE_EVERY = 15.0
_STOP_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Core:
    """The parts that work without HTTP: what the command line and the service share."""

    client: MongoClient[dict[str, Any]]
    database: Database[dict[str, Any]]
    registry: SchemaRegistry
    dead_letters: DeadLetters
    ingest: Ingest
    refusals: Refusals
    metrics: Metrics

    def close(self) -> None:
        self.client.close()


def build_core(settings: Settings, uri: str, clock: Callable[[], datetime] = utc_now) -> Core:
    """Wire verification, parsing, schema and storage to the MongoDB at `uri`, connected lazily."""
    client = mongo.connect(
        uri, timeout=settings.cxone_store_timeout, pool_size=settings.cxone_threads + 8
    )
    database = mongo.database(client, settings.mongodb_database)
    metrics = Metrics()
    metrics.set(BUILD, 1, version=version("cxone-consumer"))
    policy = ingest_policy(settings)
    dead_letters = DeadLetters(database[mongo.DEAD_LETTERS])
    registry = SchemaRegistry(database[mongo.SCHEMA_VERSIONS], schema_policy(settings), clock)
    refusals = Refusals(
        dead_letters=dead_letters,
        investigate=lambda delivery: investigate(delivery, policy.scheme, policy.secrets),
        bounds=Bounds(settings.cxone_refused_max_count, settings.cxone_refused_max_bytes),
        metrics=metrics,
        warnings=RateLimit(_WARN_EVERY, clock),
    )
    ingest = Ingest(
        policy=policy,
        parser=EventParser(event_fields(settings), settings.cxone_store_max_depth),
        registry=registry,
        events=EventStore(database[mongo.EVENTS], settings.cxone_dedupe == "id"),
        dead_letters=dead_letters,
        refuse=refusals.offer,
        metrics=metrics,
        clock=clock,
    )
    return Core(client, database, registry, dead_letters, ingest, refusals, metrics)


@contextmanager
def open_core(settings: Settings) -> Iterator[Core]:
    """The core on the configured MongoDB (`MONGODB_URI`), closed at the end."""
    core = build_core(settings, mongodb_uri(settings))
    try:
        yield core
    finally:
        core.close()


class Service:
    """The running whole: HTTP in front, the core behind, the scheduler beside."""

    def __init__(self, settings: Settings, uri: str) -> None:
        self.core = build_core(settings, uri)
        self._reachability = Reachability(self.core.client)
        self._prepared = False
        self._scheduler = Scheduler(
            (
                Job("prepare_store", _PREPARE_EVERY, self._prepare),
                Job("refresh_schemas", _REFRESH_EVERY, self.core.registry.refresh),
            )
        )
        self.server = Server(self._app(settings), server_options(settings))

    @property
    def url(self) -> str:
        """Where CXone, or a proxy before us, posts to."""
        host, port = self.server.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{ROUTE}"

    def run(self) -> None:
        """Serve until `stop`; everything accepted is answered before this returns."""
        self.core.refusals.start()
        self._scheduler.start()
        try:
            self.server.run()
        finally:
            self._scheduler.stop()
            self.core.refusals.stop(_STOP_TIMEOUT)
            self.core.close()

    def stop(self) -> None:
        """Ask `run` to end; callable from a signal handler."""
        self.server.stop()

    def _prepare(self) -> None:
        """Create indexes. MongoDB may be away while we start: deliveries are then answered 503, and
        the job of the same name tries again."""
        if self._prepared:
            return
        try:
            mongo.create_indexes(self.core.database)
        except StoreUnavailable as error:
            log.warning("MongoDB is not ready", error=str(error))
            return
        self._prepared = True
        reach = self._reachability.check()
        if reach.alone:
            log.warning("one machine alone holds the data", mongodb=reach.detail)

    def _app(self, settings: Settings) -> falcon.App[Any, Any]:
        core = self.core
        scheme = signature_scheme(settings)
        names = {scheme.header, scheme.timestamp_header or scheme.header}
        webhook = Webhook(
            ingest=core.ingest,
            metrics=core.metrics,
            clock=utc_now,
            max_body_bytes=settings.cxone_max_body_bytes,
            header_names=frozenset(name.lower() for name in names),
        )
        return web_app.build(
            webhook=webhook,
            metrics=core.metrics,
            probes=self._probes(),
            keepers=("mongodb",),
            reject_status=settings.cxone_reject_status,
        )

    def _mongodb(self) -> Condition:
        reach = self._reachability.check()
        return Condition(reach.ok, reach.detail)

    def _probes(self) -> dict[str, Probe]:
        return {
            "mongodb": self._mongodb,
            "spool": lambda: Condition(False, "this version has none"),
            "scheduler": lambda: Condition(
                self._scheduler.running, "running" if self._scheduler.running else "stopped"
            ),
        }
