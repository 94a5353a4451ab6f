"""`demo` as a newcomer runs it: the whole story, and a service that stays up when asked."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support.processes import ask_to_stop, environment, run, start


def test_demo_tells_what_became_of_everything(tmp_path: Path) -> None:
    ended = run(["demo", "--events", "60", "--json"], tmp_path)

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    words = {answer["word"]: answer["count"] for answer in told["answers"]}
    # On a busy machine some go through the spool, and of these nobody says that they are copies.
    arrived = sum(words.pop(word, 0) for word in ("processed", "duplicate", "spooled"))
    assert arrived == sum(told["documents"].values()) + 3
    assert sum(words.values()) == 5
    assert {entry["reason"] for entry in told["dead_letters"]} == {
        "malformed_json",
        "missing_fields",
        "signature_invalid",
        "signature_missing",
    }
    assert max(schema["versions"] for schema in told["schemas"].values()) >= 3
    assert ended.stderr == b""


@pytest.mark.slow
def test_demo_prints_tables_that_survive_cp1252(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "consumer", "demo", "--events", "20"],
        cwd=tmp_path,
        env={**environment(), "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        timeout=60,
        check=False,
    )

    text = ended.stdout.decode("cp1252")
    assert ended.returncode == 0, ended.stderr
    assert "What was wrong on purpose" in text
    assert "signature_invalid" in text


@pytest.mark.slow
def test_kept_running_demo_prints_where_its_console_is_and_the_password(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", "demo", "--events", "20", "--keep-running"],
        cwd=tmp_path,
        # A killed one leaves its directory to pytest.
        env={**environment(), "TMPDIR": str(tmp_path), "TEMP": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    watchdog = threading.Timer(240, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if found := re.search(r"(http://\S+/console)\s+password: (\S+)", told):
                break
        assert found is not None
        status, where = log_in(found[1], found[2])
        wrong, _ = log_in(found[1], "guessed")
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    assert (status, where) == (303, "/console")
    assert wrong == 403


def log_in(url: str, password: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        body = urlencode({"name": "Ada", "password": password})
        connection.request("POST", f"{urlsplit(url).path}/login", body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")
    finally:
        connection.close()


@pytest.mark.slow
def test_kept_running_demo_takes_what_its_own_words_say_to_send(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"id":"new","type":"contact.created"}')
    # A killed one leaves its directory to pytest.
    there = {"TMPDIR": str(tmp_path), "TEMP": str(tmp_path)}
    words = ["demo", "--events", "20", "--keep-running"]
    process = start(words, tmp_path, there, stdout=subprocess.PIPE)
    watchdog = threading.Timer(240, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"--env-file (\S+) send", line):
                break
        assert found is not None
        sent = run(["--env-file", found[1], "send", "event.json", "--json"], tmp_path)
        listed = run(["--env-file", found[1], "dlq", "list", "--json"], tmp_path)
        ask_to_stop(process)
        process.stdout.read()
        status = process.wait(30)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    assert json.loads(sent.stdout)["answers"] == [
        {"status": 200, "word": "processed", "count": 1}
    ], sent.stderr
    assert json.loads(listed.stdout)["groups"]
    assert not Path(found[1]).exists()
    assert status == 0


@pytest.mark.slow
def test_demo_shows_a_document_with_what_was_filled_and_what_to_try_next(tmp_path: Path) -> None:
    ended = run(["demo", "--events", "60"], tmp_path)

    text = ended.stdout.decode()
    assert ended.returncode == 0, ended.stderr
    assert "A stored disposition.saved of version 1" in text
    assert re.search(r"sentiment\W+null\W+filled", text)
    assert re.search(r"wrapUpSeconds\W+\d+\W+sent", text)
    assert "demo --keep-running" in text


@pytest.mark.slow
def test_demo_of_readers_tells_how_a_renamed_field_goes_on(tmp_path: Path) -> None:
    ended = run(["demo", "--readers", "--json"], tmp_path)

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    weeks = [(each["wrapUpSeconds"], each["acwSeconds"]) for each in told["weeks"]]
    assert weeks[:2] == [(105, 0), (105, 0)]
    assert sum(weeks[2]) == 105
    assert min(weeks[2]) > 20
    assert weeks[3] == (0, 105)
    signal = told["signal"]
    assert signal["kind"] == "renamed"
    assert (
        signal["command"]
        == "cxone-consumer schema alias disposition.saved wrapUpSeconds acwSeconds"
    )
    assert told["weeks"][2]["start"] < signal["appeared"] < told["shown"][2]["last"]
    breaches = [(each["reader"], each["class"], each["text"]) for each in signal["breaks"]]
    assert breaches == [("billing", "renamed", "wrapUpSeconds")]
    assert told["alias"]["breaks"] == []
    shown = {each["field"]: each for each in told["shown"]}
    assert "acwSeconds" not in shown
    seconds = shown["wrapUpSeconds"]
    assert seconds["before"] is None
    assert isinstance(seconds["first"], int)
    assert isinstance(seconds["last"], int)
    conflict = told["conflict"]
    breaches = [(each["reader"], each["class"], each["text"]) for each in conflict["breaks"]]
    assert breaches == [("billing", "type_conflict", "agentId")]
    assert conflict["announced"].endswith("version 4 breaks billing")
    assert conflict["shown"]["agentId"] is None
    assert isinstance(conflict["shown"]["wrapUpSeconds"], int)
    assert ended.stderr == b""


@pytest.mark.slow
def test_demo_of_readers_says_that_its_clock_is_hastened(tmp_path: Path) -> None:
    ended = run(["demo", "--readers", "--seed", "2"], tmp_path)

    text = ended.stdout.decode()
    assert ended.returncode == 0, ended.stderr
    assert "clock is hastened" in text
    assert "wrapUpSeconds: likely acwSeconds now" in text
    assert "schema alias disposition.saved wrapUpSeconds acwSeconds" in text
    assert re.search(r"wrapUpSeconds\W+\d+\W+\d+\W", text)
    assert "version 4 breaks billing" in text


def test_demo_of_readers_takes_no_number_of_events(tmp_path: Path) -> None:
    ended = run(["demo", "--readers", "--events", "100"], tmp_path)

    assert ended.returncode == 2
    assert b"--events" in ended.stderr
