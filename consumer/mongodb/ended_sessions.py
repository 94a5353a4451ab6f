"""Remember sessions of the console that their owners ended, until they would have ended anyway."""

from __future__ import annotations

from datetime import datetime

from pymongo.collection import Collection

from consumer.mongodb.client import Document
from consumer.mongodb.errors import translated


class EndedSessions:
    """The collection `ended_sessions`, the same for every process; raises StoreUnavailable."""

    def __init__(self, sessions: Collection[Document]) -> None:
        self._sessions = sessions

    def end(self, _id: str, until: datetime) -> None:
        """Have the session be none any more; MongoDB forgets it after `until`."""
        with translated(self._sessions.name):
            self._sessions.update_one({"_id": _id}, {"$set": {"expires_at": until}}, upsert=True)

    def has(self, _id: str) -> bool:
        """True for a session that was ended."""
        with translated(self._sessions.name):
            return self._sessions.find_one({"_id": _id}, {"_id": 1}) is not None
