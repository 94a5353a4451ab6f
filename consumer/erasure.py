"""Erase what is kept of one person, so that a crash leaves nothing that a second run cannot end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from consumer.storage.erasing import Erasing, Found
from consumer.storage.person_query import Person
from consumer.storage.recount_mark import RecountMark

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Erased:
    """How many are gone."""

    events: int
    dead_letters: int


def erase(
    erasing: Erasing, mark: RecountMark, person: Person, found: Found, progress: Progress
) -> Erased:
    """Delete what was found, and what a search finds after that, until there is nothing more.

    Dead letters go first, so that none becomes an event again. Before events are deleted it is
    noted that adoption must be counted again. `progress` is told how many more events are gone.
    Raises StoreUnavailable; another call goes on from there.
    """
    events = letters = 0
    while found:
        letters += erasing.delete_letters(found.dead_letters)
        for count in erasing.delete_events(found.events, mark.put):
            events += count
            progress(count)
        found = erasing.find(person)
    return Erased(events, letters)
