"""The job that counts which fields the newest events send, and what it leaves in MongoDB."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from consumer.core import metrics_table as names
from consumer.core.errors import StoreUnavailable
from consumer.core.metrics import Metrics
from consumer.core.paths import Path
from consumer.events.recent import as_sent
from consumer.mongodb.client import EVENTS, FIELD_STATISTICS, SIGNALS, open_database
from consumer.privacy.rules import Redaction
from consumer.schemas.manual_changes import alias
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults, SchemaPolicy, subject_policy
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.signals.signals import Signal, told
from consumer.signals.statistics import Day, Seen
from consumer.signals.store import FieldStatistics, Look, Signals
from jobs import field_statistics as job_module
from tests.support.backfill import backfill, registry
from tests.support.field_statistics import AT, DAY, HOUR, count_fields, stored_at
from tests.support.jobs import Run
from tests.support.signals import GONE, RENAMED

Db = Database[dict[str, Any]]


def sent_of(database: Db, schemas: SchemaRegistry, subject: str = "s") -> dict[str, int]:
    head = schemas.refreshed(subject)
    assert head is not None
    days = FieldStatistics(open_database(database.client, database.name)).days(subject, AT - DAY)
    counts: Counter[str] = Counter()
    for day in days:
        for position, seen in day.fields.items():
            counts[".".join(head.fields[position].path)] += seen.sent
    return dict(counts)


def events_of(database: Db) -> int:
    days = database[FIELD_STATISTICS].find({"looked_at": {"$exists": True}})
    return sum(sum(day["looked_at"]) for day in days)


def presence(version: SchemaVersion, payload: dict[str, Any]) -> set[Path]:
    """The known paths in which something stands, slow and obviously right."""
    known = {field.path for field in version.live}

    def walk(value: Any, path: Path) -> set[Path]:
        found = {path} & known
        if isinstance(value, dict):
            return found.union(*(walk(child, (*path, key)) for key, child in value.items()))
        if isinstance(value, list):
            return found.union(*(walk(child, (*path, "[]")) for child in value))
        return found

    return walk(payload, ())


@pytest.mark.parametrize("typed", [False, True])
def test_fields_are_counted_as_they_were_sent(database: Db, typed: bool) -> None:
    policy = SchemaPolicy(general=subject_policy(typed=typed))
    schemas = registry(database, policy)
    chance = random.Random(7)
    payloads = [random_object(chance, 3) for _ in range(300)]
    stored_at(database, schemas, AT, payloads[:200])
    backfill(database, schemas)(Run())
    stored_at(database, schemas, AT + HOUR, payloads[200:])
    head = schemas.refreshed("s")
    assert head is not None

    result = count_fields(database, schemas, lambda: AT + 3 * HOUR)(Run(fence=1))

    expected = Counter(path for each in payloads for path in presence(head, each))
    assert result["events"] == 300
    assert sent_of(database, schemas) == {".".join(path): n for path, n in expected.items()}
    stored = list(database[EVENTS].find())
    assert any(each["_meta"]["backfilled_to"] > each["schema_version"] for each in stored)
    assert sum(bool(as_sent(each, head, Defaults())) for each in stored) == 300


def random_object(chance: random.Random, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in chance.sample("abcdef", chance.randrange(1, 5)):
        kind = chance.randrange(5 if depth else 3)
        scalar = chance.choice((None, 1, "x", 2.5))
        found[key] = (
            random_object(chance, depth - 1)
            if kind == 3
            else [random_object(chance, depth - 1) for _ in range(chance.randrange(3))]
            if kind == 4
            else scalar
        )
    return found


def test_events_are_looked_at_once_and_five_minutes_late(database: Db) -> None:
    schemas = registry(database)
    now = AT + HOUR
    job = count_fields(database, schemas, lambda: now)
    stored_at(database, schemas, now - HOUR / 2, [{"a": 1}] * 3)
    stored_at(database, schemas, now - HOUR / 30, [{"a": 1}] * 2)

    looks = [job(Run(fence=1))["events"] for _ in range(2)]
    now += HOUR / 6
    later = [job(Run(fence=2))["events"] for _ in range(2)]

    assert (looks, later) == ([3, 0], [2, 0])
    assert sent_of(database, schemas) == {"a": 5}


@pytest.mark.parametrize("killed_after", [0, 1, 2, 3])
def test_a_look_that_was_cut_off_anywhere_counts_nothing_twice(
    database: Db, killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas = registry(database)
    for subject in ("s", "t", "u"):
        stored_at(database, schemas, AT, [{"a": 1}] * 5, subject)
    add, done = FieldStatistics.add, 0

    def killed(self: FieldStatistics, *args: Any) -> Any:
        nonlocal done
        if done == killed_after:
            raise KeyboardInterrupt
        done += 1
        return add(self, *args)

    def killed_at_the_end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FieldStatistics, "add", killed)
        patch.setattr(FieldStatistics, "finish", killed_at_the_end)
        with pytest.raises(KeyboardInterrupt):
            count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=1))
    stored_at(database, schemas, AT + 2 * HOUR, [{"a": 1}])

    # Whoever goes on makes the same look first, though more has come since.
    for hours in (3, 4):
        count_fields(database, schemas, lambda: AT + hours * HOUR)(Run(fence=2))  # noqa: B023

    assert events_of(database) == 16
    assert [sent_of(database, schemas, each)["a"] for each in "stu"] == [6, 5, 5]


def test_a_process_that_lost_its_lease_counts_nothing(database: Db) -> None:
    schemas = registry(database)
    stored_at(database, schemas, AT, [{"a": 1}])
    count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=2))

    with pytest.raises(StoreUnavailable, match="another process"):
        count_fields(database, schemas, lambda: AT + 2 * HOUR)(Run(fence=1))


def test_a_look_reads_the_newest_within_its_budget(
    database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "_EVENTS", 100)
    schemas = registry(database)
    mixed = random.Random(1)
    for at in range(10):
        for _ in range(10):
            subject = "busy" if mixed.random() < 0.9 else "quiet"
            stored_at(database, schemas, AT + at * HOUR / 2, [{"a": 1}] * 3, subject)

    result = count_fields(database, schemas, lambda: AT + 12 * HOUR)(Run(fence=1))

    assert result["events"] == 100
    # As they come, so they are looked at.
    assert 5 <= sent_of(database, schemas, "quiet")["a"] <= 20


def test_a_document_of_a_day_stays_below_forty_kilobytes(database: Db) -> None:
    schemas = registry(database)
    stored_at(database, schemas, AT, [{f"field_{at}": at for at in range(2000)}] * 2, "s" * 200)

    count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=1))

    document = database[FIELD_STATISTICS].find_one({"_id.day": {"$exists": True}})
    assert len(bson.encode(document or {})) < 40_000
    assert len(sent_of(database, schemas, "s" * 200)) == 2000


def test_documents_that_are_not_ours_are_passed_over(database: Db) -> None:
    schemas = registry(database)
    stored_at(database, schemas, AT, [{"a": 1}])
    ours = {"processed_at": AT, "schema_version": 1}
    database[EVENTS].insert_many(
        [
            {"processed_at": AT},
            {"processed_at": [AT], "_meta": {"subject": "s"}, "schema_version": 1},
            {"processed_at": AT, "_meta": {"subject": "s"}, "schema_version": 0},
            {"processed_at": AT, "_meta": {"subject": "no schema"}, "schema_version": 3},
            {"processed_at": AT, "_meta": {"subject": "s"}, "schema_version": 99},
            {"processed_at": AT, "_meta": {"subject": 5}, "schema_version": 1},
            {**ours, "_meta": {"subject": "s", "backfilled_to": "x"}},
            {**ours, "_meta": {"subject": "s", "shadowed": [1]}},
            {**ours, "_meta": {"subject": "s", "filled": 5}},
            {**ours, "_meta": {"subject": "s"}, "a": DatetimeMS(2**62)},
        ]
    )

    assert count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=1))["events"] == 1
    stored_at(database, schemas, AT + 2 * HOUR, [{"a": 1}])
    assert count_fields(database, schemas, lambda: AT + 3 * HOUR)(Run(fence=1))["events"] == 1


def test_a_version_that_another_process_made_is_known_to_the_look(database: Db) -> None:
    schemas, other = registry(database), registry(database)
    stored_at(database, schemas, AT, [{"a": 1}])
    stored_at(database, other, AT + HOUR, [{"a": 1, "b": 1}])

    count_fields(database, schemas, lambda: AT + 2 * HOUR)(Run(fence=1))

    assert sent_of(database, schemas) == {"a": 2, "b": 1}


def test_the_oldest_days_go_where_there_is_too_much(database: Db) -> None:
    schemas = registry(database)
    for day in range(5):
        stored_at(database, schemas, AT + day * DAY, [{"a": 1}])
        count_fields(database, schemas, lambda: AT + day * DAY + HOUR)(Run(fence=1))  # noqa: B023
    size = database.command("collStats", FIELD_STATISTICS)["size"]

    job = count_fields(database, schemas, lambda: AT + 5 * DAY, max_bytes=size // 2)
    result = job(Run(fence=1))

    days = [each["_id"]["day"] for each in database[FIELD_STATISTICS].find({"look": {"$gt": 0}})]
    assert result["trimmed"] == 5 - len(days)
    assert 1 <= len(days) <= 2
    assert min(days) >= AT + 3 * DAY
    assert database.command("collStats", FIELD_STATISTICS)["size"] <= size // 2
    off = count_fields(database, schemas, lambda: AT + 6 * DAY, max_bytes=0)(Run(fence=1))
    assert off["events"] == 0
    assert database[FIELD_STATISTICS].count_documents({"look": {"$gt": 0}}) == 0


def test_no_value_is_kept(database: Db) -> None:
    schemas = registry(database)
    stored_at(database, schemas, AT, [{"phone": "+49 555 0100", "m": {"k": "+49 555 0100"}}])

    count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=1))

    assert b"555" not in b"".join(map(bson.encode, database[FIELD_STATISTICS].find()))


def test_a_renamed_field_is_found_while_old_senders_go_on(database: Db) -> None:
    schemas, metrics = registry(database), Metrics()
    signals = Signals(open_database(database.client, database.name))
    now = AT
    for hour in range(0, 24 * 16, 3):
        now = AT + hour * HOUR
        new = hour >= 24 * 15
        payloads = [
            {"id": n, ("contact" if new and n % 3 else "case"): {"status": "open"}}
            for n in range(60)
        ]
        stored_at(database, schemas, now, payloads)
        now += HOUR
        count_fields(database, schemas, lambda: now, metrics)(Run(fence=1))  # noqa: B023

    (signal,) = signals.of("s")

    assert (signal.kind, signal.path, signal.to) == ("renamed", ("case",), ("contact",))
    assert (signal.since, signal.state, signal.holds) == (AT + 15 * DAY, "open", True)
    assert signal.figures["together"] == 0
    assert signal.score > 0.8
    assert database[SIGNALS].find_one()["_id"] == {  # type: ignore[index]
        "subject": "s",
        "kind": "renamed",
        "path": ["case"],
        "to": ["contact"],
    }
    assert [each.value for each in metrics.values(names.SIGNALS)] == [1]


def test_a_field_that_vanished_is_found_and_is_back(database: Db) -> None:
    schemas, metrics = registry(database), Metrics()
    signals = Signals(open_database(database.client, database.name))
    now = AT

    def hours(first: int, last: int, payload: dict[str, Any]) -> None:
        nonlocal now
        for hour in range(first, last, 6):
            stored_at(database, schemas, AT + hour * HOUR, [payload] * 60)
            now = AT + (hour + 1) * HOUR
            count_fields(database, schemas, lambda: now, metrics)(Run(fence=1))  # noqa: B023

    hours(0, 24 * 30, {"id": 1, "queue": {"name": "x"}})
    hours(24 * 30, 24 * 36, {"id": 1})
    before = signals.of("s")
    hours(24 * 36, 24 * 38, {"id": 1})
    (signal,) = signals.of("s")
    hours(24 * 38, 24 * 39, {"id": 1, "queue": {"name": "x"}})
    (ended,) = signals.of("s", ended=True)

    # Only the topmost of what is absent, and not before a week is over.
    assert before == []
    assert (signal.kind, signal.path, signal.holds) == ("vanished", ("queue",), True)
    assert signal.figures["events_without"] >= 1000
    assert ended.ended_at is not None
    assert [each.value for each in metrics.values(names.SIGNALS)] == [0]


def test_an_alias_ends_the_signal_that_asked_for_it_and_what_it_fills_was_not_sent(
    database: Db,
) -> None:
    schemas = registry(database)
    signals = Signals(open_database(database.client, database.name))
    stored_at(database, schemas, AT, [{"case": {"id": 1}}])
    stored_at(database, schemas, AT + HOUR / 60, [{"contact": {"id": 1}}])
    found = Signal("renamed", ("case",), ("contact",), AT, 0.9, RENAMED, subject="s")
    signals.save([(found, True)])

    schemas.change("s", lambda head, now: alias(head, ("case",), ("contact",), now))
    stored_at(database, schemas, AT + HOUR / 30, [{"contact": {"id": 2}}])
    count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=1))

    filled = database[EVENTS].find_one({"contact.id": 2})
    assert filled is not None
    assert filled["case"] == {"id": 2}
    assert sent_of(database, schemas) == {"case": 1, "case.id": 1, "contact": 2, "contact.id": 2}
    assert signals.of("s", ended=True)[0].ended_at == AT + HOUR


def test_a_renaming_that_the_sender_took_back_ends(database: Db) -> None:
    schemas = registry(database)
    signals = Signals(open_database(database.client, database.name))
    stored_at(database, schemas, AT, [{"case": {"id": 1}}])
    stored_at(database, schemas, AT + HOUR, [{"contact": {"id": 1}}])
    found = Signal("renamed", ("case",), ("contact",), AT, 0.9, RENAMED, subject="s")
    signals.save([(found, True)])

    held = []
    for day in range(1, 10):
        stored_at(database, schemas, AT + day * DAY, [{"case": {"id": 1}}] * 30)
        now = AT + day * DAY + HOUR
        count_fields(database, schemas, lambda: now)(Run(fence=1))  # noqa: B023
        held.append(bool(signals.of("s")))

    assert held == [True] * 6 + [False] * 3


def test_documents_that_others_put_there_stop_nobody(database: Db) -> None:
    db = open_database(database.client, database.name)
    signals = Signals(db)
    ours = Signal("vanished", ("a",), None, AT, 1.0, GONE, subject="s", last_seen=AT)
    signals.save([(ours, True)])
    key = {"subject": "s", "kind": "vanished"}
    rest = {"since": AT, "is_told": False}
    database[SIGNALS].insert_many([{"_id": key, **rest}, {"_id": {**key, "path": 5}, **rest}])
    whole = database[SIGNALS].find_one({"_id": ours.key}) or {}
    spoilt: list[dict[str, Any]] = [
        {"figures": {}},
        {"figures": {**GONE, "absent_hours": "x"}},
        {"figures": {**GONE, "absent_hours": float("nan")}},
        {"figures": {**GONE, "absent_hours": 1e300}},
        {"state": "gone"},
        {"since": DatetimeMS(2**62)},
        {"score": None},
    ]
    database[SIGNALS].insert_many(
        [
            {**whole, **each, "_id": {**ours.key, "path": [f"foreign{number}"]}}
            for number, each in enumerate(spoilt)
        ]
    )

    assert signals.of("s") == signals.of() == signals.untold(99) == [ours]
    assert told(ours, Redaction()).sentence


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"fields": b"\x80"},
        {"fields": b"\x80" * 20 + b"\x01" * 7},
        {"looked_at": [1]},
        {"looked_at": "x" * 24},
        {"look": []},
        {"version": float("inf")},
        {"judged_at": DatetimeMS(2**62)},
        {"pairs": [[1]]},
    ],
)
def test_a_day_that_others_put_there_stops_no_look(database: Db, spoilt: dict[str, Any]) -> None:
    schemas = registry(database)
    stored_at(database, schemas, AT, [{"a": 1}])
    count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=1))
    days = database[FIELD_STATISTICS]
    of_day = {"_id": {"subject": "s", "day": AT}}
    if spoilt:
        assert days.update_one(of_day, {"$set": spoilt}).matched_count
    else:
        days.delete_one(of_day)
        days.insert_one({**of_day})
    stored_at(database, schemas, AT + 2 * HOUR, [{"a": 1}] * 2)
    statistics = FieldStatistics(open_database(database.client, database.name))
    assert statistics.days("s", AT) == []
    assert statistics.newest("s") is None

    count_fields(database, schemas, lambda: AT + 3 * HOUR)(Run(fence=1))

    assert sent_of(database, schemas) == {"a": 2}


def test_a_version_that_was_lost_is_asked_for_once_in_a_look(
    database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas = registry(database)
    stored_at(database, schemas, AT, [{"a": 1}] * 20)
    database[EVENTS].update_many({}, {"$set": {"schema_version": 9}})
    asked: list[str] = []
    monkeypatch.setattr(schemas, "refreshed", asked.append)

    count_fields(database, schemas, lambda: AT + HOUR)(Run(fence=1))

    assert asked == ["s"]


def test_a_look_rests_four_times_as_long_as_it_works(database: Db) -> None:
    job = count_fields(database, registry(database), lambda: AT)
    rests: list[float] = []
    job._sleep = rests.append
    job._rest(Run(), 1.25)
    whole = list(rests)
    job._rest(Run(stops_at=3), 100.0)

    assert sum(whole) == 5.0
    # A process that stops does not wait for it.
    assert sum(rests) - 5.0 == 1.0


def test_the_gauge_counts_all_that_are_open(database: Db) -> None:
    signals = Signals(open_database(database.client, database.name))
    one = Signal("vanished", ("a",), None, AT, 1.0, GONE, subject="s", last_seen=AT)
    over = [replace(one, path=(f"b{number}",), ended_at=AT) for number in range(1001)]
    still = [replace(one, path=("z", name)) for name in "ab"]
    muted = replace(one, path=("m",), state="muted")
    renamed = replace(one, kind="renamed", to=("n",), figures=RENAMED, ended_at=AT)
    signals.save([(each, True) for each in (*over, *still, muted, renamed)])

    assert signals.count_open() == {("s", "vanished"): 2, ("s", "renamed"): 0}
    assert [each.path for each in signals.of("s")] == [("m",), ("z", "a"), ("z", "b")]
    assert len(signals.of("s", ended=True)) == 1005


def test_a_stop_at_any_time_keeps_no_half_of_a_look_and_no_half_of_what_was_found(
    database: Db,
) -> None:
    schemas = registry(database)
    statistics = FieldStatistics(open_database(database.client, database.name))
    signals = Signals(open_database(database.client, database.name))
    names = [f"field{n}" for n in range(9)]
    stored_at(database, schemas, AT, [dict.fromkeys(names, 1)])
    every_hour = (1 << 24) - 1
    look = Look(1, AT, AT)
    for number in range(40):
        fields = {at: Seen(2400, 0, 1, every_hour) for at in range(9 if number < 30 else 0)}
        statistics.add("s", Day(AT + number * DAY, 1, [100] * 24, fields), look, AT)
    kept = list(database[FIELD_STATISTICS].find())
    now = AT + 40 * DAY
    stored_at(database, schemas, now, [{"id": 1}] * 3)
    job, stops_at, seen = count_fields(database, schemas, lambda: now + HOUR), 0, set()

    while len(signals.of("s")) < 9:
        stops_at += 1
        database[FIELD_STATISTICS].delete_many({})
        database[FIELD_STATISTICS].insert_many(kept)
        job(Run(fence=1, stops_at=stops_at))
        seen.add(len(signals.of("s")))

    assert seen == {0, 9}
    # Each field is asked for.
    assert stops_at > 9
