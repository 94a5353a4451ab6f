"""Decide on a payload: nothing new, a version to register, held, or beyond a guard."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumer.core.paths import Path
from consumer.schemas.evolution import changes, evolve
from consumer.schemas.infer import infer, with_maps
from consumer.schemas.model import Change, SchemaVersion, shape_of
from consumer.schemas.objections import NONE, Objections, without
from consumer.schemas.policy import Contract, Guards, SubjectPolicy
from consumer.schemas.shape import Shape, join, through_maps, walk

# An event id is recorded with the change it caused, but ids have no bound of their own.
_CAUSE_CHARACTERS = 256
# Of what a delivery would change its dead letter keeps so many changes, in so many bytes.
_MOST_CHANGES = 100
_MOST_BYTES = 32 * 1024
# Of the readers that a delivery would break so many are named.
_MOST_NAMES = 5
# In place of a guard, where a person rejected what is left out.
REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Quota:
    """Room under the guards over many events just now: for another version of the subject this
    hour, and for another subject."""

    version: bool = True
    subject: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """`next` is the version to register, `held` what the contract holds (then nothing is
    registered), `unwanted` what a person rejected with all that brings it, `guard` the bound that
    leaves something unregistered; all empty: nothing new. What is held a person `rejected`, or it
    would break `readers`, or the contract alone holds it."""

    next: SchemaVersion | None = None
    held: tuple[Change, ...] = ()
    guard: str | None = None
    unwanted: tuple[Change, ...] = ()
    rejected: bool = False
    readers: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """The reason why something stays unregistered, as people are told; empty: nothing does."""
        if self.guard == REJECTED:
            return "what it brings was rejected: `schema reject` lists it, and takes it back"
        return f"the guard {self.guard} leaves no room for it" if self.guard else ""

    def objection(self, subject: str) -> str:
        """The objection that holds a delivery, as people are told."""
        if self.rejected:
            return f'a change of schema "{subject}" was rejected'
        named = [*self.readers[:_MOST_NAMES], *["others"][: len(self.readers) - _MOST_NAMES]]
        breaks = f" that break {', '.join(named)}" if named else ""
        return f'the contract of schema "{subject}" holds {len(self.held)} change(s){breaks}'

    def advice(self, subject: str) -> str:
        """The same with the next step."""
        following = "approve or reject them, or let the contract evolve"
        if self.rejected:
            following = "`schema reject` lists such changes, and takes them back"
        return f"{self.objection(subject)}: {following}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A payload that shows something the cached head does not know."""

    subject: str
    payload: dict[str, Any]
    caused_by: str


def decide(
    head: SchemaVersion | None,
    candidate: Candidate,
    *,
    number: int,
    policy: SubjectPolicy,
    guards: Guards,
    quota: Quota,
    now: datetime,
    objections: Objections = NONE,
) -> Decision:
    """Decide on a payload under `head` (possibly a draft of version `number` already).

    What people rejected and the contract come first: one held change holds the delivery whatever
    the guards say. What fits under the bound on paths is registered, shallow paths first.
    """
    tree = shape_of(head)
    pins = policy.pins.with_objects(head.pinned_objects) if head else policy.pins
    inferred = infer(candidate.payload, tree, pins, guards)
    guard, found = inferred.guard, inferred.shape
    # An earlier program took data for names: that is no news which a contract could hold.
    known = with_maps(tree, pins, found)
    if head is not None and (policy.contract.may_hold or objections.rejected):
        would_be = tuple(changes(known, found, candidate.caused_by))
        if objected := _objected(would_be, policy.contract, objections):
            return objected
        if left_out := objections.among(would_be, "store"):
            guard, found = REJECTED, without(found, left_out)
    if head is None and not quota.subject:
        return Decision(guard="subjects")
    fitted, cut = _fit(known, found, guards.paths_per_subject)
    guard = "paths_per_subject" if cut else guard
    joined = with_maps(join(through_maps(known, fitted), fitted), pins)
    if joined == tree and head is not None:
        return Decision(guard=guard)
    if not quota.version:
        return Decision(guard="versions_per_hour")
    proposed = evolve(
        head,
        joined,
        subject=candidate.subject,
        number=number,
        changes=changes(tree, joined, candidate.caused_by),
        now=now,
    )
    if not _has_room(proposed, guards):
        return Decision(guard="paths_per_subject")
    return Decision(next=proposed, guard=guard)


def _objected(
    would_be: tuple[Change, ...], contract: Contract, objections: Objections
) -> Decision | None:
    """The decision on a delivery that may not change anything; None where it may."""
    if unwanted := objections.among(would_be, "discard"):
        return Decision(unwanted=unwanted)
    if not any(is_held(change, contract, objections) for change in would_be):
        return None
    return Decision(
        held=would_be,
        rejected=bool(objections.among(would_be, "hold")),
        readers=tuple(sorted({name for each in would_be for name in objections.broken(each)})),
    )


def cause(event_id: object) -> str:
    """An event id as it is recorded with what it changes."""
    return str(event_id)[:_CAUSE_CHARACTERS]


def recorded_changes(changes: Sequence[Change]) -> list[dict[str, object]]:
    """The first of the changes as documents for a dead letter, as many as it can well hold: at its
    approval all are worked out anew from its payload."""
    found: list[dict[str, object]] = []
    room = _MOST_BYTES
    for change in changes[:_MOST_CHANGES]:
        room -= _change_bytes(change)
        if room < 0:
            break
        found.append(change.to_document())
    return found


def is_held(change: Change, contract: Contract, objections: Objections = NONE) -> bool:
    """True for a change that the contract holds, or a person; new keys make a map, so it counts as
    new field."""
    if objections.among((change,), "hold"):
        return True
    if contract.on_reader_break == "hold" and objections.broken(change):
        return True
    if change.kind in ("field_added", "became_map"):
        return contract.on_new_field == "hold"
    return change.kind == "type_conflict" and contract.on_type_conflict == "hold"


def _fit(tree: Shape, found: Shape, limit: int) -> tuple[Shape, bool]:
    """The part of `found` with which `tree` stays within `limit` paths, breadth first, and whether
    something was left out."""
    seen = through_maps(tree, found)
    room = limit - sum(1 for _ in walk(seen))
    fitted = Shape(found.types, {})
    cut = False
    places: deque[tuple[Shape | None, Shape, Shape]] = deque([(seen, found, fitted)])
    while places:
        known, source, target = places.popleft()
        for segment, child in source.children.items():
            present = known.children.get(segment) if known else None
            if present is None:
                if room <= 0:
                    cut = True
                    continue
                room -= 1
            target.children[segment] = Shape(child.types, {})
            places.append((present, child, target.children[segment]))
    return fitted, cut


def _has_room(version: SchemaVersion, guards: Guards) -> bool:
    """True where the list with its absorbed entries, which keep their positions, and the changes
    stay in bounds."""
    if len(version.fields) > 2 * guards.paths_per_subject:
        return False
    # In UTF-8 a character takes up to 4 bytes; each segment and entry has BSON around it.
    size = sum(100 + _path_bytes(field.path) for field in version.fields)
    return size + sum(map(_change_bytes, version.changes)) <= guards.version_bytes


def _change_bytes(change: Change) -> int:
    return 200 + _path_bytes(change.path) + len(change.caused_by.encode())


def _path_bytes(path: Path) -> int:
    return sum(8 + len(segment.encode()) for segment in path)
