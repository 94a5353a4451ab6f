"""The webhook over MongoDB and a spool, with the drain beside it, in this process; deliveries for a
spool, and disks that are slow or fail.
"""

from __future__ import annotations

import errno
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from config import loading as configuration
from config.loading import Settings
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.core.metrics import Metrics
from consumer.http.app import build_app
from consumer.http.client_address import Clients
from consumer.http.health import Condition
from consumer.http.server.server import Server
from consumer.http.webhook import ROUTE, Webhook
from consumer.ingest.signature import sign
from consumer.runtime.service_options import server_options
from consumer.runtime.settings_map import signature_scheme
from consumer.runtime.shared import SharedParts, build_shared
from consumer.spool.files import Appender, Files
from consumer.spool.spool import Spool
from consumer.spool.survey import directory_in
from jobs.drain_spool import DrainSpool
from tests.support.jobs import Run
from tests.support.service import PATH, SECRET

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=timezone.utc)
MARKER = b"\x01marker\xff"
MIB = 1 << 20


def load(uri: str, database: str, data_dir: Path = Path("data"), **more: str) -> Settings:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_LISTEN": "127.0.0.1:0",
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database,
        "CXONE_DATA_DIR": str(data_dir),
        **{name.upper(): value for name, value in more.items()},
    }
    return configuration.load(given, {})


class Spooling:
    """Ingest, spool, breaker and drain, wired as in the service; `uri` wins over settings."""

    def __init__(self, settings: Settings, uri: str, spool: Spool | None = None) -> None:
        self.settings = settings
        self.spool = spool or Spool(
            directory_in(settings.cxone_data_dir), settings.cxone_spool_max_bytes
        )
        self.shared: SharedParts = build_shared(settings, uri, spool=self.spool)
        self.metrics: Metrics = self.shared.metrics
        self.breaker = self.shared.breaker
        self.ingest = self.shared.ingest
        self.drain = DrainSpool(
            spool=self.spool,
            breaker=self.breaker,
            store=self.ingest.store,
            workers=settings.cxone_drain_workers,
            metrics=self.metrics,
            clock=utc_now,
        )

    def close(self) -> None:
        self.spool.close()
        self.shared.close()


class Running:
    """`Spooling` behind HTTP, draining once every 0.2 s."""

    def __init__(self, parts: Spooling) -> None:
        self.parts = parts
        self._stop = threading.Event()
        self.server = Server(self._app(), server_options(parts.settings))
        self._threads = [
            threading.Thread(target=self.server.run),
            threading.Thread(target=self._keep_draining),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.server.stop()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _keep_draining(self) -> None:
        while not self._stop.wait(0.2):
            self.parts.drain(Run(stop=self._stop))

    def _app(self) -> Any:
        parts = self.parts
        webhook = Webhook(
            ingest=parts.ingest,
            metrics=parts.metrics,
            clock=utc_now,
            max_body_bytes=parts.settings.cxone_max_body_bytes,
            kept=frozenset({"x-nice-webhook-signature"}),
            clients=Clients(()),
        )
        checks = {
            "mongodb": lambda: Condition(not parts.breaker.is_open, ""),
            "spool": lambda: Condition(parts.spool.fault is None, parts.spool.fault or ""),
        }
        return build_app(
            webhooks={ROUTE: webhook},
            metrics=parts.metrics,
            checks=checks,
            stores=("mongodb", "spool"),
            reject_status=400,
        )


@contextmanager
def spooling(uri: str, database: str, data_dir: Path, **more: str) -> Iterator[Spooling]:
    with closing(Spooling(load(uri, database, data_dir, **more), uri)) as parts:
        yield parts


class Sender:
    """One kept-alive connection that posts signed events."""

    def __init__(self, address: tuple[str, int], timeout: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=timeout)

    def post(self, event: Mapping[str, Any] | bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer; raises OSError or HTTPException when there is none."""
        status, _, body = self.answer(event)
        return status, json.loads(body)

    def answer(self, event: Mapping[str, Any] | bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case and body of the answer; raises as `post`."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        scheme = signature_scheme(configuration.load({}, {}).main)
        headers = sign(scheme, SECRET.encode(), body, datetime.now(timezone.utc))
        try:
            self._connection.request("POST", PATH, body, headers)
            response = self._connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


def delivery(number: int, body: bytes | None = None) -> Delivery:
    at = NOW + timedelta(seconds=number)
    return Delivery(
        id=f"delivery-{number}",
        body=b'{"id":%d}' % number if body is None else body,
        headers=Headers({"X-Nice-Webhook-Signature": "c2ln\xe9", "User-Agent": "cxone"}),
        received_at=at,
        verdict=Verdict("previous", at + timedelta(milliseconds=5)),
    )


def ids(spool: Spool, count: int = 1000) -> list[str]:
    return [entry.delivery.id for entry in spool.take(count)]


def files_of(path: Path) -> list[Path]:
    return sorted(path.glob("*.spool"))


class SlowDisk(Files):
    """Counts syncs, each of which waits while `held` is held."""

    def __init__(self) -> None:
        self.held = threading.Lock()
        self.syncs = 0

    def create(self, path: Path) -> Appender:
        return Watched(super().create(path), self._sync)

    def _sync(self) -> None:
        with self.held:
            self.syncs += 1


class FailingDisk(Files):
    """Says that the disk is full when `failing` is called; a failing write takes half."""

    failing = ""
    error: Exception = OSError(errno.ENOSPC, "No space left on device")

    def create(self, path: Path) -> Appender:
        self._check("create")
        return Watched(
            super().create(path), lambda: self._check("sync"), lambda: self._check("write")
        )

    def sync_directory(self, path: Path) -> None:
        self._check("sync_directory")
        super().sync_directory(path)

    def _check(self, name: str) -> None:
        if name == self.failing:
            raise self.error


class HeldDisk(Files):
    """Has files that another program holds, as on Windows, until they were asked for `times`."""

    def __init__(self, times: int) -> None:
        self.times = times

    def read(self, path: Path, offset: int, count: int) -> bytes:
        self._ask(path)
        return super().read(path, offset, count)

    def remove(self, path: Path) -> None:
        self._ask(path)
        super().remove(path)

    def in_use(self, error: OSError) -> bool:
        return isinstance(error, PermissionError)

    def _ask(self, path: Path) -> None:
        self.times -= 1
        if self.times >= 0:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))


class Watched:
    def __init__(
        self, inner: Appender, on_sync: Callable[[], None], on_write: Callable[[], object] = list
    ) -> None:
        self._inner = inner
        self._on_sync = on_sync
        self._on_write = on_write
        self.truncate = inner.truncate
        self.close = inner.close

    def write(self, data: bytes) -> None:
        try:
            self._on_write()
        except OSError:
            self._inner.write(data[: len(data) // 2])
            raise
        self._inner.write(data)

    def sync(self) -> None:
        self._on_sync()
        self._inner.sync()
