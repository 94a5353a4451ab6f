"""Fill documents in this process and replace them whole: for schemas too large for an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import DocumentTooLarge, WriteError

from consumer.errors import Unstorable
from consumer.schema.compiled import CompiledSchema
from consumer.schema.defaults import fill
from consumer.schema.origin import Leaving, remove_fillings
from consumer.schema.paths import RESERVED
from consumer.storage.constraints import TOO_LARGE
from consumer.storage.documents import encode
from consumer.storage.fill_pipeline import new_stamp
from consumer.storage.ours import SIMPLE

# A code of our own where MongoDB did not find the document as it was read.
CHANGED = 0

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that could not be rewritten, and MongoDB's code for why; `error` is its write
    error, which quotes values, and `culprit` what refused it, once that was looked up."""

    document_id: Any
    code: int | None
    error: Mapping[str, Any] = field(default_factory=dict)
    culprit: str = ""


@dataclass(frozen=True, slots=True)
class Whole:
    """Way of a document stamped `stamp` to version `to`: it loses what is `leaving`, then `schema`
    fills it."""

    stamp: int
    to: int
    schema: CompiledSchema
    leaving: Sequence[Leaving] = ()


def fill_whole(
    events: Collection[dict[str, Any]], ids: Sequence[Any], plan: Whole
) -> tuple[int, list[Refusal], int]:
    """Fill the documents that carry the stamp, each replaced only if it still is what was read; how
    many were, which not, and how many keep something of what is leaving.

    Driver errors other than the refusal of one document pass through.
    """
    done, refused, left = 0, [], 0
    wanted = {"_id": {"$in": list(ids)}, "_meta.backfilled_to": plan.stamp}
    for found in events.with_options(codec_options=_RAW).find(wanted):
        document = plain(found)
        stays = remove_fillings(document, plan.leaving) if plan.leaving else 0
        try:
            matched = replaced(events, found, encode(_filled(document, plan)))
        except (DocumentTooLarge, Unstorable):
            refused.append(Refusal(found["_id"], TOO_LARGE, {"code": TOO_LARGE}))
        except WriteError as error:
            refused.append(Refusal(found["_id"], error.code, error.details or {}))
        else:
            done += matched
            left += bool(stays and matched)
            if not matched:
                refused.append(Refusal(found["_id"], CHANGED))
    return done, refused, left


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


def _filled(document: dict[str, Any], plan: Whole) -> dict[str, Any]:
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    fill(payload, plan.schema.check(payload))
    # What was there keeps its place.
    stamp = new_stamp(plan.schema, plan.to)
    return {**document, "_meta": {**document["_meta"], **stamp}, **payload}


def as_stored(values: Sequence[Any]) -> list[Any]:
    """The values as they are read back from MongoDB: large integers are Decimal128."""
    return list(plain(encode({"values": list(values)}))["values"])


def plain(value: Any) -> Any:
    """Dictionaries and lists of an encoded value, whose other values stay what BSON says."""
    if isinstance(value, RawBSONDocument):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
