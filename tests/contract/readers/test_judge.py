"""A later version breaks a reader, or does not, on a real mongod."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.metrics import Metrics
from consumer.core.metrics_table import READERS_BROKEN
from consumer.core.paths import Path, from_text
from consumer.events.search import EventSearch
from consumer.mongodb.client import EVENTS, READERS, SCHEMA_VERSIONS, open_database
from consumer.readers.judge import Ending, Judge, Tally
from consumer.readers.pins import Pin, Pins
from consumer.readers.verdicts import Breach
from consumer.schemas.manual_changes import alias, alias_value, unalias
from consumer.schemas.model import SchemaVersion
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.versions import VersionChanges
from jobs.judge_readers import JudgeReaders
from tests.support.adoption import NOW
from tests.support.jobs import Run

Db = Database[dict[str, Any]]
SUBJECT = "contact"


@dataclass
class Counting:
    """A registry that counts what is read from it: versions, and changes of a span of them."""

    registry: SchemaRegistry
    read: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def version(self, subject: str, number: int) -> SchemaVersion | None:
        self.read.append(number)
        return self.registry.version(subject, number)

    def changes_between(self, subject: str, after: int, upto: int) -> Iterator[VersionChanges]:
        self.spans.append((after, upto))
        return self.registry.changes_between(subject, after, upto)


class Bench:
    """Pins and versions of one subject in the database of a test."""

    def __init__(self, database: Db) -> None:
        self.database = open_database(database.client, database.name)
        self.registry = SchemaRegistry(self.database[SCHEMA_VERSIONS])
        self.pins = Pins(self.database[READERS])
        self.schemas = Counting(self.registry)
        search = EventSearch(self.database[EVENTS])
        self.endings: list[Ending] = []
        self.judge = Judge(
            self.pins, self.schemas, search.first, lambda path, _: path, lambda _: self.endings
        )

    def send(self, event_id: str, **payload: Any) -> int:
        """Register what a payload brings, store it, and return its version."""
        admission = self.registry.admit(SUBJECT, payload, event_id)
        meta = {"subject": SUBJECT, "key": event_id, "exhibited_version": admission.exhibited}
        document = {"_id": f"_id of {event_id}", "processed_at": NOW, "_meta": meta}
        self.database[EVENTS].insert_one(document)
        return admission.version

    def pin(self, reader: str, version: int, *uses: str) -> None:
        paths: tuple[Path, ...] = tuple(map(from_text, uses))
        view = self.pins.view_name(reader, SUBJECT)
        self.pins.put(Pin(view, reader, SUBJECT, version, NOW, "Ada", paths))

    def breaches(self, after: int = 0) -> list[Breach]:
        return self.judge.breaches(SUBJECT, self.registry.subjects()[SUBJECT], after)

    def said(self, after: int = 0) -> list[tuple[str, str, int | None]]:
        return [(each.reader, ".".join(each.path), each.since) for each in self.breaches(after)]


@pytest.fixture
def bench(database: Db) -> Bench:
    return Bench(database)


def test_each_version_is_seen_from_the_version_of_the_reader(bench: Bench) -> None:
    bench.send("e1", a=1, b="t")
    bench.pin("old", 1)
    bench.pin("of_b", 1, "b")
    bench.pin("new", 2)
    bench.send("e2", a=1.5)
    bench.send("e3", a="t", c=1)
    bench.send("e4", c="t")

    assert bench.said() == [("new", "a", 3), ("old", "a", 2), ("old", "a", 3)]
    assert bench.said(after=2) == [("new", "a", 3), ("old", "a", 3)]
    assert bench.said(after=3) == []


def test_the_first_event_is_named_by_its_own_id_and_not_by_its_senders(bench: Bench) -> None:
    bench.send("07700 900123", a=1)
    bench.pin("billing", 1)
    bench.send("07700 900456", a="t")
    # Another event of that id, which shows nothing new.
    bench.database[EVENTS].insert_one(
        {
            "_id": "_id of another",
            "processed_at": NOW.replace(year=2020),
            "_meta": {"subject": SUBJECT, "key": "07700 900456", "exhibited_version": 1},
        }
    )

    (found,) = bench.breaches()
    bench.database[EVENTS].delete_many({})
    (later,) = bench.breaches()

    assert found.first_event == "_id of 07700 900456"
    assert later.first_event is None
    assert (found.change.caused_by, later.change.caused_by) == ("", "")


def test_numbers_as_ids_are_found_too(bench: Bench) -> None:
    bench.send("e1", a=1)
    bench.pin("billing", 1)
    bench.registry.admit(SUBJECT, {"a": "t"}, 12)
    meta = {"subject": SUBJECT, "key": 12, "exhibited_version": 2}
    bench.database[EVENTS].insert_one({"_id": "x", "processed_at": NOW, "_meta": meta})

    assert [each.first_event for each in bench.breaches()] == ["x"]


def test_an_alias_that_is_there_again_breaks_nobody(bench: Bench) -> None:
    bench.send("e1", old="t", new="t")
    bench.pin("billing", 1)
    old, new = ("old",), ("new",)

    bench.registry.change(SUBJECT, lambda head, now: alias(head, old, new, now))
    bench.registry.change(SUBJECT, lambda head, now: unalias(head, old, now))
    # Whoever is pinned since then knows that it has ended.
    bench.pin("late", 3)
    bench.send("e2", fresh="t")
    bench.send("e3", fresh=1)
    ended = bench.said()
    bench.registry.change(SUBJECT, lambda head, now: alias(head, old, new, now))

    assert (ended, bench.said()) == ([("billing", "old", 3)], [])


def test_an_alias_that_is_there_again_mends_nothing_else(bench: Bench) -> None:
    bench.send("e1", old="t", new="t", other="t")
    bench.pin("billing", 1)
    old, other, new = ("old",), ("other",), ("new",)
    bench.registry.change(SUBJECT, lambda head, now: alias(head, old, new, now))
    bench.registry.change(SUBJECT, lambda head, now: unalias(head, old, now))
    bench.registry.change(SUBJECT, lambda head, now: alias(head, other, new, now))
    bench.registry.change(SUBJECT, lambda head, now: unalias(head, other, now))
    bench.send("e2", old=1)
    ended = bench.said()
    bench.registry.change(SUBJECT, lambda head, now: alias(head, old, new, now))

    # Another change of the field does not bring the alias back.
    assert ended == [("billing", "old", 3), ("billing", "other", 5), ("billing", "old", 6)]
    assert bench.said() == [("billing", "other", 5), ("billing", "old", 6)]


def test_paths_are_told_as_people_may_see_them_and_few_events_looked_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.readers.judge._MOST_EVENTS", 2)
    asked: list[int] = []

    def first_event(subject: str, version: int, event_id: str) -> str:
        asked.append(version)
        return event_id.upper()

    bench.judge = Judge(
        bench.pins,
        bench.schemas,
        first_event,
        lambda path, _: ("masked", *path),
        lambda _: [Ending(SUBJECT, "vanished", ("a",), NOW)],
    )
    bench.send("e1", a=1, b=1, c=1, d=1, e=1, old=1)
    bench.pin("billing", 1)
    # No event shows what people do.
    bench.registry.change(SUBJECT, lambda head, now: alias(head, ("old",), ("b",), now))
    bench.registry.change(SUBJECT, lambda head, now: unalias(head, ("old",), now))
    for number, names in enumerate(("ae", "b", "c", "d"), 4):
        bench.send(f"e{number}", **dict.fromkeys(names, "t"))

    found = bench.judge.standing(SUBJECT, 7, bench.judge.pins(SUBJECT))

    assert [each.path for each in found] == [("masked", name) for name in ("old", *"aebcd", "a")]
    assert all(each.change.path == each.path for each in found)
    assert [each.first_event for each in found] == [None, "E4", "E4", "E5", None, None, None]
    assert asked == [4, 5]


def test_versions_that_only_add_fields_read_no_pinned_version(bench: Bench) -> None:
    bench.send("e1", a=1)
    for number in range(5):
        bench.pin(f"reader{number}", 1)
    bench.send("e2", b=1)
    added = bench.breaches(), list(bench.schemas.read)
    bench.send("e3", a="t")

    assert added == ([], [])
    assert len(bench.breaches()) == 5
    assert bench.schemas.read == [1]


def test_no_more_is_read_than_the_pins_need(bench: Bench) -> None:
    bench.send("e1", a=1)
    bench.send("e2", b=1)
    bench.pin("new", 3)
    bench.send("e3", c=1)
    standing = [bench.judge.standing(SUBJECT, 3, bench.judge.pins(SUBJECT))]
    unread = list(bench.schemas.read), list(bench.schemas.spans)
    bench.pin("old", 2)
    standing.append(bench.judge.standing(SUBJECT, 3, bench.judge.pins(SUBJECT)))

    assert standing == [[], []]
    assert unread == ([], [])
    # From its own version on, which may be lost.
    assert bench.schemas.spans == [(1, 3)]
    assert bench.breaches(after=1) == []
    assert bench.schemas.spans[1:] == [(2, 3)]


def test_where_nobody_is_pinned_nothing_else_is_asked_for(bench: Bench) -> None:
    asked: list[str | None] = []

    def endings(subject: str | None) -> list[Ending]:
        asked.append(subject)
        return []

    def newest() -> dict[str, int]:
        asked.append(SUBJECT)
        return {}

    judge = Judge(bench.pins, bench.schemas, lambda *_: None, lambda path, _: path, endings)

    assert judge.standing(SUBJECT, 3, []) == []
    assert judge.tallies(newest) == {}
    assert asked == []


def test_a_subject_of_which_no_version_is_left_has_lost_its_readers(bench: Bench) -> None:
    bench.pin("billing", 1)
    bench.endings.append(Ending(SUBJECT, "vanished", ("a",), NOW))

    tally = bench.judge.tallies(dict)[SUBJECT]

    assert tally.broken == {"billing": 1}
    assert tally.lost == {"billing"}


def test_a_version_that_is_not_registered_yet_is_judged_like_others(bench: Bench) -> None:
    bench.send("e1", old="t", new="t")
    bench.registry.change(SUBJECT, lambda head, now: alias(head, ("old",), ("new",), now))
    bench.pin("billing", 1)
    head = bench.registry.head(SUBJECT)
    made = unalias(head, ("old",), NOW) if head else None

    found = bench.judge.would_break(made)

    assert [(each.reader, each.path, each.since) for each in found] == [("billing", ("old",), 3)]
    assert bench.judge.would_break(None) == []


def test_tallies_name_the_broken_readers_of_each_subject(bench: Bench) -> None:
    bench.send("e1", a=1)
    bench.pin("billing", 1)
    bench.pin("crm", 1, "b")
    bench.send("e2", a="t")

    def tally() -> Tally:
        return bench.judge.tallies(bench.registry.subjects)[SUBJECT]

    assert (tally().readers, tally().broken) == (("billing", "crm"), {"billing": 1})
    assert tally().lost == frozenset()
    assert tally() is tally()
    bench.pin("billing", 2)
    assert tally().broken == {}
    bench.send("e3", a=True)
    assert tally().broken == {"billing": 1}
    # In how many fields, not by how many changes.
    bench.pin("billing", 1)
    assert tally().broken == {"billing": 1}


def test_what_comes_no_more_breaks_whoever_knows_it_until_an_alias_fills_it(bench: Bench) -> None:
    bench.send("e1", case={"x": 1}, queue="t", gone="t")
    bench.pin("billing", 1)
    bench.pin("crm", 1, "case.x")
    bench.pin("etl", 1, "queue")
    bench.endings += [
        Ending(SUBJECT, "renamed", ("case", "x"), NOW),
        Ending(SUBJECT, "vanished", ("queue",), NOW),
        Ending(SUBJECT, "vanished", ("never",), NOW),
        Ending(SUBJECT, "vanished", ("gone",), NOW),
    ]

    def standing() -> list[tuple[str, str]]:
        newest = bench.registry.subjects()[SUBJECT]
        found = bench.judge.standing(SUBJECT, newest, bench.judge.pins(SUBJECT))
        assert all((each.since, each.at) == (None, NOW) for each in found)
        assert all(each.change.after == 0 for each in found)
        return [(each.reader, ".".join(each.path)) for each in found]

    def broken() -> dict[str, int]:
        return dict(bench.judge.tallies(bench.registry.subjects)[SUBJECT].broken)

    assert standing() == [
        ("billing", "case.x"),
        ("billing", "queue"),
        ("billing", "gone"),
        ("crm", "case.x"),
        ("etl", "queue"),
    ]
    assert broken() == {"billing": 3, "crm": 1, "etl": 1}
    assert bench.breaches() == []
    case, contact = ("case",), ("contact",)
    bench.registry.change(SUBJECT, lambda head, now: alias(head, case, contact, now))
    bench.registry.change(SUBJECT, lambda head, now: alias_value(head, ("gone",), "none", now))
    assert standing() == [("billing", "queue"), ("billing", "gone"), ("etl", "queue")]
    assert broken() == {"billing": 2, "etl": 1}
    bench.registry.change(SUBJECT, lambda head, now: alias(head, ("queue",), ("line",), now))
    assert standing() == [("billing", "gone")]
    bench.endings.clear()
    assert (standing(), broken()) == ([], {})


def test_a_pin_whose_version_is_lost_is_said_to_be_so_and_nothing_else_is_said_of_it(
    bench: Bench,
) -> None:
    bench.send("e1", a=1)
    bench.send("e2", a="t")
    head = bench.send("e3", b=1)
    for reader, version in (("beyond", 7), ("newest", head), ("crm", 1), ("etl", 2)):
        bench.pin(reader, version)
    bench.database[SCHEMA_VERSIONS].delete_one({"_id.version": 1})

    standing = bench.judge.standing(SUBJECT, head, bench.judge.pins(SUBJECT))
    tally = bench.judge.tallies(bench.registry.subjects)[SUBJECT]

    assert {(each.reader, each.change.kind, each.path, each.change.after) for each in standing} == {
        ("beyond", "version_lost", (), 0),
        ("crm", "version_lost", (), 0),
    }
    assert tally.lost == {"beyond", "crm"}
    # Who looks at an older one finds what lies beyond it, too.
    newest = [pin for pin in bench.judge.pins(SUBJECT) if pin.reader == "newest"]
    assert bench.judge.standing(SUBJECT, head - 1, newest) == []
    assert tally.broken == {"beyond": 1, "crm": 1}
    # A version that somebody registers is told without: it is not what broke them.
    assert bench.said() == []


def test_many_pins_do_not_hold_up_a_stop(bench: Bench) -> None:
    bench.send("e1", a=1, b=1)
    for number in range(20):
        bench.pin(f"r{number}", 1)
    bench.send("e2", a="t")
    bench.endings.append(Ending(SUBJECT, "vanished", ("b",), NOW))
    gauge, job = Metrics(), JudgeReaders(bench.judge, bench.registry.subjects, Metrics())
    cut = JudgeReaders(bench.judge, bench.registry.subjects, gauge)

    # By versions first, then by what comes no more: at the tenth pin of either.
    for stops_at in (10, 30):
        run = Run(stops_at=stops_at)
        assert cut(run) == {"pins": 0, "broken": 0}
        assert run.asked < stops_at + 5
    assert gauge.values(READERS_BROKEN) == []
    assert job(Run()) == {"pins": 20, "broken": 20}
