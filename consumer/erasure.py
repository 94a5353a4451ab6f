"""Erase what is kept of one person, so that a crash leaves nothing that a second run cannot end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from consumer.storage.erasing import Erasing, Found, Stays
from consumer.storage.recount_mark import RecountMark

Look = Callable[[], Found]
Progress = Callable[[int], None]

# So often is looked again; what comes faster than it is deleted is told.
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Place:
    """A row of what is told: what of `kind` was found in a place, removed, and stays, and why."""

    place: str
    kind: str
    found: int
    removed: int
    stays: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """How many are gone, and what the last look found. `all` is what all looks found."""

    events: int
    dead_letters: int
    all: Found
    left: Found


def erase(
    erasing: Erasing, mark: RecountMark, found: Found, look: Look, progress: Progress
) -> Erased:
    """Delete what was found, and what another look finds after that, until there is nothing more;
    in so many rounds at most.

    Dead letters go first, so that none becomes an event again. Before events are deleted it is
    noted that adoption must be counted again. `progress` is told how many more events are gone.
    Raises StoreUnavailable; another call goes on from there.
    """
    events = letters = rounds = 0
    total = Found()
    while found and rounds < _ROUNDS:
        letters += erasing.delete_letters(found.dead_letters)
        for count in erasing.delete_events(found.events, mark.put):
            events += count
            progress(count)
        total.subjects += found.subjects
        total.reasons += found.reasons
        total.by_text += found.by_text
        rounds += not found.more
        found = look()
    return Erased(events, letters, total, found)


def places(found: Found, erased: Erased | None) -> Iterator[Place]:
    """What to tell of the database: before the deed, or after it."""
    all_, left = (erased.all, erased.left) if erased else (Found(), found)
    yield from _counted("events", all_.subjects, left.subjects)
    yield from _counted("dead letters", all_.reasons, left.reasons)
    yield from _staying(left.untyped, "of no known type", "--also-unknown takes them too")
    yield from _staying(left.unread, "not to be read", "look at them with `dlq show`")
    if left.later:
        yield Place("events", "came meanwhile", left.later, 0, left.later, "run this again")


def _counted(place: str, removed: Counter[str], left: Counter[str]) -> Iterator[Place]:
    for kind, count in (removed + left).most_common():
        why = "run this again" if removed and left[kind] else ""
        yield Place(place, kind, count, removed[kind], left[kind], why)


def _staying(stays: Stays, kind: str, why: str) -> Iterator[Place]:
    if stays.count:
        named = ", ".join(stays.ids) + (", …" if stays.count > len(stays.ids) else "")
        yield Place("dead letters", kind, stays.count, 0, stays.count, f"{why}: {named}")
