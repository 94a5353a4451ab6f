"""Know how many subjects are registered, without asking for each event."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from consumer.schemas.registry.versions import SchemaVersions

# How long an answer of MongoDB about guards is trusted.
TRUST = timedelta(seconds=1)
# The share of the room that one process may use up before it looks again, so that several which are
# flooded at once keep the bound together.
_SHARE = 32


class SubjectList:
    """All registered subjects as of a second ago at most, once somebody asked.

    Threads of one process never overstep `limit`; several processes may by those subjects that
    the others are registering at the same moment.
    """

    def __init__(self, versions: SchemaVersions, limit: int, clock: Callable[[], datetime]) -> None:
        self._versions = versions
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: datetime | None = None
        self._names: set[str] = set()
        # Places of subjects that are about to be registered here.
        self._taken: set[str] = set()
        self._left = 0

    def keeps_out(self, subject: str) -> bool:
        """Whether a subject is known to be neither registered nor admissible; asks nobody."""
        return self._is_fresh() and len(self._names) >= self._limit and subject not in self._names

    def has_room(self) -> bool:
        """Whether another subject may be registered; raises StoreUnavailable."""
        with self._lock:
            self._look()
            return self._has_room()

    def take(self, subject: str) -> bool:
        """Whether this subject may be registered; its place is kept until `add` or `give_back`.

        Raises StoreUnavailable.
        """
        with self._lock:
            self._look()
            if subject not in self._taken:
                if not self._has_room():
                    return False
                self._taken.add(subject)
                self._left -= 1
            return True

    def give_back(self, subject: str) -> None:
        """Let others have the place, if it is still kept."""
        with self._lock:
            self._taken.discard(subject)

    def add(self, subject: str) -> None:
        """Count a subject that was registered here."""
        with self._lock:
            self._taken.discard(subject)
            self._names.add(subject)

    def _has_room(self) -> bool:
        return len(self._names) + len(self._taken) < self._limit

    def _look(self) -> None:
        """Read the names anew where the last look says too little."""
        if self._is_fresh() and (self._left > 0 or not self._has_room()):
            return
        now = self._clock()
        self._names = set(self._versions.subjects())
        self._read_at = now
        self._left = max(1, (self._limit - len(self._names)) // _SHARE)

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock() < self._read_at + TRUST
