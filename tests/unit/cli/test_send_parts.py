"""The pure parts of `send`: what is a body, what is an answer, how answers add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
import typer

from config.sources import SourceSettings
from consumer.cli import bodies
from consumer.cli.fresh_ids import freshened, with_fresh_id
from consumer.cli.send import checked_url, default_url, extra_headers
from consumer.cli.send_report import Report
from consumer.demo.results import Result, Tally, summary, word_of

UUID_4 = UUID("7d444840-9dc0-41d1-b245-5ffdce74fad2")
ROUTE = "/webhook/cxone-dataaction"


def _new_id() -> UUID:
    return UUID_4


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.json", b'{"id": 1}\n', [b'{"id": 1}\n']),
        ("a.json", b'{"a":1}\n{"a":2}\n', [b'{"a":1}\n{"a":2}\n']),
        ("a.json", b"\xef\xbb\xbf{broken", [b"\xef\xbb\xbf{broken"]),
        ("a.jsonl", b'{"a": 1}\n\n  \n{"a":2}', [b'{"a": 1}', b'{"a":2}']),
        ("a.NDJSON", b'\xef\xbb\xbf{"a":1}\r\n{"b\r\x0b":2}\r\n', [b'{"a":1}', b'{"b\r\x0b":2}']),
        ("a.jsonl", b"{broken\nnot json\n", [b"{broken", b"not json"]),
        ("-", b'{"a":1}\n{broken\n', [b'{"a":1}', b"{broken"]),
        ("-", b'{"a":1}\n', [b'{"a":1}\n']),
        ("-", b'{\n "a": 1\n}\n', [b'{\n "a": 1\n}\n']),
        ("-", b"not json\nat all", [b"not json\nat all"]),
        ("events", b'{"a":1}\n{"a":2}\n', [b'{"a":1}', b'{"a":2}']),
        ("dump.txt", b'{"a":1}\n{"a":2}\n', [b'{"a":1}\n{"a":2}\n']),
        ("a.json", b" \n", []),
        ("-", b"", []),
        ("a.jsonl", b"\n\r\n", []),
    ],
)
def test_files_split_into_bodies_byte_for_byte(
    name: str, data: bytes, expected: list[bytes]
) -> None:
    assert list(bodies.split(data, name)) == expected


def test_bodies_of_several_files_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b"1\n2\n")
    (tmp_path / "a.json").write_bytes(b"3")

    found = bodies.read_bodies([str(tmp_path / "b.jsonl"), str(tmp_path / "a.json")])

    assert found == [b"1", b"2", b"3"]


@pytest.mark.parametrize("read", [bodies.read_body, lambda name: bodies.read_bodies([name])])
def test_what_cannot_be_read_is_a_usage_error_that_names_it(
    tmp_path: Path, read: Callable[[str], object]
) -> None:
    (tmp_path / "empty.json").touch()
    (tmp_path / "folder").mkdir()
    faults = {"missing.json": "No such file", "folder": "is a directory", "empty.json": "nothing"}
    for name, text in faults.items():
        with pytest.raises(typer.BadParameter, match=f"{name}: .*{text}"):
            read(str(tmp_path / name))


def test_bodies_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BODY", 10)
    monkeypatch.setattr(bodies, "MAX_TOTAL", 25)
    fits, large, lines = (tmp_path / name for name in ("fits.json", "large.json", "lines.jsonl"))
    fits.write_bytes(b"1234567890")
    large.write_bytes(b"12345678901")
    lines.write_bytes(b"1\n12345678901\n")

    assert bodies.read_bodies([str(fits), str(fits)]) == [b"1234567890"] * 2
    with pytest.raises(typer.BadParameter, match=r"large\.json: the body is larger"):
        bodies.read_bodies([str(large)])
    with pytest.raises(typer.BadParameter, match=r"lines\.jsonl, line 2: the body is larger"):
        bodies.read_bodies([str(lines)])
    with pytest.raises(typer.BadParameter, match=r"fits\.json: at most .* in parts"):
        bodies.read_bodies([str(fits)] * 3)


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        (b'{"id": "a", "n": 1.0}', "id", f'{{"id":"{UUID_4}","n":1.0}}'),
        (b'{"a":{"b/c":["x"]}}', "/a/b~1c/0", f'{{"a":{{"b/c":["{UUID_4}"]}}}}'),
        (b'{"id":"a","h":"\\ud800"}', "id", f'{{"id":"{UUID_4}","h":"\\ud800"}}'),
        (b'{"id":"a","n":12345678901234567890123}', "id", None),
        (b'{"id":7}', "id", f'{{"id":{UUID_4.int & (2**53 - 1)}}}'),
    ],
)
def test_a_fresh_id_has_the_type_of_the_old_one(
    body: bytes, field: str, expected: str | None
) -> None:
    fresh = with_fresh_id(body, field, _new_id)

    assert fresh is not None
    if expected is None:
        assert b"12345678901234567890123" in fresh
    else:
        assert fresh.decode() == expected


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"1", b"{}", b'{"id":null}', b'{"id":true}', b'{"id":{}}', b"\xff", b""]
)
@pytest.mark.parametrize("field", ["id", "/id", "/id/0", "/0"])
def test_a_body_without_an_id_gets_none(body: bytes, field: str) -> None:
    assert with_fresh_id(body, field, _new_id) is None


CALL = b'{"contactId":"c","call":{"n":7}}'


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["contactId", "/call/n"], (f'{{"contactId":"{UUID_4}","call":{{"n":7}}}}'.encode(), {})),
        (["const:x", "/call/none", "header:X-Id"], (CALL, {"x-id": str(UUID_4)})),
        (["const:x", "/call", "none"], None),
    ],
)
def test_the_first_place_that_can_be_has_the_fresh_id(places: list[str], expected: object) -> None:
    assert freshened(CALL, places, _new_id) == expected


def test_headers_are_sent_as_given_and_none_that_the_proof_makes() -> None:
    source = SourceSettings.model_validate({"header": "X-Sign", "secret": "x"})

    assert extra_headers(["X-Id: a:b ", "X-Type:t"], source) == {"x-id": "a:b", "x-type": "t"}
    for wrong in ("X-Id", ": a", "X Id: a", "X-Id: a\r\nb: c", "x-sign: a", "X-Id: \u00e4"):
        with pytest.raises(typer.BadParameter):
            extra_headers([wrong], source)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:8080", "http://[::1]:8080"),
        ("cx.example.com:9000", "http://cx.example.com:9000"),
    ],
)
def test_the_url_follows_from_where_the_service_listens(listen: str, expected: str) -> None:
    assert default_url(listen) == expected + ROUTE


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8080", "http://localhost:8080" + ROUTE),
        ("https://cx.example.com/", "https://cx.example.com" + ROUTE),
        ("http://h/other?x=1", "http://h/other?x=1"),
    ],
)
def test_a_url_without_path_means_the_webhook(url: str, expected: str) -> None:
    assert checked_url(url) == expected


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080", "ftp://h/", "http://", "http://h:x/", "http://h:99999/", "http://h/ä",
     "http://h/a b", "http://h/\r\nX: y", "http://user:pw@h/", "http://[::1/"],
)  # fmt: skip
def test_a_url_that_cannot_be_posted_to_is_a_usage_error(url: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        checked_url(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b'{"status":"processed","schema_version":1}', "processed"),
        (b'{"title":"Malformed JSON","description":"x"}', "Malformed JSON"),
        (b'{"status":400,"title":"Bad"}', "Bad"),
        (b"{}", "OK"),
        (b"[1]", "OK"),
        (b"<html>", "OK"),
        (b"[" * 60_000, "OK"),
        (b"\xff", "OK"),
        (b"", "OK"),
        (b'{"status":"\\u001b[2Jx\\ny"}', "?[2Jx?y"),
        (b'{"status":"' + b"x" * 500 + b'"}', "x" * 60),
    ],
)
def test_a_reply_is_told_in_few_safe_words(reply: bytes, expected: str) -> None:
    assert word_of(reply, "OK") == expected


def test_a_summary_counts_answers_and_ranks_latencies() -> None:
    results = [Result(n, 200, "processed", (n + 1) / 1000) for n in range(100)]
    results += [Result(100, 400, "Malformed JSON", 0.2), Result(101, None, "no answer", 9.0, "why")]

    found = summary(results, 2.0)

    assert (found.posts, found.answered, found.accepted, found.throughput) == (102, 101, 100, 50.5)
    assert [(a.status, a.word, a.count) for a in found.answers] == [
        (200, "processed", 100),
        (400, "Malformed JSON", 1),
        (None, "no answer: why", 1),
    ]
    assert found.latency is not None
    assert (found.latency.p50, found.latency.p95, found.latency.p99, found.latency.max) == (
        0.051,
        0.096,
        0.1,
        0.2,
    )


def test_a_summary_of_nothing_has_no_latency() -> None:
    found = summary([], 0.0)

    assert (found.posts, found.throughput, found.latency, found.answers) == (0, 0.0, None, ())


def test_a_server_that_invents_words_cannot_fill_the_memory() -> None:
    tally = Tally()
    for number in range(1000):
        tally.add(Result(number, 500, f"word {number}", 0.1))

    answers = tally.summary(1.0).answers

    assert len(answers) == 51
    assert (answers[0].status, answers[0].word, answers[0].count) == (500, "(other answers)", 950)


def _report(results: list[Result], intended: int, *, interrupted: bool = False) -> Report:
    return Report(summary(results, 1.0), "http://h/", intended, interrupted)


@pytest.mark.parametrize(
    ("report", "exit_status", "hints"),
    [
        (_report([Result(0, 202, "held", 0.1)], 1), 0, []),
        (_report([Result(0, 200, "processed", 0.1)], 2, interrupted=True), 130, ["Interrupted"]),
        (_report([Result(0, 401, "Invalid", 0.1)], 1), 1, ["401"]),
        (_report([Result(0, 404, "Not Found", 0.1)], 1), 1, ["404"]),
        (_report([Result(0, None, "no answer", 0.1, "why")], 9), 1, ["Gave up", "Nothing answers"]),
        (_report([Result(0, 301, "Moved", 0.1)], 1), 1, []),
    ],
)
def test_a_report_says_how_to_go_on(report: Report, exit_status: int, hints: list[str]) -> None:
    assert report.exit_status == exit_status
    assert [hint.startswith(start) for hint, start in zip(report.hints(), hints, strict=True)] == [
        True
    ] * len(hints)


def test_a_report_for_programs_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    _report([Result(0, 200, "processed", 0.1)], 1).print(as_json=True)

    assert json.loads(capsys.readouterr().out) == {
        "url": "http://h/",
        "intended": 1,
        "interrupted": False,
        "posts": 1,
        "answered": 1,
        "accepted": 1,
        "seconds": 1.0,
        "throughput": 1.0,
        "answers": [{"status": 200, "word": "processed", "count": 1}],
        "latency_seconds": {"p50": 0.1, "p95": 0.1, "p99": 0.1, "max": 0.1},
    }
