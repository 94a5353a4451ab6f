"""Say how an index of the user's is made so that it refuses no event for the kind of a value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Index = Mapping[str, Any]

# What an id or an address is; null and what is absent, of which there are many, are neither.
_ONE_OF_A_KIND = {"$type": ["string", "number"]}
# No payload has this key, so no value of one is taken for the name of a language.
_NO_LANGUAGE = "cxone_consumer_no_language"
# What createIndex takes again; `sparse` cannot stand beside a filter, which does more.
_KEPT = (
    *("unique", "collation", "expireAfterSeconds", "partialFilterExpression"),
    *("default_language", "language_override", "weights", "min", "max"),
)


@dataclass(frozen=True, slots=True)
class Remedy:
    """Values that an index refuses, and the indexes to make in its place, which do not refuse them:
    keys and options of each."""

    refuses: str
    instead: tuple[tuple[dict[str, Any], dict[str, Any]], ...]

    def is_made(self, index: Index) -> bool:
        """Whether the index is as it says already."""
        return self.instead == ((_keys(index), _options(index)),)

    def commands(self, collection: str, name: str) -> str:
        """Commands to type in mongosh."""
        made = (
            ", ".join(json.dumps(each, default=str) for each in pair if each)
            for pair in self.instead
        )
        calls = (f"db.{collection}.createIndex({arguments})" for arguments in made)
        return "; ".join((f"db.{collection}.dropIndex({json.dumps(name)})", *calls))


def remedy(index: Index) -> Remedy:
    """For an index that can refuse a document, as `listIndexes` has it."""
    keys, options = _keys(index), _options(index)
    kinds = set(keys.values())
    if "text" in kinds:
        options["language_override"] = _NO_LANGUAGE
        return Remedy("a language that MongoDB does not know, or null", ((keys, options),))
    if "hashed" in kinds:
        plain = {key: 1 if kind == "hashed" else kind for key, kind in keys.items()}
        return Remedy("arrays", tuple(({key: kind}, {}) for key, kind in plain.items()))
    found = options.pop("partialFilterExpression", {})
    for key, kind in keys.items():
        found = {**found, **_shape(key, kind)}
    if index.get("unique"):
        found = {**found, **{key: _one_of_a_kind(found.get(key, {})) for key in keys}}
    if found and (index.get("unique") or kinds & {"2d", "2dsphere"}):
        options["partialFilterExpression"] = found
        what = "a second null" if index.get("unique") else "a value that is no place"
        return Remedy(what, ((keys, options),))
    return Remedy("two arrays in one event", tuple(({key: kind}, {}) for key, kind in keys.items()))


def _one_of_a_kind(condition: Any) -> Any:
    if not isinstance(condition, Mapping) or "$type" in condition or "$eq" in condition:
        return condition
    return {**condition, **_ONE_OF_A_KIND}


def _shape(key: str, kind: Any) -> dict[str, Any]:
    """Conditions that a value must meet to be a place."""
    if kind == "2dsphere":
        return {f"{key}.type": {"$type": "string"}, f"{key}.coordinates": {"$type": "array"}}
    if kind == "2d":
        return {f"{key}.0": {"$type": "number"}, f"{key}.1": {"$type": "number"}}
    return {}


def _options(index: Index) -> dict[str, Any]:
    return {name: index[name] for name in _KEPT if name in index}


def _keys(index: Index) -> dict[str, Any]:
    """The keys as createIndex takes them."""
    return dict(_pairs(index))


def _pairs(index: Index) -> Iterator[tuple[str, Any]]:
    for key, kind in index["key"].items():
        if key == "_fts":
            yield from ((name, "text") for name in index["weights"])
        elif key != "_ftsx":
            yield key, int(kind) if isinstance(kind, float) else kind
