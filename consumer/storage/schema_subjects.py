"""Know how many subjects are registered, without asking for each event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from consumer.storage.schema_versions import SchemaVersions

# How long an answer of MongoDB about guards is trusted.
TRUST = timedelta(seconds=1)


class SubjectList:
    """All registered subjects as of a second ago at most, once somebody asked.

    Processes that add subjects within the same second may overshoot `limit` by those.
    """

    def __init__(self, versions: SchemaVersions, limit: int, clock: Callable[[], datetime]) -> None:
        self._versions = versions
        self._limit = limit
        self._clock = clock
        self._read_at: datetime | None = None
        self._names: set[str] = set()

    def keeps_out(self, subject: str) -> bool:
        """Whether a subject is known to be neither registered nor admissible; asks nobody."""
        return self._is_fresh() and len(self._names) >= self._limit and subject not in self._names

    def has_room(self) -> bool:
        """Whether another subject may be registered; raises StoreUnavailable."""
        if not self._is_fresh():
            now = self._clock()
            self._names = set(self._versions.subjects())
            self._read_at = now
        return len(self._names) < self._limit

    def add(self, subject: str) -> None:
        """Count a subject that was registered here."""
        self._names.add(subject)

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock() < self._read_at + TRUST
