"""Measure what each step of a delivery costs in process: `python -m tests.bench.budget [SET …]`.

The delivery is of a known shape and is stored. CPU time in microseconds, the least of some runs,
each of one step alone over all requests: so caches are warmer than between other steps. Not in here
is what a system call, a switch of fibers or threads, and the driver cost; `tests.bench.throughput`
has the whole.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from time import process_time
from types import SimpleNamespace
from typing import Any

import structlog

from config import logs
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Event, Outcome
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DURATION, SECRETS
from consumer.events.documents import Stamp, encode, layout
from consumer.events.keys import document_id
from consumer.http.app import build_app
from consumer.http.client_address import Clients
from consumer.http.headers import EnvironHeaders
from consumer.http.server.parser import RequestParser
from consumer.http.server.responses import Task
from consumer.http.server.server import ServerOptions, _adjustments
from consumer.http.webhook import ROUTE, Webhook
from consumer.ingest.parsing import EventFields, EventParser
from consumer.ingest.signature import Secret, SignatureScheme, verify
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import Filled, fill
from consumer.schemas.typed import TypedSchemas
from tests.bench.bench_schema import learned
from tests.bench.payload_sets import SETS
from tests.bench.requests import SECRET, signed

_COUNT = 500
_RUNS = 7
_HEADER = "HTTP_X_NICE_WEBHOOK_SIGNATURE"
_ADJUSTMENTS = _adjustments(ServerOptions("127.0.0.1:0", 4, 1 << 20))


class Known:
    """Stands for ingest: every delivery is stored already."""

    def receive(self, _delivery: Delivery) -> Outcome:
        return Outcome("processed", 1)

    def verify(self, delivery: Delivery) -> Delivery:
        return delivery


def framed(requests: Iterable[bytes]) -> list[RequestParser]:
    parsers = []
    for request in requests:
        parser = RequestParser(_ADJUSTMENTS)
        parser.received(request[parser.received(request) :])
        parsers.append(parser)
    return parsers


def channel(metrics: Metrics) -> SimpleNamespace:
    """Stands for a connection, with all that a task asks of one."""
    webhook = Webhook(
        ingest=Known(),
        metrics=metrics,
        clock=utc_now,
        max_body_bytes=1 << 20,
        clients=Clients(()),
    )
    app = build_app(
        webhooks={ROUTE: webhook}, metrics=metrics, checks={}, stores=(), reject_status=400
    )
    server = SimpleNamespace(
        adj=_ADJUSTMENTS, application=app, server_name="localhost", effective_port=8080
    )
    return SimpleNamespace(
        server=server,
        adj=_ADJUSTMENTS,
        addr=("127.0.0.1", 1),
        write_soon=len,
        check_client_disconnected=lambda: False,
    )


def steps(name: str) -> dict[str, float]:
    """Microseconds of each step for one request of a set."""
    requests = signed(SETS[name](_COUNT, 1))
    parser, scheme = EventParser(EventFields(), 100), SignatureScheme()
    secrets = (Secret("current", SECRET.encode()),)
    deliveries = [
        Delivery(
            "", request.get_body_stream().read(), EnvironHeaders({_HEADER: signature}), utc_now()
        )
        for request in framed(requests)
        if (signature := request.headers[_HEADER.removeprefix("HTTP_")])
    ]
    kinds = defaultdict(list)
    for delivery in deliveries:
        event = parser.parse(delivery.body)
        kinds[event.type].append(event.payload)
    schemas = {kind: compile_schema(learned(payloads)) for kind, payloads in kinds.items()}
    types = {
        kind: TypedSchemas().of(schema.root) or schema.check for kind, schema in schemas.items()
    }
    metrics, now, log = Metrics(), utc_now(), structlog.get_logger("budget")

    def events() -> list[Event]:
        return [parser.parse(delivery.body) for delivery in deliveries]

    def checked() -> list[tuple[Event, Any]]:
        return [(event, schemas[event.type].check(event.payload)) for event in events()]

    def filled() -> list[tuple[Event, Filled]]:
        return [(event, fill(event.payload, check)) for event, check in checked()]

    def document(event: Event, filling: Filled) -> dict[str, Any]:
        stamp = Stamp(event.type, 1, 1, now, now, filling.positions)
        return layout("0" * 64, event, stamp)

    def count(_number: int) -> None:
        metrics.count(SECRETS, secret="current")
        metrics.observe(DURATION, 0.003, outcome="processed")

    one = channel(metrics)
    return {
        "frame": cost(lambda request: framed([request]), lambda: requests),
        "environ, Falcon, webhook, answer": cost(
            lambda request: Task(one, request).service(), lambda: framed(requests)
        ),
        "of these, metrics": cost(count, lambda: range(_COUNT)),
        "HMAC": cost(lambda each: verify(each, scheme, secrets, now), lambda: deliveries),
        "parse": cost(lambda each: parser.parse(each.body), lambda: deliveries),
        "check by types": cost(lambda event: types[event.type](event.payload), events),
        "or the walk": cost(lambda event: schemas[event.type].check(event.payload), events),
        "fill": cost(lambda each: fill(each[0].payload, each[1]), checked),
        "_id": cost(lambda event: document_id(event.type, event.id, event.digest), events),
        "lay out": cost(lambda each: document(*each), filled),
        "encode": cost(encode, lambda: [document(*each) for each in filled()]),
        "log": cost(lambda number: log.debug("processed", delivery=number), lambda: range(_COUNT)),
    }


def cost(step: Callable[[Any], object], prepare: Callable[[], Iterable[Any]]) -> float:
    """Microseconds of one; what is prepared anew for each run does not count."""
    taken = []
    for _ in range(_RUNS):
        given = list(prepare())
        began = process_time()
        for each in given:
            step(each)
        taken.append(process_time() - began)
    return min(taken) / _COUNT * 1e6


def main(names: list[str]) -> None:
    logs.configure("info", "json", sys.stderr)
    found = {name: steps(name) for name in names or SETS}
    print(f"{'CPU us a request':34}" + "".join(f"{name:>10}" for name in found))
    for step in next(iter(found.values())):
        print(f"{step:34}" + "".join(f"{each[step]:10.1f}" for each in found.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
