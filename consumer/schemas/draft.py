"""Draft the next version of a subject from payloads, without registering anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from consumer.schemas.admission import Candidate, Decision, Quota, cause, decide, is_held
from consumer.schemas.evolution import changes
from consumer.schemas.model import Change, SchemaVersion, shape_of
from consumer.schemas.objections import NONE, Objections
from consumer.schemas.policy import Contract, Guards, SubjectPolicy


@dataclass(slots=True)
class Draft:
    """A version that payloads would make of `head`; it is the head itself while nothing is new.

    `closed` is the guard that keeps the whole subject out, if one does.
    """

    subject: str
    head: SchemaVersion | None
    version: SchemaVersion | None
    policy: SubjectPolicy
    guards: Guards
    quota: Quota
    now: datetime
    closed: str | None = None
    objections: Objections = NONE

    @property
    def at(self) -> int:
        """The number of the head that this was drafted on; 0 without one."""
        return self.head.number if self.head else 0

    @property
    def is_new(self) -> bool:
        """True where there is anything to register."""
        return self.version is not self.head

    @property
    def changes(self) -> tuple[Change, ...]:
        """Changes that the drafted version would add to the head."""
        return self.proposed.changes if self.proposed else ()

    @property
    def proposed(self) -> SchemaVersion | None:
        """The version to register, where there is anything."""
        return self.version if self.is_new else None

    def judge(self, payload: dict[str, Any], caused_by: object = "") -> Decision:
        """Decide on a payload under the contract and the guards as they are; nothing is drafted."""
        return self._decide(payload, caused_by, self.policy, self.objections)

    def deliver(self, payload: dict[str, Any], caused_by: object = "") -> Decision:
        """As if the payload were delivered: what the contract lets evolve is drafted."""
        return self._grow(self.judge(payload, caused_by))

    def approve(self, payload: dict[str, Any], caused_by: object = "") -> Decision:
        """Draft all that the payload brings, whatever the contract says; guards still hold, and
        what was rejected is left out."""
        by_hand = replace(self.policy, contract=Contract())
        return self._grow(self._decide(payload, caused_by, by_hand, self.objections.approved()))

    def held(self, decision: Decision) -> tuple[Change, ...]:
        """The changes of a decision that the contract itself holds: the rest only waits along."""
        contract = self.policy.contract
        return tuple(each for each in decision.held if is_held(each, contract, self.objections))

    def _grow(self, decision: Decision) -> Decision:
        self.version = decision.next or self.version
        return decision

    def _decide(
        self,
        payload: dict[str, Any],
        caused_by: object,
        policy: SubjectPolicy,
        objections: Objections,
    ) -> Decision:
        if self.closed is not None:
            return Decision(guard=self.closed)
        return decide(
            self.version,
            Candidate(self.subject, payload, cause(caused_by)),
            number=self.at + 1,
            policy=policy,
            guards=self.guards,
            quota=self.quota,
            now=self.now,
            objections=objections,
        )


def covers(version: SchemaVersion | None, other: SchemaVersion) -> bool:
    """True for a `version` that knows every path and type that `other` does."""
    return version is not None and not changes(shape_of(version), shape_of(other))
