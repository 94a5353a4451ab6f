"""The marks that something must be counted again: events were deleted, or came late."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import uuid4

from pymongo.database import Database

from consumer.storage.mongo import ADOPTION_STATE, Document
from consumer.storage.patience import soon
from consumer.storage.translate import translated

_ERASED = "erased"
_LATE = "late"


class RecountMark:
    """Two documents of the collection `adoption_state`; every method raises StoreUnavailable."""

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
        self._take_away(_ERASED, token)

    def put_late(self, since: datetime) -> None:
        """Say that events are stored whose stamps are old, none before `since`."""
        mark = {"token": uuid4().hex, "since": {"$min": ["$since", since]}}
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.update_one({"_id": _LATE}, [{"$set": mark}], upsert=True)

    def late(self) -> tuple[str, datetime] | None:
        """The mark of late events, and from when on they are stamped."""
        with translated(ADOPTION_STATE), soon(self._states):
            found = self._states.find_one({"_id": _LATE})
        return (found["token"], found["since"].replace(tzinfo=timezone.utc)) if found else None

    def take_late(self, token: str) -> None:
        """Take that mark away, unless more came since it was read."""
        self._take_away(_LATE, token)

    def _take_away(self, mark: str, token: str) -> None:
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.delete_one({"_id": mark, "token": token})
