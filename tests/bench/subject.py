"""Run one server to be measured in a process of its own.

    python -m tests.bench.subject KIND THREADS URI DATABASE DIRECTORY

KIND is `bare`, `insert_one`, `crude` (a group commit and nothing else), `service` or `evolving`
(the same), `floor` (our server and batches around a plain document), `console` (the service with
its console, whose password is CONSOLE_PASSWORD), `plain` (the service with an `insert_one` for each
event) or `shared-N` (the service with up to N inserts in flight). Prints `ready HOST PORT`; then
every line on standard input is answered with the CPU seconds used so far and the resident memory in
MB, and its end stops the server. Its log goes into DIRECTORY, as in production.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import falcon
import msgspec
from bson import ObjectId
from waitress.server import create_server

from config import loading as configuration
from config import logs
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery
from consumer.events.documents import encode
from consumer.events.store import EventStore
from consumer.http.headers import EnvironHeaders
from consumer.http.server import worker_pool
from consumer.http.server.server import Server, ServerOptions
from consumer.http.webhook import ROUTE
from consumer.ingest.signature import Secret, SignatureScheme, verify
from consumer.mongodb.client import EVENTS, connect, open_database
from consumer.runtime import shared
from consumer.runtime.service import Service
from tests.bench.requests import SECRET

CONSOLE_PASSWORD = "the password of the benchmark"
Starter = tuple[tuple[str, int], Callable[[], None], Callable[[], None]]


class Bare:
    """Read and verify: what no service on waitress and Falcon can be faster than."""

    def __init__(self) -> None:
        self._scheme, self._secrets = SignatureScheme(), (Secret("current", SECRET.encode()),)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.keep(self.verified(req))
        resp.data = b'{"status":"processed"}'

    def verified(self, req: falcon.Request) -> bytes:
        body: bytes = req.bounded_stream.read()
        delivery = Delivery("", body, EnvironHeaders(req.env), utc_now())
        verify(delivery, self._scheme, self._secrets, delivery.received_at)
        return body

    def keep(self, body: bytes) -> None:
        """Nothing is kept."""


class InsertOne(Bare):
    """The same, and one durable `insert_one` of what was parsed: the plain way to do the job."""

    def __init__(self, uri: str, database: str, threads: int) -> None:
        super().__init__()
        client = connect(uri, timeout=5, pool_size=threads + 8)
        self._events = open_database(client, database)[EVENTS]

    def keep(self, body: bytes) -> None:
        self._events.insert_one(msgspec.json.decode(body))


class Crude(Bare):
    """The same, and the plainest group commit: who finds nobody inserting does it for all that
    wait, the others wait for it."""

    def __init__(self, uri: str, database: str, threads: int) -> None:
        super().__init__()
        client = connect(uri, timeout=5, pool_size=threads + 8)
        self._events = open_database(client, database)[EVENTS]
        self._inserting = threading.Lock()
        self._waiting: deque[tuple[dict[str, Any], threading.Event]] = deque()

    def keep(self, body: bytes) -> None:
        stored = threading.Event()
        self._waiting.append((msgspec.json.decode(body), stored))
        with self._inserting:
            if stored.is_set():
                return
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._events.insert_many([document for document, _ in batch], ordered=False)
            for _, each in batch:
                each.set()


class Floor(Bare):
    """Read, verify, parse, encode and insert by our server, batches and driver: neither schema nor
    filling, no metadata, spool or metrics."""

    def __init__(self, uri: str, database: str, threads: int) -> None:
        super().__init__()
        client = connect(uri, timeout=5, pool_size=threads + 8)
        self._events = EventStore(open_database(client, database)[EVENTS], conflicts_matter=False)

    def keep(self, body: bytes) -> None:
        self._events.append(encode({"_id": ObjectId(), **msgspec.json.decode(body)}), "")


def _floor(uri: str, database: str, threads: int) -> Starter:
    app: falcon.App[Any, Any] = falcon.App()
    app.add_route(ROUTE, Floor(uri, database, threads))
    server = Server(app, ServerOptions("127.0.0.1:0", threads, max_body_bytes=1 << 20))
    return server.address, server.run, server.stop


def _stock(resource: Bare, threads: int) -> Starter:
    app: falcon.App[Any, Any] = falcon.App()
    app.add_route(ROUTE, resource)
    server: Any = create_server(app, listen="127.0.0.1:0", threads=threads)
    return (
        (server.effective_host, int(server.effective_port)),
        server.run,
        lambda: os._exit(0),
    )


def _service(threads: int, uri: str, database: str, directory: str, password: str = "") -> Starter:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_LISTEN": "127.0.0.1:0",
        "CXONE_THREADS": str(threads),
        "CXONE_DATA_DIR": directory,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database,
        "CXONE_CONSOLE_PASSWORD": password,
    }
    service = Service(configuration.load(given, {}), uri)
    return service.server.address, service.run, service.stop


def start(kind: str, threads: int, uri: str, database: str, directory: str) -> Starter:
    """The address of the server, what runs it, and what stops it."""
    if kind == "bare":
        return _stock(Bare(), threads)
    if kind == "insert_one":
        return _stock(InsertOne(uri, database, threads), threads)
    if kind == "crude":
        return _stock(Crude(uri, database, threads), threads)
    if kind == "floor":
        return _floor(uri, database, threads)
    if kind == "console":
        return _service(threads, uri, database, directory, CONSOLE_PASSWORD)
    if kind not in ("service", "evolving"):
        # As many slots as threads, and one delivery at a time in each: so each is an `insert_one`.
        in_flight = threads if kind == "plain" else int(kind.removeprefix("shared-"))
        if kind == "plain":
            setattr(worker_pool, "BATCH", 1)  # noqa: B010
        setattr(shared, "EventStore", partial(EventStore, in_flight=in_flight))  # noqa: B010
    return _service(threads, uri, database, directory)


def resident(pid: int | str = "self") -> float:
    """Resident memory of a process in MB; 0 where the system does not tell it in /proc."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """The processor's time that another process took so far; 0 where /proc does not tell it."""
    stat = Path(f"/proc/{pid}/stat")
    if sys.platform == "win32" or not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return float((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))


def main(kind: str, threads: str, uri: str, database: str, directory: str) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, {0})
    with (Path(directory) / "subject.log").open("a", encoding="utf-8") as stream:
        logs.configure("info", "json", stream)
        address, run, stop = start(kind, int(threads), uri, database, directory)
        print("ready", *address, flush=True)

        def attend() -> None:
            for _ in sys.stdin:
                if sys.platform == "linux":
                    # Where instructions are counted, this is where they are told.
                    os.getsid(0)
                print(process_time(), resident(), flush=True)
            stop()

        threading.Thread(target=attend, daemon=True).start()
        run()


if __name__ == "__main__":
    main(*sys.argv[1:])
