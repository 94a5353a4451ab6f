"""Take one POST: read its bounded body, pass it on as a Delivery, answer its Outcome."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Protocol

import falcon

from config.sources import MAIN_PATH
from consumer.core.delivery import MAIN, Delivery, Outcome
from consumer.core.errors import Rejected, SignatureError
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DURATION
from consumer.http import probe
from consumer.http.client_address import Clients
from consumer.http.errors import Resource
from consumer.http.headers import EnvironHeaders

ROUTE = MAIN_PATH


def routes_of(path: str) -> tuple[str, str]:
    """A source's path, and the same with the slash that proxies and people add."""
    return path, f"{path}/"


class Receiver(Protocol):
    """Decides what becomes of a delivery: `consumer.ingest.ingest.Ingest`."""

    def receive(self, delivery: Delivery) -> Outcome: ...

    def verify(self, delivery: Delivery) -> Delivery: ...


class Webhook(Resource):
    """The route that one source posts to."""

    def __init__(
        self,
        *,
        ingest: Receiver,
        metrics: Metrics,
        clock: Callable[[], datetime],
        max_body_bytes: int,
        clients: Clients,
        source: str = MAIN,
        kept: frozenset[str] = frozenset(),
        hidden: frozenset[str] = frozenset(),
        credential_header: str = "",
    ) -> None:
        """`kept` and `hidden`: headers that stay with a delivery, and that never do;
        `credential_header`: that of a proof that does not cover the body."""
        self._credential_header = credential_header
        self._source = source
        self._clients = clients
        self._ingest = ingest
        self._metrics = metrics
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._kept = kept
        self._hidden = hidden
        # Unlike the ids of other processes and runs, and cheaper than a random one for each.
        self._prefix = token_hex(8)
        self._numbers = count(1)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        started = perf_counter()
        end = "unavailable"
        try:
            delivery = Delivery(
                id=f"{self._prefix}{next(self._numbers):016x}",
                body=self._body(req),
                headers=EnvironHeaders(req.env, self._kept, self._hidden),
                received_at=self._clock(),
                peer=self._clients.peer(req.env),
                source=self._source,
            )
            if probe.is_suspect(delivery) and self._answer_probe(delivery, resp):
                end = "canary"
                return
            outcome = self._ingest.receive(delivery)
            end = outcome.status
            _answer(outcome, resp)
        except falcon.HTTPContentTooLarge:
            end = "too_large"
            raise
        except SignatureError:
            end = "refused"
            raise
        except Rejected:
            end = "rejected"
            raise
        finally:
            source = self._source
            self._metrics.observe(DURATION, perf_counter() - started, source=source, outcome=end)

    def _body(self, req: falcon.Request) -> bytes:
        """The body, refused by its length before it is read.

        Our server has refused larger ones by then, for every route and before they are in memory,
        and has given chunked ones a length. This bound holds under any other WSGI server: there a
        body without a length reads as empty, never as an unbounded one.
        """
        limit = self._max_body_bytes
        length = req.content_length or 0
        if length > limit:
            raise falcon.HTTPContentTooLarge(
                title="Payload too large", description=f"At most {limit} bytes are taken."
            )
        # Falcon's bounded stream does the same in Python.
        body: bytes = req.env["wsgi.input"].read(length)
        return body

    def _answer_probe(self, delivery: Delivery, resp: falcon.Response) -> bool:
        """Answer a probe with its report; False for a delivery like any other."""
        verdict: Delivery | SignatureError
        try:
            verdict = self._ingest.verify(delivery)
        except SignatureError as error:
            verdict = error
        answer = probe.answer(delivery, verdict, self._credential_header)
        if answer is not None:
            resp.status, resp.media = answer
        return answer is not None


def _answer(outcome: Outcome, resp: falcon.Response) -> None:
    if outcome.schema_version is None:
        resp.status = falcon.HTTP_202
        resp.data = b'{"status":"%s"}' % outcome.status.encode()
    else:
        resp.data = b'{"status":"%s","schema_version":%d}' % (
            outcome.status.encode(),
            outcome.schema_version,
        )
