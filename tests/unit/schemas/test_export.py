"""Exports describe every payload as it is stored."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from consumer.core.paths import to_text
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import fill
from consumer.schemas.export import json_schema, mongo_schema
from consumer.schemas.policy import Defaults
from tests.support.strategies import learn, payloads


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    """By the reference validator."""
    return bool(Draft202012Validator(schema).is_valid(value))


# The first use of the validator reads its meta-schemas.
@settings(max_examples=25, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=4), st.booleans())
def test_every_stored_payload_satisfies_the_json_schema(
    events: list[dict[str, Any]], typed: bool
) -> None:
    version = learn(events)
    defaults = Defaults(typed)
    schema = json_schema(version, defaults)

    for event in copy.deepcopy(events):
        fill(event, compile_schema(version, defaults).check(event))
        assert is_valid(event, schema)
    assert json.loads(json.dumps(schema)) == schema


def test_another_type_does_not_satisfy_it() -> None:
    schema = json_schema(learn([{"a": [{"b": 1}], "m": {"4711": "x", "4712": "x"}}]))

    assert is_valid({"a": [{"b": None}], "new": 1, "m": {"k": "y"}}, schema)
    assert not is_valid({"a": [{"b": "x"}]}, schema)
    assert not is_valid({"m": {"k": 1}}, schema)
    assert not is_valid({"a": 1}, schema)


def test_mapped_defaults_of_another_type_are_allowed() -> None:
    defaults = Defaults(values={("a",): "none yet", ("o",): {"x": [1]}})

    schema = json_schema(learn([{"a": 1, "o": {"y": 1}}]), defaults)

    assert is_valid({"a": "none yet", "o": {"x": [1]}}, schema)
    assert not is_valid({"o": {"x": ["text"]}}, schema)


def test_the_json_schema_reads_naturally() -> None:
    assert json_schema(learn([{"id": 1, "skills": [{"level": 1.5}], "open": None}])) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "contact.created, version 1",
        "type": "object",
        "properties": {
            "id": {"type": ["integer", "null"]},
            "skills": {
                "type": ["array", "null"],
                "items": {
                    "type": ["object", "null"],
                    "properties": {"level": {"type": ["number", "null"]}},
                },
            },
            "open": {},
        },
    }


def test_the_validator_leaves_out_names_that_mongodb_cannot_take_and_lists_them() -> None:
    payload = {"": 1, "a.b": 1, "$x": 1, "_id": 1, "ok": {"_id": 1, "": {"below": 1}, "$y": 1}}

    exported = mongo_schema(learn([payload]))

    assert {to_text(path) for path in exported.left_out} == {
        '""', '"a.b"', "$x", "_id", 'ok.""', "ok.$y",
    }  # fmt: skip
    assert exported.schema["properties"].keys() == {"ok"}
    assert exported.schema["properties"]["ok"]["properties"].keys() == {"_id"}
