"""The parts of `dlq` that need no MongoDB: differences, ages, lines, editors and waits."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
import typer

from config.environment import editor_command, user_name
from consumer.cli.dlq.end import on_one_line, stands_alone
from consumer.cli.options import moment
from consumer.core.errors import ContractHold, MalformedJson, SignatureInvalid, StoreError
from consumer.dead_letters.editing import difference
from consumer.dead_letters.retry import NextState, RetryRules, state_after
from consumer.dead_letters.views import hex_rows
from consumer.privacy.masks import MaskedBody

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def test_difference_in_one_long_line_is_shown_by_the_members_that_differ() -> None:
    body = b'{"a":1,"b":"x\ny","c":[1,2]}'

    lines = difference(body, body.replace(b"\n", b"\\n"))

    assert '-"b":"x\\n' in lines
    assert '+"b":"x\\ny",' in lines
    assert not any('"c"' in line for line in lines)


def test_byte_order_mark_is_visible_in_a_difference() -> None:
    assert "-\\ufeff{" in difference(b'\xef\xbb\xbf{"a":1}', b'{"a":1}')


def test_difference_lets_no_control_sequence_through() -> None:
    assert "\x1b" not in "".join(difference(b'{"a":"\x1b[2J"}', b'{"a":1}'))


def test_difference_of_large_bodies_is_short_and_quick() -> None:
    old = b"[" + b"1," * 500_000 + b"1]"
    started = time.thread_time()

    lines = difference(old, old.replace(b"1", b"2"))

    assert len(lines) < 250
    assert time.thread_time() - started < 5


@pytest.mark.parametrize(
    ("text", "age"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("0", 0)],
)
def test_age_is_read(text: str, age: int) -> None:
    assert moment(text, NOW, "--older-than") == NOW - timedelta(seconds=age)


@pytest.mark.parametrize(
    "text", ["", "d", "-1h", "1w", "1.5h", "9999999999", "999999999d", "\u0661h"]
)
def test_age_that_is_none_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment(text, NOW, "--older-than")


@pytest.mark.parametrize("body", [b"{\n}", b"{}\r", b"\xef\xbb\xbf{}", b"", b"  "])
def test_bodies_that_send_would_read_otherwise_do_not_stand_alone(body: bytes) -> None:
    assert not stands_alone(body)


@pytest.mark.parametrize(
    ("body", "line"),
    [(b'{\r\n"a":\n1}', b'{  "a": 1}'), (b'{"a":"\n"}', None), (b'"', None), (b"[" * 99_999, None)],
)
def test_only_json_is_put_on_one_line(body: bytes, line: bytes | None) -> None:
    assert on_one_line(body) == line


def test_hex_view_begins_where_it_is_asked_to() -> None:
    rows = list(hex_rows(MaskedBody(bytes(range(60, 100))), 16, 16))

    assert rows == ["000010  4c 4d 4e 4f 50 51 52 53 54 55 56 57 58 59 5a 5b  LMNOPQRSTUVWXYZ["]


@pytest.mark.parametrize(
    ("environ", "windows", "command"),
    [
        ({"VISUAL": "code --wait", "EDITOR": "vi"}, False, ["code", "--wait"]),
        ({"EDITOR": "'/my tools/ed' -x"}, False, ["/my tools/ed", "-x"]),
        ({"EDITOR": r'"C:\Program Files\n.exe" -m'}, True, [r"C:\Program Files\n.exe", "-m"]),
        ({"VISUAL": " ", "EDITOR": "vi"}, False, ["vi"]),
        ({"EDITOR": "it's"}, False, ["it's"]),
        ({}, True, ["notepad"]),
    ],
)
def test_editor_is_the_one_the_person_chose(
    environ: dict[str, str], windows: bool, command: list[str]
) -> None:
    assert editor_command(environ, windows) == command


def test_there_is_always_an_editor_and_a_name() -> None:
    assert editor_command({}, windows=False)[0] in ("nano", "vim", "vi")
    assert user_name()


def test_waits_double_up_to_the_longest_and_jitter_spreads_their_upper_half() -> None:
    rules = RetryRules(base=10, longest=100)

    assert [rules.wait(n, 1.0).total_seconds() for n in (1, 2, 3, 4, 5, 10_000)] == [
        10, 20, 40, 80, 100, 100,
    ]  # fmt: skip
    assert rules.wait(1, 0.0).total_seconds() == 5


@pytest.mark.parametrize(
    ("error", "was", "attempts", "expected"),
    [
        (
            StoreError("x"),
            "store_error",
            2,
            NextState("pending_retry", NOW + timedelta(seconds=60)),
        ),
        (StoreError("x"), "store_error", 3, NextState("parked")),
        (ContractHold("x", []), "malformed_json", 3, NextState("held")),
        (SignatureInvalid("x"), "signature_invalid", 9, NextState("pending_inspection")),
        (MalformedJson("x"), "signature_invalid", 1, NextState("pending_inspection", NOW)),
        (MalformedJson("x"), "malformed_json", 1, NextState("pending_inspection")),
    ],
)
def test_only_what_waiting_can_help_waits(
    error: StoreError, was: str, attempts: int, expected: NextState
) -> None:
    rules = RetryRules(attempts=3)

    assert (
        state_after(error, was=was, attempts=attempts, now=NOW, rules=rules, jitter=1.0) == expected
    )
