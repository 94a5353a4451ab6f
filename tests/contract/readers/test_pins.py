"""Pins on a real mongod: kept, found, bounded, ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.errors import SetupError
from consumer.mongodb.client import open_database
from consumer.readers.objections import RejectedChanges, Rejection
from consumer.readers.pins import Pin, Pins
from consumer.schemas.objections import RejectedChange
from consumer.schemas.policy import Defaults
from tests.support.adoption import NOW
from tests.support.strategies import learn

Db = Database[dict[str, Any]]
LATER = NOW + timedelta(minutes=1)


def pins_in(database: Db, most: int = 500) -> Pins:
    return Pins(open_database(database.client, database.name)["readers"], most)


def a_pin(pins: Pins, reader: str = "billing", subject: str = "contact", **more: Any) -> Pin:
    view = pins.view_name(reader, subject)
    return Pin(view, reader, subject, more.pop("version", 1), NOW, "Ada", **more)


def test_a_pin_is_read_as_it_was_made(database: Db) -> None:
    pins = pins_in(database)
    defaults = Defaults(True, {("a.b", "$c", "", "\\*", "[]"): {"$x": [1, None, 2.5], "y.z": {}}})
    pin = a_pin(
        pins, uses=(("a", "[]", "b.c"), ()), mismatch="keep", redact=True, defaults=defaults
    )

    pins.put(pin)

    assert pins.get("billing", "contact") == pin
    assert pins.get("billing", "other") is None


def test_pinning_again_takes_the_place_of_the_pin_before(database: Db) -> None:
    pins = pins_in(database)
    pins.put(a_pin(pins, uses=(("a",),)))

    pins.put(a_pin(pins, version=2))

    assert pins.all() == [a_pin(pins, version=2)]


def test_pins_are_listed_by_subject_and_reader(database: Db) -> None:
    pins = pins_in(database)
    for reader, subject in (("b", "s"), ("a", "t"), ("a", "s")):
        pins.put(a_pin(pins, reader, subject))

    assert [(pin.subject, pin.reader) for pin in pins.all()] == [("s", "a"), ("s", "b"), ("t", "a")]
    assert [pin.reader for pin in pins.all("t")] == ["a"]
    assert [pins.get(reader, "s") for reader in "ab"] == pins.all("s")


def test_an_ended_pin_is_none_until_it_is_made_again(database: Db) -> None:
    pins = pins_in(database)
    pin = a_pin(pins)
    pins.put(pin)

    pins.end(pin, NOW)
    assert (pins.all(), pins.ended()) == ([], [pin])
    pins.put(replace(pin, version=2))
    assert (pins.all(), pins.ended()) == ([replace(pin, version=2)], [])
    pins.forget(pin.view, LATER)
    assert pins.all() == [replace(pin, version=2)]

    other = a_pin(pins, "other")
    pins.put(other)
    pins.end(other, NOW)
    pins.end(replace(pin, version=2), NOW)
    pins.forget(pin.view, NOW)
    assert len(pins.ended()) == 2
    pins.forget(pin.view, LATER)
    assert pins.ended() == [other]
    assert (pins.knows(pin.view), pins.knows(other.view)) == (False, True)


@pytest.mark.parametrize("made", [{"at": LATER}, {"by": "Bob"}])
def test_what_is_done_to_a_pin_is_not_done_to_the_one_in_its_place(
    database: Db, made: dict[str, Any]
) -> None:
    pins = pins_in(database)
    before = a_pin(pins, defaults=Defaults(False, {("a",): "secret"}))
    newer = replace(before, **made)
    pins.put(newer)

    pins.set_applied(before, {"key": "of the one before"})
    pins.end(before, LATER)

    (now,) = pins.all()
    assert (now, now.applied) == (newer, {})
    # How its view was made is no part of what it says.
    pins.set_applied(newer, {"key": "x"})
    assert pins.all() == [now]
    assert pins.all()[0].applied == {"key": "x"}
    # Nor is it done to one that somebody made at the same time.
    other = replace(a_pin(pins, "a"), **made)
    pins.put(other)
    pins.set_applied(newer, {"key": "y"})
    assert [each.applied for each in pins.all()] == [{}, {"key": "y"}]
    pins.end(newer, LATER)
    assert pins.all() == [other]
    assert now.is_like(before)
    assert not now.is_like(replace(before, version=2))


def test_a_pin_that_ended_counts_again_once_it_is_made_again(database: Db) -> None:
    pins = pins_in(database, most=1)
    ended, other = a_pin(pins), a_pin(pins, "other")
    pins.put(ended)
    pins.end(ended, NOW)
    pins.put(other)

    with pytest.raises(SetupError, match="CXONE_MAX_PINS"):
        pins.put(ended)
    assert pins.all() == [other]
    # One that is there may be made anew, also where fewer are allowed since.
    pins_in(database, most=0).put(replace(other, version=2))
    assert pins.all() == [replace(other, version=2)]


def test_unless_it_is_said_nothing_is_masked_or_kept(database: Db) -> None:
    pins = pins_in(database)
    made = pins.made("billing", learn([{"a": 1}]), Defaults(), NOW, "Ada")

    assert (made.mismatch, made.redact, made.uses) == ("null", False, ())
    assert made == Pin(made.view, "billing", made.subject, 1, NOW, "Ada")


def test_there_are_no_more_pins_than_the_setting_says_however_many_race(database: Db) -> None:
    pins = pins_in(database, most=5)

    def pin(number: int) -> bool:
        try:
            pins.put(a_pin(pins, f"r{number}"))
        except SetupError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(pin, range(20)))

    assert len(pins.all()) == made.count(True) <= 5
    while pin(21 + len(pins.all())):
        pass
    assert len(pins.all()) == 5
    with pytest.raises(SetupError, match="CXONE_MAX_PINS"):
        pins.put(a_pin(pins, "last"))
    # One that is there may be made anew.
    pins.put(replace(pins.all()[0], version=9))
    assert pins.all()[0].version == 9


def test_a_document_of_others_is_no_pin(database: Db) -> None:
    database["readers"].insert_one({"_id": 1, "name": "somebody"})

    assert pins_in(database).all() == []


def test_documents_that_others_put_there_stop_nobody(database: Db) -> None:
    pins, rejected = pins_in(database), RejectedChanges(database["rejected_changes"])
    pin = a_pin(pins)
    pins.put(pin)
    rejection = Rejection("contact", RejectedChange(("a",)), NOW, "Ada")
    rejected.put(rejection)
    good = pin.to_document()
    odd: list[dict[str, Any]] = [{"reader": "x"}, {**good, "subject": 5}, {**good, "uses": 5}]
    odd += [{**good, "version": "x"}, {**good, "defaults": {}}]
    odd += [{**good, "reader": 5}]
    database["readers"].insert_many({**each, "_id": f"odd{n}"} for n, each in enumerate(odd))
    database["readers"].insert_one({**good, "_id": 5})
    key = {"subject": "contact"}
    odd = [{"_id": key, "at": NOW}, {"_id": "x", "then": "hold"}, {"_id": "y", "at": NOW}]
    database["rejected_changes"].insert_many(odd)

    assert pins.all() == pins.all("contact") == [pin]
    assert rejected.all() == rejected.all("contact") == [rejection]
