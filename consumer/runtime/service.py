"""Wire the running whole: HTTP in front, the core behind, the scheduler beside."""

from __future__ import annotations

from typing import Any

import falcon
import structlog

from config.settings import Settings
from consumer.clock import utc_now
from consumer.errors import StoreUnavailable
from consumer.options import server_options, signature_scheme
from consumer.runtime.core import build_core
from consumer.server.server import Server
from consumer.storage import mongo
from consumer.storage.health import Reachability
from consumer.web import app as web_app
from consumer.web.health import Condition, Probe
from consumer.web.webhook import ROUTE, Webhook
from jobs.scheduler import Job, Scheduler

log = structlog.get_logger(__name__)

# Seconds between looks for schema versions that other processes registered, so that few documents
# are stamped with an older one.
_REFRESH_EVERY = 10.0
_PREPARE_EVERY = 15.0
_STOP_TIMEOUT = 5.0


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
