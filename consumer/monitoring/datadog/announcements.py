"""Record which schema versions were announced, so that none is announced twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated
from consumer.schemas.model import SchemaVersion, from_document

_ID = "announced_versions"
# Versions read of one subject at a time: more come with the next report.
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Watermark:
    """The newest version announced of each subject; None at the very first time. `revision` grows
    with each write, so that a write on top of an older reading fails."""

    announced: Mapping[str, int] | None
    revision: int


class Announcements:
    """One document, written under the fence of the lease that its writer holds.

    Every method raises StoreUnavailable.
    """

    def __init__(
        self, reports: Collection[Document], schema_versions: Collection[Document]
    ) -> None:
        self._reports = reports
        self._versions = schema_versions

    def read(self) -> Watermark:
        with translated(self._reports.name):
            found = self._reports.find_one({"_id": _ID})
        if found is None:
            return Watermark(None, 0)
        # A list: subjects may hold dots and dollars, which keys of documents should not.
        announced = {entry["subject"]: int(entry["version"]) for entry in found["told"]}
        return Watermark(announced, int(found["revision"]))

    def write(
        self, announced: Mapping[str, int], after: Watermark, fence: int, now: datetime
    ) -> Watermark:
        """The new watermark, durable. Raises StoreUnavailable too when another process wrote since
        `after` was read, or holds a newer fence."""
        document = {
            "told": [{"subject": name, "version": number} for name, number in announced.items()],
            "revision": after.revision + 1,
            "fence": fence,
            "updated_at": now,
        }
        with translated(self._reports.name):
            try:
                # The filter matches nothing where another wrote: the upsert then meets its `_id`.
                self._reports.update_one(
                    {"_id": _ID, "revision": after.revision, "fence": {"$lte": fence}},
                    {"$set": document},
                    upsert=True,
                )
            except DuplicateKeyError:
                raise StoreUnavailable(
                    "another process announces schema versions now: this one leaves it to that one"
                ) from None
        return Watermark(dict(announced), after.revision + 1)

    def since(self, known: Mapping[str, int], newest: Mapping[str, int]) -> Iterable[SchemaVersion]:
        """The versions beyond the known number of each subject, oldest first, some at a time."""
        for subject, number in newest.items():
            if number <= known.get(subject, 0):
                continue
            beyond = {
                "_id": {
                    "$gt": {"subject": subject, "version": known.get(subject, 0)},
                    "$lte": {"subject": subject, "version": number},
                }
            }
            with translated(self._versions.name):
                documents = list(self._versions.find(beyond).sort("_id").limit(_AT_ONCE))
            yield from map(from_document, documents)
