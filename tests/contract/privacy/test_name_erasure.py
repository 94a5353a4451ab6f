"""A name leaves the versions of a schema, and what was filled in under it the documents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.core.paths import ERASED, to_text
from consumer.events.matching import read_condition
from consumer.events.recent import as_sent
from consumer.mongodb.client import OurDatabase, open_database
from consumer.privacy.name_erasure import NameErasure, NameErasureResult
from consumer.privacy.person_query import Person
from consumer.privacy.rules import Redaction
from consumer.readers.objections import RejectedChanges, Rejection
from consumer.readers.pins import Pin, Pins
from consumer.readers.views import Views
from consumer.schemas.check import compile_schema
from consumer.schemas.manual_changes import alias_value, unalias
from consumer.schemas.objections import RejectedChange
from consumer.schemas.policy import Defaults, Guards, SchemaPolicy, subject_policy
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.signals.signals import Signal
from consumer.signals.store import Signals
from tests.support.adoption import NOW
from tests.support.backfill import backfill, payload_part, read, registry, store
from tests.support.jobs import Run
from tests.support.registry import stored
from tests.support.signals import GONE, RENAMED

Document = dict[str, Any]
Db = Database[Document]
NAME = "user5"
FAST = SchemaPolicy(guards=Guards(versions_per_hour=100_000))


@pytest.fixture
def ours(database: Db, mongo_client: MongoClient[Document]) -> Iterator[OurDatabase]:
    yield open_database(mongo_client, database.name)


def is_name(key: str) -> bool:
    return key == NAME


def nobody(_: str) -> bool:
    return False


def erased(ours: OurDatabase, schemas: SchemaRegistry, is_cause: Any = nobody) -> NameErasureResult:
    return NameErasure(ours, schemas).erase("s", is_name, is_cause, lambda: None)


def people(database: Db, schemas: SchemaRegistry) -> None:
    """Three documents of which one was sent with the name, as a field among others."""
    store(database, schemas, "e1", {"id": "1", "p": {"b": 1}})
    store(database, schemas, "e2", {"id": "2", "p": {NAME: {"name": "x", NAME: 1}}})
    store(database, schemas, "e3", {"id": "3", "p": {"b": 1, "c": 1}})
    backfill(database, schemas)(Run())


def test_a_name_is_gone_from_every_version_and_from_documents_that_only_were_filled(
    database: Db, ours: OurDatabase
) -> None:
    schemas = registry(database)
    people(database, schemas)
    before = read(database)
    assert NAME in before["e1"]["p"]
    assert NAME in before["e3"]["p"]
    settled: list[int] = []

    told = NameErasure(ours, schemas).erase("s", is_name, nobody, lambda: settled.append(1))

    assert (told.version, told.documents, told.left, told.rewritten) == (4, 2, 0, 2)
    assert settled == [1]
    history = stored(database["schema_versions"], "s")
    assert [version.number for version in history] == [1, 2, 3, 4]
    assert NAME not in str([version.to_document() for version in history])
    assert [change.kind for change in history[-1].changes] == ["name_erased"] * 3
    # What caused a change that names a person is the event of that person.
    assert {change.caused_by for change in history[1].changes} == {""}
    assert {change.caused_by for change in history[2].changes} == {"e3"}
    for version in history[1:]:
        assert [to_text(f.path) for f in version.fields][3:6] == [
            "p.(erased)", "p.(erased).name", "p.(erased).(erased)",
        ]  # fmt: skip
        assert all(f.absorbed and f.erased == 4 for f in version.fields[3:6])
    after = read(database)
    assert payload_part(after["e1"]) == {"id": "1", "p": {"b": 1, "c": None}}
    assert payload_part(after["e3"]) == {"id": "3", "p": {"b": 1, "c": 1}}
    assert "filled" not in after["e3"]["_meta"]
    # The document of the person is for others to delete.
    assert payload_part(after["e2"]) == payload_part(before["e2"])


def test_signals_lose_what_they_say_of_the_name(database: Db, ours: OurDatabase) -> None:
    schemas, signals, now = registry(database), Signals(ours), utc_now()
    people(database, schemas)
    named = Signal("vanished", ("p", NAME), None, now, 1.0, GONE, subject="s", last_seen=now)
    pair = Signal("renamed", ("p", "b"), ("p", NAME), now, 1.0, RENAMED, subject="s")
    other = Signal("vanished", ("p", "c"), None, now, 1.0, GONE, subject="s", last_seen=now)
    ended = replace(named, kind="vanished", path=("q", NAME), ended_at=now)
    many = [replace(other, path=(f"a{number}",)) for number in range(1001)]
    signals.save([(each, True) for each in (*many, named, pair, other, ended)])
    # One that nobody can read otherwise.
    key = {"subject": "s", "kind": "vanished", "path": ["r", NAME]}
    database["signals"].insert_one({"_id": key})

    erased(ours, schemas)

    left = {tuple(each["_id"]["path"]) for each in database["signals"].find()}
    assert left == {("p", "c"), *(each.path for each in many)}


def test_a_second_run_finds_nothing_and_makes_no_version(database: Db, ours: OurDatabase) -> None:
    schemas = registry(database)
    people(database, schemas)
    erased(ours, schemas)
    records = NameErasure(ours, schemas)

    assert not records.find("s", is_name, nobody)
    assert erased(ours, schemas) == NameErasureResult(None, 0, 0, 0)
    assert len(stored(database["schema_versions"], "s")) == 4


def test_what_was_cut_off_after_the_new_version_is_ended_by_another_run(
    database: Db, ours: OurDatabase
) -> None:
    schemas = registry(database)
    people(database, schemas)

    class Cut(Exception):
        pass

    def cut() -> None:
        raise Cut

    with pytest.raises(Cut):
        NameErasure(ours, schemas).erase("s", is_name, nobody, cut)
    assert NAME in read(database)["e1"]["p"]

    told = erased(ours, registry(database))

    assert (told.version, told.documents, told.rewritten) == (4, 2, 2)
    assert NAME not in str([v.to_document() for v in stored(database["schema_versions"], "s")])
    assert NAME not in read(database)["e1"]["p"]


def test_only_ids_of_events_go_where_no_field_holds_the_name(
    database: Db, ours: OurDatabase
) -> None:
    schemas = registry(database)
    people(database, schemas)

    told = NameErasure(ours, schemas).erase("s", nobody, lambda cause: cause == "e3", pytest.fail)

    assert told == NameErasureResult(None, 0, 0, 1)
    history = stored(database["schema_versions"], "s")
    assert len(history) == 3
    assert {c.caused_by for version in history for c in version.changes} == {"e1", "e2", ""}


def test_a_value_that_was_changed_stays_and_is_counted_and_what_is_listed_goes_all_the_same(
    database: Db, ours: OurDatabase
) -> None:
    schemas = registry(database)
    people(database, schemas)
    database["events"].update_one({"_id": "e1"}, {"$set": {f"p.{NAME}": "by hand"}})
    database["events"].update_one({"_id": "e3"}, {"$set": {"_meta.untracked": 1}})
    before = read(database)

    told = erased(ours, schemas)

    assert (told.documents, told.left) == (1, 1)
    found = read(database)
    assert (found["e1"], NAME in found["e3"]["p"]) == (before["e1"], False)


def test_what_a_map_took_over_is_erased_too(database: Db, ours: OurDatabase) -> None:
    schemas = registry(database)
    people(database, schemas)
    schemas = registry(database, SchemaPolicy(subject_policy(maps=["p"])))
    store(database, schemas, "m", {"id": "4", "p": {"d": 1}})
    head = schemas.head("s")
    assert head is not None
    assert [to_text(field.path) for field in head.live][:3] == ["id", "p", "p.*"]

    told = erased(ours, schemas)

    assert told.documents == 2
    assert NAME not in str([v.to_document() for v in stored(database["schema_versions"], "s")])
    assert NAME not in read(database)["e1"]["p"]


def test_older_documents_still_tell_sent_from_filled_afterwards(
    database: Db, ours: OurDatabase
) -> None:
    schemas = registry(database)
    people(database, schemas)
    erased(ours, schemas)
    backfill(database, schemas)(Run())
    head = schemas.refreshed("s")
    assert head is not None

    documents = read(database)
    defaults = schemas.compiled("s").defaults
    assert as_sent(documents["e3"], head, defaults) == {"id": "3", "p": {"b": 1, "c": 1}}
    assert as_sent(documents["e2"], head, defaults)["p"] == {NAME: {"name": "x", NAME: 1}}


def test_more_names_than_one_command_takes_leave_all(database: Db, ours: OurDatabase) -> None:
    schemas = registry(database)
    many = {f"{NAME} of {n}": {"x": n} for n in range(250)}
    store(database, schemas, "e1", {"p": {"b": 1}})
    store(database, schemas, "e2", {"p": many})
    backfill(database, schemas)(Run())
    assert len(read(database)["e1"]["p"]) == 251

    told = NameErasure(ours, schemas).erase(
        "s", lambda key: key.startswith(NAME), nobody, lambda: None
    )

    assert NAME not in str([v.to_document() for v in stored(database["schema_versions"], "s")])
    assert payload_part(read(database)["e1"]) == {"p": {"b": 1}}
    assert told.left == 0


def test_keys_that_differ_in_case_are_others_whatever_the_collation(
    database: Db, ours: OurDatabase
) -> None:
    database.create_collection("events", collation={"locale": "en", "strength": 2})
    schemas = registry(database)
    store(database, schemas, "e1", {"id": "1", "p": {"b": 1}})
    store(database, schemas, "e2", {"id": "2", "p": {NAME: 1, NAME.upper(): 1}})
    backfill(database, schemas)(Run())

    erased(ours, schemas)

    assert read(database)["e1"]["p"] == {"b": 1, NAME.upper(): None}


def test_a_process_that_does_not_know_such_versions_keeps_them_from_being_made(
    database: Db, ours: OurDatabase
) -> None:
    schemas = registry(database)
    people(database, schemas)
    database["instances"].insert_one({"_id": "old", "version": "0.9"})

    with pytest.raises(SetupError, match="old"):
        erased(ours, schemas)

    assert len(stored(database["schema_versions"], "s")) == 3


def test_eight_threads_that_register_at_the_same_time_neither_bring_it_back_nor_lose_a_field(
    database: Db, ours: OurDatabase
) -> None:
    people(database, registry(database))
    begin = threading.Barrier(9)

    def work(worker: int) -> list[tuple[int, Document]]:
        schemas = SchemaRegistry(database["schema_versions"], FAST)
        begin.wait()
        events = [{"p": {f"n{worker}_{turn}": turn}} for turn in range(10)]
        return [(schemas.admit("s", each).version, each) for each in events]

    def erase() -> NameErasureResult:
        schemas = registry(database)
        begin.wait()
        return erased(ours, schemas)

    with ThreadPoolExecutor(9) as pool:
        records = pool.submit(erase)
        admitted = [pair for pairs in pool.map(work, range(8)) for pair in pairs]
    told = records.result()

    history = stored(database["schema_versions"], "s")
    assert [version.number for version in history] == list(range(1, len(history) + 1))
    assert NAME not in str([version.to_document() for version in history])
    assert [f.path for f in history[-1].fields][3:6] == [
        ("p", ERASED), ("p", ERASED, "name"), ("p", ERASED, ERASED),
    ]  # fmt: skip
    assert told.version in {version.number for version in history}
    by_number = {version.number: compile_schema(version) for version in history}
    assert not any(by_number[number].check(payload).unknown for number, payload in admitted)


def test_a_name_leaves_pins_their_views_and_rejected_changes(
    database: Db, ours: OurDatabase
) -> None:
    schemas = registry(database)
    people(database, schemas)
    pins, rejected = Pins(ours["readers"]), RejectedChanges(ours["rejected_changes"])
    views = Views(ours, pins, schemas, Redaction)
    defaults = Defaults(values={("p", NAME, "name"): "x", ("p", "b"): 2})
    uses = (("p", NAME), ("p", "b"))
    views.pin(Pin("r.s", "r", "s", 2, NOW, "Ada", uses=uses, defaults=defaults))
    views.pin(Pin("all.s", "all", "s", 2, NOW, "Ada"))
    for path in (("p", NAME, "new"), ("p", "new")):
        rejected.put(Rejection("s", RejectedChange(path), NOW, "Ada"))

    def meanwhile() -> None:
        views.keep(lambda: False)

    # The job comes by while others learn the new version, and sees the old ones as they were.
    NameErasure(ours, schemas).erase("s", is_name, nobody, meanwhile)

    views.keep(lambda: False)
    made = list(database.list_collections(filter={"type": "view"}))
    assert len(made) == 4
    assert NAME not in str(made)
    _, pin = pins.all()
    assert pin.uses == (("p", ERASED), ("p", "b"))
    assert dict(pin.defaults.values) == {("p", ERASED, "name"): "x", ("p", "b"): 2}
    assert [each.change.path for each in rejected.all()] == [("p", "new")]
    assert not NameErasure(ours, schemas).find("s", is_name, nobody)


def test_a_name_that_only_people_wrote_is_found_and_erased(database: Db, ours: OurDatabase) -> None:
    schemas = registry(database)
    store(database, schemas, "e1", {"id": "1", "p": {"b": 1}})
    rejected = RejectedChanges(ours["rejected_changes"])
    rejected.put(Rejection("s", RejectedChange(("p", NAME)), NOW, "Ada"))
    assert NameErasure(ours, schemas).find("s", is_name, nobody)

    assert erased(ours, schemas) == NameErasureResult(None, 0, 0, 0)

    assert rejected.all() == []


@pytest.mark.parametrize("ended", [False, True])
def test_a_value_that_people_wrote_leaves_aliases_pins_and_what_was_filled_with_it(
    database: Db, ours: OurDatabase, ended: bool
) -> None:
    schemas, pins = registry(database), Pins(ours["readers"])
    store(database, schemas, "e1", {"id": "1", "owner": {"mail": "bob@example.com"}, "x": 1})
    mail, value = ("owner", "mail"), "ann@example.com"
    schemas.change("s", lambda head, now: alias_value(head, mail, value, now))
    store(database, schemas, "e2", {"id": "2", "owner": {}, "x": 1})
    schemas.change("s", lambda head, now: alias_value(head, ("x",), "7", now))
    if ended:
        schemas.change("s", lambda head, now: unalias(head, mail, now))
    views = Views(ours, pins, schemas, Redaction)
    defaults = Defaults(values={mail: value, ("x",): 5})
    views.pin(Pin("r.s", "r", "s", 1, NOW, "Ada", defaults=defaults))
    assert read(database)["e2"]["owner"] == {"mail": value}
    person = Person(conditions=(read_condition(f"contact.mail={value}"),))
    names = NameErasure(ours, schemas)
    assert names.find("s", nobody, nobody, person.is_value).by_people == 1

    told = names.erase("s", nobody, nobody, lambda: None, person.is_value)
    views.keep(lambda: False)

    assert (told.documents, told.left) == (1, 0)
    assert not names.find("s", nobody, nobody, person.is_value)
    everything = [list(database[name].find()) for name in ("schema_versions", "readers", "events")]
    assert value not in str([everything, list(database.list_collections())])
    assert "bob@example.com" in str(everything)
    head = schemas.refreshed("s")
    assert head is not None
    assert [each.old for each in head.aliases_in_force] == [("x",)]
    assert dict(pins.all()[0].defaults.values) == {("x",): 5}


def test_a_value_of_a_field_is_theirs_where_an_event_with_it_would_be() -> None:
    ann, one = read_condition("owner.name=Ann"), read_condition("x=1")
    person, both = Person(conditions=(ann,)), Person(conditions=(ann, one))

    assert person.is_value(("owner", "name"), "Ann")
    assert person.is_value(("owner",), {"name": "Ann"})
    assert not person.is_value(("agent", "name"), "Ann")
    assert not person.is_value(("owner", "name"), None)
    assert not both.is_value(("owner", "name"), "Ann")
    assert not Person().is_value(("owner", "name"), "Ann")
