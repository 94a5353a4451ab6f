"""Prepare thousands of distinct signed requests, so that measuring costs the client nothing."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from consumer.http.webhook import ROUTE
from consumer.ingest.signature import SignatureScheme, sign
from tests.bench.payload_sets import Payload, encoded, uniform

SECRET = "the secret of the benchmark"
_NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def requests(count: int, size: int, seed: int = 1, subjects: int = 0) -> list[bytes]:
    """`count` whole POST requests whose bodies are about `size` bytes, the same for the same seed.

    With `subjects`, the event types are that many instead of the six of the samples.
    """
    return signed(uniform(count, seed, size, subjects))


def signed(payloads: Iterable[Payload]) -> list[bytes]:
    """A whole POST request for each."""
    scheme, key = SignatureScheme(), SECRET.encode()
    bodies = map(encoded, payloads)
    return [_request(body, sign(scheme, key, body, _NOON)) for body in bodies]


def save(prepared: list[bytes], each_second: list[bytes], path: Path) -> None:
    path.write_bytes(pickle.dumps((prepared, each_second)))


def load(path: Path) -> tuple[list[bytes], list[bytes]]:
    """The requests, and those of which one is sent each second between them."""
    prepared: tuple[list[bytes], list[bytes]] = pickle.loads(path.read_bytes())
    return prepared


def _request(body: bytes, signature: dict[str, str]) -> bytes:
    lines = [
        f"POST {ROUTE} HTTP/1.1",
        "Host: 127.0.0.1:8080",
        "User-Agent: CXone-DataAction/1.0",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in signature.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
