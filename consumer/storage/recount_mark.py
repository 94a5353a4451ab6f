"""The mark that events were deleted, so that all must be counted again."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from pymongo.database import Database

from consumer.storage.mongo import ADOPTION_STATE, Document
from consumer.storage.patience import soon
from consumer.storage.translate import translated

_ERASED = "erased"


class RecountMark:
    """One document of the collection `adoption_state`; every method raises StoreUnavailable."""

    def __init__(self, db: Database[Document]) -> None:
        self._states = db[ADOPTION_STATE]

    def put(self) -> None:
        """Say, before events are deleted, that all must be counted again."""
        mark = {"$set": {"token": uuid4().hex, "at": "$$NOW"}}
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.update_one({"_id": _ERASED}, [mark], upsert=True)

    def token(self, settled: timedelta = timedelta(0)) -> str | None:
        """The mark of a deletion after which nothing was counted again; None where there is none,
        or one younger than `settled` by the server's clock: whoever deletes counts then."""
        age = {"$subtract": ["$$NOW", "$at"]}
        enough = {"$gte": [age, settled // timedelta(milliseconds=1)]}
        with translated(ADOPTION_STATE), soon(self._states):
            found = self._states.find_one({"_id": _ERASED, "$expr": enough})
        return found["token"] if found else None

    def take_away(self, token: str) -> None:
        """Take the mark away, unless more was deleted since it was read."""
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.delete_one({"_id": _ERASED, "token": token})
