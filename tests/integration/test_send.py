"""`send` and `sign` at work: against a receiver that answers what a test wants, and the service."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from pymongo.database import Database
from typer.testing import CliRunner, Result

from consumer.cli.send import send
from consumer.cli.sign import sign
from consumer.events import Delivery, Headers
from consumer.samples import scenario
from consumer.sender import Outgoing, Sender, Sign
from consumer.signature import Secret, SignatureScheme, verify
from consumer.signature import sign as signed_headers
from tests.service import SECRET, dead_letters, eventually, running_service

PAYLOADS = Path(__file__).parent.parent / "payloads"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
SCHEME = SignatureScheme()

Reply = tuple[int, bytes]


@dataclass
class Receiver:
    """An HTTP server that keeps what it gets and answers what `answer` says."""

    url: str = ""
    answer: Callable[[bytes], Reply] = lambda body: (200, b'{"status":"processed"}')
    got: list[Delivery] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    connections: set[Any] = field(default_factory=set)

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.got]


@contextmanager
def _receiving(receiver: Receiver) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Two small writes without this wait for the other side's delayed acknowledgement.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = Headers(dict(self.headers.items()))
            receiver.got.append(Delivery("d", body, headers, datetime.now(timezone.utc)))
            receiver.paths.add(self.path)
            receiver.connections.add(self.client_address)
            status, data = receiver.answer(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # A client that ended, as some tests want it to.

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with _receiving(receiver):
        yield receiver


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, without a .env, and a secret in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXONE_SHARED_SECRET", SECRET)


def _run(*arguments: str, stdin: bytes = b"") -> Result:
    app = typer.Typer()
    app.command("send")(send)
    app.command("sign")(sign)
    # As `main` does: what a command returns is its exit status.
    result = CliRunner().invoke(app, arguments, input=stdin, standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _sent(*arguments: str, stdin: bytes = b"") -> tuple[object, dict[str, Any]]:
    """The exit status and figures of `send`."""
    result = _run("send", *arguments, "--json", stdin=stdin)
    return result.return_value, json.loads(result.stdout)


def _counts(figures: dict[str, Any]) -> dict[tuple[int | None, str], int]:
    return {(a["status"], a["word"]): a["count"] for a in figures["answers"]}


def _is_signed(delivery: Delivery, scheme: SignatureScheme = SCHEME) -> bool:
    return verify(delivery, scheme, [Secret("current", SECRET.encode())], NOW).secret == "current"


def test_files_arrive_byte_for_byte_signed_and_in_order(receiver: Receiver, tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(b'{"id": 1}\r\n\n{"id":2}\n')
    document = PAYLOADS / "contact.created" / "03-custom-fields.json"

    status, figures = _sent(str(document), str(lines), "--url", receiver.url)

    assert status == 0
    assert receiver.bodies == [document.read_bytes(), b'{"id": 1}', b'{"id":2}']
    assert all(_is_signed(delivery) for delivery in receiver.got)
    assert receiver.got[0].headers["content-type"] == "application/json"
    assert receiver.paths == {"/webhook/cxone-dataaction"}
    assert _counts(figures) == {(200, "processed"): 3}
    assert figures["posts"] == figures["accepted"] == figures["intended"] == 3


def test_standard_input_is_sent(receiver: Receiver) -> None:
    status, _ = _sent("-", "--url", receiver.url, stdin=b'{"id":1}\n{"id":2}\n')

    assert status == 0
    assert receiver.bodies == [b'{"id":1}', b'{"id":2}']


def test_the_url_follows_from_the_settings(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXONE_LISTEN", receiver.url.removeprefix("http://"))

    status, figures = _sent("-", stdin=b"{}")

    assert status == 0
    assert figures["url"] == f"{receiver.url}/webhook/cxone-dataaction"


def test_connections_are_kept_alive(receiver: Receiver) -> None:
    status, _ = _sent("-", "--url", receiver.url, "--repeat", "40", stdin=b"{}")
    assert (status, len(receiver.connections)) == (0, 1)

    status, _ = _sent(
        "-", "--url", receiver.url, "--repeat", "200", "--concurrency", "4", stdin=b"{}"
    )
    assert status == 0
    assert len(receiver.got) == 240
    assert len(receiver.connections) <= 5


def test_repeats_are_the_same_bytes_and_with_fresh_ids_new_events(receiver: Receiver) -> None:
    body = b'{"id": "a", "type": "t", "n": 1.0}'

    _sent("-", "--url", receiver.url, "--repeat", "3", stdin=body)
    assert receiver.bodies == [body] * 3

    receiver.got.clear()
    _sent("-", "--url", receiver.url, "--repeat", "3", "--fresh-ids", stdin=body)
    assert len({json.loads(found)["id"] for found in receiver.bodies}) == 3
    assert all(b'"type":"t","n":1.0' in found for found in receiver.bodies)
    assert all(_is_signed(delivery) for delivery in receiver.got)


def test_fresh_ids_need_an_id(receiver: Receiver) -> None:
    with pytest.raises(typer.BadParameter, match="body 2 has no id in 'id'"):
        _sent("-", "--url", receiver.url, "--fresh-ids", stdin=b'{"id":1}\n{"eventId":1}\n')
    assert receiver.got == []


def test_other_signature_settings_are_followed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = SignatureScheme(
        header="X-Hub-Signature-256",
        encoding="hex",
        prefix="sha256=",
        content="timestamp.body",
        timestamp_header="X-Time",
    )
    monkeypatch.setenv("CXONE_SIGNATURE_HEADER", scheme.header)
    monkeypatch.setenv("CXONE_SIGNATURE_ENCODING", scheme.encoding)
    monkeypatch.setenv("CXONE_SIGNATURE_PREFIX", scheme.prefix)
    monkeypatch.setenv("CXONE_SIGNED_CONTENT", scheme.content)
    monkeypatch.setenv("CXONE_TIMESTAMP_HEADER", "X-Time")

    _sent("-", "--url", receiver.url, stdin=b"{}")

    assert _is_signed(receiver.got[0], scheme)


def test_a_bad_signature_is_well_formed_but_wrong_and_needs_no_secret(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXONE_SHARED_SECRET")
    receiver.answer = lambda body: (401, b'{"title":"Invalid webhook signature"}')

    result = _run("send", "-", "--url", receiver.url, "--bad-signature", stdin=b"{}")

    assert result.return_value == 1
    assert "401 Invalid webhook signature" in result.stdout
    assert "CXONE_SHARED_SECRET" in result.stderr
    right = signed_headers(SCHEME, SECRET.encode(), b"{}", NOW)[SCHEME.header]
    given = receiver.got[0].headers[SCHEME.header]
    assert len(given) == len(right)
    assert given != right


def test_people_get_a_table_of_answers_and_times(receiver: Receiver) -> None:
    receiver.answer = lambda body: (
        (400, b'{"title":"Malformed JSON"}') if body == b"2" else (200, b'{"status":"duplicate"}')
    )

    result = _run("send", "-", "--url", receiver.url, stdin=b"1\n2\n3\n4\n")

    assert result.return_value == 1
    for text in ("200 duplicate", "75.0 %", "400 Malformed JSON", "25.0 %", "p99", "4 answers in"):
        assert text in result.stdout
    assert "\x1b" not in result.stdout + result.stderr
    assert SECRET not in result.stdout + result.stderr


def test_redirects_are_shown_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda body: (307, b"")

    status, figures = _sent("-", "--url", receiver.url, stdin=b"{}")

    assert status == 1
    assert _counts(figures) == {(307, "Temporary Redirect"): 1}
    assert receiver.paths == {"/webhook/cxone-dataaction"}


def test_an_endless_reply_is_cut(receiver: Receiver) -> None:
    receiver.answer = lambda body: (200, b" " * 5_000_000)

    status, figures = _sent("-", "--url", receiver.url, "--repeat", "2", stdin=b"{}")

    assert status == 0
    assert _counts(figures) == {(200, "OK"): 2}
    assert len(receiver.connections) == 2


def test_nobody_listening_gives_up_soon_and_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        result = _run("send", "-", "--url", url, "--repeat", "100000", stdin=b"{}")

    assert result.return_value == 1
    assert "no answer: connection refused" in result.stdout
    assert "Gave up after" in result.stderr
    assert "cxone-consumer serve" in result.stderr


def test_a_server_that_hangs_or_hangs_up_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        def serve() -> None:
            with listener.accept()[0]:
                pass
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                time.sleep(0.5)

        thread = threading.Thread(target=serve)
        thread.start()
        status, figures = _sent("-", "--url", url, "--timeout", "0.2", stdin=b"1\n2\n")
        thread.join()

    assert status == 1
    assert _counts(figures) == {
        (None, "no answer: the connection closed before the answer"): 1,
        (None, "no answer: nothing came within 0.2 s"): 1,
    }


def test_what_is_no_http_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        status, figures = _sent("-", "--url", url, stdin=b"1")
        thread.join()

    assert (status, figures["answered"]) == (1, 0)


def test_a_rate_spaces_the_posts(receiver: Receiver) -> None:
    status, figures = _sent(
        "-", "--url", receiver.url, "--repeat", "21", "--rate", "50", "--concurrency", "4",
        stdin=b"{}",
    )  # fmt: skip

    assert status == 0
    assert 0.35 < figures["seconds"] < 2.0
    times = sorted(delivery.received_at for delivery in receiver.got)
    assert (times[-1] - times[0]).total_seconds() > 0.3


def test_a_fault_while_making_bodies_reaches_the_caller(receiver: Receiver) -> None:
    def failing() -> Iterator[Outgoing]:
        yield Outgoing(b"1", lambda body: {})
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(Sender(receiver.url, concurrency=3).send(failing()))


def test_stopping_counts_what_is_under_way_and_posts_no_more(receiver: Receiver) -> None:
    held = threading.Event()

    def answer(body: bytes) -> Reply:
        if body == b"2":
            held.wait(5)
        return 200, b""

    receiver.answer = answer
    sending = Sender(receiver.url).send(Outgoing(b"%d" % n, lambda body: {}) for n in range(1, 99))

    assert next(sending).index == 0
    eventually(lambda: len(receiver.got) == 2)
    sending.stop(grace=5)
    held.set()

    assert [result.index for result in sending] == [1]
    assert receiver.bodies == [b"1", b"2"]


def test_stopping_does_not_wait_for_a_silent_server(receiver: Receiver) -> None:
    held = threading.Event()
    receiver.answer = lambda body: (200, b"") if held.wait(30) else (500, b"")
    sending = Sender(receiver.url).send([Outgoing(b"1", lambda body: {})])
    eventually(lambda: len(receiver.got) == 1)

    started = time.monotonic()
    sending.stop(grace=0.1)
    results = list(sending)

    assert results == []
    assert time.monotonic() - started < 2
    held.set()


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill cannot send Ctrl-C on Windows")
def test_ctrl_c_ends_quickly_with_the_figures_so_far(receiver: Receiver, tmp_path: Path) -> None:
    held = threading.Event()
    receiver.answer = lambda body: (
        (200, b"") if len(receiver.got) < 6 or held.wait(30) else (0, b"")
    )
    (tmp_path / "a.json").write_bytes(b"{}")
    # A runner in the background ignores Ctrl-C, and its children inherit that.
    command = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys, typer; from consumer.cli.send import send; app = typer.Typer();"
        "app.command()(send); sys.exit(app(standalone_mode=False))"
    )
    arguments = ["a.json", "--url", receiver.url, "--repeat", "1000", "--json"]
    root = str(Path(__file__).parent.parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    try:
        eventually(lambda: len(receiver.got) == 6, timeout=20)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        held.set()

    assert process.returncode == 130
    assert time.monotonic() - started < 5
    figures = json.loads(out)
    assert figures["interrupted"] is True
    assert figures["posts"] == figures["accepted"] == 5
    assert b"Interrupted: 5 of 1,000" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["missing.json"], "missing.json: cannot be read: No such file"),
        (["-"], "-: there is nothing in it"),
        (["-", "--url", "nonsense"], "--url must look like http"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        _run("send", *arguments)


def test_sign_prints_the_header_for_the_exact_bytes(tmp_path: Path) -> None:
    body = b'{"id": 1}\r\n'
    (tmp_path / "a.json").write_bytes(body)

    result = _run("sign", "a.json")

    name, _, value = result.stdout.rstrip("\n").partition(": ")
    assert name == "X-Nice-Webhook-Signature"
    assert _is_signed(Delivery("d", body, Headers({name: value}), NOW))
    assert result.return_value == 0
    assert _run("sign", "-", stdin=body).stdout == result.stdout
    assert json.loads(_run("sign", "a.json", "--json").stdout) == {name: value}
    assert _run("sign", "-", stdin=b'{"id": 1}\n').stdout != result.stdout


def test_sign_prints_the_timestamp_where_it_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXONE_SIGNED_CONTENT", "timestamp.body")
    monkeypatch.setenv("CXONE_TIMESTAMP_HEADER", "X-Time")
    scheme = SignatureScheme(content="timestamp.body", timestamp_header="X-Time")

    result = _run("sign", "-", stdin=b"{}")

    headers = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert set(headers) == {"X-Time", "X-Nice-Webhook-Signature"}
    now = datetime.now(timezone.utc)
    assert _is_signed(Delivery("d", b"{}", Headers(headers), now), scheme)


def test_the_service_makes_of_each_sample_what_it_says(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    samples = list(scenario(3, 60))
    keys = {"good": SECRET.encode(), "wrong": b"another secret"}

    def signer(signature: str) -> Sign:
        if signature == "missing":
            return lambda body: {}
        return lambda body: signed_headers(SCHEME, keys[signature], body, NOW)

    outgoing = [Outgoing(sample.body, signer(sample.signature)) for sample in samples]

    with running_service(mongod_uri, database.name) as client:
        results = list(Sender(client.service.url).send(outgoing))
        eventually(lambda: len(dead_letters(database)) == 5)

    told = [
        (sample.expect, result.word if result.accepted else result.status)
        for sample, result in zip(samples, results, strict=True)
    ]
    assert set(told) == {
        ("processed", "processed"),
        ("duplicate", "duplicate"),
        ("malformed_json", 400),
        ("missing_fields", 400),
        ("signature_invalid", 401),
        ("signature_missing", 401),
    }
    reasons = sorted(entry["reason"] for entry in dead_letters(database))
    expected = sorted(s.expect for s in samples if s.expect not in ("processed", "duplicate"))
    assert reasons == expected
    stored = database["events"].count_documents({})
    assert stored == sum(sample.expect == "processed" for sample in samples)


def test_the_service_processes_every_payload_file(
    mongod_uri: str, database: Database[dict[str, Any]]
) -> None:
    envelopes = {("id", "type"): 0, ("eventId", "eventType"): 0}
    for ids, types in envelopes:
        bodies = [
            path.read_bytes()
            for path in sorted(PAYLOADS.rglob("*.json"))
            if ("eventId-eventType" in path.parts) == (ids == "eventId")
        ]
        fields = {"cxone_id_field": ids, "cxone_type_field": types}
        with running_service(mongod_uri, database.name, **fields) as client:
            words = [client.post(body).json["status"] for body in bodies]
        assert words == ["processed"] * len(bodies)
        envelopes[ids, types] = len(bodies)

    assert database["events"].count_documents({}) == sum(envelopes.values())
    assert min(envelopes.values()) > 0
