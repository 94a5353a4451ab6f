"""Lay out an event as the document that is stored, and encode it without altering a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal, Inexact
from typing import Any

import bson
import msgspec
from bson.decimal128 import Decimal128, create_decimal128_context
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from consumer.core.delivery import MAIN, Event
from consumer.core.errors import Unstorable
from consumer.core.paths import RESERVED

_INT64 = range(-(2**63), 2**63)
_MAX_BSON_BYTES = 16 * 1024 * 1024


class Stamp(msgspec.Struct, frozen=True):
    """Metadata that the service has of an event: `_meta`, as
    .github/ARCHITECTURE.md#what-is-stored has it.

    `filled`: positions in the version's `fields` of what was added; `unfilled`: the version up to
    which something was left out on purpose; `untracked`: how many fields a guard kept out of the
    registry; `repairs`: names of repairs made to the body; `unsigned`: which of id and type the
    signature does not cover.
    """

    subject: str
    schema_version: int
    exhibited_version: int
    received_at: datetime
    processed_at: datetime
    filled: Sequence[int] = ()
    unfilled: int = 0
    untracked: int = 0
    repairs: Sequence[str] = ()
    unsigned: Sequence[str] = ()


def storable_id(event_id: str | int | float | None) -> str | int | float | None:
    """The id as a BSON value; an integer beyond 64 bits becomes its text."""
    return str(event_id) if type(event_id) is int and event_id not in _INT64 else event_id


def layout(_id: str, event: Event, stamp: Stamp) -> dict[str, Any]:
    """The document: payload fields at top level as sent, then our own; colliding keys shadowed."""
    payload = event.payload
    shadowed = _shadowed(payload)
    meta: dict[str, Any] = {
        "subject": stamp.subject,
        "received_at": stamp.received_at,
        "digest": event.digest,
        "key": event.key,
        "exhibited_version": stamp.exhibited_version,
        "backfilled_to": stamp.schema_version,
    }
    if stamp.filled:
        meta["filled"] = list(stamp.filled)
    if stamp.unfilled:
        meta["unfilled"] = stamp.unfilled
    if stamp.untracked:
        meta["untracked"] = stamp.untracked
    if shadowed:
        meta["shadowed"] = [{"name": name, "value": payload[name]} for name in shadowed]
        payload = {name: value for name, value in payload.items() if name not in shadowed}
    if stamp.repairs:
        meta["repairs"] = list(stamp.repairs)
    if event.source != MAIN:
        meta["source"] = event.source
    if stamp.unsigned:
        meta["unsigned"] = list(stamp.unsigned)
    return {
        "_id": _id,
        **payload,
        "schema_version": stamp.schema_version,
        "processed_at": stamp.processed_at,
        "_meta": meta,
    }


def _shadowed(payload: dict[str, Any]) -> list[str]:
    """The names that would collide with ours, or that MongoDB reads as an operator."""
    # Two looks clear nearly every payload, however many names it has.
    if payload.keys().isdisjoint(RESERVED) and "$" not in "".join(payload):
        return []
    return [name for name in payload if name in RESERVED or name[:1] == "$"]


def encode(document: Mapping[str, Any]) -> RawBSONDocument:
    """The document as BSON bytes, encoded once; integers beyond 64 bits become Decimal128.

    Raises Unstorable for what BSON cannot hold: so no document can fail its neighbours in a batch.
    """
    try:
        try:
            data = bson.encode(document)
        except OverflowError:
            data = bson.encode(_with_decimals(document, create_decimal128_context()))
    except (BSONError, UnicodeEncodeError) as error:
        # The driver's text quotes the key: payload, so it is not passed on.
        raise Unstorable("a key holds NUL or a string half a surrogate pair") from error
    if len(data) > _MAX_BSON_BYTES:
        raise Unstorable(f"the document is {len(data)} bytes of BSON; MongoDB takes 16 MiB")
    return RawBSONDocument(data)


def _with_decimals(value: Any, context: Context) -> Any:
    """A copy in which integers beyond 64 bits are Decimal128; raises Unstorable when not exact."""
    if isinstance(value, Mapping):
        return {key: _with_decimals(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_decimals(item, context) for item in value]
    if type(value) is int and value not in _INT64:
        with_trap = context.copy()
        with_trap.traps[Inexact] = True
        try:
            return Decimal128(with_trap.create_decimal(Decimal(value)))
        except Inexact:
            raise Unstorable("an integer has more than the 34 digits of Decimal128") from None
    return value


def as_stored(values: Sequence[Any]) -> list[Any]:
    """The values as they are read back from MongoDB: large integers are Decimal128."""
    return list(plain(encode({"values": list(values)}))["values"])


def plain(value: Any) -> Any:
    """Dictionaries and lists of an encoded value, whose other values stay what BSON says."""
    if isinstance(value, RawBSONDocument):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
