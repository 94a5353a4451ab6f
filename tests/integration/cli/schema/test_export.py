"""`schema export` describes what is stored."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure, WriteError

from consumer.core.paths import is_reserved
from tests.support.schema_shell import Document, Shell, event, post
from tests.support.service import Client
from tests.unit.schemas.test_export import is_valid

SENT = [
    event(1, "evolving", a=1, skills=[{"level": 1}, None], open=None, big=2**63),
    event(2, "evolving", a=1.5, skills=None, **{"a.b": 1, "": {"x": 1}, "$set": 1, "_id": 5}),
    event(3, "evolving", a=None, agent={"x": "y"}, by={"4711": 1, "4712": None}),
    event(4, "evolving", a=-(2**63), agent=None, by={"4713": 5}, open={"now": []}),
]


def payload_of(document: Document) -> Document:
    """The payload part of a stored document; what BSON has beyond JSON as JSON would be."""
    plain = json.loads(json.dumps(document, default=lambda value: int(str(value))))
    shadowed = {each["name"]: each["value"] for each in plain["_meta"].get("shadowed", [])}
    return {**{k: v for k, v in plain.items() if not is_reserved(k)}, **shadowed}


def test_the_exported_json_schema_describes_every_stored_payload(
    service: Client, shell: Shell, tmp_path: Path
) -> None:
    post(service, *SENT)
    status, out, err = shell("export", "evolving", "--out", str(tmp_path / "schema.json"))
    schema = json.loads((tmp_path / "schema.json").read_text(encoding="utf-8"))

    assert (status, out) == (0, "")
    assert "Wrote version" in err
    assert json.loads(shell("export", "evolving")[1]) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    stored = list(shell.database["events"].find({}, {"processed_at": 0, "_meta.received_at": 0}))
    assert len(stored) == 4
    assert all(is_valid(payload_of(document), schema) for document in stored)
    assert not is_valid({"skills": [{"level": "x"}]}, schema)


def test_the_exported_validator_is_taken_by_mongodb_and_by_all_that_is_stored(
    service: Client, shell: Shell
) -> None:
    post(service, *SENT, event(9, "case", a="text", skills=True))
    status, out, err = shell("export", "evolving", "--format", "mongodb")
    found = shell.json("export", "evolving", "--format", "mongodb")

    while True:
        try:
            shell.database.command("collMod", "events", validator=json.loads(out))
            break
        except OperationFailure as error:
            # The service that has just started may still be making its indexes.
            assert error.code == 12587
            time.sleep(0.05)
    for document in shell.database["events"].find():
        shell.database["events"].replace_one({"_id": document["_id"]}, document)
    with pytest.raises(WriteError):
        shell.database["events"].insert_one({"_meta": {"subject": "evolving"}, "skills": True})

    assert status == 0
    assert sorted(found["left_out"]) == sorted(['"a.b"', '""', "$set", "_id"])
    assert all(f"left out, for a validator cannot speak of it: {name}" in err
               for name in found["left_out"])  # fmt: skip
    assert found["schema"] == json.loads(out)
