"""Documents to count, and the count that is slow and obviously right."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from pymongo.database import Database

from consumer.adoption.figures import SubjectFigures
from consumer.adoption.rollup import adoption_stores
from consumer.core.metrics import Metrics
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.adoption import Adoption

Db = Database[dict[str, Any]]
SUBJECTS = ["contact.created", "contact.ended", "a.b $c", "agent.state_changed"]
NOW = datetime(2026, 3, 10, 12, 34, 56, 789000, tzinfo=timezone.utc)

_numbers = itertools.count()


def document(at: datetime, subject: str, version: int, exhibited: int, filled: int) -> Any:
    return {
        "_id": f"event-{next(_numbers)}",
        "schema_version": version,
        "processed_at": at,
        "_meta": {
            "subject": subject,
            "exhibited_version": exhibited,
            "backfilled_to": filled,
        },
    }


def documents(
    chance: random.Random, times: Iterable[datetime], subjects: list[str], versions: int = 3
) -> list[Any]:
    """One document at each time; the version 0 of an unregistered subject among them."""
    made = []
    for at in times:
        version = chance.randint(0, versions)
        exhibited = chance.randint(min(1, version), version)
        filled = chance.randint(version, versions)
        made.append(document(at, chance.choice(subjects), version, exhibited, filled))
    return made


def spread(chance: random.Random, count: int, start: datetime, end: datetime) -> list[datetime]:
    span = (end - start) // timedelta(milliseconds=1)
    return [start + timedelta(milliseconds=chance.randrange(span)) for _ in range(count)]


def registered(db: Db, subjects: Iterable[str], versions: int = 3) -> SchemaRegistry:
    """A registry that knows so many versions of each subject; each adds a fillable field."""
    registry = SchemaRegistry(db["schema_versions"])
    for subject in subjects:
        for number in range(1, versions + 1):
            registry.admit(subject, {f"field_{n}": 1 for n in range(number)})
    return registry


def job(
    db: Db, now: datetime, registry: SchemaRegistry | None = None, retention_days: int = 0
) -> Adoption:
    """The job of a process that has just started."""
    return Adoption(
        stores=adoption_stores(db),
        heads=registry or SchemaRegistry(db["schema_versions"]),
        metrics=Metrics(),
        retention_days=retention_days,
        clock=lambda: now,
    )


def brute_force(
    db: Db, now: datetime, registry: SchemaRegistry, floor: datetime | None = None
) -> list[SubjectFigures]:
    """The figures by .github/ARCHITECTURE.md#adoption-figures, from every document."""
    found = [
        each
        for each in db["events"].find()
        if each["schema_version"] > 0 and (floor is None or each["processed_at"] >= floor)
    ]
    by_subject: dict[str, list[Any]] = {}
    for each in found:
        by_subject.setdefault(each["_meta"]["subject"], []).append(each)
    figures = []
    for subject, mine in by_subject.items():
        head = registry.refreshed(subject)
        assert head is not None
        recent = [each for each in mine if each["processed_at"] >= now - timedelta(hours=1)]
        adopted = sum(each["schema_version"] == head.number for each in mine)
        exhibiting = sum(each["_meta"]["exhibited_version"] == head.number for each in recent)
        whole = [each for each in mine if "unfilled" not in each["_meta"]]
        conforming = sum(each["_meta"]["backfilled_to"] >= head.newest_fillable for each in whole)
        figures.append(
            SubjectFigures(
                subject=subject,
                total=len(mine),
                adopted=adopted,
                adoption_rate=100 * adopted / len(mine),
                producer_adoption_rate=100 * exhibiting / len(recent) if recent else None,
                conforming_rate=100 * conforming / len(whole) if whole else None,
                latest_version=head.number,
                unfilled=len(mine) - len(whole),
            )
        )
    return sorted(figures, key=lambda each: (-each.total, each.subject))


def stored_counts(db: Db) -> list[Any]:
    """The counts in use, without what may differ between two ways to the same result."""
    current = db["adoption_state"].find_one({"_id": "current"})
    generation = current["generation"] if current else 0
    return [
        ({**each["_id"], "g": None}, dict(sorted(each["slices"].items())))
        for each in db["adoption_counts"].find().sort("_id")
        if each["_id"]["g"] == generation
    ]


def vars_of(figures: Any) -> dict[str, Any]:
    return {name: getattr(figures, name) for name in figures.__slots__}
