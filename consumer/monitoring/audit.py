"""Record the actions of people, durably and for good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import DESCENDING
from pymongo.collection import Collection

from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated

_LAST = [("at", DESCENDING)]
_SHORTLY = timedelta(minutes=1)


class Audit:
    """The collection `audit`; an action is written before it is done, so that none goes unseen."""

    def __init__(self, actions: Collection[Document]) -> None:
        self._actions = actions

    def record(self, who: str, what: str, at: datetime, details: Mapping[str, Any]) -> None:
        """`what` is the command, `details` what it was about: ids and words, no payload and no
        secret. Raises StoreUnavailable."""
        with translated(self._actions.name):
            # No detail can take the place of who, what and when.
            self._actions.insert_one({**details, "who": who, "what": what, "at": at})

    def who(self, what: str, before: datetime, about: Mapping[str, Any]) -> str:
        """The last to do something, shortly before a time; "" where nobody is known to have."""
        shortly = {"$gt": before - _SHORTLY, "$lte": before}
        with translated(self._actions.name):
            # By the index on times.
            found = self._actions.find_one({"at": shortly, "what": what, **about}, sort=_LAST)
        return str(found["who"]) if found else ""

    def actions(
        self,
        limit: int,
        skip: int = 0,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Document]:
        """Actions, the last one first: `who`, `what`, `at` and what else was recorded."""
        bounds = {"$gte": since, "$lte": until}
        given = {name: at for name, at in bounds.items() if at is not None}
        with translated(self._actions.name):
            found = self._actions.find({"at": given or {"$type": "date"}}).sort(_LAST)
            return list(found.skip(skip).limit(limit))
