"""Diagnose a dead letter: read its body as of now, and name the next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from consumer.core.delivery import Event
from consumer.core.errors import MalformedJson, Rejected
from consumer.core.json_repairs import repair
from consumer.ingest.parsing import EventParser
from consumer.schemas.registry.registry import SchemaRegistry

# What a person does next: `backfill` and `approve` concern its schema, the others the entry.
Step = Literal["retry", "repair", "edit", "approve", "backfill"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of reading the body now, and the next `step`: `position` is the byte at which it
    breaks, `repairs` what a repair would do, `changes` what it would change in the schema of
    `subject`, `held` whether the contract holds that."""

    says: str
    step: Step
    position: int | None = None
    repairs: tuple[str, ...] = ()
    subject: str | None = None
    changes: tuple[dict[str, Any], ...] = ()
    held: bool = False


@dataclass(frozen=True, slots=True)
class Inspector:
    """Diagnoses entries; `one_subject` is the subject of all event types, if they evolve as one."""

    parser: EventParser
    registry: SchemaRegistry
    one_subject: str | None

    def diagnose(self, entry: Mapping[str, Any]) -> Diagnosis:
        """Read the entry's body as of now, without storing or registering anything; raises
        StoreUnavailable."""
        body = bytes(entry.get("edited_payload") or entry["original_payload"])
        if not body:
            return Diagnosis("its document is stored", "backfill")
        try:
            event = self.parser.parse(body)
        except MalformedJson as error:
            return self._malformed(body, error)
        except Rejected as error:
            return Diagnosis(str(error), "edit")
        found = self._in_schema(event)
        if entry.get("verdict") or found.held:
            return found
        return replace(found, says=f"its signature is verified again first; {found.says}")

    def problem(self, body: bytes) -> str:
        """The reason why a body is no event; empty when it is one."""
        try:
            self.parser.parse(body)
        except Rejected as error:
            return str(error)
        return ""

    def _malformed(self, body: bytes, error: MalformedJson) -> Diagnosis:
        repaired = repair(body, safe_only=False)
        if repaired and not self.problem(repaired.body):
            return Diagnosis(str(error), "repair", error.position, repaired.names)
        return Diagnosis(f"{error}; no repair is known", "edit", error.position)

    def _in_schema(self, event: Event) -> Diagnosis:
        """The changes that an event would bring, and if its contract holds them."""
        subject = self.one_subject or event.type
        draft = self.registry.draft(subject, by_hand=True)
        held = bool(draft.judge(event.payload).held)
        draft.approve(event.payload, event.id)
        changes = tuple(change.to_document() for change in draft.changes)
        if draft.head is None:
            # A first version is everything at once, and never held.
            return Diagnosis(f"would be version 1 of schema {subject!r}", "retry", subject=subject)
        if held:
            says = f"the contract of schema {subject!r} holds it"
            return Diagnosis(says, "approve", subject=subject, changes=changes, held=True)
        return Diagnosis("it can be read", "retry", subject=subject, changes=changes)
