"""Sum up why deliveries were refused for their signature in the last day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from consumer.core.delivery import MAIN
from consumer.core.errors import MissingFields, SignatureInvalid, SignatureMissing
from consumer.core.text import safe
from consumer.dead_letters.refusal_notes import RefusalNotes
from consumer.dead_letters.retry import OPEN
from consumer.doctor.check import Check, Target
from consumer.mongodb.client import DEAD_LETTERS, REFUSALS

NAME = "refused deliveries"
REJECTED = "ids and types"
_MAX_DIAGNOSES = 5
_DIAGNOSIS = {"$ifNull": ["$diagnosis", None]}
_EXAMINED = {"$or": [{"$ne": [_DIAGNOSIS, None]}, {"$eq": ["$examined", True]}]}
_DROPPED = {
    "queue": "that came faster than they are kept",
    "kept": "for want of room (CXONE_REFUSED_MAX_COUNT, CXONE_REFUSED_MAX_BYTES)",
    "store": "while MongoDB was away",
    "fault": "for a fault of this program: see its log",
}


def examine(target: Target) -> Iterator[Check]:
    """One check for each diagnosis of a signature that was recorded, the commonest first."""
    db = target.database
    since = target.clock() - timedelta(hours=24)
    reasons = [SignatureMissing.reason, SignatureInvalid.reason]
    pipeline: list[Mapping[str, Any]] = [
        {
            "$match": {
                "reason": {"$in": reasons},
                "status": {"$in": list(OPEN)},
                "last_seen": {"$gte": since},
            }
        },
        {
            "$group": {
                "_id": {"diagnosis": _DIAGNOSIS, "examined": _EXAMINED},
                "seen": {"$sum": "$seen"},
                "last": {"$max": "$last_seen"},
            }
        },
        {"$sort": {"seen": -1, "_id": 1}},
    ]
    rows = list(db[DEAD_LETTERS].aggregate(pipeline))
    yield from (judge(row) for row in rows[:_MAX_DIAGNOSES])
    if not rows:
        yield Check(NAME, "ok", "none for its signature in the last 24 h")
    yield from judge_dropped(RefusalNotes(db[REFUSALS]).dropped(since))


def rejected(target: Target) -> Iterator[Check]:
    """One check for each text with which verified deliveries of the last day were refused for want
    of an id or a type, the commonest first."""
    wanted = {
        "reason": MissingFields.reason,
        "status": {"$in": list(OPEN)},
        "last_seen": {"$gte": target.clock() - timedelta(hours=24)},
    }
    group = {
        "_id": {"source": {"$ifNull": ["$source", MAIN]}, "text": "$error_message"},
        "seen": {"$sum": "$seen"},
    }
    pipeline: list[Mapping[str, Any]] = [
        {"$match": wanted},
        {"$group": group},
        {"$sort": {"seen": -1, "_id": 1}},
        {"$limit": _MAX_DIAGNOSES},
    ]
    rows = list(target.database[DEAD_LETTERS].aggregate(pipeline))
    for row in rows:
        whose = "" if row["_id"]["source"] == MAIN else f" of the source {row['_id']['source']}"
        yield Check(
            REJECTED,
            "warn",
            f"{row['seen']:,} verified{whose} in the last 24 h: {safe(str(row['_id']['text']))}",
            "where a setting is wrong, change it and restart: they are taken in then; else"
            f" `cxone-consumer dlq list --reason {MissingFields.reason}`",
        )
    if not rows:
        yield Check(REJECTED, "ok", "every event of the last 24 h had an id and a type")


def judge_dropped(dropped: Mapping[str, int]) -> Iterator[Check]:
    """Sum up the refused deliveries of the last day that were not kept, by the bound they met."""
    parts = [f"{count:,} {_DROPPED.get(bound, bound)}" for bound, count in sorted(dropped.items())]
    if parts:
        yield Check(
            NAME,
            "warn",
            f"not kept in the last 24 h: {'; '.join(parts)}",
            "`cxone-consumer dlq discard` what strangers sent, or raise CXONE_REFUSED_MAX_COUNT",
        )


def judge(row: Mapping[str, Any]) -> Check:
    """One diagnosis (in `_id`; None: nothing was found where `examined`) with how often and when
    last it was seen."""
    diagnosis, examined = row["_id"]["diagnosis"], row["_id"]["examined"]
    count, last = row["seen"], f"{row['last']:%Y-%m-%d %H:%M} UTC"
    counted = f"{count:,} {'delivery' if count == 1 else 'deliveries'} (last seen {last})"
    if not examined:
        return Check(
            NAME,
            "warn",
            f"{counted} with a wrong or no signature were not looked into: only a sample is, when"
            " many come",
            "what else is said here may hold for them: put that right first, then look again",
        )
    if diagnosis is None:
        return Check(
            NAME,
            "warn",
            f"{counted} with a wrong or no signature, no cause found",
            "strangers, or another secret at CXone: enter CXONE_SHARED_SECRET there again",
        )
    # Whoever is diagnosed holds the secret: these are real events that get lost.
    return Check(
        NAME,
        "fail",
        f"{counted} refused: {diagnosis}",
        "change that, restart, then `cxone-consumer dlq retry` takes them in",
    )
