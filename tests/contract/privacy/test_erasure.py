"""Erasing a person on a real mongod: all that is theirs, nothing else, and exact figures after."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from pymongo.database import Database

from consumer.adoption.report import report
from consumer.adoption.rollup import Bounds, adoption_stores, recount
from consumer.adoption.state import RecountMark
from consumer.core.clock import utc_now
from consumer.core.errors import Rejected, StoreUnavailable
from consumer.events.matching import Condition, read_condition, read_path, read_value
from consumer.ingest.parsing import EventFields, EventParser
from consumer.mongodb.indexes import create_indexes
from consumer.privacy import person_records as erasing_module
from consumer.privacy.erasure import PersonNames, erase
from consumer.privacy.name_erasure import NameErasure
from consumer.privacy.person_query import Person
from consumer.privacy.person_records import FoundRecords, PersonRecords, SearchScope
from consumer.schemas.manual_changes import alias, unalias
from tests.support.adoption import NOW, brute_force, documents, job, registered, spread
from tests.support.dead_letters import Bench, bench
from tests.support.jobs import Run

Db = Database[dict[str, Any]]

SUBJECTS = ["contact.created", "contact.ended"]
HOUR = timedelta(hours=1)
ANN = "ann@example.com"


def names_of(here: Bench, person: Person) -> PersonNames:
    registry = here.shared.registry
    records = NameErasure(here.shared.database, registry)
    return PersonNames(records, registry, person, None, lambda: None)


def records_of(db: Db) -> PersonRecords:
    return PersonRecords(db, EventParser(EventFields(), 100).type_of, by_subject=True)


def where(*texts: str, event_type: str | None = None) -> Person:
    return Person(conditions=tuple(map(read_condition, texts)), event_type=event_type)


def by_id(*ids: str) -> Person:
    return Person(ids=tuple(Condition(read_path("id"), read_value(each)) for each in ids))


def erase_all(db: Db, person: Person, **how: Any) -> tuple[int, int]:
    scope = SearchScope(**how)
    records = records_of(db)
    found = records.find(person, scope)
    look = lambda: records.find(person, scope)  # noqa: E731
    done = erase(records, RecountMark(db), found, look, lambda count: None)
    return done.events, done.dead_letters


def left(db: Db) -> list[Any]:
    return sorted((each["_meta"]["key"] for each in db["events"].find()), key=str)


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Any:
    create_indexes(database)
    made = bench(mongod_uri, database)
    yield made
    made.shared.close()


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ("customer.email=ann@example.com", '"customer":{"email":"ann@example.com"}'),
        ("parties[].email=ann@example.com", '"parties":[{"x":1},{"email":"ann@example.com"}]'),
        ("parties.email=ann@example.com", '"parties":[[{"email":"ann@example.com"}]]'),
        ("/parties/1/email=ann@example.com", '"parties":[{},{"email":"ann@example.com"}]'),
        ('"a.b".c=ann@example.com', '"a.b":{"c":"ann@example.com"}'),
        ('x."$where"=ann@example.com', '"x":{"$where":"ann@example.com"}'),
        ('"$where"=ann@example.com', '"$where":"ann@example.com"'),
        ("_id=ann@example.com", '"_id":"ann@example.com"'),
        ('x.""=ann@example.com', '"x":{"":"ann@example.com"}'),
        ("metrics.*.owner=ann@example.com", '"metrics":{"q7":{"owner":"ann@example.com"}}'),
        ('x."0"=ann@example.com', '"x":{"0":"ann@example.com"}'),
        ('r."$id"=ann@example.com', '"r":{"$ref":"a","$id":"ann@example.com"}'),
        ("phone=4711", '"phone":4711'),
        ("phone=4711", '"phone":"4711"'),
        ("phone=4711", '"phone":4711.0'),
        ("phone=0.1", '"phone":0.1'),
        ("phone=123456789012345678901", '"phone":123456789012345678901'),
        ("opted=true", '"opted":true'),
        ('"a=b"=c=d', '"a=b":"c=d"'),
    ],
)
def test_a_value_is_found_wherever_keys_and_lists_put_it(
    here: Bench, database: Db, condition: str, payload: str
) -> None:
    here.receive(b'{"id":"theirs","type":"t",%b}' % payload.encode())
    here.receive(b'{"id":"other","type":"t","phone":"0815","customer":{"email":"bo@example.com"}}')

    assert erase_all(database, where(condition)) == (1, 0)
    assert left(database) == ["other"]


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ("phone=007", '"phone":7'),
        ('phone="7"', '"phone":7'),
        ("phone=1", '"phone":true'),
        ("email=ann@example.com", '"customer":{"email":"ann@example.com"}'),
        ("email=ann", '"email":"ann@example.com"'),
        ("a.b=x", '"a.b":"x"'),
    ],
)
def test_what_is_not_that_value_at_that_path_stays(
    here: Bench, database: Db, condition: str, payload: str
) -> None:
    here.receive(b'{"id":"1","type":"t",%b}' % payload.encode())

    assert erase_all(database, where(condition)) == (0, 0)


def test_ids_are_erased_whether_text_or_number_and_of_one_type_if_so_asked(
    here: Bench, database: Db
) -> None:
    for body in (b'{"id":"7","type":"t"}', b'{"id":7,"type":"u"}', b'{"id":"8","type":"t"}'):
        here.receive(body)

    of_type = Person(by_id("7").ids, event_type="t")
    assert erase_all(database, of_type) == (1, 0)
    assert erase_all(database, by_id("7", "9")) == (1, 0)
    assert left(database) == ["8"]


def test_all_conditions_must_hold(here: Bench, database: Db) -> None:
    here.receive(b'{"id":"1","type":"t","a":1,"b":1}')
    here.receive(b'{"id":"2","type":"t","a":1,"b":2}')

    assert erase_all(database, where("a=1", "b=2")) == (1, 0)
    assert left(database) == ["1"]


def test_dead_letters_are_read_repaired_or_searched_as_text(here: Bench, database: Db) -> None:
    theirs = [
        b'{"type":"t","customer":{"email":"ann@example.com"}}',
        b'{"id":"1","customer":{"email":"ann@example.com"},}',
        b'{"id":"2","name":"An "nn" x","customer":{"email" : "ann@example.com"}}',
    ]
    others = [
        b'{"type":"t","customer":{"email":"bo@example.com"}}',
        b'{"note":"ann@example.com"',
        b'{"id":"3","customer":{"email":"ann@example.com.org"',
    ]
    for body in (*theirs, *others):
        here.receive(body)
    person = where("customer.email=ann@example.com")

    found = records_of(database).find(person)
    done = erase_all(database, person)

    assert (len(found.dead_letters), found.by_text) == (3, 1)
    assert done == (0, 3)
    assert sorted(bytes(each["original_payload"]) for each in here.letters()) == sorted(others)


def test_a_dead_letter_goes_with_the_event_that_it_became(here: Bench, database: Db) -> None:
    here.receive(b'{"id":"1","type":"t","n":1}')
    event = database["events"].find_one() or {}
    for number, link in enumerate(({"resolved_by": event["_id"]}, {"document_id": event["_id"]})):
        database["dead_letter_queue"].insert_one(
            {"_id": str(number), "original_payload": b"", "reason": "x", "timestamp": NOW, **link}
        )

    assert erase_all(database, by_id("1")) == (1, 2)


EVENT = '{"type":"t","customer":{"email":"ann@example.com"}}'


def packed(text: str) -> bytes:
    return gzip.compress(text.encode())


def broken(text: str) -> bytes:
    return text[:-1].encode() + b',"n":nought}'


@pytest.mark.parametrize(
    "written",
    [
        lambda event: event.replace("@", "\\u0040").encode(),
        lambda event: event.replace('"email', '"\\u0065mail').encode(),
        lambda event: broken(event.replace('"email', '"\\u0065mail').replace("@", "\\u0040")),
        lambda event: broken(event.replace('"email":', "'email' = [ ")),
        lambda event: json.dumps({"raw": event}).encode(),
        lambda event: json.dumps({"customer": json.dumps(json.loads(event)["customer"])}).encode(),
        lambda event: json.dumps({"raw": json.dumps({"raw": json.dumps([event])})}).encode(),
        lambda event: json.dumps(event).encode(),
        lambda event: broken(json.dumps({"raw": event})),
        lambda event: json.dumps({"raw": event[:-1] + ",cut"}).encode(),
        lambda event: urlencode(
            {"customer.email": json.loads(event)["customer"]["email"]}
        ).encode(),
        lambda event: urlencode(
            {"customer[email]": json.loads(event)["customer"]["email"]}
        ).encode(),
        lambda event: urlencode({"payload": event}).encode(),
        lambda event: urlencode({event: ""}).encode(),
        packed,
        lambda event: packed(event[:10]) + packed(event[10:]),
        lambda event: packed(json.dumps({"raw": event})),
        lambda event: zlib.compress(event.encode()),
        lambda event: gzip.compress(packed(event)),
        lambda event: packed(urlencode({"payload": event})),
        lambda event: event.encode("utf-16"),
        lambda event: packed(event + " " * 200)[:-12],
    ],
)
def test_a_dead_letter_is_found_however_it_is_packed_quoted_and_escaped(
    here: Bench, database: Db, written: Callable[[str], bytes]
) -> None:
    here.receive(written(EVENT.replace("ann", "bob")))
    here.receive(written(EVENT))
    before = [each["_id"] for each in here.letters()]

    assert erase_all(database, where("customer.email=ann@example.com")) == (0, 1)
    assert [each["_id"] for each in here.letters()] == before[:1]


def test_a_slash_that_is_escaped_is_a_slash(here: Bench, database: Db) -> None:
    here.receive(rb'{"url":"https:\/\/example.com\/ann"}')
    here.receive(rb'{"url":"https:\/\/example.com\/ann","n":nought}')

    assert erase_all(database, where("url=https://example.com/ann")) == (0, 2)


@pytest.mark.parametrize(
    "form",
    [
        b"customer=7&customer[name]=M%C3%BCller",
        b"customer[name]=M%FCller&customer=7",
        b"\ncustomer.name=x&customer.name=M%c3%bcller",
        b"customer%5Bname%5D=M\xc3\xbcller",
    ],
)
def test_a_form_is_read_in_either_encoding_and_with_names_that_nest(
    here: Bench, database: Db, form: bytes
) -> None:
    here.receive(form)
    here.receive(form.replace(b"ller", b"hler"))

    assert erase_all(database, where("customer.name=Müller")) == (0, 1)


@pytest.mark.parametrize("bomb", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_cannot_be_read_is_listed_and_stays(here: Bench, database: Db, bomb: bool) -> None:
    bodies = [b"\x89PNG\r\n\x1a\n", b"<email>ann@example.com</email>"]
    if bomb:
        bodies.append(gzip.compress(b'{"customer":{"email":"' + bytes(17 * 1024 * 1024) + b'"}}'))
    for body in bodies:
        here.receive(body)
    here.receive(b'{"type":"t","customer":{"email":"bo@example.com"}}')

    found = records_of(database).find(where("customer.email=ann@example.com"))

    unread = [each["_id"] for each in here.letters()[: len(bodies)]]
    assert (found.dead_letters, found.unread.count) == ([], len(bodies))
    assert sorted(found.unread.ids) == sorted(unread)


def test_an_id_in_a_string_counts_only_where_an_event_stands_there(
    here: Bench, database: Db
) -> None:
    here.receive(json.dumps({"agent": '{"id":"7"}'}).encode())
    here.receive(json.dumps({"event": '{"id":"7","type":"t"}'}).encode())

    assert erase_all(database, by_id("7")) == (0, 1)
    assert b"agent" in bytes(here.letter()["original_payload"])


def test_strings_of_events_are_looked_into_where_every_event_is_read(
    here: Bench, database: Db
) -> None:
    here.receive(json.dumps({"id": "1", "type": "t", "raw": EVENT}).encode())
    here.receive(json.dumps({"id": "2", "type": "t", "raw": EVENT.replace("ann", "bo")}).encode())
    here.receive(json.dumps({"id": "3", "type": "u", "raw": EVENT}).encode())
    person = where("customer.email=ann@example.com", event_type="t")

    assert erase_all(database, person) == (0, 0)
    found = records_of(database).find(person, SearchScope(deep=True))
    assert erase_all(database, person, deep=True) == (1, 0)
    assert left(database) == ["2", "3"]
    assert found.read == 2


def test_letters_of_no_known_type_stay_unless_they_are_asked_for(here: Bench, database: Db) -> None:
    for body in (EVENT, EVENT.replace('"type":"t"', '"x":1'), EVENT.replace('"t"', '"u"')):
        here.receive(body.encode())
    here.receive(EVENT.encode() + b" ", secret="forged")
    here.shared.refusals.start()
    assert here.shared.refusals.wait_until_empty(30)
    person = where("customer.email=ann@example.com", event_type="t")

    found = records_of(database).find(person)
    assert (len(found.dead_letters), found.untyped.count) == (2, 1)
    assert erase_all(database, person) == (0, 2)
    assert erase_all(database, person, also_unknown=True) == (0, 1)
    assert [each["event_type"] for each in here.letters()] == ["u"]


VALUES = [ANN, "x", 7, 7.0, True, None]
KEYS = [ANN, "7", "a", "b", "a.b", "$c", "0", "_id", ""]


def some_value(chance: random.Random, depth: int) -> Any:
    kind = chance.random()
    if depth and kind < 0.3:
        return {key: some_value(chance, depth - 1) for key in chance.sample(KEYS, 2)}
    if depth and kind < 0.5:
        return [some_value(chance, depth - 1) for _ in range(2)]
    return chance.choice(VALUES)


@pytest.mark.parametrize("seed", range(2))
def test_the_query_misses_none_that_reading_every_document_finds(
    here: Bench, database: Db, seed: int
) -> None:
    chance = random.Random(seed)
    payloads = {}
    for number in range(60):
        payload = {key: some_value(chance, 3) for key in chance.sample(KEYS, 3)}
        payloads[str(number)] = {"id": str(number), "type": "t", **payload}
        here.receive(_json(payloads[str(number)]))
    assert database["events"].count_documents({}) == 60

    for _ in range(30):
        path = ".".join(f'"{key}"' for key in chance.choices(KEYS, k=chance.randint(1, 3)))
        condition = read_condition(f"{path}={chance.choice(['7', ANN, 'x', 'true'])}")
        person = Person(conditions=(condition,))
        names = names_of(here, person)
        records = PersonRecords(
            database,
            EventParser(EventFields(), 100).type_of,
            by_subject=True,
            as_sent=names.as_sent,
        )
        found = records.find(person, places=names.key_places())

        keys = set(database["events"].distinct("_meta.key", {"_id": {"$in": found.events}}))
        # Of a key that a guard kept out of the schema nobody knows whether it was sent.
        surely, perhaps = (
            {key for key, payload in payloads.items() if condition.holds(payload, sure=sure)}
            for sure in (False, True)
        )
        assert surely <= keys <= perhaps, (path, condition.wanted.text)


def _json(payload: Any) -> bytes:

    return json.dumps(payload).encode()


@pytest.mark.parametrize("seed", range(3))
def test_adoption_figures_equal_a_full_count_after_erasing(database: Db, seed: int) -> None:
    chance = random.Random(seed)
    create_indexes(database)
    registry = registered(database, SUBJECTS)
    events = database["events"]
    events.insert_many(
        {**each, "owner": chance.choice("abc")}
        for each in documents(chance, spread(chance, 400, NOW - 30 * HOUR, NOW), SUBJECTS)
    )
    job(database, NOW - HOUR, registry)(Run())
    job(database, NOW, registry)(Run(1))

    assert erase_all(database, where("owner=a"))[0] > 50
    bounds = Bounds(NOW, None)
    done = recount(adoption_stores(database), bounds, lambda: False, lambda _: None, timedelta(0))

    assert done
    found = report(adoption_stores(database), registry, bounds, timedelta(days=2))
    assert found.figures == brute_force(database, NOW, registry)
    stamped = events.count_documents({"schema_version": {"$gt": 0}})
    assert sum(found.hours.values()) == stamped
    assert not recount(
        adoption_stores(database), bounds, lambda: False, lambda _: None, timedelta(0)
    )


def test_cut_off_erasing_is_ended_by_another_run_and_counted_by_the_job(
    database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(5)
    create_indexes(database)
    registry = registered(database, SUBJECTS)
    times = spread(chance, 300, NOW - 30 * HOUR, NOW)
    database["events"].insert_many({**d, "owner": "a"} for d in documents(chance, times, SUBJECTS))
    database["events"].insert_many(documents(chance, times, SUBJECTS))
    job(database, NOW, registry)(Run())
    monkeypatch.setattr(erasing_module, "_BATCH", 50)
    person, records = where("owner=a"), records_of(database)

    def cut_off(count: int) -> None:
        raise StoreUnavailable("cut off")

    with pytest.raises(StoreUnavailable):
        erase(records, RecountMark(database), records.find(person), FoundRecords, cut_off)
    assert database["events"].count_documents({"owner": "a"}) == 250

    # Too fresh: whoever deletes counts.
    fresh = job(database, NOW, registry)(Run(1))["figures"]
    database["adoption_state"].update_one(
        {"_id": "erased"}, [{"$set": {"at": {"$subtract": ["$$NOW", 121_000]}}}]
    )
    counted = job(database, NOW, registry)(Run(2))["figures"]

    full = [{n: getattr(f, n) for n in f.__slots__} for f in brute_force(database, NOW, registry)]
    assert fresh != full
    assert counted == full
    assert erase_all(database, person) == (250, 0)


def test_more_than_one_search_remembers_is_erased_all_the_same(
    here: Bench, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        here.receive(b'{"id":"%d","type":"t","owner":"a"}' % number)
    monkeypatch.setattr(erasing_module, "MOST", 3)

    found = records_of(database).find(where("owner=a"))

    assert (len(found.events), found.more) == (3, True)
    assert erase_all(database, where("owner=a")) == (7, 0)


@pytest.mark.parametrize("text", ["customer.email", "=x", "a..b=x", ""])
def test_what_is_no_condition_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"FIELD=VALUE|missing|not a path"):
        read_condition(text)


def test_what_was_received_after_the_start_is_told_and_stays(here: Bench, database: Db) -> None:
    here.receive(b'{"id":"1","type":"t","owner":"a"}')
    person, records = where("owner=a"), records_of(database)
    found, started = records.find(person), utc_now()

    def meanwhile(count: int) -> None:
        here.receive(b'{"id":"2","type":"t","owner":"a"}')
        here.receive(b'{"type":"t","owner":"a"}')

    done = erase(
        records,
        RecountMark(database),
        found,
        lambda: records.find(person, SearchScope(until=started)),
        meanwhile,
    )

    assert (done.events, done.dead_letters, done.left.later) == (1, 0, 2)
    assert left(database) == ["2"]
    assert len(here.letters()) == 1


def test_documents_of_others_in_our_collections_end_no_search(here: Bench, database: Db) -> None:
    for number, meta in enumerate((None, "x", {"subject": 7}, {"received_at": "x"})):
        database["events"].insert_one({"_id": number, "owner": "a", "_meta": meta})
    database["events"].insert_one({"_id": "z", "owner": "a"})
    database["dead_letter_queue"].insert_many(
        [{"_id": 1, "original_payload": "a text"}, {"_id": 2, "owner": "a"}, {"_id": "3"}]
    )
    person = where("owner=a")
    names = names_of(here, person)
    records = PersonRecords(database, lambda _: None, by_subject=True, as_sent=names.as_sent)

    found = records.find(person, SearchScope(until=NOW), names.key_places())

    assert len(found.events) == 5
    assert found.dead_letters == []


@pytest.mark.parametrize("field", ["customer.email", "contact.mail"])
@pytest.mark.parametrize("ended", [False, True])
def test_a_person_is_looked_for_in_both_fields_of_an_alias_of_the_subject(
    here: Bench, database: Db, field: str, ended: bool
) -> None:
    here.receive(b'{"id":"1","type":"t","customer":{"email":"bo@example.com"}}')
    here.receive(b'{"id":"2","type":"t","customer":{"email":"ann@example.com"}}')
    here.receive(b'{"id":"3","type":"t","contact":{"mail":"ann@example.com"}}')
    # Of a type without the alias, and so of somebody else's field.
    other, known = ("contact", "mail"), ("customer", "email")
    if field == "contact.mail":
        other, known = known, other
    odd = {other[0]: {other[1]: ANN}}
    here.receive(json.dumps({"id": "4", "type": "u", **odd}).encode())
    registry = here.shared.registry
    old, new = ("customer", "email"), ("contact", "mail")
    registry.change("t", lambda head, now: alias(head, old, new, now))
    here.receive(b'{"id":"5","type":"t","contact":{"mail":"ann@example.com"}}')
    if ended:
        registry.change("t", lambda head, now: unalias(head, old, now))
    broken = b'{"id":"6","type":"t","contact":{"mail":"ann@example.com"}'
    with suppress(Rejected):
        here.receive(broken)
    person = replace(where(f"{field}={ANN}"), aliases={"t": registry.aliased("t")})

    assert erase_all(database, person)[0] == 3

    assert left(database) == ["1", "4"]


def test_aliases_of_many_subjects_hide_no_subject(here: Bench, database: Db) -> None:
    here.receive(b'{"id":"1","type":"t","a":"x"}')
    here.receive(b'{"id":"2","type":"u","z":"x"}')
    many = {f"s{n:02}": frozenset({(("a",), (f"b{n:02}",))}) for n in range(80)}
    person = replace(where("a=x"), aliases={**many, "u": frozenset({(("a",), ("z",))})})

    assert erase_all(database, person)[0] == 2


def test_other_conditions_stay_as_they_are_beside_an_alias(here: Bench, database: Db) -> None:
    here.receive(b'{"id":"1","type":"t","a":"x","b":"x","c":1}')
    here.receive(b'{"id":"2","type":"t","b":"x","c":2}')
    registry = here.shared.registry
    registry.change("t", lambda head, now: alias(head, ("a",), ("b",), now))
    person = replace(where("a=x", "c=2"), aliases={"t": registry.aliased("t")})

    assert erase_all(database, person) == (1, 0)
    assert left(database) == ["1"]
