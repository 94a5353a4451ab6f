"""Read the events that wait for a subject's contract out of their dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from consumer.corrections import recorded
from consumer.errors import Rejected
from consumer.events import Event
from consumer.parsing import EventParser
from consumer.storage.held_letters import HeldLetters


class HeldEvents:
    """What a subject's contract holds, as a replay would read it."""

    def __init__(
        self, letters: HeldLetters, parser: EventParser, one_subject: str | None = None
    ) -> None:
        """`one_subject` is the subject of all event types, where they evolve together."""
        self.letters = letters
        self._parser = parser
        self._one_subject = one_subject

    def of(self, subject: str) -> Iterator[tuple[dict[str, Any], Event | str]]:
        """Each entry with its event, or with why it is none of this subject's now: the settings of
        id, type or depth may be others than when it was held. Raises StoreUnavailable."""
        if self._one_subject is not None:
            if subject == self._one_subject:
                yield from ((entry, self._event(entry)) for entry in self.letters.of(None))
            return
        for entry in self.letters.of(subject):
            event = self._event(entry)
            if isinstance(event, Event) and event.type == subject:
                yield entry, event
            elif entry.get("event_type") == subject:
                yield entry, event if isinstance(event, str) else "its type is another one now"

    def _event(self, entry: dict[str, Any]) -> Event | str:
        original = bytes(entry["original_payload"])
        corrected = recorded(entry)
        try:
            return self._parser.parse(corrected.body if corrected else original, original)
        except Rejected as error:
            return str(error)
