"""Prepare thousands of distinct signed requests, so that measuring costs the client nothing."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

from consumer.demo.samples.scenario import traffic
from consumer.http.webhook import ROUTE
from consumer.ingest.signature import SignatureScheme, sign

SECRET = "the secret of the benchmark"
_NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
_NOTE = "The customer asked for a call back about the invoice of last month. "


def requests(count: int, size: int, seed: int = 1, subjects: int = 0) -> list[bytes]:
    """`count` whole POST requests whose bodies are about `size` bytes, the same for the same seed.

    With `subjects`, the event types are that many instead of the six of the samples.
    """
    scheme = SignatureScheme()
    return [
        _request(body, sign(scheme, SECRET.encode(), body, _NOON))
        for body in islice(_bodies(count, size, seed, subjects), count)
    ]


def save(prepared: list[bytes], path: Path) -> None:
    path.write_bytes(pickle.dumps(prepared))


def load(path: Path) -> list[bytes]:
    prepared: list[bytes] = pickle.loads(path.read_bytes())
    return prepared


def _bodies(count: int, size: int, seed: int, subjects: int) -> Iterator[bytes]:
    for number, sample in enumerate(traffic(seed, count, lambda: _NOON)):
        payload = json.loads(sample)
        if subjects:
            payload["type"] = f"{payload['type']}.{number % subjects}"
        missing = size - len(sample)
        if missing > 2000:
            # A long event is a transcript rather than one long text.
            lines = missing // 130
            payload["transcript"] = [
                {"speaker": "agent", "second": 7 * line, "confidence": 0.97, "text": _NOTE}
                for line in range(lines)
            ]
        elif missing > 20:
            payload["notes"] = (_NOTE * (missing // len(_NOTE) + 1))[: missing - 12]
        yield json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


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
