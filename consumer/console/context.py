"""Hand the screens all that they read and change: none makes or finds any of it by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Generic, TypeVar

from config.loading import Settings
from consumer.adoption.history import AdoptionHistory, Counted
from consumer.console.traffic import TrafficBoard
from consumer.dead_letters.approval import Approval, HeldEvents
from consumer.dead_letters.diagnosis import Inspector
from consumer.dead_letters.replay import Replay
from consumer.dead_letters.search import DeadLetterSearch
from consumer.dead_letters.store import DeadLetters
from consumer.events.search import EventSearch
from consumer.http.health import HealthCheck
from consumer.mongodb.ended_sessions import EndedSessions
from consumer.monitoring.audit import Audit
from consumer.monitoring.job_runs import JobRuns
from consumer.monitoring.overview import Overview
from consumer.privacy.rules import Redaction
from consumer.readers.judge import Judge, Tally
from consumer.readers.views import Views
from consumer.schemas.policy import SchemaPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.versions import SchemaSummary
from consumer.signals.store import FieldStatistics, Signals

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """`overview`, `summaries`, `documents` and `tallies` are read once for all who look at about
    the same time; they raise StoreUnavailable like every store. `checks` are those of /readyz.
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
    field_statistics: FieldStatistics
    signals: Signals
    events: EventSearch
    redaction: Redaction
    dead_letter_search: DeadLetterSearch
    dead_letters: DeadLetters
    replay: Replay
    inspector: Inspector
    overview: Callable[[], Overview]
    summaries: Callable[[], list[SchemaSummary]]
    documents: Callable[[], Counted]
    judge: Judge
    tallies: Callable[[], Mapping[str, Tally]]
    traffic: TrafficBoard
    job_runs: JobRuns
    audit: Audit
    ended_sessions: EndedSessions
    views: Views


class Cached(Generic[T]):
    """A value that `read` gave at most `seconds` ago, for all who look at about the same time; one
    thread reads at a time, the others wait for it.

    A failed read is not remembered: it raises in each thread that asks.
    """

    def __init__(
        self, read: Callable[[], T], seconds: float, now: Callable[[], float] = monotonic
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._now = now
        self._reading = threading.Lock()
        self._found: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._reading:
            now = self._now()
            if self._found is None or now - self._found[0] >= self._seconds:
                self._found = now, self._read()
            return self._found[1]
