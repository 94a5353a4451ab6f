"""Usual documents are filled by stretches of the index, and what is odd there is left alone."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import count
from typing import Any

from bson.datetime_ms import DatetimeMS
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from consumer.mongodb.indexes import BY_STAMP, create_indexes
from consumer.schemas.defaults import newer_than
from jobs.backfill.job import BackfillRules
from jobs.backfill.pace import PaceRules
from jobs.backfill.store import BackfillStore, Upgrade, upgrade
from jobs.backfill.stretches import Stretches
from tests.support.backfill import LONG_AGO, backfill, laid_out, payload_part, read, registry, store
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]
FAST = BackfillRules(0, PaceRules(batch=2, pause=0, throttle=False))


def behind(database: Db, changes: list[Document]) -> tuple[Stretches, Upgrade]:
    """Documents that lack the field `b`, each with a change of its own, and their stretches."""
    schemas = registry(database)
    template = laid_out(schemas, "first", {"a": 1})
    numbered = [{**template, "_id": str(n), **change} for n, change in enumerate(changes)]
    database["events"].create_index(BY_STAMP)
    database["events"].insert_many(numbered)
    store(database, schemas, "new", {"b": 1})
    plan = upgrade(newer_than(schemas.compiled("s"), 1), 1, 2)
    return BackfillStore(database["events"]).stretches("s", 1), plan


def second(number: int) -> Document:
    return {"processed_at": LONG_AGO + timedelta(seconds=number)}


def test_stretches_follow_each_other_without_gap_or_overlap(database: Db) -> None:
    versions = [{"schema_version": n % 2, **second(n // 5)} for n in range(101)]
    stretches, _ = behind(database, versions)

    seen: list[str] = []
    for each in stretches.each(lambda: 7):
        found = [document["_id"] for document in database["events"].find(each, {"_id": 1})]
        assert len(found) <= 7
        seen += found

    assert sorted(seen) == sorted(str(n) for n in range(101))


def test_odd_dates_and_versions_and_a_crowd_of_one_moment_are_left(database: Db) -> None:
    odd: list[Any] = [None, "x", [LONG_AGO, LONG_AGO], 7, DatetimeMS(-(2**60)), DatetimeMS(2**60)]
    changes: list[Document] = [{"processed_at": value} for value in odd]
    changes += [{"schema_version": value} for value in (None, "x", [1, 2])]
    crowd = [{"schema_version": 2, **second(1)} for _ in range(4)]
    after = [{"schema_version": 3, **second(number)} for number in range(9)]
    stretches, plan = behind(database, [*changes, *crowd, *after])
    assert plan.usual

    filled = sum(stretches.fill(each, plan.usual) for each in stretches.each(lambda: 3))

    assert 9 <= filled < len(changes) + 9
    numbers = range(len(changes), len(changes) + 13)
    found = database["events"].find({"b": {"$type": "null"}}, {"_id": 1})
    assert {str(number) for number in numbers} & {each["_id"] for each in found} == {
        str(number) for number in [*numbers][4:]
    }


def test_a_stretch_reads_no_document_but_its_own(database: Db) -> None:
    create_indexes(database)
    stretches, plan = behind(database, [second(number) for number in range(20)])
    database.command("profile", 2)
    assert plan.usual

    first = next(stretches.each(lambda: 5))
    filled = stretches.fill(first, plan.usual)

    database.command("profile", 0)
    looks = list(database["system.profile"].find({"ns": f"{database.name}.events"}))
    assert filled == 5
    # Bounds and counts are read from the index alone.
    assert sorted(look.get("docsExamined", 0) for look in looks) == [0] * (len(looks) - 1) + [5]


def test_what_others_change_meanwhile_is_not_overwritten(database: Db) -> None:
    stretches, plan = behind(database, [second(number) for number in range(4)])
    assert plan.usual
    (stretch,) = stretches.each(lambda: 10)

    database["events"].update_one({"_id": "1"}, {"$set": {"b": "by hand"}})
    database["events"].update_one({"_id": "2"}, {"$set": {"_meta.backfilled_to": 3}})
    filled, again = stretches.fill(stretch, plan.usual), stretches.fill(stretch, plan.usual)

    after = read(database)
    assert (filled, again) == (2, 0)
    assert payload_part(after["1"]) == {"a": 1, "b": "by hand"}
    assert "b" not in after["2"]
    assert after["2"]["_meta"]["backfilled_to"] == 3


def test_a_refusal_amid_a_stretch_leaves_the_rest_to_the_other_way(database: Db) -> None:
    stretches, plan = behind(database, [second(number) for number in range(9)])
    assert plan.usual
    database.command("collMod", "events", validator={"$nor": [{"_id": "4", "b": None}]})

    filled = [stretches.fill(each, plan.usual) for each in stretches.each(lambda: 6)]
    result = backfill(database, registry(database))(Run())

    assert filled == [4, 3]
    assert (result["documents"], result["failed"]) == (1, 1)
    assert database["events"].count_documents({"_meta.backfilled_to": 2}) == 9


class Meeting(CommandListener):
    """Lets the first update go only with a second one."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2)
        self._seen = count()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "update" and next(self._seen) < 2:
            self.both.wait(30)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing is told of it."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing is told of it."""


def test_without_throttle_two_stretches_are_filled_at_once(database: Db, mongod_uri: str) -> None:
    behind(database, [second(number) for number in range(40)])
    meeting = Meeting()
    with MongoClient[Document](mongod_uri, tz_aware=True, event_listeners=[meeting]) as client:
        watched = client[database.name]
        result = backfill(watched, registry(watched), FAST)(Run())

    assert not meeting.both.broken
    assert (result["documents"], result["remaining"]) == (40, 0)


def test_what_was_sent_when_it_is_stopped_is_counted(database: Db) -> None:
    behind(database, [second(number) for number in range(40)])
    job = backfill(database, registry(database), FAST)

    result = job(Run(stop_after=1))

    filled = database["events"].count_documents({"b": {"$type": "null"}})
    assert 0 < filled < 40
    assert (result["documents"], result["remaining"]) == (filled, 40 - filled)
