"""One subject: its head in this process, and the versions that its payloads bring, together and
once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from consumer.core.clock import to_milliseconds
from consumer.core.deadline import remaining
from consumer.core.errors import StoreUnavailable
from consumer.schemas.admission import Candidate, Decision, Quota, decide
from consumer.schemas.check import Check, CompiledSchema, compile_schema
from consumer.schemas.model import SchemaVersion
from consumer.schemas.objections import NONE, Objections
from consumer.schemas.policy import Contract, Guards, SubjectPolicy
from consumer.schemas.registry.subject_limit import TRUST, SubjectLimit
from consumer.schemas.registry.versions import SchemaVersions
from consumer.schemas.typed import TypedCheck, TypedSchemas

# Losing the race for a number this often while the head stands still means that no majority
# confirms what the primary holds: about 5 seconds.
_MOST_STALLS = 200
_JITTER = 0.05
# Checks under one version before its types are made: that takes milliseconds.
_USUAL = 64
# Guards that shut the whole subject for now; the others are about one event.
_OF_THE_SUBJECT = frozenset({"paths_per_subject", "versions_per_hour"})
# What these keep out is known without a look at MongoDB.
_OF_THE_EVENT = frozenset({None, "depth", "data_key"})

# What a person decides: the version after a head, at a time; None where all is so already.
Make = Callable[[SchemaVersion, datetime], SchemaVersion | None]


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools that all subjects share; `jitter` gives numbers from 0 to 1, `objections` what speaks
    against changes of a subject now, by MongoDB."""

    versions: SchemaVersions
    subjects: SubjectLimit
    guards: Guards
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    objections: Callable[[str, Contract], Objections] = lambda *_: NONE
    types: TypedSchemas = field(default_factory=TypedSchemas)


@dataclass(slots=True)
class Ticket:
    """A payload that waits for its decision, or for the error that prevented one; `registered` is
    set for the one whose wait inserted a version, `gone` for one whose deadline is over."""

    candidate: Candidate
    policy: SubjectPolicy
    decision: Decision | None = None
    registered: SchemaVersion | None = None
    error: StoreUnavailable | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class _GuardFound:
    """The guard that kept something out just now, and until when to trust it."""

    guard: str
    quota: Quota
    until: datetime


class Subject:
    """The schema of one subject in this process; `schema` is always durable and never goes back."""

    def __init__(self, subject: str, policy: SubjectPolicy, tools: Tools) -> None:
        self.schema: CompiledSchema = compile_schema(None)
        self._subject = subject
        self._policy = policy
        self._tools = tools
        self._installing = threading.Lock()
        self._typed: tuple[CompiledSchema | None, TypedCheck | None] = None, None
        self._checks = 0
        self._registering = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._guard_found: _GuardFound | None = None
        self._objections = NONE

    def check(self, payload: dict[str, Any]) -> tuple[CompiledSchema, Check]:
        """The schema, and the findings of a check of the payload against it."""
        schema, (typed_schema, typed) = self.schema, self._typed
        if typed_schema is not schema:
            self._checks = checks = self._checks + 1
            if checks == _USUAL:
                self._typed = schema, self._tools.types.of(schema.root)
        elif typed is not None and (found := typed(payload)) is not None:
            return schema, found
        return schema, schema.check(payload)

    def trusted_guard(self, payload: dict[str, Any]) -> str | None:
        """The guard that answers for an unknown payload without a look at MongoDB, for a moment
        after it did; None when it must be looked at."""
        found, now = self._guard_found, self._tools.clock()
        if found is None or now >= found.until:
            return None
        may_end_otherwise = self._policy.contract.may_hold or self._objections.rejected
        if found.guard in _OF_THE_SUBJECT and not may_end_otherwise:
            return found.guard
        # What people say comes first, and what one odd event did must not keep out the next.
        ticket = Ticket(Candidate(self._subject, payload, ""), self._policy)
        self._decide(self.schema.version, [ticket], found.quota, now)
        decision = ticket.decision or Decision()
        return None if decision.held or decision.next else decision.guard

    def decide(self, ticket: Ticket) -> None:
        """Wait until the ticket is decided on a durable head; raises StoreUnavailable.

        The first waiter decides for all that queue meanwhile and inserts one version for them. Who
        waits in vain for others has learnt nothing of MongoDB.
        """
        # Queue first: whoever registers now takes this ticket along if it still can.
        self._waiting.append(ticket)
        if not self._registering.acquire(timeout=remaining()):
            ticket.gone = True
            raise StoreUnavailable(f'others have been registering "{self._subject}" for too long')
        try:
            if ticket.decision is None and ticket.error is None:
                self._decide_queue(ticket)
        finally:
            self._registering.release()
        if ticket.error is not None:
            raise ticket.error

    def install(self, version: SchemaVersion) -> None:
        """Make a durable version the head, unless a newer one is."""
        if version.number <= self.schema.number:
            return
        schema = compile_schema(
            version, self._policy.defaults, self._tools.guards.depth, self._policy.pins
        )
        with self._installing:
            if version.number > self.schema.number:
                self.schema, self._typed, self._checks = schema, (None, None), 0

    def register_by_hand(self, make: Make) -> tuple[SchemaVersion, bool]:
        """Register what `make` makes of the newest version, or of what others insert before it.

        Returns the durable version, and whether it is ours; when none was made, the head. The
        subject must have one. What `make` raises passes; raises StoreUnavailable.
        """
        tools, now = self._tools, to_milliseconds(self._tools.clock())
        unknown: list[SchemaVersion] = []
        stalled, last = 0, -1
        while True:
            head = self._newest()
            if head is None:
                raise StoreUnavailable(f'the versions of "{self._subject}" cannot be read')
            for tried in unknown:
                # Others may have built on it since: the recorded change tells, not the head.
                if tools.versions.one(self._subject, tried.number) == tried:
                    return tried, True
            made = make(head, now)
            if made is None:
                return head, False
            stalled, last = (stalled + 1, last) if head.number == last else (0, head.number)
            if stalled > _MOST_STALLS:
                raise _unconfirmed(self._subject, made.number)
            outcome = tools.versions.insert(made)
            if outcome == "ours":
                self.install(made)
                return made, True
            if outcome == "unknown":
                stalled += _MOST_STALLS // 4
                unknown.append(made)
            tools.sleep(tools.jitter() * _JITTER)

    def _decide_queue(self, own: Ticket) -> None:
        """Decide on `own` with what waits beside it."""
        tickets = [own]
        try:
            self._register(tickets, self._arrived)
        except Exception as error:
            others = tickets[1:]
            if isinstance(error, StoreUnavailable) and error.away:
                # Waiters must not try one after the other what just failed for all of them.
                for ticket in others:
                    ticket.error = error
                raise
            # For the sake of one of them, or for want of time of this one: each goes alone.
            for ticket in others:
                ticket.decision = None
            self._waiting.extendleft(reversed(others))
            if not others:
                raise
            self._register([own], lambda _: [])
        finally:
            self._tools.subjects.release(self._subject)

    def _arrived(self, tickets: list[Ticket]) -> list[Ticket]:
        """Take those out of the queue that are not among `tickets` and still wait."""
        found: list[Ticket] = []
        while self._waiting:
            found.append(self._waiting.popleft())
        return [ticket for ticket in found if ticket is not tickets[0] and not ticket.gone]

    def _register(
        self, tickets: list[Ticket], arrived: Callable[[list[Ticket]], list[Ticket]]
    ) -> None:
        """Decide, and insert until every decision stands on a durable head; at each try for those
        too that `arrived` meanwhile, who are added to `tickets`."""
        tools = self._tools
        stalled, last, tries = 0, -1, 0
        attempts: list[SchemaVersion] = []
        while True:
            head = self._newest()
            number = head.number if head else 0
            if head in attempts:
                # An insert whose answer was lost did happen.
                tickets[0].registered = head
            stalled, last = (stalled + 1, last) if number == last else (0, number)
            if stalled > _MOST_STALLS:
                raise _unconfirmed(self._subject, number + 1)
            now = tools.clock()
            quota = (
                Quota(subject=tools.subjects.reserve(self._subject))
                if head is None
                else quota_of(tools, head, now)
            )
            contract = self._policy.contract
            if not tries or contract.on_reader_break == "hold":
                # After the head: what is durable before a pin is not held for its sake. Who loses
                # races does not ask again what people rejected.
                self._objections = tools.objections(self._subject, contract)
            tickets += arrived(tickets)
            draft = self._decide(head, tickets, quota, now)
            if draft is None or draft is head:
                break
            outcome = tools.versions.insert(draft)
            if outcome == "ours":
                self.install(draft)
                tools.subjects.add(self._subject)
                tickets[0].registered = draft
                break
            if outcome == "unknown":
                # Each of these has waited for a whole timeout already.
                stalled += _MOST_STALLS // 4
                attempts.append(draft)
            # Whoever lost once loses little: the longer it goes on, the more there are.
            tries += 1
            tools.sleep(tools.jitter() * _JITTER * min(1.0, tries / 10))
        guards = [ticket.decision.guard for ticket in tickets if ticket.decision]
        guard = next((guard for guard in guards if guard not in _OF_THE_EVENT), None)
        self._guard_found = _GuardFound(guard, quota, now + TRUST) if guard else None

    def _decide(
        self, head: SchemaVersion | None, tickets: list[Ticket], quota: Quota, now: datetime
    ) -> SchemaVersion | None:
        """Give every ticket its decision, each on top of what those before it register."""
        draft, number = head, (head.number if head else 0) + 1
        for ticket in tickets:
            ticket.decision = decide(
                draft,
                ticket.candidate,
                number=number,
                policy=ticket.policy,
                guards=self._tools.guards,
                quota=quota,
                now=to_milliseconds(now),
                objections=self._objections,
            )
            draft = ticket.decision.next or draft
        return draft

    def _newest(self) -> SchemaVersion | None:
        # A version never changes, so one that is known need not be sent again.
        version = self._tools.versions.head(self._subject, after=self.schema.number)
        if version is not None:
            self.install(version)
        return self.schema.version


def _unconfirmed(subject: str, number: int) -> StoreUnavailable:
    return StoreUnavailable(
        f'no majority of MongoDB confirms version {number} of schema "{subject}":'
        " check the replica set"
    )


def quota_of(tools: Tools, head: SchemaVersion | None, now: datetime) -> Quota:
    """Look up the guards over many events of a subject with this head."""
    if head is None:
        return Quota(subject=tools.subjects.has_room())
    # Numbers have no gaps: one look at the version that many ago tells how fast they came.
    most, an_hour_ago = tools.guards.versions_per_hour, now - timedelta(hours=1)
    oldest = head.number - most + 1
    if oldest < 1:
        return Quota()
    made = tools.versions.created_at(head.subject, oldest)
    if made is None or made <= an_hour_ago:
        return Quota()
    # What people made meanwhile does not count.
    return Quota(version=tools.versions.brought(head.subject, an_hour_ago, most) < most)
