"""`events erase` says of each place what it held of a person, what is gone and what stays."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.adoption.state import RecountMark
from consumer.cli import main
from consumer.core.clock import utc_now
from consumer.core.data_dir import DataDirectory
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.mongodb.indexes import create_indexes
from consumer.privacy.erasure import erase
from consumer.privacy.person_records import FoundRecords
from consumer.schemas.json_types import OBJECT
from consumer.schemas.model import Change, SchemaVersion
from consumer.spool.spool import Spool
from consumer.spool.survey import deliveries, directory_in
from tests.contract.privacy.test_erasure import records_of
from tests.support.backfill import backfill
from tests.support.dead_letters import Bench, bench
from tests.support.jobs import Run
from tests.support.service import SECRET

Db = Database[dict[str, Any]]
Command = Callable[..., dict[tuple[str, str], tuple[int, int, int]]]

ANN = "ann@example.com"
# An id that is told from a name, and was registered as a field all the same: beside names.
HEX = "507f1f77bcf86cd799439011"


@pytest.fixture
def here(mongod_uri: str, database: Db) -> Iterator[Bench]:
    create_indexes(database)
    made = bench(mongod_uri, database)
    yield made
    made.shared.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def erased(
    mongod_uri: str,
    database: Db,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Command:
    """Erase and read the table: place and kind to found, removed and stays."""
    monkeypatch.setenv("CXONE_SHARED_SECRET", SECRET)
    monkeypatch.setenv("MONGODB_URI", mongod_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database.name)
    monkeypatch.setenv("CXONE_DATA_DIR", str(data_dir))

    def call(*arguments: str) -> dict[tuple[str, str], tuple[int, int, int]]:
        capfd.readouterr()
        assert main.run(["events", "erase", *arguments, "--json"]) == 0
        out = capfd.readouterr().out
        rows = json.loads(out)["places"]
        return {(e["place"], e["kind"]): (e["found"], e["removed"], e["stays"]) for e in rows}

    return call


def ids(database: Db) -> list[str]:
    return sorted(each["id"] for each in database["events"].find())


def test_a_name_leaves_the_schema_and_what_was_filled_in_and_its_events_go(
    here: Bench, erased: Command, database: Db
) -> None:
    here.receive(b'{"id":"1","type":"t","p":{"b":1}}')
    here.receive(b'{"id":"2","type":"t","p":{"b":1,"%b":{"name":"x"}}}' % HEX.encode())
    here.receive(b'{"id":"3","type":"t","p":{"b":1}}')
    backfill(database, here.shared.registry)(Run())
    assert database["events"].count_documents({f"p.{HEX}": {"$exists": True}}) == 3
    asked = ("--where", f"owner={HEX}")

    counted = erased(*asked, "--dry-run")
    assert counted["events", "t"] == (1, 0, 1)
    assert counted["events", "where it is filled in"] == (2, 0, 2)
    assert counted["schema versions", "t"][:2] == (1, 0)
    assert len(ids(database)) == 3

    told = erased(*asked, "--yes")

    assert told["events", "t"] == (1, 1, 0)
    assert told["events", "t, filled in under the name"] == (2, 2, 0)
    assert told["schema versions", "t"][2] == 0
    assert ids(database) == ["1", "3"]
    everything = [*database["events"].find(), *database["schema_versions"].find()]
    assert HEX not in str(everything)
    causes = [c["caused_by"] for v in database["schema_versions"].find() for c in v["changes"]]
    assert "2" not in causes
    assert erased(*asked, "--yes") == {}


def unmapped(here: Bench, subject: str, path: tuple[str, ...]) -> None:
    """Register what `schema unmap` makes of an object that was a map for a while."""

    def make(head: SchemaVersion, now: datetime) -> SchemaVersion:
        number = head.number + 1
        fields = tuple(
            replace(each, pinned=number)
            if each.path == path
            else replace(each, refilled=number)
            if HEX in each.path
            else each
            for each in head.fields
        )
        undone = Change("map_undone", path, OBJECT, OBJECT)
        return SchemaVersion(subject, number, fields, (undone,), now)

    here.shared.registry.change(subject, make)


def test_what_stays_filled_in_under_a_name_never_makes_an_event_the_persons(
    here: Bench, erased: Command, database: Db
) -> None:
    here.receive(b'{"id":"1","type":"t","p":{"b":1}}')
    here.receive(b'{"id":"2","type":"t","p":{"b":1,"%b":{"name":"x"}}}' % HEX.encode())
    here.receive(b'{"id":"3","type":"t","p":{"b":1}}')
    backfill(database, here.shared.registry)(Run())
    # As with a default that was set once and is no more.
    database["events"].update_many({"id": {"$ne": "2"}}, {"$set": {f"p.{HEX}": {"name": "?"}}})
    asked = ("--where", f"owner={HEX}")

    told = erased(*asked, "--yes")
    again = erased(*asked, "--yes")

    assert told["events", "t"] == (1, 1, 0)
    assert told["events", "t, filled in under the name"] == (2, 0, 2)
    assert again == {("events", "where it is filled in"): (2, 0, 2)}
    assert ids(database) == ["1", "3"]


def test_what_was_filled_in_below_a_name_in_an_undone_map_leaves_and_its_events_stay(
    mongod_uri: str, erased: Command, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXONE_DEFAULTS", "typed")
    create_indexes(database)
    here = bench(mongod_uri, database, cxone_defaults="typed")
    for number in range(3):
        here.receive(b'{"id":"%d","type":"t","p":{"b":1}}' % number)
    here.receive(b'{"id":"a","type":"t","p":{"b":1,"%b":{"n":7}}}' % HEX.encode())
    # As an older program left it: the object was a map for a while, and was made one again.
    unmapped(here, "t", ("p",))
    backfill(database, here.shared.registry)(Run())
    filled = list(database["events"].find({"id": {"$ne": "a"}}))
    assert [each["p"] for each in filled] == [{"b": 1, HEX: {"n": 0}}] * 3

    told = erased("--where", f"owner={HEX}", "--yes")

    here.shared.close()
    assert told["events", "t"] == (1, 1, 0)
    # That of the person itself counts as one that keeps its value, until it goes as a whole.
    assert told["events", "t, filled in under the name"] == (4, 3, 1)
    assert [each["p"] for each in database["events"].find()] == [{"b": 1}] * 3


def test_a_schema_stays_while_an_older_process_lives_and_the_rest_goes(
    here: Bench, erased: Command, database: Db
) -> None:
    here.receive(b'{"id":"1","type":"t","p":{"b":1}}')
    here.receive(b'{"id":"2","type":"t","p":{"b":1,"%b":1}}' % HEX.encode())
    backfill(database, here.shared.registry)(Run())
    old = {"_id": "old", "host": "box", "version": "0.1", "format": 1, "last_seen": utc_now()}
    database["instances"].insert_one(old)

    told = erased("--where", f"owner={HEX}", "--yes")

    assert told["events", "t"] == (1, 1, 0)
    assert told["schema versions", "t"][1] == 0
    assert told["events", "where it is filled in"] == (1, 0, 1)
    assert ids(database) == ["1"]
    database["instances"].delete_one({"_id": "old"})
    assert erased("--where", f"owner={HEX}", "--yes")["schema versions", "t"][2] == 0
    assert HEX not in str([*database["events"].find(), *database["schema_versions"].find()])


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"1","type":"t","participants":{"ann@example.com":{"role":"x"}}}',
        b'{"id":"1","type":"t","participants":[[{"ann@example.com":1}]]}',
        b'{"id":"1","type":"t","a":{"name":"x","ann@example.com":1}}',
        b'{"id":"1","type":"t","ann@example.com":{"role":"x"}}',
        b'{"id":"1","type":"t","$x":{"ann@example.com":1}}',
        b'{"id":"1","type":"t","_meta":{"customer":{"email":"ann@example.com"}}}',
        b'{"type":"t","participants":{"ann\\u0040example.com":{"role":"x"}}}',
        b'{"type":"t","participants":{"ann\\u0040example.com":nought}}',
        b'{"type":"t","raw":"{\\"ann@example.com\\":1}"}',
    ],
)
def test_a_person_is_found_as_a_key_wherever_it_stands(
    here: Bench, erased: Command, database: Db, body: bytes
) -> None:
    here.receive(body)
    here.receive(body.replace(b"ann", b"bob").replace(b'"1"', b'"2"'))
    field = "_meta.customer.email" if b"_meta" in body else "customer.email"

    told = erased("--where", f"{field}={ANN}", "--yes")

    assert sum(removed for _, removed, _ in told.values()) >= 1
    assert len(here.letters()) + len(ids(database)) == 1
    kept = str([*database["events"].find(), *here.letters()])
    assert "bob" in kept


def test_a_value_that_is_no_name_is_a_key_only_where_its_field_stands(
    here: Bench, erased: Command, database: Db
) -> None:
    here.receive(b'{"id":"1","type":"t","agents":{"4711":{"n":1},"4712":{"n":1}}}')
    here.receive(b'{"id":"2","type":"t","counts":{"4711":1,"4712":1}}')
    here.receive(b'{"id":"3","type":"t","states":{"open":1}}')

    erased("--where", "agents=4711", "--yes")
    erased("--where", "states=open", "--yes")

    assert ids(database) == ["2", "3"]


def test_nothing_of_another_type_is_touched(here: Bench, erased: Command, database: Db) -> None:
    for kind in (b"t", b"u"):
        here.receive(b'{"id":"1","type":"%b","p":{"b":1,"%b":1}}' % (kind, HEX.encode()))
    before = list(database["schema_versions"].find({"_id.subject": "u"}))

    told = erased("--where", f"owner={HEX}", "--type", "t", "--yes")

    assert not any("u" in kind.split(",") for _, kind in told)
    assert list(database["schema_versions"].find({"_id.subject": "u"})) == before
    assert [each["type"] for each in database["events"].find()] == ["u"]


def fill(data_dir: Path, *bodies: bytes) -> Spool:
    data_dir.mkdir(exist_ok=True)
    spool = Spool(directory_in(data_dir), 10_000_000)
    for number, body in enumerate(bodies):
        now = utc_now()
        spool.append(Delivery(f"d{number}", body, Headers({}), now, Verdict("current", now)))
    return spool


def waiting(data_dir: Path) -> list[str]:
    return [each.id for each in deliveries(directory_in(data_dir))]


def body(number: int, email: str) -> bytes:
    return json.dumps({"id": f"{number}", "type": "t", "customer": {"email": email}}).encode()


WHERE = ("--where", f"customer.email={ANN}", "--yes")


def test_what_waits_in_the_spool_goes_and_so_does_what_was_drained_of_it(
    erased: Command, data_dir: Path, database: Db
) -> None:
    create_indexes(database)
    spool = fill(data_dir, body(0, ANN), body(1, "bo@example.com"), body(2, ANN), body(3, "bo"))
    spool.remove(spool.take(1))
    spool.close()
    (segment,) = directory_in(data_dir).glob("*.spool")
    assert segment.read_bytes().count(ANN.encode()) == 2

    told = erased(*WHERE)

    assert told["spool of this machine", "deliveries"] == (1, 1, 0)
    assert waiting(data_dir) == ["d1", "d3"]
    files = [each for each in directory_in(data_dir).rglob("*") if each.is_file()]
    assert len(files) == 1
    assert ANN.encode() not in files[0].read_bytes()
    again = Spool(directory_in(data_dir), 10_000_000)
    assert [each.delivery.id for each in again.take(9)] == ["d1", "d3"]
    again.close()


def test_a_running_service_keeps_its_spool_and_that_is_said(
    erased: Command, data_dir: Path, database: Db
) -> None:
    create_indexes(database)
    fill(data_dir, body(0, ANN), body(1, "bo@example.com")).close()

    with DataDirectory(data_dir):
        told = erased(*WHERE)

    assert told["spool of this machine", "deliveries"] == (1, 0, 1)
    assert waiting(data_dir) == ["d0", "d1"]


def test_damage_that_was_set_aside_is_looked_into_and_removed(
    erased: Command, data_dir: Path, database: Db
) -> None:
    create_indexes(database)
    spool = fill(data_dir, body(0, ANN), body(1, "bo@example.com"), body(2, "cy@example.com"))
    (segment,) = directory_in(data_dir).glob("*.spool")
    data = segment.read_bytes()
    for name in (b"ann@example", b"bo@example"):
        at = data.index(name) + len(name) + 20
        data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    segment.write_bytes(data)
    assert [each.delivery.id for each in spool.take(9)] == ["d2"]
    spool.close()

    told = erased(*WHERE)

    assert told["spool of this machine", "damaged, set aside"] == (1, 1, 0)
    assert told["spool of this machine", "damaged, of others"] == (1, 0, 1)
    assert len(list((directory_in(data_dir) / "damaged").iterdir())) == 1
    assert waiting(data_dir) == ["d2"]


def test_damage_of_no_known_type_stays_unless_it_is_asked_for(
    erased: Command, data_dir: Path, database: Db
) -> None:
    create_indexes(database)
    aside = directory_in(data_dir) / "damaged"
    aside.mkdir(parents=True)
    for name, damage in (
        ("a", body(0, ANN)),
        ("b", body(0, ANN).replace(b'"t"', b'"u"')),
        ("c", b'{"customer":{"email":"ann@example.com"'),
        ("d", b"\x89PNG"),
    ):
        (aside / f"{name}.bin").write_bytes(b"\x01head\xff" + damage + b"\x00tail")

    told = erased(*WHERE, "--type", "t")

    kinds = {kind: row for (_, kind), row in told.items()}
    assert kinds == {
        "damaged, set aside": (1, 1, 0),
        "damaged, of no known type": (1, 0, 1),
        "damaged, of others": (2, 0, 2),
    }
    erased(*WHERE, "--type", "t", "--also-unknown")
    assert sorted(path.name for path in aside.iterdir()) == ["b.bin", "d.bin"]


def test_spooled_deliveries_of_no_known_type_stay_unless_they_are_asked_for(
    erased: Command, data_dir: Path, database: Db
) -> None:
    create_indexes(database)
    theirs = json.dumps({"customer": {"email": ANN}}).encode()
    fill(data_dir, body(0, ANN), theirs, body(2, ANN).replace(b'"t"', b'"u"')).close()

    told = erased(*WHERE, "--type", "t")
    assert told["spool of this machine", "deliveries"] == (1, 1, 0)
    assert told["spool of this machine", "of no known type"] == (1, 0, 1)
    assert waiting(data_dir) == ["d1", "d2"]

    erased(*WHERE, "--type", "t", "--also-unknown")
    assert waiting(data_dir) == ["d2"]


def test_what_comes_faster_than_it_is_deleted_is_told_after_ten_rounds(
    here: Bench, database: Db
) -> None:
    records, looks = records_of(database), []

    def look() -> FoundRecords:
        looks.append(1)
        return FoundRecords(events=["x"], subjects=Counter(t=1))

    done = erase(records, RecountMark(database), look(), look, lambda count: None)

    assert (len(looks), done.left.events) == (11, ["x"])


def test_a_dry_run_changes_no_file_and_makes_no_directory(
    erased: Command, data_dir: Path, database: Db
) -> None:
    create_indexes(database)
    erased("--where", f"customer.email={ANN}", "--dry-run")
    assert not data_dir.exists()
    fill(data_dir, body(0, ANN)).close()
    before = {p: p.read_bytes() for p in data_dir.rglob("*") if p.is_file()}

    told = erased("--where", f"customer.email={ANN}", "--dry-run")

    assert told["spool of this machine", "deliveries"] == (1, 0, 1)
    assert {p: p.read_bytes() for p in data_dir.rglob("*") if p.is_file()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
def test_what_is_spooled_is_for_its_owner_alone_wherever_it_lies(
    erased: Command, data_dir: Path, database: Db
) -> None:
    create_indexes(database)
    directory_in(data_dir).mkdir(parents=True)
    directory_in(data_dir).chmod(0o755)
    before = os.umask(0)
    try:
        fill(data_dir, body(0, ANN), body(1, "bo@example.com")).close()
        erased(*WHERE)
    finally:
        os.umask(before)

    (segment,) = directory_in(data_dir).glob("*.spool")
    assert segment.stat().st_mode & 0o77 == 0
