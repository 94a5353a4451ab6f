"""Draft schemas from sample bodies before the first event comes, and register them."""

from __future__ import annotations

from collections.abc import Iterator

from consumer.errors import Rejected
from consumer.parsing import EventParser
from consumer.schema.draft import Draft
from consumer.storage.documents import encode
from consumer.storage.schema_registry import SchemaRegistry

# Stands before the id of a sample where changes name the event that caused them.
MARK = "sample "


class Learning:
    """The drafts that samples make; nothing is stored of them but paths and types.

    `guards` tells by subject what a guard kept out.
    """

    def __init__(
        self, registry: SchemaRegistry, parser: EventParser, one_subject: str | None = None
    ) -> None:
        """`one_subject` is the subject of all event types, where they evolve together."""
        self.drafts: dict[str, Draft] = {}
        self.guards: dict[str, set[str]] = {}
        self._registry = registry
        self._parser = parser
        self._one_subject = one_subject

    def take(self, body: bytes) -> Rejected | None:
        """Draft all that a sample shows, whatever the contract says; why not, if it is no event."""
        try:
            event = self._parser.parse(body)
            encode(event.payload)
        except Rejected as error:
            return error
        subject = self._one_subject or event.type
        draft = self.drafts.get(subject)
        if draft is None:
            draft = self.drafts[subject] = self._registry.draft(subject, by_hand=True)
        decision = draft.approve(event.payload, f"{MARK}{event.id}")
        if decision.guard is not None:
            self.guards.setdefault(subject, set()).add(decision.guard)
        return None

    @property
    def is_new(self) -> bool:
        return any(draft.is_new for draft in self.drafts.values())

    def register(self) -> Iterator[tuple[str, int]]:
        """Register each draft with something new: subjects and their versions.

        Raises SchemaMoved when a head is another now, and StoreUnavailable; what was registered
        before stays, and learning again does the rest.
        """
        for subject, draft in self.drafts.items():
            version = self._registry.register(draft) if draft.is_new else None
            if version is not None:
                yield subject, version.number
