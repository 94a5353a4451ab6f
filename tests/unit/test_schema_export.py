"""Exports describe every payload as it is stored."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.schema.compiled import compile_schema
from consumer.schema.defaults import fill
from consumer.schema.export import json_schema, mongo_schema
from consumer.schema.paths import to_text
from consumer.schema.policy import Defaults
from tests.strategies import learn, payloads

PYTHON = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    """The keywords of JSON Schema that the export uses, by their specification."""
    assert schema.keys() <= {
        "$schema", "title", "type", "properties", "additionalProperties", "items",
    }  # fmt: skip
    types = schema.get("type")
    names = [types] if isinstance(types, str) else types
    if names is not None and not any(PYTHON[name](value) for name in names):
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        return all(is_valid(child, properties.get(key, others)) for key, child in value.items())
    if isinstance(value, list):
        return all(is_valid(child, schema.get("items", {})) for child in value)
    return True


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
