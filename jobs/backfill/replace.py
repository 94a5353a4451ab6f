"""Fill documents in this process and replace them whole: for schemas too large for an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DocumentTooLarge, WriteError

from consumer.core.errors import Unstorable
from consumer.core.paths import RESERVED
from consumer.events.constraints import TOO_LARGE
from consumer.events.documents import encode, plain
from consumer.events.filling import replaced
from consumer.mongodb.client import RAW
from consumer.schemas.aliases import Aliases
from consumer.schemas.check import CompiledSchema
from consumer.schemas.defaults import fill, place_later
from consumer.schemas.origin import Leaving
from consumer.schemas.provenance import RuleOrigins, Stored, remove_fillings
from jobs.backfill.updates import new_stamp

# A code of our own where MongoDB did not find the document as it was read.
CHANGED = 0


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
    fills it; its aliases know by the `origins` what was sent."""

    stamp: int
    to: int
    schema: CompiledSchema
    leaving: Sequence[Leaving] = ()
    origins: Mapping[int, RuleOrigins] = field(default_factory=dict)


def fill_whole(
    events: Collection[dict[str, Any]], ids: Sequence[Any], plan: Whole
) -> tuple[int, list[Refusal], int]:
    """Fill the documents that carry the stamp, each replaced only if it still is what was read; how
    many were, which not, and how many keep something of what is leaving.

    Driver errors other than the refusal of one document pass through.
    """
    done, refused, left = 0, [], 0
    wanted = {"_id": {"$in": list(ids)}, "_meta.backfilled_to": plan.stamp}
    for found in events.with_options(codec_options=RAW).find(wanted):
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


def _filled(document: dict[str, Any], plan: Whole) -> dict[str, Any]:
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    meta = with_aliases(document, payload, plan.schema.aliases, plan.origins)
    fill(payload, plan.schema.check(payload))
    # What was there keeps its place.
    stamp = new_stamp(plan.schema, plan.to)
    return {**document, "_meta": {**meta, **stamp}, **payload}


def with_aliases(
    document: Mapping[str, Any],
    payload: dict[str, Any],
    aliases: Aliases | None,
    origins: Mapping[int, RuleOrigins],
) -> dict[str, Any]:
    """Metadata of the document once its payload has what the aliases fill; that is put there."""
    meta = dict(document["_meta"])
    if aliases is not None and aliases.rules:
        placed = place_later(payload, aliases, Stored(document, origins)).positions
        listed = meta["filled"] if isinstance(meta.get("filled"), list) else []
        if placed:
            meta["filled"] = [*listed, *(each for each in placed if each not in listed)]
    return meta
