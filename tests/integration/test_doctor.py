from __future__ import annotations

import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from filelock import FileLock
from pymongo.database import Database
from pymongo.errors import OperationFailure

from config import settings as configuration
from consumer.cli.doctor import examine, settings_faults, show, understood
from consumer.data_dir import LOCK, OWNER
from consumer.doctor import constraints, datadog, machine, mongodb, refusals, rights, secret, way
from consumer.doctor.check import Check, Patient, Row, exit_status, run
from consumer.doctor.post import Answer, Silence, post
from consumer.doctor.replies import explain
from consumer.options import shared_secrets, signature_scheme
from consumer.signature import Secret
from consumer.storage import mongo
from consumer.web import canary
from tests.service import SECRET, dead_letters, eventually, running_service

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
STRONG = b"Zq3-vX9_kLm2pT7rWc5yBn8"


def settings_of(**given: str) -> configuration.Settings:
    return configuration.load({name.upper(): value for name, value in given.items()}, {})


def patient(settings: configuration.Settings | None = None, **changed: Any) -> Patient:
    settings = settings or settings_of()
    return replace(
        Patient(settings, signature_scheme(settings), shared_secrets(settings), None, lambda: NOW),
        **changed,
    )


@pytest.fixture
def of_database(mongod_uri: str, database: Database[dict[str, Any]]) -> Iterator[Patient]:
    with mongo.connect(mongod_uri, timeout=5) as client:
        settings = settings_of(mongodb_uri=mongod_uri, mongodb_database=database.name)
        yield patient(settings, client=client, clock=lambda: datetime.now(timezone.utc))


def one(checks: Iterator[Check]) -> Check:
    (check,) = checks
    return check


# -- the secret ----------------------------------------------------------------------------------


def secrets_checked(current: bytes, previous: bytes | None = None) -> list[Check]:
    held = [Secret("current", current)]
    if previous is not None:
        held.append(Secret("previous", previous))
    return list(secret.examine(patient(secrets=tuple(held))))


def test_a_generated_secret_is_well() -> None:
    assert [check.status for check in secrets_checked(STRONG, b"another-one-4711-xyz")] == ["ok"]


def test_no_secret_is_a_fault_that_names_init() -> None:
    check = one(secret.examine(patient()))

    assert check.status == "fail"
    assert "cxone-consumer init" in check.advice


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        (b"changeme", "fail", "is weak"),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "fail", "is weak"),
        (b"correct horse bat", "warn", "is weak"),
        (STRONG + b"\n", "warn", "newline"),
        (b'"' + STRONG + b'"', "warn", "quotes"),
        (STRONG + "ß".encode(), "warn", "beyond ASCII"),
    ],
)
def test_a_doubtful_secret_is_told_and_not_shown(key: bytes, status: str, words: str) -> None:
    (check,) = secrets_checked(key)

    assert check.status == status
    assert words in check.finding
    assert key.decode() not in repr(check)


def test_two_equal_secrets_are_told() -> None:
    (check,) = secrets_checked(STRONG, STRONG)

    assert check.status == "warn"
    assert "the same" in check.finding


# -- MongoDB -------------------------------------------------------------------------------------


def test_a_good_mongodb_passes_every_check_and_nothing_is_left(of_database: Patient) -> None:
    checks = list(examine(of_database.settings, None))

    by_name = {check.name: check for check in checks}
    assert by_name["MongoDB"].status == "ok"
    assert by_name["MongoDB version"].status == "ok"
    assert by_name["MongoDB write"].status in ("ok", "warn")
    assert by_name["MongoDB constraints"].status == "ok"
    assert by_name["refused deliveries"].status == "ok"
    # A replica set of one member is all the tests have.
    assert "one machine holds the data" in by_name["MongoDB topology"].finding
    assert of_database.client is not None
    assert of_database.client[of_database.settings.mongodb_database].list_collection_names() == []


def test_a_clock_that_is_off_is_told(of_database: Patient) -> None:
    late = replace(of_database, clock=lambda: datetime.now(timezone.utc) - timedelta(seconds=60))

    check = one(mongodb.clock(late))

    assert one(mongodb.clock(of_database)).status == "ok"
    assert check.status == "warn"
    assert "ahead of ours" in check.finding


def test_validators_and_unique_indexes_of_others_are_listed(
    of_database: Patient, database: Database[dict[str, Any]]
) -> None:
    database.create_collection("events", validator={"id": {"$exists": True}})
    database["events"].create_index("id", unique=True)
    database["events"].create_index("type")
    database.create_collection("dead_letter_queue", capped=True, size=4096)

    checks = list(constraints.examine(of_database))

    told = [(check.status, check.finding) for check in checks]
    assert len(told) == 3
    assert any("events has the unique index id_1 on id" in finding for _, finding in told)
    assert any("events has a validator" in finding for _, finding in told)
    assert ("fail", "dead_letter_queue is capped: MongoDB drops its oldest documents") in told


def test_a_view_in_place_of_events_is_a_fault(
    of_database: Patient, database: Database[dict[str, Any]]
) -> None:
    database.create_collection("events", viewOn="other", pipeline=[])

    assert (
        one(constraints.examine(of_database)).finding == "events is a view, not a plain collection"
    )


def test_refused_deliveries_are_summed_up_by_diagnosis(
    of_database: Patient, database: Database[dict[str, Any]]
) -> None:
    now = datetime.now(timezone.utc)
    advice = "would verify with CXONE_SIGNATURE_ENCODING=hex"
    entry = {"reason": "signature_invalid", "status": "pending_inspection", "last_seen": now}
    database["dead_letter_queue"].insert_many(
        [
            {**entry, "diagnosis": advice, "seen": 30},
            {**entry, "diagnosis": advice, "seen": 7},
            {**entry, "seen": 2},
            {**entry, "diagnosis": "solved", "seen": 1, "status": "resolved"},
            {**entry, "diagnosis": "old", "seen": 1, "last_seen": now - timedelta(days=2)},
            {**entry, "diagnosis": "other", "seen": 1, "reason": "malformed_json"},
        ]
    )

    known, unknown = refusals.examine(of_database)

    assert known.status == "fail"
    assert known.finding.startswith("37 deliveries (last seen ")
    assert known.finding.endswith(f"refused: {advice}")
    assert (unknown.status, unknown.finding[:12]) == ("warn", "2 deliveries")


def test_hex_signatures_lead_from_the_webhook_to_the_doctors_advice(
    of_database: Patient, mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    body = b'{"id": "1", "type": "contact.created"}'
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    with running_service(mongod_uri, database.name) as service:
        for _ in range(3):
            assert service.post(body, {"X-Nice-Webhook-Signature": signature}).status == 401
        eventually(lambda: [letter["seen"] for letter in dead_letters(database)] == [3])

    check = one(refusals.examine(of_database))

    assert check.finding.startswith("3 deliveries (last seen ")
    assert check.finding.endswith("would verify with CXONE_SIGNATURE_ENCODING=hex")


UNREACHABLE = [
    ("mongodb://user:pa55word@127.0.0.1:1/", "refused", "127.0.0.1:1"),
    ("mongodb://user:pa55word@no-such-host.invalid/", "DNS", "no-such-host.invalid:27017"),
    ("mongodb://user:pa55word@127.0.0.1:1/?replicaSet=rs0", "refused", "127.0.0.1:1"),
    ("mongodb://user:pa55word@host:port/", "cannot be read", ""),
]


@pytest.mark.parametrize(("uri", "words", "where"), UNREACHABLE)
def test_why_mongodb_cannot_be_reached_is_said_without_the_password(
    uri: str, words: str, where: str
) -> None:
    checks = list(examine(settings_of(mongodb_uri=uri, cxone_store_timeout="300ms"), None))

    check = next(check for check in checks if check.name == "MongoDB")
    assert check.status == "fail"
    assert words in check.finding
    assert where in check.finding
    assert "pa55word" not in repr(checks)
    assert exit_status(checks) == 3
    skipped = {check.name for check in checks if check.status == "skip"}
    assert "MongoDB version" in skipped


def test_another_replica_set_than_the_named_one_is_told(mongod_uri: str) -> None:
    uri = mongod_uri.split("?", maxsplit=1)[0] + "?replicaSet=another"
    with mongo.connect(uri, timeout=0.5) as client:
        check = one(mongodb.reachable(patient(client=client)))

    assert check.status == "fail"
    assert "replicaSet=" in check.advice


def test_a_server_without_tls_is_told_from_one_that_is_down(mongod_uri: str) -> None:
    uri = f"{mongod_uri}&tls=true" if "?" in mongod_uri else f"{mongod_uri}?tls=true"
    with mongo.connect(uri, timeout=0.5) as client:
        check = one(mongodb.reachable(patient(client=client)))

    assert check.status == "fail"
    assert "TLS" in check.finding + check.advice


def test_a_server_that_never_answers_is_told_from_one_that_refuses() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/"
        with mongo.connect(uri, timeout=0.3) as client:
            check = one(mongodb.reachable(patient(client=client)))

    assert "no answer in time" in check.finding


def test_a_server_that_hangs_up_is_told_from_a_slow_one() -> None:
    with socket.socket() as rude:
        rude.bind(("127.0.0.1", 0))
        rude.listen()
        rude.settimeout(0.1)
        done = threading.Event()

        def hang_up() -> None:
            while not done.is_set():
                with suppress(OSError):
                    rude.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            uri = f"mongodb://127.0.0.1:{rude.getsockname()[1]}/"
            with mongo.connect(uri, timeout=0.5) as client:
                check = one(mongodb.reachable(patient(client=client)))
        finally:
            done.set()
            thread.join()

    assert "closes the connection" in check.finding


def test_what_a_user_may_not_look_at_is_a_warning() -> None:
    def forbidden(_patient: Patient) -> Iterator[Check]:
        raise OperationFailure("not authorized on d", 13)

    (check,) = run((Row("x", forbidden),), patient())

    assert check.status == "warn"


TOPOLOGIES: list[tuple[dict[str, Any], str]] = [
    ({"msg": "isdbgrid"}, "ok"),
    ({"setName": "rs0", "hosts": ["a", "b", "c"]}, "ok"),
    ({"setName": "rs0", "hosts": ["a"], "passives": ["b"]}, "ok"),
    ({"setName": "rs0", "hosts": ["a"], "arbiters": ["b"]}, "warn"),
    ({}, "warn"),
]


@pytest.mark.parametrize(("hello", "status"), TOPOLOGIES)
def test_a_single_machine_is_warned_of(hello: dict[str, Any], status: str) -> None:
    assert mongodb.judge_topology(hello).status == status


def test_missing_rights_are_listed_by_collection() -> None:
    read_only = {"resource": {"db": "d", "collection": ""}, "actions": ["find"]}
    every = {"resource": {"db": "", "collection": ""}, "actions": list(rights._NEEDED)}
    events = {"resource": {"db": "d", "collection": "events"}, "actions": list(rights._NEEDED)}
    elsewhere = {"resource": {"db": "other", "collection": ""}, "actions": list(rights._NEEDED)}
    cluster = {"resource": {"cluster": True}, "actions": list(rights._NEEDED)}
    root = {"resource": {"anyResource": True}, "actions": ["anyAction"]}

    assert rights.missing_rights([every], "d") == {}
    assert rights.missing_rights([root], "d") == {}
    assert rights.missing_rights(None, "d") is None
    lacking = rights.missing_rights([read_only, events, elsewhere, cluster], "d")
    assert lacking is not None
    assert "events" not in lacking
    assert lacking["dead_letter_queue"] == ["insert", "update", "remove", "createIndex"]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (None, "warn"),
        ({"key": {"_id": "hashed"}}, "ok"),
        ({"key": {"type": 1}}, "warn"),
    ],
)
def test_the_shard_key_is_judged(row: dict[str, Any] | None, status: str) -> None:
    check = constraints.judge_shard_key("d", row)

    assert check.status == status
    assert status == "ok" or 'sh.shardCollection("d.events"' in check.finding + check.advice


# -- this machine --------------------------------------------------------------------------------


def test_a_data_directory_that_is_not_there_yet_is_well_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"

    there, room = machine.data_directory(patient(settings_of(cxone_data_dir=str(path))))

    assert there.status == "ok"
    assert "will be made" in there.finding
    assert room.name == "free space"
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_in_use_says_that_the_service_runs(tmp_path: Path) -> None:
    (tmp_path / OWNER).write_text("{}")
    settings = settings_of(cxone_data_dir=str(tmp_path))

    with FileLock(tmp_path / LOCK):
        in_use = next(machine.data_directory(patient(settings)))
    left = next(machine.data_directory(patient(settings)))

    assert "the service is running" in in_use.finding
    assert "writable" in left.finding


def test_a_file_in_place_of_the_data_directory_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    check = one(machine.data_directory(patient(settings_of(cxone_data_dir=str(tmp_path / "data")))))

    assert check.status == "fail"


@pytest.mark.parametrize(
    ("free", "status"), [(10 << 20, "fail"), (500 << 20, "warn"), (5 << 30, "ok")]
)
def test_too_little_room_is_told(free: int, status: str) -> None:
    assert machine.free_space(Path("x"), free).status == status


def test_a_free_listen_address_is_well() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert machine.listen_at("127.0.0.1", port, 1).status == "ok"


def test_an_address_of_another_machine_is_a_fault() -> None:
    assert machine.listen_at("192.0.2.1", 8080, 1).status == "fail"


def test_a_port_of_another_program_is_told_from_our_own() -> None:
    with web_server(lambda _: (200, {}, b"hello")) as other:
        taken = machine.listen_at("127.0.0.1", other, 2)
    with web_server(lambda _: (200, {}, b'{"status":"ok"}')) as ours:
        running = machine.listen_at("127.0.0.1", ours, 2)

    assert taken.status == "fail"
    assert "another program" in taken.finding
    assert running.status == "ok"
    assert "the service runs there" in running.finding


# -- Datadog -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "judged"), [(200, "ok"), (403, "fail"), (302, "warn"), (500, "warn")]
)
def test_datadogs_answer_about_the_key_is_judged(status: int, judged: str) -> None:
    asked: list[Mapping[str, str]] = []

    def reply(headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        asked.append(headers)
        return status, {"Location": "http://127.0.0.1:1/elsewhere"}, b"{}"

    with web_server(reply) as port:
        check = datadog.validate(f"http://127.0.0.1:{port}", "api-key-4711", 2)

    assert check.status == judged
    assert [headers["DD-API-KEY"] for headers in asked] == ["api-key-4711"]
    assert "api-key-4711" not in repr(check)


def test_datadog_out_of_reach_is_a_warning() -> None:
    assert datadog.validate("http://127.0.0.1:1", "api-key-4711", 1).status == "warn"


def test_no_key_needs_no_datadog() -> None:
    assert one(datadog.examine(patient())).status == "skip"


# -- the way from outside ------------------------------------------------------------------------

Mangle = Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]


@contextmanager
def web_server(
    answer: Callable[[Mapping[str, str]], tuple[int, dict[str, str], bytes]],
    forward: Callable[[bytes, dict[str, str]], tuple[int, dict[str, str], bytes]] | None = None,
) -> Iterator[int]:
    """An HTTP server on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = dict(self.headers.items())
            self._send(*(forward(body, headers) if forward else answer(headers)))

        def do_GET(self) -> None:
            self._send(*answer(dict(self.headers.items())))

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def proxied(uri: str, database: str, mangle: Mangle) -> Iterator[str]:
    """The public URL of a running service behind a proxy that mangles what passes."""
    with running_service(uri, database) as service:
        address = service.service.url

        def forward(body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
            body, headers = mangle(body, headers)
            headers = {
                k: v for k, v in headers.items() if k.lower() not in ("content-length", "host")
            }
            reply = urllib3.request("POST", address, body=body, headers=headers, retries=False)
            return reply.status, {}, reply.data

        with web_server(lambda _: (404, {}, b""), forward) as port:
            yield f"http://127.0.0.1:{port}/webhook/cxone-dataaction"


def untouched(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, headers


def compacting(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(json.loads(body), separators=(",", ":"), sort_keys=True)
    return text.encode(), headers


def emptying(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return b"", headers


def trimming(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body.rstrip(), {k: v for k, v in headers.items() if k != canary.HEADER}


def unsigning(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {k: v for k, v in headers.items() if not k.startswith("X-Nice")}


def doubling(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    name = "X-Nice-Webhook-Signature"
    return body, {**headers, name: f"{headers[name]}, {headers[name]}"}


def losing_all(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return b"{}", {"Content-Type": "application/json"}


WAYS: list[tuple[Mangle, str]] = [
    (compacting, "the body changed on the way"),
    (emptying, "0 arrived, as an empty body"),
    (trimming, "as the body without its last line end"),
    (unsigning, "the header X-Nice-Webhook-Signature did not arrive"),
    (doubling, "the header X-Nice-Webhook-Signature arrived twice"),
    (losing_all, "body and headers were lost on the way"),
]


def sent_through(mongod_uri: str, database: str, mangle: Mangle, key: str = SECRET) -> list[Check]:
    with proxied(mongod_uri, database, mangle) as url:
        given = settings_of(cxone_shared_secret=key)
        return list(way.examine(patient(given, url=url, clock=lambda: datetime.now(timezone.utc))))


def test_a_canary_through_a_good_proxy_verifies_and_is_stored_nowhere(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    checks = sent_through(mongod_uri, database.name, untouched)

    assert [check.status for check in checks if "plain HTTP" not in check.finding] == ["ok"]
    assert "signature verified" in checks[0].finding
    assert database["events"].count_documents({}) == 0
    assert database["dead_letter_queue"].count_documents({}) == 0


@pytest.mark.parametrize(("mangle", "words"), WAYS)
def test_what_a_proxy_changes_is_named(
    mongod_uri: str, database: Database[dict[str, Any]], mangle: Mangle, words: str
) -> None:
    checks = sent_through(mongod_uri, database.name, mangle)

    faults = [check.finding for check in checks if check.status == "fail"]
    assert len(faults) == 1
    assert words in faults[0]
    assert SECRET not in repr(checks)


def test_another_secret_there_is_told_from_a_mangling_proxy(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    checks = sent_through(mongod_uri, database.name, untouched, key="another-secret")

    assert "another secret" in next(check.advice for check in checks if check.status == "fail")


HTML = {"Content-Type": "text/html", "Server": "nginx"}
REPLIES: list[tuple[int, dict[str, str], bytes, str]] = [
    (301, {"Location": "https://x.example/y?token=1"}, b"", "redirect to https://x.example"),
    (404, HTML, b"<html>", "404 with a web page from nginx"),
    (502, {}, b"", "cannot reach this service"),
    (401, {}, b'{"title":"Invalid webhook signature"}', "neither body nor canary header"),
    (400, {}, b'{"title":"Missing required CXone fields: id, type"}', "without canary"),
    (200, {}, b"[[[", "something else"),
]


@pytest.mark.parametrize(("status", "headers", "body", "words"), REPLIES)
def test_who_answered_in_place_of_the_service_is_said(
    status: int, headers: dict[str, str], body: bytes, words: str
) -> None:
    finding, advice = explain(Answer(status, headers, body, 0.1))

    assert words in finding
    assert "token" not in finding
    assert advice


def test_why_no_answer_came_is_said() -> None:
    refused = post("http://127.0.0.1:1/", b"", {}, 1)
    unknown = post("http://no-such-host.invalid/", b"", {}, 2)
    with web_server(lambda _: (200, {}, b"")) as port:
        plain = post(f"https://127.0.0.1:{port}/", b"", {}, 2)

    assert isinstance(refused, Silence)
    assert "refused" in refused.cause
    assert isinstance(unknown, Silence)
    assert "DNS" in unknown.cause
    assert isinstance(plain, Silence)
    assert "TLS" in plain.cause


# -- the whole -----------------------------------------------------------------------------------


def test_wrong_settings_are_one_fault_each_and_the_rest_is_skipped() -> None:
    given = {"CXONE_THREADS": "none", "CXONE_DEDUPE": "x"}
    with pytest.raises(configuration.SettingsError) as wrong:
        configuration.load(given, {})

    checks = settings_faults(wrong.value)

    faults = [check for check in checks if check.status == "fail"]
    assert len(faults) == 2
    assert {check.status for check in checks} == {"fail", "skip"}
    assert exit_status(checks) == 2


def test_a_path_in_the_config_file_that_is_none_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[subjects."contact.created"]\nmaps = ["a..b["]\n')

    good = understood(settings_of())
    wrong = understood(configuration.load({}, {}, None, file))

    assert good.status == "ok"
    assert wrong.status == "fail"
    assert exit_status([wrong]) == 2


def test_one_examination_that_breaks_does_not_cost_the_others() -> None:
    def broken(_patient: Patient) -> Iterator[Check]:
        raise ValueError("a payload value")

    rows = (Row("broken", broken), Row(secret.NAME, secret.examine))

    first, second = run(rows, patient())

    assert (first.status, second.name) == ("fail", secret.NAME)
    assert "payload" not in repr(first)


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ([Check("a", "ok", ""), Check("b", "warn", ""), Check("c", "skip", "")], 0),
        ([Check("a", "fail", "")], 1),
        ([Check("a", "fail", ""), Check("MongoDB", "fail", "")], 3),
        ([Check("settings", "fail", ""), Check("MongoDB", "skip", "")], 2),
    ],
)
def test_the_exit_status_tells_what_failed(checks: list[Check], status: int) -> None:
    assert exit_status(checks) == status


def test_without_mongodb_uri_the_embedded_one_is_pointed_to(tmp_path: Path) -> None:
    checks = list(examine(settings_of(cxone_data_dir=str(tmp_path)), None))

    check = next(check for check in checks if check.name == "embedded MongoDB")
    assert "serve --embedded" in check.finding


def test_a_running_embedded_mongodb_is_examined_without_mongodb_uri(
    mongod_factory: Callable[..., Any], tmp_path: Path
) -> None:
    mongod_factory(tmp_path)

    checks = list(examine(settings_of(cxone_data_dir=str(tmp_path)), None))

    by_name = {check.name: check for check in checks}
    assert by_name["MongoDB"].status == "ok"
    assert "is running" in by_name["embedded MongoDB"].finding


def test_checks_are_shown_as_json_or_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("settings", "ok", "valid"),
        Check("secret", "fail", "it is [bold]weak", "do it"),
    ]

    show(checks, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    show(checks, as_json=False)
    table = capsys.readouterr().out

    assert shown["status"] == 1
    assert shown["checks"][1]["advice"] == "do it"
    assert "it is [bold]weak" in table
    assert "1 fault, 0 warnings." in table
