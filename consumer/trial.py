"""Tell what deliveries would do, one after the other, without doing it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from consumer.errors import Rejected
from consumer.parsing import EventParser
from consumer.schema.compiled import compile_schema
from consumer.schema.draft import Draft
from consumer.schema.model import Change
from consumer.storage.documents import encode
from consumer.storage.schema_registry import SchemaRegistry

End = Literal["stored", "held", "dead_letter"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What would become of one delivery.

    `version` is the one it would be stored under (0: none is registered), new when `changes` say
    what that would register. Of a held one `changes` is all that it would change and `held` what
    the contract holds of it. `guard` leaves `untracked` values out of the schema; `reason` and
    `message` are those of a dead letter.
    """

    end: End
    subject: str | None = None
    event_id: str | None = None
    version: int = 0
    changes: tuple[Change, ...] = ()
    held: tuple[Change, ...] = ()
    guard: str | None = None
    untracked: int = 0
    reason: str | None = None
    message: str | None = None


class Trials:
    """Tries deliveries on drafts: each sees what those before it would have registered."""

    def __init__(
        self, registry: SchemaRegistry, parser: EventParser, one_subject: str | None = None
    ) -> None:
        """`one_subject` is the subject of all event types, where they evolve together."""
        self._registry = registry
        self._parser = parser
        self._one_subject = one_subject
        self._drafts: dict[str, Draft] = {}

    def deliver(self, body: bytes) -> Trial:
        """What would become of a verified delivery with this body; raises StoreUnavailable."""
        try:
            event = self._parser.parse(body)
            encode(event.payload)
        except Rejected as error:
            return Trial("dead_letter", reason=error.reason, message=str(error))
        subject = self._one_subject or event.type
        draft = self._drafts.get(subject) or self._registry.draft(subject)
        decision = draft.deliver(event.payload, event.id)
        # Sequential deliveries register a version each.
        self._drafts[subject] = replace(draft, head=draft.version)
        return Trial(
            end="held" if decision.held else "stored",
            subject=subject,
            event_id=str(event.id),
            version=draft.version.number if draft.version else 0,
            changes=decision.held or draft.changes,
            held=draft.held(decision),
            guard=decision.guard,
            untracked=_untracked(draft, event.payload) if decision.guard else 0,
        )


def _untracked(draft: Draft, payload: dict[str, object]) -> int:
    return (
        compile_schema(draft.version, depth=draft.guards.depth, pins=draft.policy.pins)
        .check(payload)
        .untracked
    )
