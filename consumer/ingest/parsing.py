"""Read a verified body as an event: strict JSON with an id and a type."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from consumer.core.delivery import Event, body_digest
from consumer.core.errors import MalformedJson, MissingFields, Rejected, TooDeep, Unstorable

_MISSING = object()
_SCALARS = frozenset({str, int, float, bool, type(None)})
_GZIP = b"\x1f\x8b"
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class EventFields:
    """Places of id and type: a key of the top level, or a JSON Pointer (RFC 6901) from `/` on."""

    id: str = "id"
    type: str = "type"


class EventParser:
    """Turns bodies into events; holds the compiled field look-ups and the depth limit (levels of
    nesting, the payload object being 1)."""

    def __init__(self, fields: EventFields, max_depth: int) -> None:
        self._fields = fields
        self._id = pointer(fields.id)
        self._type = pointer(fields.type)
        self._max_depth = max_depth

    def parse(self, body: bytes, original: bytes | None = None) -> Event:
        """The event in `body`; its digest is that of `original` when `body` is a repaired copy.

        Raises MalformedJson, MissingFields, Unstorable or TooDeep.
        """
        payload = self._object(body)
        event_id = self._id(payload)
        event_type = self._type(payload)
        if not _is_id(event_id) or not _is_type(event_type):
            raise MissingFields(
                f"Missing required CXone fields: {self._fields.id}, {self._fields.type}"
            )
        digest = body_digest(body if original is None else original)
        return Event(id=event_id, type=str(event_type), payload=payload, digest=digest)

    def identify(self, body: bytes) -> tuple[str | int | float | None, str | None]:
        """Id and type of a body that is no event, as far as they can be read; never raises."""
        try:
            payload = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None, None
        if type(payload) is not dict:
            return None, None
        event_id = self._id(payload)
        return event_id if _is_id(event_id) else None, self.type_of(payload)

    def type_of(self, payload: dict[str, Any]) -> str | None:
        """The type of a payload that may be no event."""
        found = self._type(payload)
        return str(found) if _is_type(found) else None

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            payload = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _parsing_error(body, self._max_depth) from error
        # Counting brackets is a cheap upper bound: few bodies ever need the walk.
        if body.count(b"{") + body.count(b"[") > self._max_depth and deeper_than(
            payload, self._max_depth
        ):
            raise too_deep(self._max_depth)
        # NUL reaches a key only through this escape; BSON ends a key there, so it would be cut.
        if b"\\u0000" in body and _nul_in_key(payload):
            raise Unstorable("a key holds the character NUL, which MongoDB cannot keep")
        if type(payload) is not dict:
            raise MissingFields(
                f"Missing required CXone fields: {self._fields.id}, {self._fields.type}"
                " (the body is JSON, but not an object)"
            )
        return payload


def pointer(field: str) -> Callable[[dict[str, Any]], Any]:
    """A look-up of `field` in a payload; it returns a private marker where the field is missing."""
    if not field.startswith("/"):
        return lambda payload: payload.get(field, _MISSING)
    steps = [step.replace("~1", "/").replace("~0", "~") for step in field[1:].split("/")]

    def follow(payload: dict[str, Any]) -> Any:
        value: Any = payload
        for step in steps:
            if type(value) is dict:
                value = value.get(step, _MISSING)
            elif type(value) is list and step.isascii() and step.isdecimal() and len(step) < 7:
                value = value[int(step)] if int(step) < len(value) else _MISSING
            else:
                return _MISSING
        return value

    return follow


def deeper_than(value: Any, limit: int) -> bool:
    """True if containers nest more than `limit` levels; iterative, for the input is hostile."""
    level: list[Any] = [value]
    depth = 0
    # The types of many values are found faster than the values are visited.
    while not _SCALARS.issuperset(map(type, level)):
        depth += 1
        if depth > limit:
            return True
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        level = below
    return False


def _nul_in_key(value: Any) -> bool:
    """True if any key holds NUL; for a value that is known not to nest too deep."""
    if type(value) is dict:
        return any("\0" in key or _nul_in_key(item) for key, item in value.items())
    return type(value) is list and any(map(_nul_in_key, value))


def too_deep(limit: int) -> TooDeep:
    return TooDeep(f"JSON nests deeper than the {limit} levels that can be stored")


def _is_id(value: object) -> bool:
    """A non-empty string or a finite number; true, null and containers are none."""
    if type(value) is str:
        return value != ""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_type(value: object) -> bool:
    """A non-empty string, or an integer as some vendors number their event types."""
    return (type(value) is str and value != "") or type(value) is int


def _parsing_error(body: bytes, max_depth: int) -> Rejected:
    """The reason why strict reading refused `body`, by the standard library: it also reads what
    JSON allows and BSON cannot hold (1e400, lone surrogates), and gives the position of a fault."""
    try:
        json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_bounded_int)
    except UnicodeDecodeError as error:
        # Never unpacked: a few bytes could become gigabytes, and no sender of ours compresses.
        fault = "compressed (gzip): send it plain" if body.startswith(_GZIP) else "not UTF-8"
        return MalformedJson(f"Malformed JSON: {fault}", error.start)
    except json.JSONDecodeError as error:
        position = len(error.doc[: error.pos].encode("utf-8", "surrogatepass"))
        return MalformedJson(f"Malformed JSON: {error.msg}", position)
    except RecursionError:
        return too_deep(max_depth)
    except _ConstantError:
        return MalformedJson("Malformed JSON: NaN and Infinity are not JSON")
    return Unstorable("JSON holds a number out of range or half a surrogate pair")


class _ConstantError(ValueError):
    pass


def _refuse_constant(name: str) -> Any:
    raise _ConstantError(name)


def _bounded_int(_digits: str) -> int:
    # Only the grammar matters here; Python refuses to convert more than 4,300 digits.
    return 0
