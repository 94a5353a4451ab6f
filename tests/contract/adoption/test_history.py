"""Adoption as the console reads it agrees with counting every document."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.adoption.history import AdoptionHistory
from consumer.core.clock import HOUR, hour_of
from consumer.mongodb.indexes import create_indexes
from tests.support.adoption import NOW, documents, job, registered, spread
from tests.support.jobs import Run

Db = Database[dict[str, Any]]
SUBJECTS = ["a", "a.b", "b"]


def filled(db: Db, seed: int) -> None:
    """Three days of events, counted by the job but for what came last."""
    chance = random.Random(seed)
    create_indexes(db)
    schemas = registered(db, SUBJECTS)
    early = spread(chance, 300, NOW - timedelta(days=3), NOW - timedelta(hours=5))
    db["events"].insert_many(documents(chance, early, SUBJECTS))
    job(db, NOW - timedelta(hours=5), schemas)(Run())
    late = spread(chance, 300, NOW - timedelta(hours=5) + timedelta(minutes=5), NOW)
    db["events"].insert_many(documents(chance, late, SUBJECTS))
    job(db, NOW - timedelta(minutes=20), schemas)(Run())


@pytest.mark.parametrize("seed", range(4))
def test_documents_are_those_that_are_there(database: Db, seed: int) -> None:
    filled(database, seed)

    counted = AdoptionHistory(database).documents()

    expected: Counter[tuple[str, int]] = Counter()
    for each in database["events"].find({"schema_version": {"$gt": 0}}):
        expected[each["_meta"]["subject"], each["schema_version"]] += 1
    found = {
        (subject, version): count
        for subject, of in counted.documents.items()
        for version, count in of.items()
    }
    assert found == expected
    assert counted.upto is None


@pytest.mark.parametrize("seed", range(4))
def test_what_producers_sent_is_told_by_hour_and_version(database: Db, seed: int) -> None:
    filled(database, seed)
    hours = [hour_of(NOW) - HOUR * back for back in range(24)]

    sent = AdoptionHistory(database).sent("a", hours)

    expected: Counter[tuple[datetime, int]] = Counter()
    for each in database["events"].find({"_meta.subject": "a", "schema_version": {"$gt": 0}}):
        hour = hour_of(each["processed_at"])
        if hour in hours:
            expected[hour, each["_meta"]["exhibited_version"]] += 1
    found = {
        (hour, version): count for hour, of in sent.hours.items() for version, count in of.items()
    }
    assert found == expected


def test_hours_that_were_summed_by_a_job_that_was_killed_then_count_once(database: Db) -> None:
    filled(database, 0)
    before = AdoptionHistory(database).documents().documents

    # As if it had been killed between the sums and the mark that they are made.
    earlier = {"summed": hour_of(NOW) - timedelta(hours=36)}
    database["adoption_state"].update_one({"_id": 1}, {"$set": earlier})

    assert AdoptionHistory(database).documents().documents == before


def test_what_was_not_counted_is_looked_at_once_for_all_who_ask(database: Db) -> None:
    filled(database, 0)
    hours = [hour_of(NOW) - HOUR * back for back in range(24)]
    clock = [0.0]
    history = AdoptionHistory(database, fresh=5.0, now=lambda: clock[0])

    def told() -> int:
        return sum(sum(of.values()) for of in history.sent("a", hours).hours.values())

    before = told()
    new = documents(random.Random(1), [NOW - timedelta(minutes=1)] * 7, ["a"])
    database["events"].insert_many(new)
    with_version = sum(each["schema_version"] > 0 for each in new)

    assert told() == before
    clock[0] = 5.0
    assert with_version
    assert told() == before + with_version


def test_what_is_counted_meanwhile_is_not_told_twice(database: Db) -> None:
    filled(database, 0)
    hours = [hour_of(NOW) - HOUR * back for back in range(24)]
    history = AdoptionHistory(database, fresh=1000.0)
    before = history.sent("a", hours).hours

    job(database, NOW + timedelta(minutes=20), registered(database, SUBJECTS))(Run())

    assert history.sent("a", hours).hours == before


def test_nothing_is_known_before_the_first_count(database: Db) -> None:
    history = AdoptionHistory(database)

    assert not history.documents().documents
    assert not history.sent("a", [hour_of(NOW)]).hours


def test_the_hours_of_a_subject_are_looked_up_in_the_index_alone(database: Db) -> None:
    filled(database, 0)
    before = database.client.get_database(database.name)
    before.command("profile", 2)

    AdoptionHistory(database).sent("a", [hour_of(NOW) - HOUR * back for back in range(72)])

    before.command("profile", 0)
    looks = [
        each
        for each in before["system.profile"].find({"ns": f"{database.name}.adoption_counts"})
        if each["op"] == "query"
    ]
    assert looks
    assert all("COLLSCAN" not in each["planSummary"] for each in looks)
    assert all(each["docsExamined"] == each["nreturned"] for each in looks)
