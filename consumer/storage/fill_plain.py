"""Compile the filling of a schema to a plain `$set`, for documents that have the usual form.

MongoDB carries it out at two thirds of the cost of the pipeline that fits all documents. Usual is
a document that lacks every field which is newer than its stamp, and whose objects are objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consumer.schema.compiled import CompiledSchema
from consumer.schema.defaults import lacking
from consumer.schema.newer import fillings
from consumer.schema.paths import is_reserved
from consumer.schema.trie import ObjectNode
from consumer.storage.documents import encode
from consumer.storage.fill_pipeline import new_stamp

Document = dict[str, Any]

# Keys that mean themselves in a dotted path: no `$`, and no number, which could be a position.
_PLAIN_KEY = re.compile(r"[^.$\0\d][^.\0]*")
# MongoDB tests each condition against each document.
_MOST_CONDITIONS = 50
# An array of objects would be `object` by itself.
_IS_OBJECT = {"$type": "object", "$not": {"$type": "array"}}
_HAS_ENTRIES = {**_IS_OBJECT, "$ne": {}}
_IS_ABSENT = {"$exists": False}


@dataclass(frozen=True, slots=True)
class PlainFill:
    """What a document must be `like`, and the `update` that fills it then."""

    like: Document = field(default_factory=dict)
    update: Document = field(default_factory=dict)


class _NotPlain(Exception):
    """Such a schema has no plain update."""


def fill_plain(schema: CompiledSchema, to: int) -> PlainFill | None:
    """The update that does to a usual document what `fill` does to its payload, and stamps it `to`.

    None where keys or the number of fields forbid it.
    """
    like: Document = {}
    values: Document = {}
    try:
        _add(schema.root, (), like, values)
    except _NotPlain:
        return None
    stamp = {f"_meta.{name}": number for name, number in new_stamp(schema, to).items()}
    return PlainFill(like, {"$set": {**values, **stamp}})


def _add(node: ObjectNode, here: tuple[str, ...], like: Document, values: Document) -> None:
    absent = lacking(node)
    for key, value in encode(absent).items():
        place = _place(here, key)
        _require_plain(value)
        like[place] = _IS_ABSENT
        values[place] = value
    for key, child in node.objects.items():
        # An object that is filled in itself is absent in a usual document.
        if key in absent or not fillings(child) or (not here and is_reserved(key)):
            continue
        like[_place(here, key)] = _HAS_ENTRIES if child.entries else _IS_OBJECT
        _add(child, (*here, key), like, values)
    if len(like) > _MOST_CONDITIONS:
        raise _NotPlain


def _require_plain(value: Any) -> None:
    """Raise _NotPlain for a default with keys that MongoDB might take for something else."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _place((), key)
            _require_plain(item)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item)


def _place(here: tuple[str, ...], key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        raise _NotPlain
    return ".".join((*here, key))
