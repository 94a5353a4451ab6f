"""Diagnose a dead letter: read its body as of now, and name the next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from consumer.core.delivery import Event, source_of
from consumer.core.errors import MalformedJson, Rejected, SourceUnknown
from consumer.core.json_repairs import repair
from consumer.ingest.source import Sources
from consumer.schemas.registry.registry import SchemaRegistry

# What a person does next: `backfill`, `approve` and `revoke` concern its schema, others the entry.
Step = Literal["retry", "repair", "edit", "approve", "revoke", "backfill"]


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
    """Diagnoses entries, as their sources read them; `one_subject` is the subject of all event
    types, if they evolve as one."""

    sources: Sources
    registry: SchemaRegistry
    one_subject: str | None

    def diagnose(self, entry: Mapping[str, Any]) -> Diagnosis:
        """Read the entry's body as of now, without storing or registering anything; raises
        StoreUnavailable."""
        body = bytes(entry.get("edited_payload") or entry["original_payload"])
        if not body:
            return Diagnosis("its document is stored", "backfill")
        try:
            event = self.sources.parse(entry, body)
        except MalformedJson as error:
            return self._malformed(entry, body, error)
        except (Rejected, SourceUnknown) as error:
            return Diagnosis(error.explained, "edit")
        found = self._in_schema(event)
        if entry.get("verdict") or found.held:
            return found
        return replace(found, says=f"its signature is verified again first; {found.says}")

    def problem(self, entry: Mapping[str, Any], body: bytes) -> str:
        """The reason why a body in place of the entry's is no event; empty when it is one."""
        try:
            self.sources.parse(entry, body)
        except (Rejected, SourceUnknown) as error:
            return error.explained
        return ""

    def type_of(self, entry: Mapping[str, Any], body: bytes) -> str | None:
        """The event type of a body in place of the entry's, as far as it can be read."""
        return self.sources.identify(source_of(entry), body, entry.get("headers") or {})[1]

    def _malformed(self, entry: Mapping[str, Any], body: bytes, error: MalformedJson) -> Diagnosis:
        repaired = repair(body, safe_only=False)
        if repaired and not self.problem(entry, repaired.body):
            return Diagnosis(str(error), "repair", error.position, repaired.names)
        return Diagnosis(f"{error}; no repair is known", "edit", error.position)

    def _in_schema(self, event: Event) -> Diagnosis:
        """The changes that an event would bring, and if its contract holds them."""
        subject = self.one_subject or event.type
        draft = self.registry.draft(subject, by_hand=True)
        decision = draft.judge(event.payload)
        draft.approve(event.payload, event.key)
        changes = tuple(change.to_document() for change in draft.changes)
        if draft.head is None:
            # A first version is everything at once, and never held.
            return Diagnosis(f"would be version 1 of schema {subject!r}", "retry", subject=subject)
        if decision.held:
            step: Step = "revoke" if decision.rejected else "approve"
            says = decision.objection(subject)
            return Diagnosis(says, step, subject=subject, changes=changes, held=True)
        return Diagnosis("it can be read", "retry", subject=subject, changes=changes)
