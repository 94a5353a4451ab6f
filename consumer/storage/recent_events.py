"""Read the newest events of a subject as their senders sent them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timezone
from typing import Any

from bson import CodecOptions, decode
from bson.raw_bson import RawBSONDocument
from pymongo import DESCENDING
from pymongo.collection import Collection

from consumer.schema.defaults import unfill
from consumer.schema.model import SchemaVersion
from consumer.schema.origin import filled_in
from consumer.schema.paths import RESERVED
from consumer.schema.policy import Defaults
from consumer.storage.translate import translated

Document = dict[str, Any]

# The order of an index: filled highest, stamped highest, processed last. Once the backfill is done
# these are the events that came last.
ORDER = [
    ("_meta.subject", DESCENDING),
    ("_meta.backfilled_to", DESCENDING),
    ("schema_version", DESCENDING),
    ("processed_at", DESCENDING),
]
# Bytes that are read to see what senders send, and documents that come in one message.
_MOST_BYTES = 4 * 1024 * 1024
_BATCH = 10
_CODEC: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=timezone.utc)
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class RecentEvents:
    """The `events` collection; raises StoreUnavailable."""

    def __init__(self, events: Collection[Document]) -> None:
        self._events = events.with_options(codec_options=_RAW)

    def payloads(self, head: SchemaVersion, defaults: Defaults, limit: int) -> Iterator[Document]:
        """What was sent in the newest events of the subject, without what ingest or a backfill
        filled in: at most `limit` of them, and 4 MiB or one."""
        with translated(self._events.name):
            size, wanted = 0, {"_meta.subject": head.subject}
            for raw in self._events.find(wanted, batch_size=_BATCH).sort(ORDER).limit(limit):
                size += len(raw.raw)
                if size > max(_MOST_BYTES, len(raw.raw)):
                    return
                yield as_sent(decode(raw.raw, _CODEC), head, defaults)


def as_sent(document: Document, head: SchemaVersion, defaults: Defaults) -> Document:
    """The payload of a stored event as it was sent, given a version not older than its own; the
    document stays as it is."""
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    if filled := list(filled_in(document, head, defaults)):
        payload = copy.deepcopy(payload)
        unfill(payload, filled, head)
    for each in document.get("_meta", {}).get("shadowed", ()):
        payload[each["name"]] = each["value"]
    return payload
