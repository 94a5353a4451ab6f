"""Bound how many subjects are registered, without asking MongoDB for each event."""

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


class SubjectLimit:
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
        # Subjects that are about to be registered here, and places that need no further look.
        self._reserved: set[str] = set()
        self._unasked = 0

    def excludes(self, subject: str) -> bool:
        """True for a subject known to be neither registered nor admissible; asks nobody."""
        return self._is_fresh() and len(self._names) >= self._limit and subject not in self._names

    def has_room(self) -> bool:
        """True where another subject may be registered; raises StoreUnavailable."""
        with self._lock:
            self._read_if_stale()
            return self._has_room()

    def reserve(self, subject: str) -> bool:
        """Reserve a place for this subject until `add` or `release`; False where none is left.

        Raises StoreUnavailable.
        """
        with self._lock:
            self._read_if_stale()
            if subject not in self._reserved:
                if not self._has_room():
                    return False
                self._reserved.add(subject)
                self._unasked -= 1
            return True

    def release(self, subject: str) -> None:
        """Let others have the place, if it is still reserved."""
        with self._lock:
            self._reserved.discard(subject)

    def add(self, subject: str) -> None:
        """Count a subject that was registered here."""
        with self._lock:
            self._reserved.discard(subject)
            self._names.add(subject)

    def _has_room(self) -> bool:
        return len(self._names) + len(self._reserved) < self._limit

    def _read_if_stale(self) -> None:
        """Read the names anew where the last look says too little."""
        if self._is_fresh() and (self._unasked > 0 or not self._has_room()):
            return
        now = self._clock()
        self._names = set(self._versions.subjects())
        self._read_at = now
        self._unasked = max(1, (self._limit - len(self._names)) // _SHARE)

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock() < self._read_at + TRUST
