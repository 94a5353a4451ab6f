"""`serve` as a process: stops cleanly, survives kill -9, says what is wrong without a traceback."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.uri_parser import parse_uri

from consumer.ingest.signature import SignatureScheme, sign
from tests.conftest import MongodFactory
from tests.support.processes import Serving, freeze, run, serving, thaw
from tests.support.service import eventually

SECRET = "a secret for tests"
Db = Database[dict[str, Any]]


def event(number: int) -> bytes:
    return json.dumps({"id": str(number), "type": "contact.created", "n": number}).encode()


def post(running: Serving, body: bytes) -> tuple[int, bytes]:
    headers = sign(SignatureScheme(), SECRET.encode(), body, datetime.now(timezone.utc))
    return running.post(body, headers)


def settings(uri: str, database: Db) -> dict[str, str]:
    return {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        "LOG_FORMAT": "json",
        # A busy disk of the tests' machine is no outage.
        "CXONE_SPOOL_AFTER": "5",
    }


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(
            signal.SIGINT,
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there"),
        ),
    ],
)
def test_signal_answers_everything_accepted_and_exits_0(
    mongod_uri: str, database: Db, tmp_path: Path, number: int
) -> None:
    answers: list[int] = []
    with serving(tmp_path, settings(mongod_uri, database)) as running:
        posts = [
            threading.Thread(target=lambda n=n: answers.append(post(running, event(n))[0]))
            for n in range(30)
        ]
        for one in posts:
            one.start()
        time.sleep(0.05)
        status = running.terminate(number)
        for one in posts:
            one.join(20)

    assert status == 0
    assert "Traceback" not in "".join(running.lines)
    assert set(answers) <= {200}
    assert database["events"].count_documents({}) == len(answers)


def test_log_has_one_line_an_event_with_no_payload_and_no_secret(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    body = b'{"id":"ID-VALUE","type":"t","name":"PAYLOAD-VALUE"}'
    given = {**settings(mongod_uri, database), "LOG_LEVEL": "debug"}
    with serving(tmp_path, given) as running:
        assert post(running, body)[0] == 200
        assert post(running, body)[0] == 200
        assert running.post(body, {"X-Nice-Webhook-Signature": "bad"})[0] == 401
        time.sleep(0.5)
        running.terminate()

    lines = [json.loads(line) for line in running.lines]
    events = [line for line in lines if line["event"] in ("processed", "duplicate")]
    assert [line["event"] for line in events] == ["processed", "duplicate"]
    assert all(line["subject"] == "t" and len(line["delivery"]) == 32 for line in events)
    text = "".join(running.lines)
    assert "PAYLOAD-VALUE" not in text
    assert "ID-VALUE" not in text
    assert SECRET not in text


def test_malformed_body_is_dumped_in_hex_around_its_fault_and_only_then(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    with serving(tmp_path, settings(mongod_uri, database)) as running:
        post(running, b'{"id": oops}')
        running.terminate()
    with serving(
        tmp_path, {**settings(mongod_uri, database), "CXONE_LOG_HEX_BYTES": "0"}
    ) as silent:
        post(silent, b'{"id": oops}')
        silent.terminate()

    lines = [json.loads(line) for line in running.lines]
    (line,) = [line for line in lines if line["event"] == "dead letter"]
    assert b'{"id": oops}'.hex(" ") in line["hex"]
    assert "fault at byte 7" in line["hex"]
    assert not any(b"oops".hex(" ") in line for line in silent.lines)


def test_embedded_keeps_its_data_over_kill_9_restart_and_another_port(tmp_path: Path) -> None:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_DATA_DIR": str(tmp_path / "data"),
        "CXONE_SPOOL_AFTER": "5",
    }
    with serving(tmp_path, given, ["--embedded"]) as first:
        assert post(first, event(1))[0] == 200
        first.kill()
    (tmp_path / "data" / "mongodb.port").write_text("20123")
    with serving(tmp_path, given, ["--embedded"]) as second:
        again = post(second, event(1))
        assert post(second, event(2))[0] == 200
        listed = run(["dlq", "list"], tmp_path, given)
        assert second.terminate() == 0

    assert json.loads(again[1])["status"] == "duplicate"
    assert (listed.returncode, listed.stdout) == (0, b"No dead letters wait.\n")


def test_second_process_on_a_data_directory_is_told_who_has_it(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    given = settings(mongod_uri, database)
    with serving(tmp_path, given) as running:
        second = run(["serve", "--listen", "127.0.0.1:0"], tmp_path, given)

    assert second.returncode == 1
    assert f"process {running.process.pid}".encode() in second.stderr
    assert b"CXONE_DATA_DIR" in second.stderr
    assert b"Traceback" not in second.stderr


def test_address_in_use_is_told_without_a_traceback(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    given = settings(mongod_uri, database)
    with serving(tmp_path, given) as running:
        address = running.url.split("/")[2]
        second = run(
            ["serve", "--listen", address, "--data-dir", str(tmp_path / "other")], tmp_path, given
        )

    assert second.returncode == 1
    assert address.encode() in second.stderr
    assert b"Traceback" not in second.stderr


def test_missing_settings_are_all_named_with_status_2(tmp_path: Path) -> None:
    ended = run(["serve"], tmp_path, {"CXONE_THREDS": "4"})

    assert ended.returncode == 2
    for name in (b"CXONE_SHARED_SECRET", b"MONGODB_URI", b"CXONE_THREADS"):
        assert name in ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://u:pa55word@127.0.0.1:9/",
        "mongodb://u:pa55word@no-such-host.invalid/",
        "mongodb+srv://u:pa55word@no-such-host.invalid/",
    ],
)
def test_without_mongodb_deliveries_are_spooled_and_readiness_tells_why(
    tmp_path: Path, uri: str
) -> None:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": uri,
        "CXONE_STORE_TIMEOUT": "300ms",
        "CXONE_SPOOL_AFTER": "300ms",
    }
    with serving(tmp_path, given) as running:
        status, body = post(running, event(1))
        connection = running.connect()
        connection.request("GET", "/readyz")
        ready = connection.getresponse()
        reason = json.loads(ready.read())
        connection.close()
        assert running.terminate() == 0

    assert (status, json.loads(body)) == (202, {"status": "spooled"})
    assert ready.status == 200
    assert (reason["mongodb"]["ok"], reason["spool"]["ok"]) == (False, True)
    assert "127.0.0.1:9" not in str(reason)
    assert "pa55word" not in "".join(running.lines)
    assert "Traceback" not in "".join(running.lines)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--version"], 0),
        (["--help"], 0),
        ([], 2),
        (["nosuch"], 2),
        (["serve", "--nosuch"], 2),
        (["dlq", "list"], 2),
        (["dlq", "retry"], 2),
    ],
)
def test_exit_status_tells_usage_from_success(
    tmp_path: Path, arguments: list[str], status: int
) -> None:
    ended = run(arguments, tmp_path)

    assert ended.returncode == status, ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("scheme", ["mongodb", "mongodb+srv"])
def test_a_name_that_dns_does_not_know_is_exit_status_3(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}://u:pa55word@no-such-host.invalid/"

    ended = run(["dlq", "list"], tmp_path, {"MONGODB_URI": uri, "CXONE_STORE_TIMEOUT": "500ms"})

    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1
    assert b"pa55word" not in ended.stderr


def test_a_uri_that_cannot_be_read_is_exit_status_2(tmp_path: Path) -> None:
    ended = run(["serve"], tmp_path, {"MONGODB_URI": "mongodb://u:pa55@word@h:port/"})

    assert ended.returncode == 2
    assert b"percent-encoded" in ended.stderr
    assert b"pa55" not in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_unreachable_mongodb_is_exit_status_3(tmp_path: Path) -> None:
    given = {"MONGODB_URI": "mongodb://127.0.0.1:9/", "CXONE_STORE_TIMEOUT": "200ms"}

    ended = run(["dlq", "list"], tmp_path, given)

    assert ended.returncode == 3
    assert b"Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_outage_is_one_line_when_it_begins_and_one_when_it_ends(
    tmp_path: Path, mongod_factory: MongodFactory
) -> None:
    server = mongod_factory(cache_gb=0.25)
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": server.uri,
        "CXONE_STORE_TIMEOUT": "1",
        "LOG_FORMAT": "json",
    }
    with serving(tmp_path, given) as running:
        running.await_line("one machine alone holds the data")
        freeze(server.pid)
        # Longer than the driver needs to see it, and than each job rests.
        time.sleep(15)
        assert json.loads(post(running, event(1))[1]) == {"status": "spooled"}
        thaw(server.pid)
        running.await_line("spool drained")
        assert running.terminate() == 0

    lines = [json.loads(line) for line in running.lines]
    away = [line for line in lines if line["event"] == "MongoDB is away"]
    back = [line for line in lines if line["event"] == "MongoDB is back"]
    told = {line["event"] for line in lines if line["level"] not in ("info", "debug")}
    assert (len(away), len(back)) == (1, 1)
    assert told == {"one machine alone holds the data", "MongoDB is away"}
    assert not [line for line in lines if line["event"] in ("metrics", "spooled")]


@pytest.mark.parametrize("password", ["wr0ng", "p"])
def test_a_user_whom_mongodb_refuses_costs_no_delivery(
    tmp_path: Path, mongod_uri: str, password: str
) -> None:
    name = f"user_{uuid.uuid4().hex}"
    host, port = parse_uri(mongod_uri)["nodelist"][0]
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": f"mongodb://{name}:{password}@{host}:{port}/?authSource=admin",
        "LOG_FORMAT": "json",
    }
    with MongoClient[dict[str, Any]](mongod_uri) as client:
        client.admin.command("createUser", name, pwd="p", roles=[])
        try:
            with serving(tmp_path, given) as running:
                answers = [post(running, event(number)) for number in range(3)]
                # The jobs have all tried.
                time.sleep(6)
                assert running.terminate() == 0
        finally:
            client.admin.command("dropUser", name)

    lines = [json.loads(line) for line in running.lines]
    assert {(code, json.loads(body)["status"]) for code, body in answers} == {(202, "spooled")}
    assert [line["event"] for line in lines if line["level"] == "warning"] == ["MongoDB is away"]
    assert "wr0ng" not in "".join(running.lines)


def test_a_stop_while_mongodb_is_away_ends_what_only_waits_for_it(tmp_path: Path) -> None:
    # The jobs wait for a server as long as shipped: longer than the stop waits for them.
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": "mongodb://127.0.0.1:9/",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "debug",
    }
    with serving(tmp_path, given) as running:
        assert post(running, event(1))[0] == 202
        running.await_line("MongoDB is away")
        assert running.terminate() == 0

    lines = [json.loads(line) for line in running.lines]
    told = [line["event"] for line in lines if line["level"] not in ("info", "debug")]
    assert told == ["MongoDB is away"]
    assert not [line for line in lines if "stopped without them" in line["event"]]
    assert lines[-1]["event"] == "stopped"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_stop_while_mongodb_is_silent_leaves_behind_what_waits_for_an_answer(
    tmp_path: Path, mongod_factory: MongodFactory
) -> None:
    server = mongod_factory(cache_gb=0.25)
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": server.uri,
        "CXONE_STORE_TIMEOUT": "60",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "debug",
    }
    with serving(tmp_path, given) as running:
        running.await_line("one machine alone holds the data")
        freeze(server.pid)
        try:
            # One that waits while this process gets no turn says nothing of MongoDB.
            eventually(lambda: post(running, event(1)) and running.has_logged("MongoDB is away"))
            # Jobs have asked something meanwhile.
            time.sleep(6)
            assert running.terminate() == 0
        finally:
            thaw(server.pid)

    lines = [json.loads(line) for line in running.lines]
    told = [line["event"] for line in lines if line["level"] not in ("info", "debug")]
    assert told == ["one machine alone holds the data", "MongoDB is away"]
    assert [line["level"] for line in lines if "stopped without them" in line["event"]] == ["info"]
    assert lines[-1]["event"] == "stopped"
