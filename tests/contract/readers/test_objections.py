"""Rejected changes and pins on a real mongod: what they say against a change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.errors import SetupError
from consumer.core.paths import from_text
from consumer.mongodb.client import open_database
from consumer.readers import objections as module
from consumer.readers.objections import RejectedChanges, Rejection, StandingObjections
from consumer.readers.pins import Pin, Pins
from consumer.schemas.json_types import INTEGER, OBJECT, STRING
from consumer.schemas.model import Change, SchemaVersion
from consumer.schemas.objections import NONE, RejectedChange
from consumer.schemas.policy import Contract
from tests.support.adoption import NOW
from tests.support.strategies import learn

Db = Database[dict[str, Any]]
HOLD = Contract(on_reader_break="hold")
CONFLICT = Change("type_conflict", ("a",), INTEGER, INTEGER | STRING)


class Standing:
    """Objections to changes of `s`, of which versions 1 and 2 are there."""

    def __init__(self, database: Db, most: int = 500) -> None:
        db = open_database(database.client, database.name)
        self.pins, self.rejected = (
            Pins(db["readers"], most),
            RejectedChanges(db["rejected_changes"]),
        )
        self.versions = {1: learn([{"a": 1}]), 2: replace(learn([{"a": "t"}]), number=2)}
        self.read: list[int] = []
        self.objections = StandingObjections(
            self.pins, self.rejected, self._version, lambda _: self.versions.get(2)
        )

    def _version(self, subject: str, number: int) -> SchemaVersion | None:
        self.read.append(number)
        return self.versions.get(number)

    def pin(self, reader: str, version: int = 1, *uses: str, subject: str = "s") -> None:
        paths = tuple(map(from_text, uses))
        view = self.pins.view_name(reader, subject)
        self.pins.put(Pin(view, reader, subject, version, NOW, "Ada", paths))

    def reject(self, path: str, then: Any = "hold", types: int = 0, at: int = 0) -> Rejection:
        change = RejectedChange(from_text(path), then, types)
        made = Rejection("s", change, NOW + timedelta(seconds=at), "Ada")
        self.rejected.put(made)
        return made

    def broken(self) -> list[str]:
        return list(self.objections("s", HOLD).broken(CONFLICT))

    def fingerprint(self) -> str:
        return self.objections("s", HOLD).fingerprint


@pytest.fixture
def standing(database: Db) -> Standing:
    return Standing(database)


def test_rejections_are_listed_the_oldest_first_and_of_one_subject(standing: Standing) -> None:
    late, early = standing.reject("a.b", "store", STRING | OBJECT, at=5), standing.reject("c")
    other = Rejection("t", late.change, NOW + timedelta(seconds=2), "Bob")
    standing.rejected.put(other)

    assert standing.rejected.all() == [early, other, late]
    assert standing.rejected.all("s") == [early, late]


def test_a_change_is_rejected_once_and_revoked_once(standing: Standing) -> None:
    typed, first = standing.reject("a", types=STRING), standing.reject("a")
    again = standing.reject("a", "discard", at=9)

    assert standing.rejected.all() == [typed, again]
    assert standing.rejected.revoke(first)
    assert not standing.rejected.revoke(first)
    assert standing.rejected.all() == [typed]


def test_no_more_are_rejected_than_are_read_at_once(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    standing.reject("a")
    standing.reject("b")

    with pytest.raises(SetupError, match="2 changes are rejected"):
        standing.reject("c")
    assert standing.reject("b", "store") in standing.rejected.all()
    assert len(standing.rejected.all()) == 2


def test_readers_are_named_that_a_change_would_break(standing: Standing) -> None:
    standing.pin("billing")
    standing.pin("crm", 1, "b")
    standing.pin("etl", 1, "a")
    standing.pin("late", 2)
    standing.pin("other", subject="t")

    assert standing.broken() == ["billing", "etl", "late"]
    assert standing.objections("s", HOLD).rejected == ()
    assert standing.objections("s", Contract()) is NONE
    assert standing.objections("u", HOLD) is NONE


def test_what_is_rejected_stands_whatever_the_contract_says(standing: Standing) -> None:
    standing.pin("billing")
    made = standing.reject("a", "store", STRING)

    free, held = standing.objections("s", Contract()), standing.objections("s", HOLD)

    assert free.rejected == held.rejected == (made.change,)
    assert (free.broken(CONFLICT), held.broken(CONFLICT)) == ([], ["billing"])
    assert standing.objections("t", HOLD) is NONE


def test_a_fingerprint_tells_what_stands_apart(standing: Standing) -> None:
    prints = [standing.fingerprint()]

    for do in (
        lambda: standing.pin("billing"),
        lambda: standing.pin("billing", 2),
        lambda: standing.pin("billing", 2, "a"),
        lambda: standing.pin("crm"),
        lambda: standing.reject("x"),
        lambda: standing.reject("x", "store"),
        lambda: standing.reject("x", types=STRING),
        lambda: standing.reject("x.y"),
    ):
        do()
        prints.append(standing.fingerprint())
        assert standing.fingerprint() == prints[-1]

    assert len(set(prints)) == len(prints)
    assert [len(each) for each in prints] == [0] + [16] * 8


def test_a_version_is_read_once_and_one_that_is_lost_stands_for_the_newest(
    database: Db,
) -> None:
    standing = Standing(database, most=2)
    standing.pin("billing")
    del standing.versions[1]
    standing.versions[2] = replace(learn([{"b": 1}]), number=2)
    unknown = standing.broken()
    # Another one is the newest since.
    standing.versions[2] = replace(learn([{"a": 1}]), number=2)
    lost = standing.broken()
    standing.pin("billing", 2)

    assert (unknown, lost, standing.broken(), standing.broken()) == (
        [],
        ["billing"],
        ["billing"],
        ["billing"],
    )
    assert standing.read == [1, 1, 2]

    # No more are kept than there may be pins.
    for uses in ("a", "b", "c", "d"):
        standing.pin("billing", 2, uses)
        standing.broken()
        assert 1 <= len(standing.objections._seen) <= 2
    assert standing.read == [1, 1, 2, 2, 2, 2, 2]


def test_as_many_versions_are_kept_as_there_may_be_pins(database: Db) -> None:
    standing = Standing(database, most=2)
    standing.pin("billing", 1)
    standing.pin("crm", 2)

    assert [standing.broken() for _ in range(2)] == [["billing", "crm"]] * 2
    assert standing.read == [1, 2]
