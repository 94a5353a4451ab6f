"""Wire a sweep over a database as the service does, for tests that run it by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from config import loading as configuration
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers
from consumer.dead_letters.conditions import ConditionStore
from consumer.dead_letters.replay import Replay
from consumer.dead_letters.requeue import Requeue
from consumer.ingest.signature import SignatureScheme, sign
from consumer.runtime.service_options import configured_conditions
from consumer.runtime.settings_map import retry_rules
from consumer.runtime.shared import SharedParts, build_shared
from jobs.sweep_dead_letters import SweepDeadLetters
from tests.support.jobs import Run
from tests.support.service import SECRET


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
        replay=Replay(shared.ingest, shared.dead_letters, utc_now, retry_rules(loaded)),
        dead_letters=shared.dead_letters,
        requeue=Requeue(shared.database["dead_letter_queue"]),
        conditions=ConditionStore(shared.database, shared.registry, configured_conditions(loaded)),
        metrics=shared.metrics,
        clock=utc_now,
    )
    return Bench(shared, database, job)
