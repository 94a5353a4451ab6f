"""The exported validator holds on a real MongoDB."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from bson.json_util import dumps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import WriteError

from consumer.schema.compiled import compile_schema
from consumer.schema.defaults import fill
from consumer.schema.export import mongo_schema, mongo_validator
from consumer.schema.paths import is_reserved
from consumer.schema.policy import Defaults, Guards
from tests.strategies import learn, payloads

Document = dict[str, Any]


def nested(levels: int) -> Document:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value, "l": [value]} if levels < 6 else {"k": value}
    assert isinstance(value, dict)
    return value


def test_the_validator_refuses_another_type_and_takes_null(database: Database[Document]) -> None:
    schema = mongo_schema(learn([{"a": [{"b": 1}], "m": {"4711": 1, "4712": 1}}])).schema
    events = database.create_collection("checked", validator={"$jsonSchema": schema})

    events.insert_one({"a": [{"b": None}], "m": {"k": 2}, "new": "x"})

    for wrong in ({"a": 1}, {"a": [{"b": "x"}]}, {"m": {"k": "x"}}):
        with pytest.raises(WriteError):
            events.insert_one(wrong)


def test_the_deepest_schema_is_taken_by_the_parser(database: Database[Document]) -> None:
    payload = nested(40)
    exported = mongo_schema(learn([payload], guards=Guards(depth=40)))

    events = database.create_collection("deep", validator={"$jsonSchema": exported.schema})

    events.insert_one(payload)
    assert len(exported.left_out) == 1


def test_the_whole_validator_checks_its_own_subject_alone(database: Database[Document]) -> None:
    payload = nested(40)
    exported = mongo_validator(learn([payload], guards=Guards(depth=40)))
    wrong = {"k": {"k": 1}}

    events = database.create_collection("deep", validator=exported.schema)

    events.insert_one({**payload, "_meta": {"subject": "contact.created"}})
    events.insert_one({**wrong, "_meta": {"subject": "another"}})
    metas: list[Document] = [{"_meta": {"subject": "contact.created"}}, {"_meta": {}}, {}]
    for meta in metas:
        with pytest.raises(WriteError):
            events.insert_one({**wrong, **meta})


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(payloads, min_size=1, max_size=3), st.booleans())
def test_every_stored_payload_passes_the_validator(
    database: Database[Document], events: list[Document], typed: bool
) -> None:
    version = learn(events)
    defaults = Defaults(typed)
    schema = compile_schema(version, defaults)
    database.drop_collection("stored")
    collection = database.create_collection(
        "stored", validator={"$jsonSchema": mongo_schema(version, defaults).schema}
    )

    for event in copy.deepcopy(events):
        fill(event, schema.check(event))
        document = {key: value for key, value in event.items() if not is_reserved(key)}
        if "9223372036854775808" not in dumps(document):
            collection.insert_one(document)
