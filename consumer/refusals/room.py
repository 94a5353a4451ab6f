"""Share a room among peers, so that whoever sends most loses first.

The room has two halves, one for known peers and one for strangers; who needs more may use what the
other leaves. When it is full, the peer with most entries of the fullest day loses one at random.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class _Tally(Generic[Key]):
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
    days: _Tally[int] = field(default_factory=_Tally)
    peers: dict[int, _Tally[str]] = field(default_factory=lambda: defaultdict(_Tally))
    ids: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))


class Room:
    """Who has how much in a room of `max_count` entries and `max_size` bytes."""

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

    @property
    def size(self) -> int:
        return sum(half.size for half in self._halves.values())

    def add(self, _id: str, peer: str, day: int, size: int, *, known: bool) -> None:
        """Take an entry in, whether there is room or not."""
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

    def has_room(self, size: int) -> bool:
        """Whether one more entry of `size` bytes stays within the bounds."""
        return len(self) < self._max_count and self.size + size <= self._max_size

    def loser(self, size: int, *, known: bool) -> str | None:
        """The entry that goes for one of `size` bytes of a peer that is `known`, or a stranger;
        None where that has to go itself."""
        if not self._max_count or size > self._max_size:
            return None
        half = max(self._halves.values(), key=self._share)
        if self._share(half) <= 0.5:
            half = self._halves[known]
        if not half.count:
            return None
        day = half.days.top()
        ids = half.ids[day, half.peers[day].top()]
        return ids[self._choose(len(ids))]

    def _share(self, half: _Half) -> float:
        return max(half.count / self._max_count, half.size / max(1, self._max_size))
