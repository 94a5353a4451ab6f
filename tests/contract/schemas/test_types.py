"""The registry admits the same whether a payload is checked by types or walked."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.schemas.check import Check, CompiledSchema
from consumer.schemas.registry import subject
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.registry import Versions

_ODD = "user5@example.com"


def told(registry: SchemaRegistry, payload: dict[str, Any]) -> tuple[object, ...]:
    found = registry.admit("s", payload)
    gaps = [sorted(value) for value, _ in found.gaps]
    return found.version, found.exhibited, found.untracked, found.guard, sorted(gaps)


@pytest.mark.parametrize("usual", [2, 10**9])
def test_types_are_made_after_some_checks_of_each_version_and_find_the_same(
    versions: Versions, monkeypatch: pytest.MonkeyPatch, usual: int
) -> None:
    monkeypatch.setattr(subject, "_USUAL", usual)
    walked, walk = [], CompiledSchema.check

    def note(schema: CompiledSchema, payload: dict[str, Any]) -> Check:
        walked.append(payload)
        return walk(schema, payload)

    monkeypatch.setattr(CompiledSchema, "check", note)
    registry = SchemaRegistry(versions)
    registry.admit("s", {"a": 1, "o": {"b": 1, "c": 1}})

    for _ in range(5):
        assert told(registry, {"a": 1, "o": {"b": 1, "c": 1}}) == (1, 1, 0, None, [])
        assert told(registry, {"o": {"b": 2}}) == (1, 1, 0, None, [["b"], ["o"]])
        assert told(registry, {"a": 1, _ODD: 1, "o": None}) == (1, 1, 1, "data_key", [])
    for _ in range(5):
        assert told(registry, {"a": 1, "new": 1}) == (2, 2, 0, None, [["a", "new"]])
        assert told(registry, {"a": 1}) == (2, 1, 0, None, [["a"]])
    assert told(registry, {"a": "text"}) == (3, 3, 0, None, [["a"]])
    assert told(registry, {"a": None}) == (3, 1, 0, None, [["a"]])
    assert walked.count({"o": {"b": 2}}) == (1 if usual == 2 else 5)
    assert walked.count({"a": 1}) == (1 if usual == 2 else 5)
    assert walked.count({"a": 1, _ODD: 1, "o": None}) == 5
