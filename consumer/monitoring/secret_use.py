"""Record the use of shared secrets, over all processes and restarts: may an old one go?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated


@dataclass(frozen=True, slots=True)
class Use:
    """Use of a secret since a process first knew it (`since`); `last_used` is exact to the interval
    in which processes report it, None where it never was. All by the server's clock."""

    since: datetime
    last_used: datetime | None
    deliveries: int


class SecretUse:
    """The `secret_use` collection: one document for each fingerprint of a secret, never the secret.
    Methods raise StoreUnavailable."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection

    def add(self, fingerprint: str, deliveries: int) -> None:
        """Note that a secret is known, and that it signed so many more deliveries."""
        changes: Document = {
            "since": {"$ifNull": ["$since", "$$NOW"]},
            "deliveries": {"$add": [{"$ifNull": ["$deliveries", 0]}, deliveries]},
        }
        if deliveries:
            changes["last_used"] = "$$NOW"
        with translated("secret_use"):
            try:
                self._collection.update_one({"_id": fingerprint}, [{"$set": changes}], upsert=True)
            except DuplicateKeyError:  # another process has just made it
                self._collection.update_one({"_id": fingerprint}, [{"$set": changes}])

    def of(self, fingerprint: str) -> Use | None:
        """The recorded use of a secret; None when no process has had it yet."""
        with translated("secret_use"):
            row = self._collection.find_one({"_id": fingerprint})
        return None if row is None else Use(row["since"], row.get("last_used"), row["deliveries"])
