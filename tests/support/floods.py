"""Events that no schema should follow, and large ones that it must: each a list of payloads."""

from __future__ import annotations

import random
import uuid
from typing import Any

Payload = dict[str, Any]

_KINDS: tuple[Any, ...] = ("text", 1, 1.5, True, None, ["x"], [{"a": 1, "b": 2}])


def _key(chance: random.Random) -> str:
    return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=12))


def wide(keys: int = 10_000) -> list[Payload]:
    """Two events with so many random keys, each of one of several types."""
    chance = random.Random("wide")
    return [
        {
            "id": f"wide-{number}",
            "type": "flood.wide",
            **{_key(chance): chance.choice(_KINDS) for _ in range(keys)},
        }
        for number in range(2)
    ]


def drip(events: int = 5_000) -> list[Payload]:
    """Events with one new random key each."""
    chance = random.Random("drip")
    return [
        {"id": f"drip-{number}", "type": "flood.drip", "n": number, _key(chance): "new"}
        for number in range(events)
    ]


def maps(events: int = 200, keys: int = 50) -> list[Payload]:
    """Events with maps whose keys are new UUIDs in every event, at two levels."""
    chance = random.Random("maps")

    def one() -> str:
        return str(uuid.UUID(int=chance.getrandbits(128)))

    return [
        {
            "id": f"maps-{number}",
            "type": "flood.maps",
            "participants": {
                one(): {"role": "agent", "legs": {one(): {"ms": number}}} for _ in range(keys)
            },
        }
        for number in range(events)
    ]


def deep(levels: int = 90) -> list[Payload]:
    """One event nested so deep through objects, one through arrays and objects in turn."""
    inside: Any = "the bottom"
    mixed: Any = "the bottom"
    for level in range(levels - 1):
        inside = {"in": inside}
        mixed = [mixed] if level % 2 else {"in": mixed}
    return [
        {"id": "deep-0", "type": "flood.deep", "tree": inside},
        {"id": "deep-1", "type": "flood.deep", "tree": mixed},
    ]


def types(count: int = 3_000) -> list[Payload]:
    """One event of each of so many types."""
    return [
        {"id": f"types-{number}", "type": f"flood.type-{number}", "n": number}
        for number in range(count)
    ]


def record(levels: int = 12, width: int = 52) -> Payload:
    """A real record: over 700 paths of all types over 12 levels."""
    payload: Payload = {}
    for level in reversed(range(levels)):
        fields = {f"field_{level}_{n}": _KINDS[n % len(_KINDS)] for n in range(width)}
        payload = {**fields, "nested": payload} if payload else fields
    return payload


def large() -> list[Payload]:
    """Events of that record, and one that lacks its inner half."""
    whole = record()
    half = {key: value for key, value in whole.items() if key != "nested"}
    return [
        {"id": "large-0", "type": "real.large", **whole},
        {"id": "large-1", "type": "real.large", **half},
    ]


def many(subjects: int = 900) -> list[Payload]:
    """Two events of each of so many types, the second with a field more."""
    return [
        {"id": f"many-{number}-{turn}", "type": f"real.type-{number}", **record(2, 5 + turn)}
        for turn in range(2)
        for number in range(subjects)
    ]
