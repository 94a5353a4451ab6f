"""Share a quota fairly among peers: whoever sends most loses first.

The quota has two halves, one for known peers and one for strangers; who needs more may use what the
other leaves. When it is full, the peer with most entries of the fullest day loses one at random.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# So many are evicted for one that comes: where processes overshot, or for one that is large.
_MAX_EVICTED = 4

Key = TypeVar("Key", bound=Hashable)


class _MaxCounter(Generic[Key]):
    """Counts by key, and a key with the highest count: each call takes the same time."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        # By count, the keys that have it; dicts, for these keep their order and sets do not.
        self._having: dict[int, dict[Key, None]] = defaultdict(dict)
        self._highest = 0

    def __len__(self) -> int:
        return len(self._counts)

    def top(self) -> Key:
        return next(iter(self._having[self._highest]))

    def change(self, key: Key, by: int) -> None:
        """Add one or take one (`by` 1 or -1)."""
        before = self._counts.get(key, 0)
        now = before + by
        if before:
            del self._having[before][key]
            if not self._having[before]:
                del self._having[before]
        if now:
            self._counts[key] = now
            self._having[now][key] = None
        else:
            del self._counts[key]
        # By one: a key that was alone on top has the highest count still.
        if now > self._highest or self._highest not in self._having:
            self._highest = now


@dataclass(slots=True)
class _Entry:
    peer: str
    day: int
    size: int
    place: int = 0


@dataclass(slots=True)
class _Half:
    """The entries of known peers, or of strangers."""

    count: int = 0
    size: int = 0
    days: _MaxCounter[int] = field(default_factory=_MaxCounter)
    peers: dict[int, _MaxCounter[str]] = field(default_factory=lambda: defaultdict(_MaxCounter))
    ids: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))


class SharedQuota:
    """The shares of peers in a quota of `max_count` entries and `max_size` bytes."""

    def __init__(
        self, max_count: int, max_size: int, choose: Callable[[int], int] = random.randrange
    ) -> None:
        """`choose` gives a number below another at random."""
        self._max_count = max_count
        self._max_size = max_size
        self._choose = choose
        self._entries: dict[str, tuple[_Entry, bool]] = {}
        self._halves = {known: _Half() for known in (False, True)}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, _id: str) -> bool:
        return _id in self._entries

    @property
    def size(self) -> int:
        return sum(half.size for half in self._halves.values())

    def add(self, _id: str, peer: str, day: int, size: int, *, known: bool) -> None:
        """Add an entry, whether there is space or not."""
        self.remove(_id)
        half, entry = self._halves[known], _Entry(peer, day, size)
        ids = half.ids[day, peer]
        entry.place = len(ids)
        ids.append(_id)
        half.count += 1
        half.size += size
        half.days.change(day, 1)
        half.peers[day].change(peer, 1)
        self._entries[_id] = (entry, known)

    def remove(self, _id: str) -> None:
        """Forget an entry, if it is here."""
        found = self._entries.pop(_id, None)
        if found is None:
            return
        entry, known = found
        half, key = self._halves[known], (entry.day, entry.peer)
        ids = half.ids[key]
        # The last takes its place, so that none has to move up.
        last = ids.pop()
        if last != _id:
            ids[entry.place] = last
            self._entries[last][0].place = entry.place
        if not ids:
            del half.ids[key]
        half.count -= 1
        half.size -= entry.size
        half.days.change(entry.day, -1)
        half.peers[entry.day].change(entry.peer, -1)
        if not half.peers[entry.day]:
            del half.peers[entry.day]

    def make_space(self, size: int, *, known: bool) -> tuple[bool, list[str]]:
        """Evict for one more of `size` bytes, of a peer that is `known` or a stranger: if there is
        space for it then, and the entries evicted, a few at most and none in vain."""
        average = self.size / max(1, len(self))
        if size > self._max_size or self.size + size - self._max_size > _MAX_EVICTED * average:
            return False, []
        return self._evict(1, size, known=known)

    def evict_excess(self, *, known: bool) -> list[str]:
        """Evict where there are more than there is space for, a few at most."""
        return self._evict(0, 0, known=known)[1]

    def _evict(self, more: int, size: int, *, known: bool) -> tuple[bool, list[str]]:
        evicted: list[str] = []
        while not self._fits(more, size):
            _id = self.next_evicted(known=known)
            if _id is None or len(evicted) == _MAX_EVICTED:
                return False, evicted
            self.remove(_id)
            evicted.append(_id)
        return True, evicted

    def _fits(self, more: int, size: int) -> bool:
        return len(self) + more <= self._max_count and self.size + size <= self._max_size

    @property
    def is_full(self) -> bool:
        return not self._fits(1, 0)

    def next_evicted(self, *, known: bool) -> str | None:
        """The entry to evict for one of a peer that is `known`, or a stranger; None where that has
        to go itself."""
        half = max(self._halves.values(), key=self._share)
        if self._share(half) <= 0.5:
            half = self._halves[known]
        if not half.count:
            return None
        day = half.days.top()
        ids = half.ids[day, half.peers[day].top()]
        return ids[self._choose(len(ids))]

    def _share(self, half: _Half) -> float:
        return max(half.count / max(1, self._max_count), half.size / max(1, self._max_size))
