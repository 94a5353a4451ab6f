"""Whatever bytes reach the port: 4xx or a closed connection, never 5xx, never a hang."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.ingest.signature import SignatureScheme, sign
from tests.support.senders import Address, exchange, status
from tests.support.service import PATH, SECRET, Client, eventually, running_service

Db = Database[dict[str, Any]]
EVENT = b'{"id":"1","type":"t"}'


@pytest.fixture(scope="module")
def client(mongod_uri: str) -> Iterator[Client]:
    """One service for all: what one request does to it, the next would feel."""
    with running_service(mongod_uri, "hostile_requests") as running:
        yield running
        running.service.shared.client.drop_database("hostile_requests")


def kept(client: Client) -> int:
    """Events and dead letters that are there; what only the last net caught does not count."""
    database = client.service.shared.database
    return database["events"].count_documents({}) + database["dead_letter_queue"].count_documents(
        {"reason": {"$nin": ["store_error", "signature_missing", "signature_invalid"]}}
    )


def signed(body: bytes = EVENT, extra: bytes = b"", path: bytes = PATH.encode()) -> bytes:
    """A good request, whole, after which the connection closes."""
    signature = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    return (
        b"POST %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n%b"
        b"X-Nice-Webhook-Signature: %b\r\n\r\n%b"
        % (path, len(body), extra, signature["X-Nice-Webhook-Signature"].encode(), body)
    )


def statuses(address: Address, requests: list[bytes], timeout: float = 10.0) -> list[int]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda one: status(exchange(address, one, timeout)), requests))


METHODS = b"GET HEAD PUT DELETE PATCH OPTIONS TRACE CONNECT PROPFIND BREW X-Y 0 ~".split()


@pytest.mark.parametrize(
    "path", [PATH, "/", "*", "/x", "h:443", "//x", "/%00", "/healthz/x", "/metrics/", "?", "/?a=%"]
)
def test_methods_and_paths_that_nobody_serves_get_4xx(client: Client, path: str) -> None:
    requests = [
        b"%b %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % (method, path.encode())
        for method in METHODS
    ]

    found = statuses(client.service.server.address, requests)

    assert all(400 <= one < 500 for one in found), dict(zip(METHODS, found, strict=True))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_watches_the_service_is_read_with_get_or_head_alone(client: Client, path: str) -> None:
    requests = [
        b"%b %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % (method, path.encode())
        for method in (*METHODS, b"POST")
    ]

    found = statuses(client.service.server.address, requests)

    assert found[:2] == [200, 200]
    assert all(400 <= one < 500 for one in found[2:]), found


def test_every_byte_in_every_place_of_the_head_is_answered_or_closed(client: Client) -> None:
    before = kept(client)
    places = (
        lambda byte: signed(extra=b"X-Any: a" + byte + b"b\r\n"),
        lambda byte: signed(extra=b"X-A" + byte + b"ny: ab\r\n"),
        lambda byte: signed(extra=b"Content-Type" + byte + b": application/json\r\n"),
        lambda byte: signed(extra=b"Content-Type: " + byte + b"\r\n"),
        lambda byte: signed(extra=b"Accept: " + byte + b"\r\n"),
        lambda byte: signed(path=PATH.encode() + byte),
        lambda byte: signed(path=b"/" + byte + b"webhook"),
        lambda byte: signed(path=PATH.encode() + b"?a" + byte + b"=%" + byte),
        lambda byte: byte + signed(),
        lambda byte: signed().replace(b"POST", b"PO" + byte + b"ST"),
        lambda byte: signed().replace(b"HTTP/1.1", b"HTTP/1." + byte),
        lambda byte: signed().replace(b"\r\n", byte, 1),
    )
    requests = [place(bytes([value])) for place in places for value in range(256)]

    found = statuses(client.service.server.address, requests)

    assert {one // 100 for one in found} <= {0, 2, 4}, Counter(found)
    # Where it is taken it was signed rightly: one event, however often it comes.
    assert kept(client) - before == 1
    assert client.get("/healthz").status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"id":"1","type":"t","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id":"1","type":"t","x":' + b"[" * 500_000,
        b'{"id":"1","type":"t","x":' + b"9" * 1_000_000 + b"}",
        b'{"id":"1","type":"t","x":1e' + b"9" * 1_000_000 + b"}",
        b'{"id":"1","type":"t","x":"' + b"\\" * 1_000_000,
        b'{"id":"' + b"x" * 1_000_000 + b'","type":"' + b"t" * 300 + b'"}',
        b'{"id":"1","type":"' + b"t" * 1_000_000 + b'"}',
        b'{"id":"1","type":"t",' + b",".join(b'"k%d":%d' % (n, n) for n in range(10_000)) + b"}",
        b'{"id":"1","type":"t",' + b",".join(b'"k":%d' % n for n in range(100_000)) + b"}",
        b'{"id":"1","type":"t","x":[' + b",".join([b"{}"] * 300_000) + b"]}",
        b'{"id":"1","type":"t","x":[' + b",".join([b'{"a":0}'] * 120_000) + b"]}",
        b'{"id":"1","type":"t","x":[' + b"0," * 500_000 + b"0]}",
        b'{"id":"1","type":"t",' + b",".join(b'"%d":{}' % n for n in range(50_000)) + b"}",
        b" " * 1_000_000 + b'{"id":"2","type":"t"}',
        b"\xff" * 1_000_000,
        b"\0" * 1_000_000,
        b'"' + b"\\u0000" * 170_000 + b'"',
        json.dumps({"id": "1", "type": "t", "x": "\U0001f426" * 200_000}).encode()[:1_048_576],
    ],
    ids=range(20),
)
def test_signed_monsters_are_kept_as_event_or_dead_letter(client: Client, body: bytes) -> None:
    before = kept(client)

    (found,) = statuses(client.service.server.address, [signed(body)], timeout=30)

    assert found in (200, 202, 400), found
    assert kept(client) - before == 1


def mutated(chance: random.Random) -> bytes:
    """A request that was good until some of its bytes were changed."""
    path = chance.choice((PATH, PATH, PATH, "/healthz", "/metrics", "/readyz", "/x")).encode()
    request = bytearray(
        signed(extra=b"Expect: 100-continue\r\n" * (chance.random() < 0.1), path=path)
    )
    pieces = (
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\xff", b"HTTP/1.0", b"HTTP/9.9"),
        *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"\r\n\r\n", b"//", b"%"),
        *(b"Expect: 100-continue\r\n", b"Connection: keep-alive, close, upgrade\r\n", b"0\r\n\r\n"),
        *(b"Host: [\r\n", b"http://[::1", b"Cookie: " + b"x" * 9000 + b"\r\n", b"?" * 3000),
    )
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(request))
        match chance.randrange(4):
            case 0:
                request[at] = chance.randrange(256)
            case 1:
                del request[at : at + chance.randrange(1, 40)]
            case 2:
                request[at:at] = chance.choice(pieces)
            case _:
                request[at:at] = request[: chance.randrange(len(request))]
        if not request:
            break
    return bytes(request) + chance.choice((b"", b"\r\n\r\n", b"x" * 50, signed()))


def bombard(client: Client, database: Db, count: int, log: pytest.LogCaptureFixture) -> None:
    chance = random.Random(5)
    # What is cut short waits for the rest until its deadline: the exchange gives up before.
    found = Counter(
        statuses(client.service.server.address, [mutated(chance) for _ in range(count)], 0.2)
    )

    print(f"{count} mutated requests: {dict(found)}")
    assert {one // 100 for one in found} <= {0, 1, 2, 4}, found
    assert client.post({"id": "after", "type": "t"}).status == 200
    eventually(lambda: client.service.server.connections == 0)
    # Nothing but the one event was signed.
    assert database["events"].count_documents({}) <= 2
    assert database["dead_letter_queue"].count_documents({"reason": "store_error"}) == 0
    assert [record for record in log.records if record.levelno >= logging.ERROR] == []


@pytest.mark.slow
def test_mutated_requests_are_answered_4xx_or_closed(
    mongod_uri: str, database: Db, caplog: pytest.LogCaptureFixture
) -> None:
    with running_service(mongod_uri, database.name, cxone_request_timeout="2s") as client:
        bombard(client, database, 1500, caplog)


@pytest.mark.faults_full
def test_many_mutated_requests_are_answered_4xx_or_closed(
    mongod_uri: str, database: Db, caplog: pytest.LogCaptureFixture
) -> None:
    with running_service(mongod_uri, database.name, cxone_request_timeout="2s") as client:
        bombard(client, database, 30_000, caplog)
