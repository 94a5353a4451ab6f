"""Hand-written payloads that drift as real systems do: kept as sent, every change told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from consumer.core.paths import RESERVED, to_text
from consumer.schemas.defaults import unfill
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.places import PAYLOADS
from tests.support.service import running_service

Db = Database[dict[str, Any]]
SERIES = sorted({path.parent for path in PAYLOADS.rglob("*.json")})
ENVELOPE = {"cxone_id_field": "eventId", "cxone_type_field": "eventType"}


def plain(value: Any) -> Any:
    """A document read raw as ordinary values, so that nothing in it is taken for a reference."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return int(value.to_decimal()) if type(value).__name__ == "Decimal128" else value


def stored(database: Db) -> Iterator[dict[str, Any]]:
    raw = database["events"].with_options(CodecOptions(document_class=RawBSONDocument))
    return (plain(document) for document in raw.find())


def sent_again(document: dict[str, Any], registry: SchemaRegistry) -> dict[str, Any]:
    """The payload as it was sent, from what is stored alone."""
    meta = document["_meta"]
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    head = registry.head(meta["subject"])
    assert head is not None
    unfill(payload, meta.get("filled", []), head)
    shadowed = {item["name"]: item["value"] for item in meta.get("shadowed", [])}
    return {**payload, **shadowed}


def told_change(change: Mapping[str, Any]) -> str:
    was, now = (" | ".join(change[end] or ()) or "null" for end in ("from", "to"))
    return f"{change['class']} {to_text(tuple(change['path']))}: {was} -> {now}"


@pytest.mark.parametrize("series", SERIES, ids=lambda path: path.name)
def test_series_is_stored_as_sent_and_its_versions_have_no_gap(
    mongod_uri: str, database: Db, series: Path
) -> None:
    bodies = [path.read_bytes() for path in sorted(series.glob("*.json"))]
    settings = ENVELOPE if series.parent.name == "eventId-eventType" else {}

    with running_service(mongod_uri, database.name, **settings) as client:
        answers = [client.post(body).json for body in bodies]
        registry = client.service.shared.registry
        kept = {
            document["_meta"]["digest"]: sent_again(document, registry)
            for document in stored(database)
        }

    assert [answer["status"] for answer in answers] == ["processed"] * len(bodies)
    assert kept == {hashlib.sha256(body).hexdigest(): json.loads(body) for body in bodies}
    versions = [answer["schema_version"] for answer in answers]
    assert versions == sorted(versions)
    numbers = database["schema_versions"].distinct("_id.version")
    assert numbers == list(range(1, versions[-1] + 1))


@pytest.mark.parametrize(
    ("series", "change"),
    [
        ("contact.created", "type_widened agent: null -> object"),
        ("contact.ended", "type_widened durations"),
        ("contact.ended", "type_conflict"),
        ("message.received", "type_widened"),
        ("case.updated", "became_map"),
        ("agent.state_changed", "field_added"),
    ],
)
def test_drift_of_a_series_is_told_as_what_it_is(
    mongod_uri: str, database: Db, series: str, change: str
) -> None:
    with running_service(mongod_uri, database.name) as client:
        for path in sorted((PAYLOADS / series).glob("*.json")):
            client.post(path.read_bytes())
        history = client.service.shared.registry.history(series)
        told = [
            told_change(change.to_document())
            for version in list(history)[1:]
            for change in version.changes
        ]

    assert any(text.startswith(change) for text in told), "\n".join(told)
