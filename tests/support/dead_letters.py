"""A sweep over a database, wired as the service does and run by hand; a process that takes
deliveries and approves, and what came of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pymongo import monitoring
from pymongo.database import Database

from config import loading as configuration
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.core.paths import from_text
from consumer.dead_letters.approval import Approval, ApprovalPlan, HeldEvents
from consumer.dead_letters.conditions import ConditionStore
from consumer.dead_letters.requeue import Requeue
from consumer.dead_letters.search import HeldDeadLetters
from consumer.ingest.signature import SignatureScheme, sign
from consumer.mongodb.client import DEAD_LETTERS
from consumer.runtime.service_options import configured_conditions
from consumer.runtime.settings_map import one_subject
from consumer.runtime.shared import SharedParts, build_shared
from jobs.sweep_dead_letters import SweepDeadLetters
from tests.support.jobs import Run
from tests.support.service import SECRET

Document = dict[str, Any]
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
S = "contact.created"


@dataclass(frozen=True, slots=True)
class Bench:
    """Shared parts with their sweep under some settings, on one database."""

    shared: SharedParts
    database: Database[dict[str, Any]]
    job: SweepDeadLetters

    def sweep(self, run: Run | None = None) -> dict[str, Any]:
        return self.job(run or Run())

    def receive(self, body: bytes, *, secret: str = SECRET) -> str:
        """The word of the outcome, or the reason of the refusal."""
        headers = sign(SignatureScheme(), secret.encode(), body, utc_now())
        delivery = Delivery("d", body, Headers(headers), utc_now())
        try:
            return self.shared.ingest.receive(delivery).status
        except Exception as error:
            return str(getattr(error, "reason", error))

    def letters(self) -> list[dict[str, Any]]:
        return list(self.database["dead_letter_queue"].find().sort("timestamp"))

    def letter(self) -> dict[str, Any]:
        (entry,) = self.letters()
        return entry

    def make_due(self) -> None:
        """Let the time of those that wait for time come."""
        self.database["dead_letter_queue"].update_many(
            {"next_retry_at": {"$ne": None}}, [{"$set": {"next_retry_at": "$$NOW"}}]
        )


def bench(uri: str, database: Database[dict[str, Any]], **settings: str) -> Bench:
    """`settings` by lower-case name over those of a plain test."""
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_DATABASE": database.name,
        **{name.upper(): value for name, value in settings.items()},
    }
    loaded = configuration.load(given, {})
    shared = build_shared(loaded, uri)
    job = SweepDeadLetters(
        replay=shared.replay,
        dead_letters=shared.dead_letters,
        requeue=Requeue(shared.database["dead_letter_queue"]),
        conditions=ConditionStore(shared.database, shared.registry, configured_conditions(loaded)),
        metrics=shared.metrics,
        clock=utc_now,
    )
    return Bench(shared, database, job)


class House:
    """One process: it takes deliveries and approves."""

    def __init__(self, uri: str, database: str, rules: Path, **given: str) -> None:
        settings = configuration.load(
            {"MONGODB_DATABASE": database, "CXONE_CONFIG": str(rules), **given}, {}
        )
        self.shared: SharedParts = build_shared(settings, uri)
        self._times = itertools.count()
        letters = HeldDeadLetters(self.shared.database[DEAD_LETTERS])
        self.pauses = 0
        self.approval = Approval(
            self.shared.registry,
            HeldEvents(letters, self.shared.sources, one_subject(settings)),
            self.shared.replay,
            self._pause,
        )

    def _pause(self, seconds: float) -> None:
        """As if a minute had passed: claims are over."""
        self.pauses += 1
        self.shared.database[DEAD_LETTERS].update_many(
            {"claim": {"$exists": True}}, {"$set": {"claim.until": START}}
        )

    def deliver(self, event_id: str, event_type: str = S, **fields: object) -> str:
        """Settle a verified delivery; its outcome."""
        at = START + timedelta(seconds=next(self._times))
        delivery = Delivery(
            id=event_id,
            body=json.dumps({"id": event_id, "type": event_type, **fields}).encode(),
            headers=Headers({}),
            received_at=at,
            verdict=Verdict("current", at),
        )
        return self.shared.ingest.store_or_spool(delivery).status

    def approve(
        self, subject: str = S, paths: tuple[str, ...] = ()
    ) -> tuple[ApprovalPlan, list[bool]]:
        plan = self.approval.plan(subject, [from_text(path) for path in paths])
        self.approval.register(plan)
        return plan, [done.resolved for _, done in self.approval.replay(plan, "test")]


Build = Callable[..., House]


def statuses(database: Database[Document]) -> dict[str, str]:
    return {e["event_id"]: e["status"] for e in database["dead_letter_queue"].find()}


def versions(database: Database[Document]) -> list[int]:
    return sorted(v["_id"]["version"] for v in database["schema_versions"].find())


class Finds(monitoring.CommandListener):
    """Keeps the find commands that reach MongoDB."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.sent.append(event.command)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...
