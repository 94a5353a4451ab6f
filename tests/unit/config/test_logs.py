"""That each event is one line that says who, when and what, whatever is put into it."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, TextIO

import pytest
import structlog
from pydantic import SecretStr

from config.log_format import MAX_TEXT
from config.logs import LogFormat, LogLevel, configure

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=timezone.utc)
LIBRARIES = ["", "waitress.queue", "apscheduler", "pymongo"]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield
    structlog.reset_defaults()
    for handler in [each for each in root.handlers if type(each).__module__ == "config.logs"]:
        root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def start(
    fmt: LogFormat, level: LogLevel = "info", stream: TextIO | None = None
) -> tuple[Any, io.StringIO]:
    """A logger `consumer.http` and what is written."""
    written = io.StringIO()
    configure(level, fmt, stream or written, lambda: NOW)
    return structlog.get_logger("consumer.http"), written


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_json_is_one_object_a_line_with_the_fields_in_order() -> None:
    log, written = start("json")

    log.info("event stored", subject="contact.created", version=3, ratio=0.5, new=False, at=None)

    assert written.getvalue() == (
        '{"timestamp":"2026-03-01T12:00:00.123Z","level":"info","logger":"consumer.http",'
        '"event":"event stored","subject":"contact.created","version":3,"ratio":0.5,'
        '"new":false,"at":null}\n'
    )


def test_console_is_one_readable_line() -> None:
    log, written = start("console")

    log.warning("event held", subject="contact.created", why="new field", n=3, to={"a": [1]})

    assert written.getvalue() == (
        "2026-03-01T12:00:00.123Z warning  consumer.http: event held  subject=contact.created"
        '  why="new field"  n=3  to={"a":[1]}\n'
    )


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_levels_below_the_configured_one_are_not_written(fmt: LogFormat) -> None:
    log, written = start(fmt, "warning")

    log.debug("a")
    log.info("b")
    logging.getLogger("waitress").info("c")
    log.warning("d")
    log.error("e")
    log.critical("f")

    assert len(written.getvalue().splitlines()) == 3


def test_bound_fields_and_a_level_given_as_number_are_written() -> None:
    log, written = start("json")

    log.bind(delivery="d1").log(logging.ERROR, "x")

    assert lines(written)[0]["delivery"] == "d1"
    assert lines(written)[0]["level"] == "error"


def test_libraries_come_out_in_the_same_form() -> None:
    _, written = start("json")

    logging.getLogger("waitress").warning("client %s", "gone")

    assert lines(written) == [
        {
            "timestamp": "2026-03-01T12:00:00.123Z",
            "level": "warning",
            "logger": "waitress",
            "event": "client gone",
        }
    ]


def test_libraries_that_say_too_much_are_quiet() -> None:
    _, written = start("json")

    logging.getLogger("waitress.queue").warning("Task queue depth is 1")
    logging.getLogger("apscheduler.executors.default").info("Running job")
    logging.getLogger("pymongo.serverSelection").info("Waiting for suitable server")
    logging.getLogger("waitress.queue").error("kept")

    assert [line["event"] for line in lines(written)] == ["kept"]


def test_drivers_never_log_commands_with_payloads_even_at_debug() -> None:
    log, written = start("json", "debug")

    logging.getLogger("pymongo.command").debug("insert {payload}")
    logging.getLogger("urllib3").debug("GET")
    log.debug("ours")

    assert [line["event"] for line in lines(written)] == ["ours"]


def test_a_library_whose_arguments_do_not_fit_its_text_is_still_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, written = start("json")
    ours = logging.getLogger().handlers[-1:]

    with monkeypatch.context() as alone:
        alone.setattr(logging.getLogger(), "handlers", ours)
        logging.getLogger("x").warning("%d of %d", "one")  # noqa: PLE1206

    assert lines(written)[0]["event"] == "%d of %d"


HOSTILE = [
    'a\n{"event":"forged"}',
    "a\r\n2026-03-01T12:00:00Z info consumer: forged",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "a\u2028b\u2029c\x85d",
    "\u202egnp.exe",
    "\ud800",
    "\x00\x7f\x08",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("fmt", ["json", "console"])
def test_nothing_logged_can_forge_a_line_or_move_a_terminal(fmt: LogFormat, text: str) -> None:
    log, written = start(fmt)

    log.info(text, value=text, nested={text: [text]}, **{text: 1})
    logging.getLogger(text).warning(text)

    out = written.getvalue()
    assert out.count("\n") == len(out.splitlines()) == 2
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_field_cannot_pass_for_one_of_ours(fmt: LogFormat) -> None:
    log, written = start(fmt)

    log.info("x", level="critical", logger="root", timestamp="then", exception="none")

    out = written.getvalue()
    assert "info" in out
    assert len(out.splitlines()) == 1
    if fmt == "json":
        (line,) = lines(written)
        assert (line["level"], line["level_"]) == ("info", "critical")
        assert line["exception_"] == "none"


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_every_value_is_bounded(fmt: LogFormat) -> None:
    log, written = start(fmt)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]

    log.info("x" * 10**6)
    log.info("a", value="x" * 10**6)
    log.info("b", value=[1] * 10**6, deep=deep)
    log.info("c", value={str(n): n for n in range(10_000)}, raw=b"x" * 10**6, big=1 << 100_000)

    out = written.getvalue().splitlines()
    assert len(out) == 4
    assert max(map(len, out)) < 3 * MAX_TEXT


def test_hex_around_a_fault_fits_whole() -> None:
    log, written = start("json")

    log.info("malformed", around="7b " * 1024)

    assert lines(written)[0]["around"] == "7b " * 1024


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_odd_values_do_not_stop_a_line(fmt: LogFormat) -> None:
    log, written = start(fmt)

    log.info("x", a=Unprintable(), b=float("nan"), c={1: {2}}, d=1 << 64, e=NOW, f=b"\x00\xff")
    log.info("y", a={Unprintable(): 1})

    first, second = written.getvalue().splitlines()
    assert "<Unprintable>" in first
    assert "00 ff" in first
    assert "not loggable: RuntimeError" in second


def test_a_secret_stays_masked() -> None:
    log, written = start("json")

    log.info("x", secret=SecretStr("hunter2"), secrets=[SecretStr("hunter2")])

    assert "hunter2" not in written.getvalue()


def fail(text: str = "one\n2026-03-01 forged\x1b[0m") -> None:
    hidden = "local " + "value"
    raise ValueError(f"{text}{hidden[:0]}")


def test_a_traceback_in_json_is_one_field_without_locals() -> None:
    log, written = start("json")

    try:
        fail()
    except ValueError:
        log.exception("failed", n=1)

    (line,) = lines(written)
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert "local value" not in line["exception"]
    assert "\x1b" not in line["exception"]
    assert list(line)[-2:] == ["n", "exception"]


@pytest.mark.parametrize("passing", ["ours", "library", "value"])
def test_a_traceback_on_the_console_is_indented_so_that_it_forges_no_line(passing: str) -> None:
    log, written = start("console")

    try:
        fail()
    except ValueError as error:
        if passing == "ours":
            log.exception("failed")
        elif passing == "library":
            logging.getLogger("waitress").exception("failed")
        else:
            log.error("failed", exc_info=error)  # noqa: TRY400

    first, *rest = written.getvalue().splitlines()
    assert first.endswith(": failed")
    assert "    2026-03-01 forged\\x1b[0m" in rest
    assert all(line.startswith("    ") for line in rest)


def test_a_very_long_traceback_keeps_its_begin_and_end() -> None:
    log, written = start("json")

    try:
        fail("x\n" * 100_000 + "the end")
    except ValueError:
        log.exception("failed")

    (line,) = lines(written)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("the end")
    assert len(line["exception"]) < 5 * MAX_TEXT


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_stream_of_another_encoding_gets_every_line(fmt: LogFormat) -> None:
    raw = io.BytesIO()
    log, _ = start(fmt, stream=io.TextIOWrapper(raw, "cp1252"))

    log.info("né", value="日本 😀")

    out = raw.getvalue().decode("cp1252")
    if fmt == "json":
        assert json.loads(out)["value"] == "日本 😀"
    else:
        assert "\\u65e5\\u672c" in out


def test_a_stream_that_is_gone_stops_nothing() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        log, _ = start("json", stream=stream)

        log.error("x")
        logging.getLogger("waitress").error("y")


def test_configuring_again_replaces_what_was_configured() -> None:
    _, first = start("json")
    log, second = start("json")

    log.info("ours")
    logging.getLogger("waitress").warning("theirs")

    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["ours", "theirs"]


def test_threads_do_not_mix_their_lines() -> None:
    log, written = start("json")

    def write() -> None:
        for number in range(100):
            log.info("x", number=number, text="y" * 500)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(lines(written)) == 800
