"""Deliveries that MongoDB cannot take go to the spool, and to MongoDB as if they had come late."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.data_dir import DataDirectory
from consumer.core.delivery import Delivery, Headers, Outcome
from consumer.core.errors import MalformedJson, SignatureMissing, StoreUnavailable
from consumer.ingest.signature import SignatureScheme, sign
from consumer.mongodb.circuit_breaker import CircuitBreaker
from consumer.mongodb.client import connect, open_database
from consumer.spool.spool import Spool
from consumer.spool.survey import directory_in, survey
from tests.conftest import MongodFactory
from tests.support.jobs import Run
from tests.support.processes import run as run_command
from tests.support.service import SECRET, eventually
from tests.support.spool import Running, Sender, Spooling, load, spooling

Db = Database[dict[str, Any]]
# Nothing listens there.
NOWHERE = "mongodb://127.0.0.1:9/"
PATIENCE = {"cxone_spool_after": "100ms"}


def delivery(parts: Spooling, body: bytes, name: str = "d", age: float = 0.0) -> Delivery:
    now = datetime.now(timezone.utc)
    headers = sign(SignatureScheme(), SECRET.encode(), body, now)
    return Delivery(name, body, Headers(headers), now - timedelta(seconds=age))


def event(number: int, **more: Any) -> bytes:
    return json.dumps({"id": str(number), "type": "contact.created", "n": number, **more}).encode()


def stored(database: Db) -> list[int]:
    return [one["n"] for one in database["events"].find().sort("processed_at")]


def fill(database: Db, data_dir: Path, *bodies: bytes) -> None:
    """Receive bodies while MongoDB is away."""
    with spooling(NOWHERE, database.name, data_dir, **PATIENCE) as parts:
        for index, body in enumerate(bodies):
            try:
                parts.ingest.receive(delivery(parts, body, f"delivery-{index}", age=3600))
            except MalformedJson:
                continue


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def test_a_delivery_is_spooled_while_mongodb_is_away_and_stored_later(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    with spooling(NOWHERE, database.name, data_dir, **PATIENCE) as parts:
        came = delivery(parts, event(1), "the-delivery", age=3600)
        outcome = parts.ingest.receive(came)
    assert outcome == Outcome("spooled")

    with spooling(mongod_uri, database.name, data_dir) as parts:
        result = parts.drain(Run())

    assert result == {"left": 0, "processed": 1}
    (found,) = database["events"].find()
    assert found["n"] == 1
    assert abs(found["_meta"]["received_at"].replace(tzinfo=timezone.utc) - came.received_at) < (
        timedelta(milliseconds=1)
    )
    assert survey(directory_in(data_dir)).depth == 0


def test_after_the_first_failure_no_delivery_waits_for_mongodb(
    database: Db, data_dir: Path
) -> None:
    # No bound would let the test pass in time: each wait would be this long.
    with spooling(NOWHERE, database.name, data_dir, cxone_spool_after="1s") as parts:
        started = datetime.now(timezone.utc)
        for number in range(40):
            parts.ingest.receive(delivery(parts, event(number)))
        took = datetime.now(timezone.utc) - started

        assert parts.breaker.is_open
        assert parts.spool.depth == 40
    assert took < timedelta(seconds=5)


def test_a_dead_letter_is_spooled_before_its_400_and_kept_later(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    with spooling(NOWHERE, database.name, data_dir, **PATIENCE) as parts:
        with pytest.raises(MalformedJson):
            parts.ingest.receive(delivery(parts, b'{"id": 1,', "broken"))
        assert parts.spool.depth == 1

    with spooling(mongod_uri, database.name, data_dir) as parts:
        result = parts.drain(Run())

    assert result == {"left": 0, "dead_lettered": 1}
    (entry,) = database["dead_letter_queue"].find()
    assert bytes(entry["original_payload"]) == b'{"id": 1,'
    assert (entry["reason"], entry["delivery_id"]) == ("malformed_json", "broken")
    assert entry["verdict"]["secret"] == "current"
    assert entry["headers"]["x-nice-webhook-signature"]


def test_a_refused_signature_is_not_spooled(database: Db, data_dir: Path) -> None:
    with spooling(NOWHERE, database.name, data_dir, **PATIENCE) as parts:
        forged = Delivery("x", event(1), Headers({}), datetime.now(timezone.utc))
        with pytest.raises(SignatureMissing):
            parts.ingest.receive(forged)
        assert parts.spool.depth == 0


def test_the_verdict_travels_with_the_delivery_when_secrets_rotate(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    fill(database, data_dir, event(1))

    with spooling(
        mongod_uri, database.name, data_dir, cxone_shared_secret="another secret now"
    ) as parts:
        assert parts.drain(Run()) == {"left": 0, "processed": 1}


def test_deliveries_are_drained_in_order_of_arrival(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    fill(database, data_dir, *(event(number) for number in range(30)))

    with spooling(mongod_uri, database.name, data_dir, cxone_drain_workers="1") as parts:
        parts.drain(Run())

    assert stored(database) == list(range(30))


def test_what_was_stored_after_all_is_a_duplicate(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    fill(database, data_dir, event(1), event(2))
    with spooling(mongod_uri, database.name, data_dir) as parts:
        parts.ingest.receive(delivery(parts, event(1)))

        # On a busy machine the one that came last is spooled too.
        waited = parts.spool.depth - 2
        assert parts.drain(Run()) == {"left": 0, "processed": 1, "duplicate": 1 + waited}
    assert sorted(stored(database)) == [1, 2]


def test_what_the_users_constraints_refuse_is_held_while_draining(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    database["events"].create_index("n", unique=True)
    fill(database, data_dir, event(1), event(2, n=1), event(3))

    with spooling(mongod_uri, database.name, data_dir, cxone_drain_workers="1") as parts:
        assert parts.drain(Run()) == {"left": 0, "processed": 2, "held": 1}

    (entry,) = database["dead_letter_queue"].find()
    assert entry["reason"] == "constraint_violation"


def test_a_drain_without_mongodb_leaves_the_spool_as_it_is(database: Db, data_dir: Path) -> None:
    fill(database, data_dir, event(1), event(2))

    with spooling(NOWHERE, database.name, data_dir, cxone_store_timeout="100ms") as parts:
        assert parts.drain(Run()) == {"left": 2}
        assert parts.breaker.is_open


def test_a_delivery_that_mongodb_does_not_take_keeps_none_behind_it_waiting(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    fill(database, data_dir, *(event(number) for number in range(5)))

    with spooling(mongod_uri, database.name, data_dir) as parts:
        store = parts.ingest.store

        def picky(one: Delivery) -> Outcome:
            if one.id == "delivery-1":
                raise StoreUnavailable("not this one")
            return store(one)

        parts.drain._store = picky
        assert parts.drain(Run()) == {"left": 1, "processed": 4, "put_back": 1}
        assert not parts.breaker.is_open
        parts.drain._store = store
        assert parts.drain(Run()) == {"left": 0, "processed": 1}
    assert sorted(stored(database)) == [0, 1, 2, 3, 4]


def test_a_delivery_that_breaks_the_drain_keeps_none_behind_it_waiting_and_is_told_of(
    mongod_uri: str, database: Db, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(database, data_dir, *(event(number, name="PAYLOAD-VALUE") for number in range(5)))

    with spooling(mongod_uri, database.name, data_dir) as parts:
        store = parts.ingest.store

        def broken(one: Delivery) -> Outcome:
            if one.id == "delivery-1":
                raise KeyError(one.body)
            return store(one)

        parts.drain._store = broken
        assert parts.drain(Run()) == {"left": 1, "processed": 4, "put_back": 1}
        assert parts.drain(Run()) == {"left": 1, "put_back": 1}
        size = parts.spool.size
        # Written anew at each run it would wear the disk; something else that comes is not delayed.
        assert parts.drain(Run()) == {"left": 1}
        assert parts.spool.size == size
        parts.spool.append(parts.ingest.verify(delivery(parts, event(9))))
        assert parts.drain(Run()) == {"left": 1, "processed": 1, "put_back": 1}

    told = capsys.readouterr().err
    assert told.count("could not be stored") == 1
    assert "delivery-1" in told
    assert "PAYLOAD-VALUE" not in told


def test_a_full_spool_of_what_must_wait_keeps_none_behind_it_waiting(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    settings = load(mongod_uri, database.name, data_dir)
    # Of more than one batch.
    most = 200_000
    # One segment: no space is free before all of it is drained.
    spool = Spool(directory_in(data_dir), most, segment_bytes=most)
    with closing(Spooling(settings, mongod_uri, spool)) as parts:
        number = 0
        with suppress(StoreUnavailable):
            while True:
                spool.append(parts.ingest.verify(delivery(parts, event(number), f"{number}")))
                number += 1
        store = parts.ingest.store
        waiting, behind = range(number - 10), range(number - 10, number)

        def picky(one: Delivery) -> Outcome:
            if int(one.id) in waiting:
                raise StoreUnavailable("not yet")
            return store(one)

        parts.drain._store = picky
        first = parts.drain(Run())
        # The segment is full: none of them could be put back.
        assert first == {"left": number - 10, "processed": 10, "left_in_place": number - 10}
        assert spool.size <= most
        assert sorted(stored(database)) == list(behind)
        assert parts.drain(Run()) == {"left": number - 10, "left_in_place": number - 10}
        # Nothing else came: MongoDB is not asked once a second.
        assert parts.drain(Run()) == {"left": number - 10}

    # A crash forgot what was drained behind the first that waits: it is a duplicate.
    with spooling(mongod_uri, database.name, data_dir) as parts:
        result = parts.drain(Run())
    assert (result["left"], result["processed"]) == (0, number - 10)
    assert sorted(stored(database)) == list(range(number))


def test_a_drain_ends_soon_when_the_process_stops(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    fill(database, data_dir, event(1))
    run = Run()
    run.stop.set()

    with spooling(mongod_uri, database.name, data_dir) as parts:
        assert parts.drain(run) == {"left": 1}


def test_damage_is_counted_and_depth_and_age_are_measured(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    fill(database, data_dir, event(1), event(2))
    (segment,) = directory_in(data_dir).glob("*.spool")
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)

    with spooling(mongod_uri, database.name, data_dir) as parts:
        parts.drain(Run())
        shown = parts.metrics.render().decode()

    assert stored(database) == [1]
    assert "cxone_dataaction_spool_damaged_total 1.0" in shown
    assert "cxone_dataaction_spool_depth 0.0" in shown
    assert 'cxone_dataaction_spool_drained_total{outcome="processed"} 1.0' in shown


def test_over_http_a_spooled_delivery_is_202_and_a_full_spool_503(
    database: Db, data_dir: Path, tmp_path: Path
) -> None:
    settings = load(NOWHERE, database.name, data_dir, **PATIENCE)
    small = Spool(directory_in(data_dir), 2000)
    parts = Spooling(settings, NOWHERE, small)
    service = Running(parts)
    service.start()
    sender = Sender(service.server.address)
    try:
        first = sender.post(event(1))
        broken = sender.post(b"{")
        for number in range(10):
            last = sender.post(event(number))
    finally:
        sender.close()
        service.stop()
        parts.close()

    assert first == (202, {"status": "spooled"})
    assert broken[0] == 400
    assert last[0] == 503
    assert "the spool is full" in last[1]["title"]
    assert small.size <= 2000


def test_an_outage_is_over_only_when_a_write_is_taken(mongod_uri: str, database: Db) -> None:
    client = connect(mongod_uri, timeout=1)
    try:
        breaker = CircuitBreaker(open_database(client, database.name)["events"], 1)
        breaker.record_failure(StoreUnavailable("gone", away=True))
        assert breaker.probe()
        assert not breaker.is_open
        assert database["events"].count_documents({}) == 0
    finally:
        client.close()


def test_a_lost_primary_is_known_before_a_delivery_finds_out(
    mongod_factory: MongodFactory, data_dir: Path
) -> None:
    server = mongod_factory()
    # A delivery that waited for MongoDB would wait this long, and fail the test.
    with spooling(server.uri, "lost", data_dir, cxone_spool_after="60s") as parts:
        assert parts.ingest.receive(delivery(parts, event(1))).status == "processed"
        server.stop(grace=0)
        client = parts.shared.client
        # Not asked meanwhile: nobody may have looked while there was a primary.
        eventually(lambda: not client.topology_description.has_writable_server())

        assert parts.breaker.is_open
        assert parts.ingest.receive(delivery(parts, event(2))) == Outcome("spooled")


def command(database: Db, uri: str, data_dir: Path, *arguments: str) -> tuple[int, str, str]:
    settings = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_DATA_DIR": str(data_dir),
        "CXONE_STORE_TIMEOUT": "500ms",
    }
    done = run_command(["spool", *arguments], data_dir, settings)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_status_and_export_work_while_the_service_runs(database: Db, data_dir: Path) -> None:
    fill(database, data_dir, event(1), b"\xff{")
    with DataDirectory(data_dir):
        status = command(database, NOWHERE, data_dir, "status", "--json")
        table = command(database, NOWHERE, data_dir, "status")
        export = command(database, NOWHERE, data_dir, "export", "out.jsonl")
        again = command(database, NOWHERE, data_dir, "export", "out.jsonl")
        drain = command(database, NOWHERE, data_dir, "drain")

    facts = json.loads(status[1])
    assert (status[0], facts["deliveries"], facts["damaged"]) == (0, 2, 0)
    assert 3600 <= facts["oldest_age_seconds"] < 3700
    assert "deliveries" in table[1]
    assert export[0] == 0
    lines = [json.loads(line) for line in (data_dir / "out.jsonl").read_text().splitlines()]
    assert (lines[0]["delivery"], lines[0]["body"]) == ("delivery-0", event(1).decode())
    assert lines[1]["body_base64"] == "/3s="
    assert again[0] == 1
    assert "out.jsonl exists" in again[2]
    assert drain[0] == 1
    assert "in use" in drain[2]
    assert "drains its spool by itself" in drain[2]


def test_drain_at_the_command_line_empties_the_spool_or_says_that_mongodb_is_away(
    mongod_uri: str, database: Db, data_dir: Path
) -> None:
    fill(database, data_dir, event(1), event(2))

    away = command(database, NOWHERE, data_dir, "drain")
    done = command(database, mongod_uri, data_dir, "drain", "--json")

    assert away[0] == 3
    assert "the spool stays as it is" in away[2]
    assert done[0] == 0
    assert json.loads(done[1]) == {"left": 0, "processed": 2}
    assert sorted(stored(database)) == [1, 2]
