"""Views of pins on a real mongod: made, kept equal, never over what is not ours."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from consumer.core.errors import SetupError
from consumer.core.paths import Path
from consumer.mongodb.client import OurDatabase, open_database
from consumer.mongodb.indexes import create_indexes
from consumer.privacy.paths import read_paths
from consumer.privacy.rules import Redaction
from consumer.readers import moment, views
from consumer.readers.pins import Pin, Pins
from consumer.readers.view import pipeline
from consumer.readers.views import Views, role
from consumer.schemas.manual_changes import alias, unalias
from consumer.schemas.policy import Defaults
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.keep_views import KeepViews
from tests.support.adoption import NOW
from tests.support.backfill import store
from tests.support.jobs import Run

Db = Database[dict[str, Any]]
Document = dict[str, Any]


class House:
    """The parts of one process, on the database of a test."""

    def __init__(self, database: Db, most: int = 500) -> None:
        self.raw = database
        self.database: OurDatabase = open_database(database.client, database.name)
        self.registry = SchemaRegistry(self.database["schema_versions"])
        self.masks = Redaction()
        pins = Pins(self.database["readers"], most)
        self.views = Views(self.database, pins, self.registry, lambda: self.masks)

    def store(self, _id: str, **payload: Any) -> None:
        store(self.database, self.registry, _id, payload)

    def pin(self, reader: str = "billing", version: int = 1, **more: Any) -> Pin:
        view = self.views.pins.view_name(reader, "s")
        made = Pin(view, reader, "s", version, NOW, "Ada", **more)
        self.views.pin(made)
        return made

    def keep(self) -> dict[str, Any]:
        return KeepViews(self.views)(Run())

    def payloads(self, view: str = "billing.s") -> dict[str, Document]:
        ours = ("_id", "schema_version", "processed_at")
        return {
            each["_id"]: {key: value for key, value in each.items() if key not in ours}
            for each in self.raw[view].find()
        }

    def base(self, reader: str = "billing") -> str:
        """The name of the base view of a reader."""
        pin = self.views.pins.get(reader, "s")
        assert pin is not None
        return self.views.pins.base_of(pin)

    def made(self) -> list[str]:
        """The names of all views."""
        return sorted(self.raw.list_collection_names(filter={"type": "view"}))

    def options(self, view: str = "billing.s") -> Any:
        (info,) = self.raw.list_collections(filter={"name": view})
        return info["options"]


@pytest.fixture
def house(database: Db) -> House:
    made = House(database)
    made.store("old", a=1)
    made.store("new", a=2, b="x")
    made.store("other", a="text")
    return made


def test_a_pin_makes_a_view_of_one_match_and_one_project(house: House) -> None:
    house.pin()

    assert [list(stage) for stage in house.options()["pipeline"]] == [["$match"], ["$project"]]
    assert house.payloads() == {"old": {"a": 1}, "new": {"a": 2}, "other": {"a": None}}


def test_a_pin_made_again_changes_its_view(house: House) -> None:
    house.pin()
    house.pin(version=3, mismatch="keep")

    assert house.payloads()["other"] == {"a": "text", "b": None}
    assert [pin.version for pin in house.views.pins.all()] == [3]

    alter(house)
    house.pin(version=3, mismatch="keep")
    assert house.payloads()["other"] == {"a": "text", "b": None}


@pytest.mark.parametrize("make", ["collection", "view"])
@pytest.mark.parametrize("of_base", [False, True])
def test_no_view_is_made_over_what_is_there(house: House, make: str, of_base: bool) -> None:
    pins = house.views.pins
    name = pins.base_of(Pin("", "", "s", 1, NOW, "Ada")) if of_base else "billing.s"
    if make == "view":
        house.raw.create_collection(name, viewOn="other", pipeline=[])
    else:
        house.raw[name].insert_one({"_id": "theirs"})
    before = house.options(name)

    todo = "drop" if make == "view" else "rename"
    with pytest.raises(SetupError, match=f"{name}.* was not made by a pin: {todo} it"):
        house.pin()

    assert house.options(name) == before
    assert house.views.pins.all() == []


def test_a_collection_in_the_place_of_a_view_is_left_alone_and_told(house: House) -> None:
    house.pin()
    house.raw.drop_collection("billing.s")
    house.raw["billing.s"].insert_one({"_id": "theirs"})

    found = house.keep()
    house.views.unpin(house.views.pins.all()[0], NOW)

    assert "billing.s" in found["fault"]
    assert house.raw["billing.s"].find_one() == {"_id": "theirs"}


def drop(house: House) -> None:
    house.raw.drop_collection("billing.s")


def drop_base(house: House) -> None:
    house.raw.drop_collection(house.base())
    assert house.views.kinds() == {}


def alter_base(house: House) -> None:
    fields = [{"$addFields": {"a": "theirs"}}]
    house.raw.command("collMod", house.base(), viewOn="events", pipeline=fields)


def alter(house: House) -> None:
    house.raw.command("collMod", "billing.s", viewOn="events", pipeline=[])


def loosen(house: House) -> None:
    """The same fields of the same events, one with another meaning."""
    (match, project) = house.options()["pipeline"]
    fields = {**project["$project"], "a": {"$ifNull": ["$b", "$a"]}}
    steps = [match, {"$project": fields}]
    house.raw.command("collMod", "billing.s", viewOn="events", pipeline=steps)


def restore(house: House) -> None:
    """The views of an older backup, and a pin that knows nothing of how its view was made."""
    alter(house)
    house.raw["readers"].update_many({}, {"$unset": {"applied": ""}})


@pytest.mark.parametrize("harm", [drop, drop_base, alter, alter_base, loosen, restore])
@pytest.mark.parametrize("aliased", [False, True])
def test_a_look_makes_a_view_what_it_should_be(
    house: House, harm: Callable[[House], None], aliased: bool
) -> None:
    if aliased:
        house.registry.change("s", lambda head, now: alias(head, ("b",), ("c", "d"), now))
    house.pin(version=2)
    house.pin("other")
    before, shown = house.options(), house.payloads()
    harm(house)
    assert house.payloads() != shown or house.options() != before

    found = house.keep()

    # Two views, and the base view of both.
    assert (found["views"], found["changed"]) == (2, 3 if harm is restore else 1)
    assert (house.options(), house.payloads()) == (before, shown)
    assert house.keep() == {"views": 2, "changed": 0}


def watch(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the views that are made or changed from now on; and `aggregate`, where MongoDB
    is asked what it makes of pipelines."""
    changed: list[str] = []
    command = house.database.command

    def watched(what: Any, *args: Any, **kwargs: Any) -> Any:
        found = command(what, *args, **kwargs)
        if what == "explain":
            changed.extend(key for key in args[0] if key == "aggregate")
        else:
            changed.extend(what[key] for key in what if key in ("collMod", "create"))
        return found

    monkeypatch.setattr(house.database, "command", watched)
    return changed


def test_a_look_changes_no_view_that_is_right(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.pin()
    changed = watch(house, monkeypatch)
    house.keep()
    house.store("newest", a=1, c={"d": 1})
    house.keep()

    assert changed == []


def test_mongodb_is_left_to_others_as_long_as_each_view_that_is_made_anew_took(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(views, "sleep", rests.append)
    for reader in ("billing", "crm"):
        house.pin(reader)
    house.keep()
    assert rests == []

    house.registry.change("s", lambda head, now: alias(head, ("a",), ("n",), now))
    assert house.keep()["changed"] == 1
    alter(house)
    assert house.keep()["changed"] == 1

    assert len(rests) == 2
    assert all(0 < rest <= 1 for rest in rests)


def test_readers_of_one_version_share_a_pipeline(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reader in ("billing", "crm"):
        house.pin(reader)
    house.pin("kept", mismatch="keep")
    house.pin("newer", version=2)
    house.store("newest", c=1)
    made: list[str] = []

    def watched(projection: Any) -> Any:
        made.append(projection.subject)
        return pipeline(projection)

    monkeypatch.setattr(moment, "pipeline", watched)

    assert house.keep() == {"views": 4, "changed": 0}
    assert len(made) == 3
    assert house.keep() == {"views": 4, "changed": 0}
    assert len(made) == 3


def test_an_alias_changes_one_view_however_many_readers_there_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.registry.change("s", lambda head, now: alias(head, ("b",), ("c",), now))
    changed = watch(house, monkeypatch)
    for reader in ("billing", "crm", "desk"):
        house.pin(reader)
    typed = house.pin("typed", version=3, defaults=Defaults(typed=True))
    assert [name for name in changed if name != "aggregate"] == [
        *(house.base(), "billing.s", "crm.s", "desk.s"),
        *(house.base("typed"), typed.view),
    ]

    changed.clear()
    house.registry.change("s", lambda head, now: alias(head, ("a",), ("n",), now))
    house.raw["events"].insert_one({"_id": "n", "n": 7, "_meta": {"subject": "s"}})

    assert house.keep() == {"views": 4, "changed": 2}
    # Those that show the same are told of once, too.
    assert changed == [house.base(), "aggregate", house.base("typed"), "aggregate"]
    assert {view: house.payloads(view)["n"]["a"] for view in ("billing.s", "crm.s", "typed.s")} == {
        "billing.s": 7,
        "crm.s": 7,
        "typed.s": 7,
    }
    assert house.keep() == {"views": 4, "changed": 0}


def test_a_base_view_goes_with_the_last_that_stands_on_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin, other = house.pin(), house.pin("other")
    base = house.base()
    changed = watch(house, monkeypatch)
    house.views.unpin(pin, NOW)
    assert (house.made(), changed) == ([base, "other.s"], [])

    other = house.pin("other", defaults=Defaults(typed=True))
    assert house.made() == [house.base("other"), "other.s"] != [base, "other.s"]

    house.views.unpin(other, NOW)
    assert house.made() == []


def test_a_base_view_that_is_left_is_there_for_who_pinned_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = house.pin()
    drop = house.database.drop_collection

    def pinned_before(name: str) -> None:
        if name.startswith("_"):
            house.pin("late")
        drop(name)

    monkeypatch.setattr(house.database, "drop_collection", pinned_before)
    house.views.unpin(pin, NOW)

    assert house.made() == [house.base("late"), "late.s"]


def test_a_base_view_stays_for_a_pin_that_was_killed_before_its_view(house: House) -> None:
    pin = house.pin()
    house.views.pins.put(Pin("late.s", "late", "s", 1, NOW, "Ada"))

    house.views.unpin(pin, NOW)

    assert house.made() == [house.base("late")]


# Also where nothing else changes: the version does not have the field.
@pytest.mark.parametrize("name", ["a", "unknown"])
def test_values_that_are_taken_out_of_defaults_take_their_base_view_along(
    house: House, name: str
) -> None:
    defaults = Defaults(values={(name,): "Kim"})
    for reader in ("billing", "other"):
        house.pin(reader, defaults=defaults)
    before, shown = house.base(), house.payloads("other.s")
    house.views.pins.take_out("s", lambda path: path, lambda path, value: value == "Kim")
    pin = house.views.pins.all()[0]
    assert house.base() != before

    # Until a look moves it, the view of the other one stands where it stood.
    house.views.unpin(pin, NOW)
    assert house.payloads("other.s") == shown

    assert house.keep() == {"views": 1, "changed": 2}
    assert house.made() == [house.base("other"), "other.s"]

    house.pin(defaults=defaults)
    house.views.pins.take_out("s", lambda path: path, lambda path, value: value == "Kim")
    for each in house.views.pins.all():
        house.views.unpin(each, NOW)
    assert house.made() == []


@pytest.mark.parametrize("old", ["", "p.q"])
def test_an_alias_of_what_no_stage_can_name_is_in_no_view(house: House, old: str) -> None:
    house.store("odd", a=1, p={"q": 2}, **{old: 3})
    house.registry.change("s", lambda head, now: alias(head, (old,), ("n",), now))
    house.raw["events"].insert_one({"_id": "n", "n": 7, "p": {}, "_meta": {"subject": "s"}})
    house.pin(version=4)

    assert house.payloads()["n"] == {"a": None, "b": None, "p": {"q": None}}


def test_an_alias_reaches_the_views_whose_version_knows_the_field(house: House) -> None:
    house.pin()
    house.registry.change("s", lambda head, now: alias(head, ("a",), ("renamed", "a"), now))
    house.store("renamed", renamed={"a": 7})

    assert house.keep()["changed"] == 1
    # What ingest filled before it knew the alias stays as it is stored.
    house.raw["events"].update_one({"_id": "renamed"}, {"$unset": {"a": ""}})
    assert house.payloads()["renamed"] == {"a": 7}

    house.registry.change("s", lambda head, now: unalias(head, ("a",), now))
    assert house.keep()["changed"] == 1
    assert house.payloads()["renamed"] == {"a": None}


def test_masks_that_change_reach_the_views_that_mask(house: House) -> None:
    house.pin(redact=True, version=3)
    house.pin("open", version=3)
    house.masks = Redaction(read_paths(["**.b"]))

    assert house.keep()["changed"] == 1
    assert house.payloads()["new"]["b"] == "********"
    assert house.payloads("open.s")["new"]["b"] == "x"


def test_an_unpinned_view_is_gone_also_after_a_kill_in_between(house: House) -> None:
    pin, other = house.pin(), house.pin("other")

    house.views.unpin(pin, NOW)
    house.views.pins.end(other, NOW)
    assert house.keep() == {"views": 0, "changed": 0}

    assert house.made() == []
    assert house.raw["readers"].count_documents({}) == 0


def test_a_view_that_is_pinned_again_while_a_look_goes_on_is_not_dropped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = house.pin()
    house.views.pins.end(pin, NOW)
    ended = house.views.pins.ended
    looks: list[list[Pin]] = []

    def then_pinned() -> list[Pin]:
        found = ended()
        looks.append(found)
        if len(looks) == 1:
            house.pin()
        return found

    monkeypatch.setattr(house.views.pins, "ended", then_pinned)
    house.keep()

    assert looks[0] == [pin]
    assert set(house.made()) == {pin.view, house.views.pins.base_of(pin)}


def test_a_pin_that_was_killed_before_its_view_gets_it(house: House) -> None:
    made = Pin("billing.s", "billing", "s", 1, NOW, "Ada")
    house.views.pins.put(made)

    assert house.keep()["changed"] == 2
    assert house.payloads()["old"] == {"a": 1}


def test_a_version_that_is_gone_is_told_and_stops_no_other(house: House) -> None:
    house.views.pins.put(Pin("lost.s", "lost", "s", 9, NOW, "Ada"))
    house.views.pins.put(Pin("there.s", "there", "s", 1, NOW, "Ada"))

    found = house.keep()

    assert 'lost.s: schema "s" has no version 9' in found["fault"]
    assert house.payloads("there.s")["old"] == {"a": 1}


def test_a_subject_of_many_bytes_is_pinned_and_looked_at_as_others(house: House) -> None:
    create_indexes(house.database)
    subject = "L" + "ö" * 99 + "x"
    store(house.database, house.registry, "long", {"a": 1}, subject)
    view = house.views.pins.view_name("billing", subject)

    house.views.pin(Pin(view, "billing", subject, 1, NOW, "Ada"))

    assert house.keep() == {"views": 1, "changed": 0}
    assert house.payloads(view) == {"long": {"a": 1}}
    house.raw.command("collMod", view, viewOn="events", pipeline=[])
    assert house.keep() == {"views": 1, "changed": 1}


def test_options_of_views_are_never_listed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.pin()
    asked: list[Document] = []
    theirs = house.database.list_collections

    def watched(**kwargs: Any) -> Any:
        asked.append(kwargs)
        return theirs(**kwargs)

    monkeypatch.setattr(house.database, "list_collections", watched)
    house.keep()
    house.views.kinds()

    assert asked
    assert all(each["nameOnly"] for each in asked)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({"_id": "old"}, "_id_"),
        ({"processed_at": {"$gte": NOW, "$lt": NOW}}, "processed_at_1"),
    ],
)
def test_queries_by_id_and_time_reach_the_indexes(house: House, query: Any, index: str) -> None:
    create_indexes(house.database)
    house.pin()

    plan = house.raw.command("explain", {"find": "billing.s", "filter": query})

    scanned = list(_scans(plan))
    assert [name for name, _ in scanned if name.startswith(index)], scanned
    assert all(bounds != ["[MinKey, MaxKey]"] for _, bounds in scanned)


def _scans(plan: Any) -> Any:
    if isinstance(plan, dict):
        if plan.get("stage") == "COLLSCAN":
            yield "COLLSCAN", []
        if plan.get("stage") == "IXSCAN":
            yield plan["indexName"], next(iter(plan["indexBounds"].values()))
        for key, value in plan.items():
            if key != "rejectedPlans":
                yield from _scans(value)
    elif isinstance(plan, list):
        for each in plan:
            yield from _scans(each)


def test_the_role_of_a_reader_shows_it_the_view_and_nothing_else(
    house: House, mongod_uri: str
) -> None:
    pin = house.pin()
    house.raw.command(
        "createRole",
        role(house.raw.name, pin.view)["role"],
        **{key: value for key, value in role(house.raw.name, pin.view).items() if key != "role"},
    )
    user = f"u{uuid.uuid4().hex}"
    house.raw.command("createUser", user, pwd="secret", roles=[pin.view])
    try:
        with MongoClient[Document](
            mongod_uri, username=user, password="secret", authSource=house.raw.name
        ) as client:
            theirs = client[house.raw.name]
            assert theirs[pin.view].find_one({"_id": "old"}) is not None
            for forbidden in ("events", "readers", "schema_versions"):
                with pytest.raises(OperationFailure, match="not authorized"):
                    theirs[forbidden].find_one()
            with pytest.raises(OperationFailure, match="not authorized"):
                theirs[pin.view].insert_one({})
    finally:
        house.raw.command("dropUser", user)
        house.raw.command("dropRole", pin.view)


def test_paths_of_a_schema_are_hidden_as_values_are() -> None:
    masks = Redaction(read_paths(["a.name", "**.phone", "/l/0/x", "m.*.y"]))
    hidden: tuple[Path, ...] = (
        ("a", "name"), ("A", "Name", "below"), ("z", "[]", "phone"), ("l", "[]", "x"),
        ("m", "k", "y"), ("m", "*", "y"), ("phone",), ("*", "name"),
    )  # fmt: skip
    for path in hidden:
        assert masks.hides(path, None), path
    for path in (("a",), ("name",), ("l", "x2"), ("m", "y")):
        assert not masks.hides(path, None), path
