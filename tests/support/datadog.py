"""A Datadog intake on this machine that checks what it gets, a sender on it with a time of its own,
and the readings that reach it.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import TABLE, Kind
from consumer.monitoring.datadog.buffer import Buffer
from consumer.monitoring.datadog.intake import Intake
from consumer.monitoring.datadog.points import Common, MetricDeltas, Reading, freeze
from consumer.monitoring.datadog.replies import Account
from consumer.monitoring.datadog.retry import Timing
from consumer.monitoring.datadog.sender import Sender

Db = Database[dict[str, Any]]
COMMON = Common(tags=("env:test", "service:cxone-consumer"), host="machine", interval=60)

KEY = "0123456789abcdef0123456789abcdef"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,199}")
_TAG = re.compile(r"[^\W\d_][\w:./-]{0,199}")


@dataclass(frozen=True, slots=True)
class Captured:
    """One request as it came; `at` is the monotonic time."""

    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: Any
    at: float

    @property
    def series(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["series"]
        return found


@dataclass(frozen=True, slots=True)
class Says:
    """An answer, or a fault: `hang` seconds before it, `reset` the connection, or `drip` the
    body a byte at a time."""

    status: int = 202
    body: bytes = b'{"errors":[]}'
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0.0
    reset: bool = False
    drip: bool = False


Rule = Callable[[Captured], Says | None]


class FakeIntake:
    """Answers with the queued answers, then by `rule`, then 202. `faults` lists each breach of the
    published rules, `accepted` every point of an accepted request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Captured] = []
        self.answers: deque[Says] = deque()
        self.rule: Rule = lambda _: None
        self.faults: list[str] = []
        self.accepted: dict[tuple[str, tuple[str, ...], int], float] = {}
        self.closing = threading.Event()

    def answer(self, *answers: Says) -> None:
        self.answers.extend(answers)

    def take(self, captured: Captured) -> Says:
        self.requests.append(captured)
        self.faults += breaches(captured)
        says = self.answers.popleft() if self.answers else self.rule(captured) or Says()
        if 200 <= says.status < 300 and not says.reset and captured.path == "/api/v2/series":
            self._accept(captured)
        return says

    def _accept(self, captured: Captured) -> None:
        for series in captured.series:
            for point in series["points"]:
                key = (series["metric"], tuple(series["tags"]), point["timestamp"])
                known = self.accepted.setdefault(key, point["value"])
                if known != point["value"]:
                    self.faults.append(f"{key} was {known} and is {point['value']} now")


def breaches(captured: Captured) -> list[str]:
    """Faults of a request against Datadog's published rules."""
    faults = []
    if captured.headers.get("dd-api-key") != KEY:
        faults.append("no or another API key")
    if "dd-application-key" in captured.headers:
        faults.append("an application key was sent")
    if captured.path == "/api/v1/events":
        return faults + _event(captured.body)
    if captured.path != "/api/v2/series":
        return [*faults, f"unknown path {captured.path}"]
    if captured.headers.get("content-encoding") != "gzip":
        faults.append("not compressed")
    if len(captured.raw) > 512_000 or len(json.dumps(captured.body)) > 5_242_880:
        faults.append("too large")
    for series in captured.series:
        faults += _series(series, time.time())
    return faults


def _series(series: dict[str, Any], now: float) -> list[str]:
    faults = []
    if not _NAME.fullmatch(series["metric"]):
        faults.append(f"name {series['metric']}")
    for tag in series["tags"]:
        good = _TAG.fullmatch(tag) and tag == tag.lower() and not tag.endswith((":", "_"))
        if not good or tag.split(":")[0] in ("host", "device", "source"):
            faults.append(f"tag {tag}")
    if [r["type"] for r in series["resources"]] != ["host"]:
        faults.append("no host among the resources")
    if series["type"] not in (1, 3) or (series["type"] == 1 and not series.get("interval")):
        faults.append(f"type {series['type']} of {series['metric']}")
    for point in series["points"]:
        if not isinstance(point["value"], int | float) or not math.isfinite(point["value"]):
            faults.append(f"value {point['value']}")
        if type(point["timestamp"]) is not int or not (
            now - 3600 <= point["timestamp"] <= now + 600
        ):
            faults.append(f"timestamp {point['timestamp']}")
    return faults


def _event(event: dict[str, Any]) -> list[str]:
    faults = []
    if len(event["text"]) > 4000 or not event["text"] or len(event["title"]) > 100:
        faults.append("text or title of the event is too long or empty")
    if len(event.get("aggregation_key", "")) > 100:
        faults.append("aggregation_key is too long")
    if event["date_happened"] < time.time() - 18 * 3600:
        faults.append("the event is too old")
    if "@" in event["text"] + event["title"]:
        faults.append("the event could notify somebody")
    return faults


@contextmanager
def intake() -> Iterator[FakeIntake]:
    """A running intake; every hang ends with it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            lower = {name.lower(): value for name, value in self.headers.items()}
            plain = gzip.decompress(raw) if lower.get("content-encoding") == "gzip" else raw
            # json.loads would take NaN: the checks must see it.
            captured = Captured(self.path, lower, raw, json.loads(plain), time.monotonic())
            self._say(fake.take(captured))

        def do_GET(self) -> None:
            fake.faults.append(f"a GET of {self.path}: a redirect was followed")
            self._say(Says(404))

        def _say(self, says: Says) -> None:
            fake.closing.wait(says.hang)
            if says.reset:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(says.body)))
            self.end_headers()
            for byte in says.body if says.drip else ():
                if fake.closing.wait(0.1):
                    return
                self.wfile.write(bytes([byte]))
            if not says.drip:
                self.wfile.write(says.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that gave up on us is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    fake = FakeIntake(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Time:
    """A monotonic clock that sleeping moves; `slept` is every wait in whole."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Bench:
    """A sender on a fake intake, with its parts."""

    intake: FakeIntake
    sender: Sender
    metrics: Metrics
    time: Time

    def keep(self, *names: str, second: int | None = None, value: float = 1.0) -> None:
        at = int(time.time()) if second is None else second
        readings = [Reading(name, "gauge", value) for name in names]
        self.sender.add(freeze(readings, COMMON, at)[0])

    def flush(self, seconds: float = 48.0, stopping: Callable[[], bool] = lambda: False) -> int:
        return self.sender.flush(stopping, seconds).sent

    def counted(self, name: str) -> dict[str, float]:
        return {
            next(iter(value.tags.values()), ""): value.value
            for value in self.metrics.snapshot()
            if value.metric.name == f"cxone.dataaction.datadog.{name}"
        }

    @property
    def arrived(self) -> set[str]:
        return {name for name, _, _ in self.intake.accepted}


class bench_on:  # noqa: N801
    """The parts as the runtime wires them, with a time of their own."""

    def __init__(self, fake: FakeIntake, timeout: float = 5.0, buffer: int = 1000) -> None:
        ticks, metrics = Time(), Metrics()
        self._intake = Intake(Account(fake.url, KEY, timeout), utc_now)
        timing = Timing(now=ticks.now, sleep=ticks.sleep, jitter=lambda: 1.0)
        sender = Sender(
            intake=self._intake,
            buffer=Buffer(buffer),
            metrics=metrics,
            clock=utc_now,
            timing=timing,
        )
        self._bench = Bench(fake, sender, metrics, ticks)

    def __enter__(self) -> Bench:
        return self._bench

    def __exit__(self, *_: object) -> None:
        self._intake.close()


def bodies(fake: FakeIntake) -> list[Any]:
    return [captured.body for captured in fake.requests]


def readings_of_every_row() -> list[Reading]:
    """Readings of a process that has a value for each metric, under one set of tags."""
    metrics = Metrics()
    tell: dict[Kind, Callable[..., None]]
    tell = {"counter": metrics.count, "gauge": metrics.set, "histogram": metrics.observe}
    for row in TABLE:
        if not row.observations_of:
            tell[row.kind](row.name, 1, **dict.fromkeys(row.tags, "any"))
    return MetricDeltas().readings(metrics.snapshot(), metrics.take_gauges_set())
