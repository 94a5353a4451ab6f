"""Read stored documents back as the payloads that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import Decimal128
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from consumer.core.paths import RESERVED
from consumer.events.documents import plain
from consumer.mongodb.client import EVENTS
from consumer.schemas.defaults import unfill
from consumer.schemas.model import SchemaVersion

Document = dict[str, Any]

# Not through the driver's own types: {"$ref", "$id"} would come back as something else.
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


def documents(database: Database[Document], query: Mapping[str, Any]) -> list[Document]:
    """The documents of `events` that match, in order of `_id`."""
    events = database[EVENTS].with_options(codec_options=_RAW)
    return [plain(found) for found in events.find(query).sort("_id")]


def payload_part(document: Document) -> Document:
    """The payload of a document as it is stored: with what was filled, and with the keys that had
    to be kept aside; integers beyond 64 bits as integers, for Decimal128 is how they are kept."""
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    shadowed = document["_meta"].get("shadowed", [])
    payload |= {each["name"]: each["value"] for each in shadowed}
    found: Document = _json(payload)
    return found


def sent_part(document: Document, version: SchemaVersion | None) -> Document:
    """The payload of a document as it was sent; `version` is any from the one it is stamped with
    on. Only keys that had to be kept aside have lost their place."""
    payload = payload_part(document)
    filled = document["_meta"].get("filled", [])
    if filled:
        assert version is not None
        unfill(payload, filled, version)
    return payload


def same(one: Any, other: Any) -> bool:
    """Equal in value and type, and in the order of keys."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_json(child) for child in value]
    if isinstance(value, Decimal128):
        return int(value.to_decimal())
    # The driver's 64-bit integer is a subclass, which tells nothing more.
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
