"""What the screens are handed: nothing of it is made or found by a screen itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from config.settings import Settings
from consumer.approval import Approval
from consumer.held import HeldEvents
from consumer.letters.diagnosis import Inspector
from consumer.overview import Overview
from consumer.redaction import Redaction
from consumer.replay import Replay
from consumer.schema.policy import SchemaPolicy
from consumer.storage.adoption_history import AdoptionHistory, Counted
from consumer.storage.audit import Audit
from consumer.storage.dead_letters import DeadLetters
from consumer.storage.ended_sessions import EndedSessions
from consumer.storage.event_search import EventSearch
from consumer.storage.job_runs import JobRuns
from consumer.storage.letter_search import LetterSearch
from consumer.storage.recent_events import RecentEvents
from consumer.storage.schema_registry import SchemaRegistry
from consumer.storage.schema_versions import SchemaSummary
from consumer.web.console.traffic import TrafficBoard
from consumer.web.health import Probe


@dataclass(frozen=True, slots=True)
class Parts:
    """`overview`, `summaries` and `documents` are read once for all who look at about the same
    time; they raise StoreUnavailable like every store. `probes` are those of /readyz.
    `one_subject` is the subject of all event types, where they evolve together."""

    settings: Settings
    clock: Callable[[], datetime]
    probes: Mapping[str, Probe]
    registry: SchemaRegistry
    schema_policy: SchemaPolicy
    one_subject: str | None
    approval: Approval
    held: HeldEvents
    adoption: AdoptionHistory
    recent_events: RecentEvents
    events: EventSearch
    redaction: Redaction
    letters: LetterSearch
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
