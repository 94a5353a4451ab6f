"""What the screens are handed: nothing of it is made or found by a screen itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from config.loading import Settings
from consumer.adoption.history import AdoptionHistory, Counted
from consumer.console.traffic import TrafficBoard
from consumer.dead_letters.approval import Approval, HeldEvents
from consumer.dead_letters.diagnosis import Inspector
from consumer.dead_letters.replay import Replay
from consumer.dead_letters.search import DeadLetterSearch
from consumer.dead_letters.store import DeadLetters
from consumer.events.recent import RecentEvents
from consumer.events.search import EventSearch
from consumer.http.health import HealthCheck
from consumer.mongodb.ended_sessions import EndedSessions
from consumer.monitoring.audit import Audit
from consumer.monitoring.job_runs import JobRuns
from consumer.monitoring.overview import Overview
from consumer.privacy.rules import Redaction
from consumer.schemas.policy import SchemaPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.versions import SchemaSummary


@dataclass(frozen=True, slots=True)
class Parts:
    """`overview`, `summaries` and `documents` are read once for all who look at about the same
    time; they raise StoreUnavailable like every store. `checks` are those of /readyz.
    `one_subject` is the subject of all event types, where they evolve together."""

    settings: Settings
    clock: Callable[[], datetime]
    checks: Mapping[str, HealthCheck]
    registry: SchemaRegistry
    schema_policy: SchemaPolicy
    one_subject: str | None
    approval: Approval
    held: HeldEvents
    adoption: AdoptionHistory
    recent_events: RecentEvents
    events: EventSearch
    redaction: Redaction
    letters: DeadLetterSearch
    dead_letters: DeadLetters
    replay: Replay
    inspector: Inspector
    overview: Callable[[], Overview]
    summaries: Callable[[], list[SchemaSummary]]
    documents: Callable[[], Counted]
    traffic: TrafficBoard
    job_runs: JobRuns
    audit: Audit
    ended_sessions: EndedSessions
