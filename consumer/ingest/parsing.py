"""Read a verified body as an event: strict JSON with an id and a type."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from config.signing import CONST, HEADER
from consumer.core.delivery import MAIN, MOST_OF_HEADER, Event, Scalar, body_digest, joined
from consumer.core.errors import MalformedJson, MissingFields, Rejected, TooDeep, Unstorable

_MISSING = object()
_SCALARS = frozenset({str, int, float, bool, type(None)})
_GZIP = b"\x1f\x8b"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Keys that senders have for the same, looked for where an event lacks its own.
_ALIASES = {
    "id": ("id", "eventId", "eventID", "event_id", "EventId", "Id", "ID"),
    "type": ("type", "eventType", "event_type", "EventType", "Type"),
}
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class EventFields:
    """Places of id and type: a key of the top level, a JSON Pointer (RFC 6901) from `/` on,
    `header:NAME` or `const:TEXT`; of the id also several, joined. `prefix` stands before each
    type."""

    id: str | tuple[str, ...] = "id"
    type: str = "type"
    prefix: str = ""

    @property
    def places(self) -> tuple[str, ...]:
        """The places of the id and of the type."""
        return (*((self.id,) if isinstance(self.id, str) else self.id), self.type)

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the headers among the places."""
        return tuple(
            place.removeprefix(HEADER) for place in self.places if place.startswith(HEADER)
        )


class EventParser:
    """Turns bodies of one source into events; holds the compiled field look-ups and the depth limit
    (levels of nesting, the payload object being 1)."""

    def __init__(self, fields: EventFields, max_depth: int, source: str = MAIN) -> None:
        self._fields = fields
        self._id = _id_of(fields.id)
        self._type = _look_up(fields.type)
        self._max_depth = max_depth
        self._source = source
        places = ", ".join(place for place in fields.places if not place.startswith(CONST))
        self._missing = f"Missing required CXone fields: {places}"

    def parse(
        self,
        body: bytes,
        original: bytes | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Event:
        """The event in `body`; its digest is that of `original` when `body` is a repaired copy.
        `headers` are those it came with, where id or type stand there.

        Raises MalformedJson, MissingFields, Unstorable or TooDeep.
        """
        payload = self._object(body)
        event_id = self._id(payload, headers)
        event_type = self._type(payload, headers)
        if event_id is None or not _is_type(event_type):
            raise MissingFields(self._missing, self._advice(payload, headers))
        return Event(
            id=event_id,
            type=f"{self._fields.prefix}{event_type}",
            payload=payload,
            digest=body_digest(body if original is None else original),
            source=self._source,
        )

    def identify(
        self, body: bytes, headers: Mapping[str, str] = _NO_HEADERS
    ) -> tuple[Scalar | None, str | None]:
        """Id and type of a body that is no event, as far as they can be read; never raises."""
        try:
            payload = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            payload = {}
        if type(payload) is not dict:
            payload = {}
        event_id = self._id(payload, headers)
        if event_id is None and isinstance(self._fields.id, tuple):
            # Null stands for those that are missing.
            looked = (_look_up(place)(payload, headers) for place in self._fields.id)
            parts = [found if _is_id(found) else None for found in looked]
            event_id = json.dumps(parts) if any(part is not None for part in parts) else None
        key = joined(event_id) if isinstance(event_id, tuple) else event_id
        return key, self.type_of(payload, headers)

    def type_of(
        self, payload: dict[str, Any], headers: Mapping[str, str] = _NO_HEADERS
    ) -> str | None:
        """The type of a payload that may be no event."""
        found = self._type(payload, headers)
        return f"{self._fields.prefix}{found}" if _is_type(found) else None

    def _advice(self, payload: dict[str, Any], headers: Mapping[str, str]) -> str:
        """Other places where id or type may stand than the settings say; "" where unknown. It
        names keys that we looked for, and nothing else of the payload."""
        found: list[str] = []
        for what, is_one in (("id", _is_id), ("type", _is_type)):
            setting = f"sources.{self._source}.{what}"
            if self._source == MAIN:
                setting = f"CXONE_{what.upper()}_FIELD"
            places = self._fields.places[:-1] if what == "id" else self._fields.places[-1:]
            for place in places:
                if is_one(_look_up(place)(payload, headers)):
                    continue
                if place.startswith(HEADER):
                    found.append(f"there was no header {place.removeprefix(HEADER)}")
                    continue
                dotted = "/" + place.replace(".", "/")
                for other in (dotted, *_ALIASES[what]):
                    if other != place and is_one(pointer(other)(payload)):
                        what_is = "is one key with dots" if other == dotted else "finds none"
                        found.append(f"{setting}={place} {what_is}, but {other} is there")
                        break
        return "; ".join(found)

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            payload = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _parsing_error(body, self._max_depth) from error
        # Few bodies ever need the walk.
        if may_be_deeper(body, self._max_depth) and deeper_than(payload, self._max_depth):
            raise too_deep(self._max_depth)
        # NUL reaches a key only through this escape; BSON ends a key there, so it would be cut.
        # Most bodies have no escape at all, which is found ten times as fast.
        if b"\\" in body and b"\\u0000" in body and _nul_in_key(payload):
            raise Unstorable("a key holds the character NUL, which MongoDB cannot keep")
        if type(payload) is not dict:
            raise MissingFields(f"{self._missing} (the body is JSON, but not an object)")
        return payload


def _look_up(place: str) -> Callable[[dict[str, Any], Mapping[str, str]], Any]:
    """A look-up in payload and headers; it returns a private marker where there is nothing."""
    if place.startswith(CONST):
        text = place.removeprefix(CONST)
        return lambda _payload, _headers: text
    if place.startswith(HEADER):
        name = place.removeprefix(HEADER)

        def in_header(_payload: dict[str, Any], headers: Mapping[str, str]) -> str:
            value = headers.get(name) or ""
            # Two that are cut could be taken for one.
            return value.strip(" \t") if len(value) < MOST_OF_HEADER else ""

        return in_header
    if not place.startswith("/"):
        # The common one without a detour: this runs twice for each delivery.
        return lambda payload, _headers: payload.get(place, _MISSING)
    in_payload = pointer(place)
    return lambda payload, _headers: in_payload(payload)


def _id_of(
    places: str | tuple[str, ...],
) -> Callable[[dict[str, Any], Mapping[str, str]], Scalar | tuple[Scalar, ...] | None]:
    """A look-up of the id; None where it, or one of several, is none."""
    if isinstance(places, str):
        look = _look_up(places)

        def one(payload: dict[str, Any], headers: Mapping[str, str]) -> Scalar | None:
            found = look(payload, headers)
            return found if _is_id(found) else None

        return one
    looks = [_look_up(place) for place in places]

    def several(payload: dict[str, Any], headers: Mapping[str, str]) -> tuple[Scalar, ...] | None:
        found = tuple(look(payload, headers) for look in looks)
        return found if all(map(_is_id, found)) else None

    return several


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


def may_be_deeper(body: bytes, limit: int) -> bool:
    """True for every body whose containers nest more than `limit` levels, and for few others.

    That many brackets open before the deepest value and close behind it. So, wherever it stands,
    they open in the first half of the body or close in the second.
    """
    half = len(body) // 2
    opened = body.count(b"{", 0, half) + body.count(b"[", 0, half)
    return opened > limit or body.count(b"}", half) + body.count(b"]", half) > limit


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
