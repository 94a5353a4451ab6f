"""Free the key of a unique index that a document holds only by what was filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import WriteError

from consumer.schema.compiled import CompiledSchema
from consumer.schema.origin import leaving_of, remove_fillings
from consumer.storage.constraints import Constraints
from consumer.storage.documents import encode, plain
from consumer.storage.ours import SIMPLE
from consumer.storage.translate import translated

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


def free_key(
    events: Collection[dict[str, Any]],
    constraints: Constraints,
    refusal: Mapping[str, Any],
    compiled: Callable[[str], CompiledSchema],
) -> bool:
    """Whether the key for which an event was refused as sent is free now, for the document that
    held it had not been sent with it: it says in `_meta.unfilled` that it lost its filling.

    Raises StoreUnavailable.
    """
    index, values = constraints.unique(refusal), refusal.get("keyValue")
    if index is None or index.get("collation") or not isinstance(values, Mapping):
        return False
    wanted = {**values, **index.get("partialFilterExpression", {})}
    with translated(events.name):
        raw = events.with_options(codec_options=_RAW)
        # By this index alone: others would show documents without the field, which hold nothing.
        found = raw.find_one(wanted, hint=index["name"], collation=SIMPLE)
        if found is None:
            return False
        changed = _without(plain(found), constraints, refusal, compiled)
        if changed is None:
            return False
        try:
            return replaced(events, found, encode(changed))
        except WriteError:
            return False


def _without(
    document: dict[str, Any],
    constraints: Constraints,
    refusal: Mapping[str, Any],
    compiled: Callable[[str], CompiledSchema],
) -> dict[str, Any] | None:
    """The document without its fillings in the fields of the index; None if there are none."""
    meta = document.get("_meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("subject"), str):
        return None
    schema, upto = compiled(meta["subject"]), meta.get("backfilled_to")
    if schema.version is None or not isinstance(upto, int):
        return None
    (blame,) = constraints.blames(refusal)
    fields = {
        position: field
        for position, field in enumerate(schema.version.fields)
        if field.is_filled and blame.is_about(field.path)
    }
    before = _payload(document)
    remove_fillings(document, leaving_of(fields, schema.version, schema.defaults, upto))
    if _payload(document) == before:
        return None
    meta["unfilled"] = max(upto, meta.get("unfilled", 0))
    return document


def _payload(document: Mapping[str, Any]) -> bytes:
    return bytes(encode({name: value for name, value in document.items() if name != "_meta"}).raw)


def replaced(
    events: Collection[dict[str, Any]], found: RawBSONDocument, changed: RawBSONDocument
) -> bool:
    """Replace a document if it still is what was found; whether it was. Driver errors pass
    through."""
    # A replacement is an update here, for that is not refused for keys with dots or `$`.
    result = events.update_one(
        {**_place(found), "$expr": {"$eq": ["$$ROOT", {"$literal": found}]}},
        [{"$replaceWith": {"$literal": changed}}],
        # For the comparison of the whole.
        collation=SIMPLE,
    )
    return bool(result.matched_count)


def _place(found: RawBSONDocument) -> dict[str, Any]:
    """A filter that finds the document alone, and fast by an index of ours where that of `_id`
    compares otherwise than the command."""
    place = {"_id": found["_id"], "_meta.subject": found["_meta"]["subject"]}
    place["_meta.backfilled_to"] = found["_meta"]["backfilled_to"]
    ordered = {name: found.get(name) for name in ("schema_version", "processed_at")}
    return place | {name: at for name, at in ordered.items() if isinstance(at, int | datetime)}
