"""Fill a database as if the service had run for a month: many small events of many subjects."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from consumer.adoption.counts import NEVER
from consumer.adoption.rollup import LATE, adoption_stores
from consumer.adoption.state import AdoptionState
from consumer.core.clock import HOUR, floor, hour_of
from consumer.mongodb.client import (
    ADOPTION_COUNTS,
    ADOPTION_TOTALS,
    AUDIT,
    DEAD_LETTERS,
    EVENTS,
    READERS,
    SCHEMA_VERSIONS,
    OurDatabase,
)
from consumer.mongodb.indexes import create_indexes
from consumer.monitoring.ingest_history import GRAINS, MINUTE, IngestHistory
from consumer.monitoring.outcomes import OutcomeStats, Period, by_outcome
from consumer.privacy.rules import Redaction
from consumer.readers.pins import MAX_PINS, Pin, Pins
from consumer.readers.views import Views
from consumer.schemas.admission import Candidate, Quota, decide
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Guards, SubjectPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.signals.signals import Signal
from consumer.signals.store import Signals
from tests.support.adoption import documents, spread

Db = Database[dict[str, Any]]

DAY = timedelta(days=1)
DAYS = 30 * DAY
VERSIONS = 3
_FIELDS = 24
_SEEDS = 20_000
_FAST = WriteConcern(w=1, j=False)
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)


def names(subjects: int) -> list[str]:
    return [f"contact.kind_{number:04d}" for number in range(subjects)]


def fill(db: OurDatabase, events: int, subjects: int, letters: int, now: datetime) -> None:
    """Schemas, events, adoption counts, dead letters, deeds and a week of traffic, and as many
    pins and signals as a page may have to show."""
    chance = random.Random(7)
    _events(db, chance, events, subjects, now)
    create_indexes(db)
    _schemas(db, subjects, now)
    _readers(db, subjects, now)
    _letters(db, chance, letters, now)
    _deeds(db, now)
    _traffic(db, chance, now)
    adopt(db, now)


def _schemas(db: Db, subjects: int, now: datetime) -> None:
    made = []
    for number, name in enumerate(names(subjects)):
        head: SchemaVersion | None = None
        for version in range(1, VERSIONS + 1):
            payload: dict[str, Any] = {f"field_{n}": n for n in range(_FIELDS + version)}
            at = now - DAYS + timedelta(days=8 * version, minutes=number)
            head = decide(
                head,
                Candidate(name, payload, f"event-{version}"),
                number=version,
                policy=SubjectPolicy(),
                guards=Guards(),
                quota=Quota(),
                now=at.replace(microsecond=0),
            ).next
            assert head is not None
            made.append(head.to_document())
    db[SCHEMA_VERSIONS].insert_many(made)


def _readers(db: OurDatabase, subjects: int, now: datetime) -> None:
    pins = Pins(db[READERS])
    views = Views(db, pins, SchemaRegistry(db[SCHEMA_VERSIONS]), Redaction)
    for name in names(subjects)[:MAX_PINS]:
        views.pin(Pin(pins.view_name("billing", name), "billing", name, VERSIONS, now, "bench"))
    figures = {"absent_hours": 200, "longest_gap_hours": 3, "events_without": 5_000}
    kept = (
        Signal("vanished", ("field_7",), None, now, 1.0, figures, subject=name, last_seen=now)
        for name in names(subjects)
    )
    Signals(db).save((signal, True) for signal in kept)


def _events(db: Db, chance: random.Random, count: int, subjects: int, now: datetime) -> None:
    """Some are made here, and MongoDB copies them to other times, before there are indexes."""
    size, span = min(_SEEDS, count), DAYS // timedelta(milliseconds=1)
    times = spread(chance, size, now - DAYS, now)
    made: list[Any] = documents(chance, times, names(subjects), VERSIONS)
    for number, each in enumerate(made):
        each["_meta"]["backfilled_to"] = VERSIONS
        each |= {"id": number, "type": each["_meta"]["subject"]}
        each |= {f"field_{n}": n for n in range(6)}
    db["seeds"].insert_many(made)
    after = {"$subtract": ["$processed_at", now - DAYS]}
    later = {"$mod": [{"$add": [after, {"$multiply": ["$copy", 7_919_000]}]}, span]}
    own_id = {"$toString": {"$add": ["$id", {"$multiply": ["$copy", size]}]}}
    db["seeds"].aggregate(
        [
            {"$set": {"copy": {"$range": [0, count // size]}}},
            {"$unwind": "$copy"},
            {"$set": {"id": own_id, "processed_at": {"$add": [now - DAYS, later]}}},
            {"$set": {"_id": {"$concat": ["event-", "$id"]}, "copy": "$$REMOVE"}},
            {"$set": {"_meta.key": "$id", "_meta.received_at": "$processed_at"}},
            {"$out": EVENTS},
        ]
    )
    db.drop_collection("seeds")


def adopt(db: Db, now: datetime) -> None:
    """Counts as the adoption job leaves them, without its promises: here nobody is killed."""
    stores, state = adoption_stores(db), AdoptionState(db)
    begin, summed = hour_of(now - DAYS) - HOUR, hour_of(now - LATE)
    state.claim(0, begin)
    totals: Counter[tuple[str, int]] = Counter()
    at = begin
    while at < summed:
        cells: defaultdict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
        for group in stores.events.count(at, min(at + DAY, summed), "slice"):
            hour = hour_of(group.at)
            key = (hour, group.subject, group.version, group.exhibited)
            cells[key][f"{group.at.minute:02d}"] = group.count
            totals[group.subject, group.version] += group.count
        made = [
            {
                "_id": {"g": 1, "hour": hour, "subject": name, "version": v, "exhibited": e},
                "fence": 0,
                "slices": slices,
            }
            for (hour, name, v, e), slices in cells.items()
        ]
        if made:
            fast = db[ADOPTION_COUNTS].with_options(write_concern=_FAST)
            fast.insert_many(made, ordered=False)
        at += DAY
    db[ADOPTION_TOTALS].insert_many(
        {
            "_id": {"g": 1, "subject": name, "version": version},
            "count": count,
            "added": summed - HOUR,
            "dropped": NEVER,
        }
        for (name, version), count in totals.items()
    )
    current = state.current()
    assert current is not None
    state.advance(current, summed=summed, counted=summed)


def _letters(db: Db, chance: random.Random, count: int, now: datetime) -> None:
    reasons = ("malformed_json", "missing_fields", "signature_invalid", "contract_hold")
    statuses = ("pending_inspection", "pending_retry", "resolved", "parked", "discarded")
    made = []
    for number in range(count):
        at = now - DAYS * chance.random()
        reason = chance.choice(reasons)
        made.append(
            {
                "_id": f"{number:024x}",
                "timestamp": at,
                "last_seen": at,
                "seen": 1,
                "original_payload": b'{"id":"1","type":"t"' + b" " * 200,
                "digest": f"{number:064x}",
                "headers": {},
                "reason": reason,
                "error_message": "Malformed JSON: Expecting ',' delimiter",
                "status": "held" if reason == "contract_hold" else chance.choice(statuses),
                "retry_count": 0,
                "next_retry_at": None,
                "blocked_by": reason,
                "blocked_at": at,
                "event_type": f"contact.kind_{number % 1000:04d}",
                "history": [],
            }
        )
    db[DEAD_LETTERS].insert_many(made, ordered=False)


def _deeds(db: Db, now: datetime) -> None:
    deeds = (
        {"who": "Ada (console)", "what": "dlq retry", "at": now - n * timedelta(minutes=4)}
        for n in range(10_000)
    )
    db[AUDIT].insert_many(deeds)


def _traffic(db: Db, chance: random.Random, now: datetime) -> None:
    """A whole week of four processes."""
    last = floor(now, MINUTE)
    history = IngestHistory(db)
    for instance in ("one", "two", "three", "four"):
        minutes = [Period(last - n * MINUTE, _ended(chance)) for n in range(1, 7 * 1440)]
        for grain in GRAINS:
            together: defaultdict[datetime, list[OutcomeStats]] = defaultdict(list)
            for minute in minutes:
                together[floor(minute.at, grain)] += minute.outcomes
            history.write(
                instance, grain, (Period(at, by_outcome(all_)) for at, all_ in together.items())
            )


def _ended(chance: random.Random) -> tuple[OutcomeStats, ...]:
    return tuple(
        OutcomeStats(outcome, count, count * 0.004, _buckets(count))
        for outcome, count in (
            ("processed", chance.randint(50, 200)),
            ("duplicate", chance.randint(1, 9)),
            ("rejected", chance.randint(1, 3)),
            ("refused", chance.randint(1, 3)),
        )
    )


def _buckets(count: int) -> tuple[tuple[float, float], ...]:
    return tuple((bound, float(round(count * (1 - math.exp(-bound / 0.004))))) for bound in _BOUNDS)
