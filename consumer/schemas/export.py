"""Export a schema version for other programs: JSON Schema, and a MongoDB validator.

Both say what stored payloads satisfy as far as they are tracked: a document with `_meta.untracked`
may hold values that a guard kept out of the schema.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consumer.core.paths import ANY_KEY, ITEM, Path, is_key, is_reserved, to_key, to_segment
from consumer.schemas.json_types import bits, mask_of
from consumer.schemas.model import SchemaVersion, shape_of
from consumer.schemas.policy import Defaults
from consumer.schemas.shape import Shape, join, walk

# A JSON Schema or a part of one.
JsonSchema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# 1.0 stays a double; integers beyond 64 bits become Decimal128.
_BSON_TYPES = {
    "boolean": ["bool"],
    "integer": ["int", "long", "decimal"],
    "number": ["int", "long", "decimal", "double"],
    "string": ["string"],
    "object": ["object"],
    "array": ["array"],
}
# As deep as was tried on mongod 6.0.5, with objects and arrays in turn; its parser has a limit.
_MONGO_DEPTH = 32


@dataclass(frozen=True, slots=True)
class MongoSchema:
    """A `$jsonSchema` and the paths it cannot speak of; what lies below those is left out too."""

    schema: JsonSchema
    left_out: tuple[Path, ...]


def json_schema(version: SchemaVersion, defaults: Defaults | None = None) -> JsonSchema:
    """JSON Schema, draft 2020-12, that every stored payload of this and older versions satisfies.

    Nothing is required and further fields are allowed, for old and new senders live together; every
    field may be null.
    """
    shape = shape_with_defaults(version, defaults or Defaults())

    def types(mask: int) -> JsonSchema:
        return {"type": [*bits(mask), "null"]}

    return {
        "$schema": _DIALECT,
        "title": f"{version.subject}, version {version.number}",
        "type": "object",
        **_below(shape, (), types, lambda _: True),
    }


def mongo_schema(version: SchemaVersion, defaults: Defaults | None = None) -> MongoSchema:
    """A `$jsonSchema` for a validator on the stored documents.

    Empty names are left out, for one aborted mongod 6.0.5, and dotted ones, which it ignores; so
    are the names that the stored document has for itself, and what lies too deep for its parser.
    """
    shape = shape_with_defaults(version, defaults or Defaults())
    left_out: list[Path] = []

    def speaks_of(path: Path) -> bool:
        key = to_key(path[-1]) if is_key(path[-1]) else ""
        named = not is_key(path[-1]) or (key != "" and "." not in key and not key.startswith("$"))
        own = len(path) == 1 and is_reserved(key)
        if named and not own and len(path) <= _MONGO_DEPTH:
            return True
        left_out.append(path)
        return False

    def types(mask: int) -> JsonSchema:
        names = [name for known in bits(mask) for name in _BSON_TYPES[known]]
        return {"bsonType": [*dict.fromkeys(names), "null"]}

    schema = {"bsonType": "object", **_below(shape, (), types, speaks_of)}
    return MongoSchema(schema, tuple(left_out))


def mongo_validator(version: SchemaVersion, defaults: Defaults | None = None) -> MongoSchema:
    """A whole validator, `{"$jsonSchema": …}`, for a collection that holds other subjects too:
    whatever is stored under another one passes."""
    exported = mongo_schema(version, defaults)
    another = {
        "bsonType": "object",
        "properties": {"subject": {"not": {"enum": [version.subject]}}},
    }
    of_another = {
        "required": ["_meta"],
        "properties": {"_meta": {**another, "required": ["subject"]}},
    }
    schema = {"$jsonSchema": {"anyOf": [of_another, exported.schema]}}
    return MongoSchema(schema, exported.left_out)


def _below(
    shape: Shape, path: Path, types: Callable[[int], JsonSchema], speaks_of: Callable[[Path], bool]
) -> JsonSchema:
    """The keywords about what is inside an object or array."""
    keywords: JsonSchema = {}
    properties: JsonSchema = {}
    for segment, child in shape.children.items():
        here = (*path, segment)
        if not speaks_of(here):
            continue
        below = _below(child, here, types, speaks_of)
        # An open path says nothing: its first type is a widening that holds nobody up.
        content = {**types(child.types), **below} if child.types else below
        if segment == ITEM:
            keywords["items"] = content
        elif segment == ANY_KEY:
            keywords["additionalProperties"] = content
        else:
            properties[to_key(segment)] = content
    if properties:
        keywords["properties"] = properties
    return keywords


def shape_with_defaults(version: SchemaVersion, defaults: Defaults) -> Shape:
    """The shape of a version, joined with that of the values mapped to its fields by hand."""
    shape = shape_of(version)
    for path, node in list(walk(shape)):
        # An open path says nothing, so its default needs no word.
        if path in defaults.values and node.types:
            shape = join(shape, _at(path, _shape(defaults.values[path])))
    return shape


def _at(path: Path, leaf: Shape) -> Shape:
    for segment in reversed(path):
        leaf = Shape(0, {segment: leaf})
    return leaf


def _shape(value: Any) -> Shape:
    if isinstance(value, dict):
        children = {to_segment(key): _shape(child) for key, child in value.items()}
    elif isinstance(value, list) and value:
        items = Shape()
        for child in value:
            items = join(items, _shape(child))
        children = {ITEM: items}
    else:
        children = {}
    return Shape(mask_of(value), children)
