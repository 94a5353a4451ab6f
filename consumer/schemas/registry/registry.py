"""Admit payloads under the schema of their subject, from memory while nothing is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from consumer.core.clock import to_milliseconds
from consumer.core.errors import (
    ChangeRejected,
    ContractHold,
    SchemaMoved,
    SetupError,
    StoreUnavailable,
)
from consumer.schemas.admission import Candidate, Decision, cause, recorded_changes
from consumer.schemas.aliases import Aliases
from consumer.schemas.check import Check, CompiledSchema, Gap
from consumer.schemas.draft import Draft, covers
from consumer.schemas.manual_changes import renumbered
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import SubjectPolicy
from consumer.schemas.registry.cache import SchemaCache
from consumer.schemas.registry.subject import Make, Subject, Ticket, quota_of

# More versions than anybody loses: each of them is copied.
_MOST_LOST = 10_000


class Admission(msgspec.Struct, frozen=True):
    """A payload's place in its schema. `version` 0: the subject is not registered.

    `guard` says what keeps the `untracked` values out of the schema; `registered` is set for the
    one caller whose call inserted a version; `gaps` and `aliases` are for `fill`, and refer into
    the payload.
    """

    version: int
    exhibited: int
    untracked: int = 0
    guard: str | None = None
    registered: SchemaVersion | None = None
    gaps: list[Gap] = msgspec.field(default_factory=list)
    aliases: Aliases | None = None


class SchemaRegistry(SchemaCache):
    """The schemas of all subjects, safe for threads here and for other processes elsewhere.

    A cached head answers what is known entirely. Anything else waits for its subject alone, which
    reads the head again before it holds or registers anything.
    """

    def admit(
        self,
        subject: str,
        payload: dict[str, Any],
        caused_by: object = "",
        vet: Callable[[dict[str, Any]], object] | None = None,
    ) -> Admission:
        """The payload's admission, after registering what is new and allowed.

        `vet` is called before anything is registered: what it raises for a payload that cannot
        be stored keeps that payload out of the schema too. Raises ContractHold or ChangeRejected
        with the changes, or StoreUnavailable. The payload is not altered.
        """
        held = self._subjects.get(subject)
        if held is not None and held.schema.version is not None:
            schema, check = held.check(payload)
            if not check.unknown and not schema.due:
                return _admission(schema, check)
            # The next number stands in documents already, for other fields.
            lost = self._lost.get(subject)
            in_hole = lost is not None and schema.number <= lost.seen
            guard = "hole" if in_hole else held.trusted_guard(payload)
            if guard is not None:
                return _admission(schema, check, guard)
        elif guard := self._excluding_guard(subject):
            return _admission(self._nothing, self._nothing.check(payload), guard)
        if vet is not None:
            vet(payload)
        return self._register(subject, payload, caused_by, self._policy.of(subject))

    def draft(self, subject: str, by_hand: bool = False) -> Draft:
        """A draft on the newest version in MongoDB, under the guards as they stand now.

        `by_hand`: a person decides what it takes in, so the bound on versions an hour, which is
        there for floods, does not count.
        """
        hole, head = self.hole(subject), self.refreshed(subject)
        now = self._tools.clock()
        quota = quota_of(self._tools, head, now)
        return Draft(
            subject=subject,
            head=head,
            version=head,
            policy=self._policy.of(subject),
            guards=self._policy.guards,
            quota=replace(quota, version=True) if by_hand else quota,
            now=to_milliseconds(now),
            closed="hole" if hole else None if head else self._too_long(subject),
            objections=self.objections(subject),
        )

    def register(self, draft: Draft) -> SchemaVersion | None:
        """Register exactly what was drafted; the version that is durable then and knows it all.

        Raises SchemaMoved when the head is no longer the one that was drafted on and lacks
        something, StoreUnavailable when nothing can be said.
        """
        version = draft.version
        if version is None or not draft.is_new:
            return draft.head
        outcome = self._versions.insert(version)
        if outcome == "ours":
            self._subject(draft.subject).install(version)
            self._limit.add(draft.subject)
            return version
        # The winner may be our own insert, whose answer was lost, or another's of the same content.
        head = self.refreshed(draft.subject)
        if covers(head, version):
            return head
        number = head.number if head else 0
        if number < version.number:
            raise StoreUnavailable(
                f'MongoDB did not confirm version {version.number} of schema "{draft.subject}":'
                " try again"
            )
        raise SchemaMoved(draft.subject, number, draft.at)

    def change(self, subject: str, make: Make) -> tuple[SchemaVersion, bool]:
        """Register what a person decides (`schemas.manual_changes`), whoever registers meanwhile;
        the version that says so, and whether this call made it.

        Raises SetupError for a subject without a schema and what `make` raises, StoreUnavailable
        when nothing can be said.
        """
        if hole := self.hole(subject):
            raise SetupError(hole.sentence(subject))
        if self.refreshed(subject) is None:
            raise SetupError(f'no schema "{subject}": `cxone-consumer schema list` shows all')
        return self._subject(subject).register_by_hand(make)

    def renumber(self, subject: str) -> SchemaVersion | None:
        """Go on behind the highest number that documents know: with copies of the head, one for
        each number that was lost, so that none is ever used again. The last of them; None where
        nothing was lost.

        Raises SetupError for a number that no subject ever had, and StoreUnavailable.
        """
        hole = self.hole(subject)
        if hole is None or self._stamps is None:
            return None
        if hole.seen - hole.head > _MOST_LOST:
            raise SetupError(
                f"documents of {subject!r} know version {hole.seen}: no schema had so many, look"
                " which documents say so"
            )
        last = hole.seen + 1
        lost = self._stamps.most_positions(subject, hole.head)
        if not hole.head:
            # Of an answer that was lost, or of somebody else's version, the loop reads the end.
            nothing = SchemaVersion(subject, 0, (), (), to_milliseconds(self._tools.clock()))
            self._versions.insert(renumbered(nothing, last, lost, nothing.created_at) or nothing)
        more = True
        while more:
            head, more = self._subject(subject).register_by_hand(
                lambda head, now: renumbered(head, last, lost, now)
            )
        return head

    def _excluding_guard(self, subject: str) -> str | None:
        """The guard that keeps out a subject without a head here, as far as that is known."""
        if guard := self._too_long(subject):
            return guard
        if subject in self._lost:
            return "hole"
        return "subjects" if self._limit.excludes(subject) else None

    def _too_long(self, subject: str) -> str | None:
        return "subject_name" if len(subject) > self._policy.guards.subject_characters else None

    def _register(
        self, subject: str, payload: dict[str, Any], caused_by: object, policy: SubjectPolicy
    ) -> Admission:
        ticket = Ticket(Candidate(subject, payload, cause(caused_by)), policy)
        held = self._subject(subject)
        try:
            held.decide(ticket)
        finally:
            if held.schema.version is None:
                self._forget(subject, held)
        decision = ticket.decision or Decision()
        if decision.held:
            raise ContractHold(decision.advice(subject), recorded_changes(decision.held))
        if decision.unwanted:
            raise ChangeRejected(
                f'a change of schema "{subject}" was rejected, with all that brings it:'
                " `schema reject` lists such changes",
                recorded_changes(decision.unwanted),
            )
        schema = held.schema
        return _admission(schema, schema.check(payload), decision.guard, ticket.registered)

    def _forget(self, subject: str, held: Subject) -> None:
        # A name that is kept out leaves nothing behind, however many such names come.
        with self._mutex:
            if self._subjects.get(subject) is held:
                del self._subjects[subject]


def _admission(
    schema: CompiledSchema,
    check: Check,
    guard: str | None = None,
    registered: SchemaVersion | None = None,
) -> Admission:
    if guard is None and check.data_keys:
        guard = "data_key"
    if guard is None and check.opaque:
        guard = "depth"
    return Admission(
        version=schema.number,
        exhibited=check.exhibited,
        untracked=check.untracked,
        guard=guard if check.untracked else None,
        registered=registered,
        gaps=check.gaps,
        aliases=schema.aliases,
    )
