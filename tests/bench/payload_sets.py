"""Make the bodies that benchmarks send, the same for the same seed, in sets that differ in kind.

`uniform`: the samples of the demo, about `size` bytes each, of few shapes. `varied`: 700 to 1,200
bytes of six types, in which most fields may be absent: 20,000 events have 13,000 different sets of
fields out of 111 paths, so nearly each is filled. `digital`: what a digital channel sends, 5 to
8 KB with 150 to 300 paths, 12 levels deep, with nulls and empty arrays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import Any

from consumer.demo.samples.scenario import traffic

Payload = dict[str, Any]

_NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
_NOTE = "The customer asked for a call back about the invoice of last month. "
_TYPES = (
    "voice.call_offered",
    "voice.call_released",
    "agent.status_reported",
    "ticket.revised",
    "queue.depth_sampled",
    "survey.answered",
)
# Of a type of `varied`, beside the nine paths of all types, which are always there.
_OPTIONAL, _SHARE = 13, 0.646
_WORDS = ("queue", "agent", "skill", "media", "route", "wrap", "hold", "park", "line", "team")
_TEXTS = ("inbound", "billing", "Zoë Brandt", "en-US", "8c2f71d0-4be1", "callback wanted")
# Of `digital`: groups of fields, of which so many are always there.
_GROUPS, _ALWAYS = 19, 8
_DEPTH = 12


def uniform(count: int, seed: int, size: int = 1000, subjects: int = 0) -> Iterator[Payload]:
    """With `subjects`, the event types are that many instead of the six of the samples."""
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
        yield payload


def varied(count: int, seed: int) -> Iterator[Payload]:
    random = Random(seed)
    for number in range(count):
        yield _varied(random, number)


def digital(count: int, seed: int) -> Iterator[Payload]:
    random = Random(seed)
    for number in range(count):
        yield _digital(random, number)


SETS: Mapping[str, Callable[[int, int], Iterator[Payload]]] = MappingProxyType(
    {"uniform": uniform, "varied": varied, "digital": digital}
)


def evolving(payloads: Iterator[Payload]) -> Iterator[Payload]:
    """The same, each with a field that none before it had."""
    for number, payload in enumerate(payloads):
        yield {**payload, "id": f"evolving-{payload['id']}", f"added_{number}_later": number}


def encoded(payload: Payload) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _varied(random: Random, number: int) -> Payload:
    kind = random.randrange(len(_TYPES))
    payload: Payload = {
        "id": f"evt-{random.getrandbits(64):016x}-{number}",
        "type": _TYPES[kind],
        "timestamp": f"2026-01-01T12:{number % 60:02}:{number // 60 % 60:02}.{number % 1000:03}Z",
        "tenantId": "11ee5c3e-7d4b-4bd0-b5f7-0242ac110004",
        "businessUnit": 4592311,
    }
    details: Payload = {"contactId": 419330000000 + number, "masterContactId": 419330000000}
    for position, field in enumerate(_optional(kind)):
        if random.random() < _SHARE:
            details[field] = _value(random, position)
    payload["details"] = details
    payload["notes"] = (_NOTE * 7)[: random.randrange(340, 440)]
    return payload


@lru_cache
def _optional(kind: int) -> tuple[str, ...]:
    """The fields that a type may have."""
    own = _TYPES[kind].partition(".")[2].title().replace("_", "")
    return tuple(
        f"{_WORDS[n % 10]}{_WORDS[(3 * n + kind) % 10].title()}{own}{n}" for n in range(_OPTIONAL)
    )


def _value(random: Random, position: int) -> Any:
    if position < 2:
        return {"code": random.randrange(100), "text": random.choice(_TEXTS)}
    if position % 3 == 0:
        return random.randrange(1_000_000)
    return random.choice(_TEXTS) if position % 3 == 1 else random.random() < 0.5


def _digital(random: Random, number: int) -> Payload:
    payload: Payload = {
        "id": f"dfo-{random.getrandbits(64):016x}-{number}",
        "type": ("MessageCreated", "CaseStatusChanged")[number % 2],
        "createdAt": "2026-01-01T12:00:00.000Z",
        "createdAtWithMilliseconds": "2026-01-01T12:00:00.123Z",
    }
    data: Payload = {}
    for group in range(_GROUPS):
        if group < _ALWAYS or random.random() < 0.7:
            data[f"{_WORDS[group % 10]}Of{_WORDS[group * 3 % 10].title()}{group}"] = _group(
                random, group
            )
    nested: Payload = {"reached": True}
    for level in range(_DEPTH - 3):
        nested = {f"level{_DEPTH - level}": nested, "position": level}
    data["routing"] = nested
    payload["data"] = data
    return payload


def _group(random: Random, group: int) -> Payload:
    found: Payload = {
        "id": f"{random.getrandbits(48):012x}",
        "idOnExternalPlatform": f"{random.getrandbits(128):032x}",
        "content": (_NOTE * 3)[: random.randrange(60, 180)],
        "isRead": random.random() < 0.5,
        "revision": random.randrange(40),
        "deletedAt": None,
        "tags": [],
        "recipients": [{"kind": "to", "name": random.choice(_TEXTS)} for _ in range(group % 3)],
    }
    if random.random() < 0.7:
        found["authorUser"] = {"agentId": random.randrange(10**6), "nickname": "Siobhán O'Dwyer"}
    if random.random() < 0.6:
        found["sentiment"] = random.choice((None, 0.25, 0.75))
    return found
