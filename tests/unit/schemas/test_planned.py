"""A planned change, said as JSON Schema, is compared with what is known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.errors import SetupError
from consumer.core.paths import to_text
from consumer.readers.verdicts import Sight
from consumer.schemas.export import json_schema
from consumer.schemas.json_types import bits
from consumer.schemas.model import SchemaVersion
from consumer.schemas.planned import read
from consumer.schemas.shape import walk
from tests.support.strategies import learn, payloads


def types(schema: dict[str, Any]) -> dict[str, str]:
    return {to_text(path): "|".join(bits(at.types)) for path, at in walk(read(schema).shape)}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


ANY = "boolean|number|string|object|array"
READ: list[tuple[Any, dict[str, str]]] = [
    ({"type": ["string", "null"]}, {"a": "string"}),
    ({"enum": ["x", 1, None]}, {"a": "integer|string"}),
    ({"const": 1.5}, {"a": "number"}),
    ({"type": "number", "enum": [1]}, {"a": "integer"}),
    ({}, {"a": ANY}),
    (True, {"a": ANY}),
    (False, {}),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"a": "integer"}),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, {"a": "number"}),
    ({"allOf": [{"$ref": "#/$defs/o"}, {"title": "O"}]}, {"a": "object", "a.x": "string"}),
    ({"$ref": "#/$defs/o", "description": "o"}, {"a": "object", "a.x": "string"}),
    (
        {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
        {"a": "array", "a[]": "integer|string"},
    ),
    (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"a": "object", "a.*": "integer"},
    ),
    ({"properties": {"b.c": {"type": "string"}}}, {"a": "object", 'a."b.c"': "string"}),
]


@pytest.mark.parametrize(("at", "found"), READ)
def test_each_keyword_of_the_subset_is_read(at: Any, found: dict[str, str]) -> None:
    assert types({**of(a=at), "$defs": {"o": of(x={"type": "string", "maxLength": 9})}}) == found


@pytest.mark.parametrize(
    ("at", "named"),
    [
        ({"if": {}}, "'if'"),
        ({"patternProperties": {"x": {}}}, "'patternProperties'"),
        ({"not": {}}, "'not'"),
        ({"type": "text"}, "'text'"),
        ({"$ref": "https://example.com/s.json"}, "not in this document"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#anchor"}, "no pointer"),
        ({"$ref": "#/$defs/itself"}, "itself"),
        ({"$ref": "#/$defs/below"}, "too many parts"),
        ({"$ref": "#/$defs/twice0"}, "too many parts"),
        ({"anyOf": {}}, "wants a list"),
        ({"enum": "x"}, "wants a list"),
        ({"type": {}}, "no type"),
        ({"type": [["string"]]}, "no type"),
        ({"additionalProperties": 5}, "int is no schema"),
        ("text", "str is no schema"),
    ],
)
def test_what_is_not_understood_is_a_fault_and_never_harmless(at: Any, named: str) -> None:
    twice = {f"twice{n}": {"anyOf": [{"$ref": f"#/$defs/twice{n + 1}"}] * 2} for n in range(30)} | {
        "twice30": {}
    }
    itself = {"itself": {"$ref": "#/$defs/itself"}, "below": of(b={"$ref": "#/$defs/below"})}

    with pytest.raises(SetupError, match=named) as told:
        read({**of(a=at), "$defs": {**twice, **itself}})
    assert str(told.value).startswith("a")


def vanished(schema: Any, head: SchemaVersion) -> set[str]:
    return {to_text(e.path) for e in read(schema).changes(head) if e.kind == "vanished"}


def test_what_a_closed_object_does_not_name_can_be_sent_no_more() -> None:
    head = learn([{"a": 1, "o": {"x": 1, "y": {"z": 1}}, "p": {"q": 1}}])
    planned = {
        **of(a={"type": "integer"}, o={**of(x={}), "additionalProperties": False}, p=of()),
    }

    assert vanished(planned, head) == {"o.y"}
    closed = {**of(), "additionalProperties": False}
    assert vanished(closed, head) == {"a", "o", "p"}
    assert vanished({"anyOf": [closed, of()]}, head) == set()


def test_a_field_that_is_forbidden_can_be_sent_no_more() -> None:
    head = learn([{"a": 1, "o": {"x": 1}}])
    never, other = of(a=False), of(a={"type": "integer"})

    assert vanished(of(a=False, o=of(x=False)), head) == {"a", "o.x"}
    assert vanished({"allOf": [never, other]}, head) == {"a"}
    assert vanished({"anyOf": [never, other]}, head) == set()
    assert vanished({"anyOf": [never, of()]}, head) == set()


def broken(schema: dict[str, Any], head: SchemaVersion) -> dict[str, str]:
    found = Sight("r", head).breaches_by(read(schema))
    return {to_text(each.path): each.change.kind for each in found}


def test_all_other_keys_are_those_that_are_known_and_not_named() -> None:
    head = learn([{"a": 1, "b": "x", "c": 1.5}])
    texts = {"additionalProperties": {"type": "string"}}

    assert broken({**of(a={"type": "integer"}), **texts}, head) == {"c": "type_conflict"}
    assert broken({**of(), **texts}, head) == {"a": "type_conflict", "c": "type_conflict"}


def test_all_other_keys_of_a_map_are_as_its_own() -> None:
    head = learn([{"m": {f"k{n}": 1 for n in range(600)}}])
    assert "m.*" in {to_text(each.path) for each in head.live}
    texts = {"additionalProperties": {"type": "string"}}

    assert broken(of(m={**of(x={"type": "integer"}), **texts}), head) == {"m.*": "type_conflict"}
    assert broken(of(m={**of(), "additionalProperties": {"type": "integer"}}), head) == {}


def test_a_schema_in_a_schema_without_end_is_a_fault() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"allOf": [deep]}

    with pytest.raises(SetupError, match="too many parts"):
        read(deep)


@given(st.lists(payloads, min_size=1, max_size=4))
def test_an_exported_version_breaks_nobody_who_reads_it(events: list[dict[str, Any]]) -> None:
    version = learn(events)

    assert not list(Sight("r", version).breaches_by(read(json_schema(version))))
