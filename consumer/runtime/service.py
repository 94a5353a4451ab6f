"""Wire the running whole: HTTP in front, the shared parts behind, the jobs beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import Any

import falcon
import pymongo
import structlog
from pymongo.errors import PyMongoError

from config.loading import Settings
from consumer.core.clock import utc_now
from consumer.core.data_dir import DataDirectory
from consumer.core.delivery import of_source
from consumer.core.errors import SetupError, StoreUnavailable
from consumer.core.text import safe
from consumer.core.throttle import Throttle
from consumer.http.app import build_app
from consumer.http.client_address import Clients
from consumer.http.health import Condition, HealthCheck
from consumer.http.server.server import Server
from consumer.http.token import TokenEndpoint
from consumer.http.webhook import ROUTE, Webhook
from consumer.ingest.signature import SHORT_SECRET
from consumer.ingest.source import Sources
from consumer.mongodb import stored_format
from consumer.mongodb.client import INSTANCES, is_looked_up
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.mongodb.health import PrimaryCheck
from consumer.mongodb.indexes import create_indexes
from consumer.mongodb.retention import apply_retention
from consumer.runtime.jobs import PREPARE_EVERY, periodic
from consumer.runtime.memory import calm_collector
from consumer.runtime.service_options import retention, server_options
from consumer.runtime.settings_map import mongodb_uri, shared_secrets
from consumer.runtime.shared import build_shared
from consumer.runtime.sources import token_clients
from consumer.runtime.vitals import Vitals
from consumer.spool.spool import Spool
from consumer.spool.survey import directory_in
from jobs.scheduling.job import JobRun

log = structlog.get_logger(__name__)

_STORES = ("mongodb", "spool")
# Seconds for jobs to end, and to keep the refused deliveries that wait, when the process stops.
_STOP_TIMEOUT = 5.0
_STOP_AWAY = 1.0
# Seconds for a look at what bars us from writing: the first delivery waits for it.
_LOOK = 2.0
# Schemas that /readyz names.
_NAMED = 3


class Service:
    """All parts of one process, running together.

    The caller owns the data directory of the settings (DataDirectory), where the spool is. By
    `clock` everything is stamped and judged.
    """

    def __init__(
        self,
        settings: Settings,
        uri: str,
        *,
        prepare_every: float = PREPARE_EVERY,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._clock = clock
        self._retention = retention(settings)
        self._spool = Spool(directory_in(settings.cxone_data_dir), settings.cxone_spool_max_bytes)
        self.shared = build_shared(settings, uri, clock, self._spool)
        self._primary = PrimaryCheck(self.shared.database[INSTANCES])
        self._looked_up = is_looked_up(uri)
        self._prepared = False
        self._warnings = [*_warnings(settings, self.shared.sources)]
        # Faults of our indexes; None before anybody looked.
        self._missing: list[str] | None = None
        self._last_reported: list[str] = []
        self._periodic = periodic(
            settings,
            self.shared,
            self._spool,
            self._prepare,
            lambda: self._missing is not None,
            clock=clock,
            prepare_every=prepare_every,
        )
        self._has_console = settings.cxone_console_password is not None
        self.server = Server(self._app(settings), server_options(settings))

    @property
    def url(self) -> str:
        """The URL that CXone, or a proxy before us, posts to."""
        return self._url(ROUTE)

    def _url(self, path: str) -> str:
        host, port = self.server.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"

    @property
    def spooled(self) -> int:
        """Number of deliveries that wait on this machine for MongoDB."""
        return self._spool.depth

    @property
    def vitals(self) -> Vitals:
        """The signs of life that a service manager asks for."""
        return Vitals(
            url=self.url,
            stopping=self.server.stopping,
            checks=self._checks(),
            stores=_STORES,
            silences={
                "the accept loop": lambda: self.server.silent_for,
                "the scheduler": lambda: self._periodic.scheduler.silent_for,
                "the scheduler of the spool": lambda: self._periodic.drain.silent_for,
            },
        )

    def run(self) -> None:
        """Serve until `stop`; everything accepted is answered before this returns."""
        # First, before anybody waits: the driver cannot bound how long DNS takes.
        if not self._looked_up or self.shared.breaker.probe():
            self._look()
        for warning, fields in self._warnings:
            log.warning(warning, **fields)
        if self._has_console:
            log.info("the console is at", url=self._url("/console"))
        self.shared.refusals.start()
        self._periodic.start()
        calm_collector()
        try:
            self.server.run()
        finally:
            # Also after a crash: nobody shall take what is left for alive.
            self.server.stopping.set()
            self._end()

    def stop(self) -> None:
        """Ask `run` to end; callable from a signal handler."""
        self.server.stop()

    def _end(self) -> None:
        # What waits for a MongoDB that is away would wait in vain.
        away = self.shared.breaker.is_open
        timeout = _STOP_AWAY if away else _STOP_TIMEOUT
        if not self._periodic.end_runs(timeout) and not away:
            log.warning("jobs are still running: stopped without them", waited=timeout)
        self._periodic.finish()
        self.shared.refusals.stop(timeout)
        self.shared.close()
        # Whoever still waits for a server ends with the client; for an answer, with its time limit.
        if not self._periodic.end_runs(_STOP_AWAY) and away:
            log.info("jobs still wait for MongoDB: stopped without them")
        self._spool.close()

    def _prepare(self, _run: JobRun) -> dict[str, str]:
        """Create indexes, now and when they are gone; the result, or the SetupError, names what is
        wrong with our collections when that is no longer what it was.

        MongoDB may be away while we start: deliveries are then spooled, and the job that calls this
        tries again.
        """
        faults: list[str] = []
        if self._look():
            try:
                faults = self._make_ready()
            except StoreUnavailable as error:
                if error.away:
                    return {}
                faults = [str(error)]
            except SetupError as error:
                faults = [str(error)]
        elif self.shared.database.write_block is None:
            return {}
        self._missing = faults
        return self._changed(self._faults())

    def _make_ready(self) -> list[str]:
        """Record what holds for ever, and make what is missing; the indexes that cannot be made."""
        database = self.shared.database
        if not self._prepared:
            # Before what comes stores anything in a database that has no documents yet.
            self.shared.keys.learn()
            stored_format.record(database)
        faults = create_indexes(database)
        if not self._prepared:
            self.shared.registry.look_for_holes()
            apply_retention(database, self._retention)
            self._prepared = True
            self._warn_of_contradictions()
            deployment = self._primary.check()
            if deployment.alone:
                log.warning("one machine alone holds the data", mongodb=deployment.detail)
        if self.shared.sources.beside_main:
            try:
                self.shared.sources.admit()
            except SetupError as error:
                faults.append(f"sources beside main wait: {error}")
        return faults

    def _faults(self) -> list[str]:
        """Faults of our collections, as far as is known."""
        found = self.shared.database.inspection
        block = [str(found.write_block)] if found.write_block is not None else []
        others = [fault for fault in found.faults.values() if fault not in "".join(block)]
        return [*block, *others, *(self._missing or [])]

    def _changed(self, faults: list[str]) -> dict[str, str]:
        """Nothing where these faults were reported last; raises SetupError for others."""
        before, self._last_reported = self._last_reported, faults
        if faults == before:
            return {}
        if faults:
            raise SetupError("; ".join(faults))
        return {"mended": "; ".join(before)}

    def _warn_of_contradictions(self) -> None:
        """One line for all pins that the database contradicts: it decides, until a person does."""
        with suppress(StoreUnavailable):
            if found := self.shared.registry.contradictions():
                more = f", and {len(found) - 1:,} more: `doctor`" if found[1:] else ""
                log.warning(
                    "the settings pin an object that is a map",
                    finding=safe(found[0].finding),
                    next_step=safe(found[0].remedy + more),
                )

    def _look(self) -> bool:
        """Look what bars us from writing, before the first delivery and ever after: what is barred
        goes to the spool; whether nothing does. MongoDB may be away: whoever writes first looks."""
        with suppress(PyMongoError), pymongo.timeout(_LOOK):
            return self.shared.database.inspect() is None
        return False

    def _app(self, settings: Settings) -> falcon.App[Any, Any]:
        shared = self.shared
        clients = Clients(settings.cxone_trusted_proxies)
        webhooks = {
            source.path: Webhook(
                ingest=shared.ingest,
                metrics=shared.metrics,
                clock=self._clock,
                max_body_bytes=settings.cxone_max_body_bytes,
                clients=clients,
                source=source.name,
                kept=source.kept,
                hidden=source.hidden,
                credential_header=source.credential_header,
            )
            for source in shared.sources
        }
        token = None
        if clients_of_tokens := token_clients(settings):
            token = TokenEndpoint(
                clients=clients_of_tokens, clock=self._clock, addresses=clients, throttle=Throttle()
            )
        checks = self._checks()
        app = build_app(
            webhooks=webhooks,
            token=token,
            metrics=shared.metrics,
            checks=checks,
            stores=_STORES,
            reject_status=settings.cxone_reject_status,
        )
        if settings.cxone_console_password is not None:
            # Templates, charts and signatures cost time and memory that others must not pay.
            from consumer.runtime.console import add_console  # noqa: PLC0415

            password = settings.cxone_console_password.get_secret_value()
            add_console(app, settings, password, shared, checks)
        return app

    def _mongodb(self) -> Condition:
        deployment, faults = self._primary.check(), self._faults()
        # It is asked by a write to `instances`, which may be what is wrong.
        if faults and (deployment.ok or INSTANCES in self.shared.database.inspection.faults):
            keeps = self.shared.database.write_block is None and not self.shared.breaker.is_open
            return Condition(False, "; ".join(faults), keeps)
        if deployment.ok and self.shared.breaker.is_open:
            return Condition(False, f"{deployment.detail}: deliveries were not taken in time")
        return Condition(deployment.ok, deployment.detail)

    def _spooling(self) -> Condition:
        fault = self._spool.fault
        waiting = f"{self._spool.depth} waiting"
        return Condition(fault is None, waiting if fault is None else f"{waiting}; {fault}")

    def _schemas(self) -> Condition:
        holes = self.shared.registry.holes
        named = [hole.sentence(subject) for subject, hole in sorted(holes.items())[:_NAMED]]
        more = f"; {len(holes) - _NAMED} more" if len(holes) > _NAMED else ""
        return Condition(not holes, safe("; ".join(named) + more) or "no version was lost")

    def _checks(self) -> dict[str, HealthCheck]:
        periodic = self._periodic
        return {
            "mongodb": self._mongodb,
            "spool": self._spooling,
            "schemas": self._schemas,
            "scheduler": lambda: Condition(
                periodic.scheduler.running, "running" if periodic.scheduler.running else "stopped"
            ),
            "datadog": lambda: Condition(periodic.sink.status.ok, periodic.sink.status.text),
        }


def _warnings(settings: Settings, sources: Sources) -> Iterator[tuple[str, dict[str, Any]]]:
    """Warnings about what the settings allow, for the start: text and fields."""
    for name, source in settings.every_source.items():
        for secret in shared_secrets(source):
            if len(secret.key) < SHORT_SECRET:
                text = "a secret is short: `cxone-consumer doctor` says what to do"
                yield text, {"secret": secret.name, **of_source(name)}
    for each in sources:
        if each.unsigned:
            text = "id or type come from a header that is not signed: anybody on the way may set it"
            yield text, {"unsigned": [*each.unsigned], **of_source(each.name)}


@contextmanager
def hosted(settings: Settings, *, embedded: bool) -> Iterator[Service]:
    """The service as the only owner of its data directory, with a MongoDB of its own if asked:
    listening and about to `run`. MongoDB and directory are let go at the end.

    Raises SetupError, and NoMongo where no MongoDB is named and none is asked for.
    """
    with ExitStack() as parts:
        parts.enter_context(DataDirectory(settings.cxone_data_dir))
        uri = (
            parts.enter_context(EmbeddedMongo(settings.cxone_data_dir)).uri
            if embedded
            else mongodb_uri(settings)
        )
        yield Service(settings, uri)
