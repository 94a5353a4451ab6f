"""Whatever a stranger sends, each pattern and each view goes over it in time that grows with its
length: a megabyte of the worst takes less than two seconds of this processor."""

from __future__ import annotations

import gzip
import importlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest

from consumer.core.body_reader import read_body, read_document, unescaped
from consumer.core.json_repairs import TABLE, repair
from consumer.core.paths import from_text, to_text
from consumer.core.text import hexdump, safe
from consumer.dead_letters.editing import difference, editable, masker, restore
from consumer.dead_letters.replay import safe_repair
from consumer.dead_letters.views import hex_rows, pretty
from consumer.events.matching import read_condition
from consumer.ingest.signature import SignatureScheme
from consumer.ingest.signature_diagnosis.bodies import json_serializations
from consumer.privacy.paths import read_paths
from consumer.privacy.rules import Redaction
from consumer.schemas import maps

SECONDS = 2.0
MEGABYTE = 1_000_000
MASKS = Redaction(read_paths(["name", "**.email", "calls[].ip", "tags.*.owner"]))
EMAIL = read_condition("customer.email=ann@example.com")
ANY = read_condition("participants.*=4711")


@contextmanager
def quickly() -> Iterator[None]:
    # CPU time of this thread: how busy the machine is says nothing of the code.
    started = time.thread_time()
    yield
    assert time.thread_time() - started < SECONDS


def much(unit: str, before: str = "", after: str = "") -> str:
    return before + unit * (MEGABYTE // len(unit)) + after


# Beside what is looked for in each, what makes a search for it go back.
WORST = [
    much(" "),
    much(" ", '{"email":', "x"),
    much(" ", '{"email"', "x"),
    much('"email": '),
    much("\t\r\n", "email=[", "!"),
    much('"', "[", "x"),
    much("\\", '{"email":"', "x"),
    much("\\\\u0040", '{"email":"'),
    much("\\/", '{"email":"'),
    much('\\"', '{"email":"', "x"),
    much("\\u005c"),
    much("\\ud83d\\ude00", '"'),
    much("[", "", "x"),
    much('{"a":', "", "x"),
    much('[{"name":', "", "x"),
    much("1,", '{"a":[', "nought"),
    much('"",', '{"a":[', "nought"),
    much('{"name":1},', "[", "nought"),
    much('{"email":{"a":"b"}},', "[", "nought"),
    much('"{\\"name\\":1}",', "[", "nought"),
    much('{"name":1},', "[", "1]"),
    much(",", "[", "]"),
    much(", ", "[", "x"),
    much("," + " " * 4095, "[", "x"),
    much("1.0"),
    much(".0", "1", "1"),
    much("0", "1.", "1"),
    much("a=1&"),
    much("a[b]=1&"),
    much("%7B", "a="),
    much("[a]", "", "=1"),
    much("[masked 1"),
    much('"[masked 7]",', "["),
    much("ab@ab."),
    much("a.", "x@"),
    much("\x00\x1b\u2028"),
    much("\u00e9"),
]

WAYS: list[Callable[[str], object]] = [
    EMAIL.may_hold,
    ANY.may_hold,
    lambda text: list(unescaped(text)),
    lambda text: read_body(text.encode()),
    lambda text: read_document({"id": "1", text[:MEGABYTE]: [text]}),
    lambda text: EMAIL.holds(read_body(text.encode()).documents),
    lambda text: repair(text.encode(), safe_only=False),
    lambda text: safe_repair(text.encode()),
    lambda text: MASKS.value({"x": [text]}),
    lambda text: MASKS.body(text.encode()).shown,
    lambda text: list(hex_rows(MASKS.body(text.encode()), MEGABYTE // 2, 512)),
    lambda text: hexdump(text.encode(), MEGABYTE - 9, 256, MASKS.body(text.encode()).hidden),
    lambda text: pretty(text.encode()),
    lambda text: difference(text.encode(), text[::-1].encode()),
    safe,
    lambda text: list(json_serializations(text.encode())),
    lambda text: from_text(to_text((text, text))),
]
NAMES = "email any unescaped body document holds repair safe_repair value shown hex log pretty"
NAMES += " difference safe writings path"


@pytest.mark.parametrize(
    "way",
    [WAYS[0], *(pytest.param(way, marks=pytest.mark.slow) for way in WAYS[1:])],
    ids=NAMES.split(),
)
def test_a_megabyte_of_the_worst_is_gone_over_quickly(way: Callable[[str], object]) -> None:
    for text in WORST:
        with quickly():
            way(text)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_each_repair_takes_time_that_grows_with_the_body(row: Any) -> None:
    for text in WORST:
        with quickly():
            row.apply(text.encode("utf-8") + b"\xe9")


def test_bombs_of_gzip_are_not_unpacked_beyond_their_bound() -> None:
    for packed in (
        gzip.compress(bytes(1_000_000_000 // 4)),
        gzip.compress(b"[") * (MEGABYTE // 21),
        gzip.compress(gzip.compress(bytes(200_000_000))),
    ):
        with quickly():
            assert not read_body(packed).whole


def test_an_edited_body_with_many_masks_is_checked_once() -> None:
    body = MASKS.body(b'[{"x":0}' + b',{"name":1}' * 20_000 + b"]")
    found = editable(body)

    with quickly():
        assert restore(found.text, found.values, masker(MASKS, None, lambda _: "t")) == body.raw


def test_lists_that_are_counted_are_visited_once() -> None:
    nested = json.loads("[" * 500 + "7" + "]" * 500)

    with quickly():
        assert not read_condition("/0/0/0/0/0/0/x/0=7").holds(nested)


KEYS = ["a.a.", "+1 2", "a-1111", "1:", "a@a.", "a<", "Aa1", "a1_", "=", "f0", "ab cd."]


@pytest.mark.parametrize("unit", KEYS)
def test_a_megabyte_of_keys_is_told_from_names_quickly(unit: str) -> None:
    keys = [f"{number}{unit * (250 // len(unit))}!" for number in range(MEGABYTE // 256)]

    with quickly():
        for key in keys:
            maps.is_data_key(key)
            maps.is_personal(key)
    with quickly():
        maps.is_personal(unit * (MEGABYTE // len(unit)) + "!")
        maps.are_ids([unit * (MEGABYTE // len(unit)) + "!"])


@pytest.mark.parametrize("prefix", ["", "v1,", "a", "sha256="])
def test_a_megabyte_of_signatures_is_taken_apart_quickly(prefix: str) -> None:
    scheme = SignatureScheme(prefix=prefix, several=True)

    for unit in (" ", ",", "a", "a ", "v1,", "v1, ", "sha256", "sha256=", "=,"):
        with quickly():
            deque(scheme.item.finditer(much(unit)), 0)


# What stands between strangers and the rest: the module, its pattern, and how that is used there.
PATTERNS = """
consumer.http.server.parser _TRANSFER_CODINGS findall
consumer.http.server.bodies _SIZE fullmatch
consumer.http.server.bodies _TRAILER fullmatch
consumer.http.headers _WORTH_KEEPING search
consumer.http.probe _DIGESTS fullmatch
consumer.ingest.signature_diagnosis.claims _RUN findall
consumer.ingest.signature_diagnosis.claims _LABEL search
consumer.ingest.signature_diagnosis.claims _GLUED_LABEL match
consumer.ingest.signature_diagnosis.timestamps _TIME_NAME search
consumer.ingest.signature_diagnosis.timestamps _ID_NAME search
consumer.ingest.signature_diagnosis.timestamps _IN_LIST search
consumer.monitoring.datadog.version_events _UNPRINTABLE findall
consumer.monitoring.datadog.points _NAME fullmatch
consumer.monitoring.datadog.points _ODD findall
consumer.monitoring.datadog.points _UNDERSCORES findall
consumer.demo.results _UNPRINTABLE findall
consumer.schemas.expressions PLAIN fullmatch
consumer.cli.bodies _LINE_END findall
consumer.core.text _UNPRINTABLE findall
config.log_format _PLAIN fullmatch
config.log_format _NOT_ASCII findall
config.log_format _UNSAFE findall
"""
STARTS = ("", "\r\ntransfer-encoding", "1;", "a=")


UNITS = (" ", "\r\n", "\r\ntransfer-encoding:", "a", "1", "1;", ",t=1", "_", "a_", "\\", "\u00e9")


@pytest.mark.parametrize("row", PATTERNS.strip().splitlines())
def test_each_pattern_before_the_rest_is_used_on_megabytes_quickly(row: str) -> None:
    module, name, use = row.split()
    pattern = getattr(importlib.import_module(module), name)
    units = (
        " ",
        "\r\n",
        "\r\ntransfer-encoding:",
        "a",
        "1",
        "1;",
        ",t=1",
        "_",
        "a_",
        "\\",
        "\u00e9",
    )
    for start, unit in product(STARTS, units):
        text: Any = much(unit, start, "\1") if start else much(unit)
        with quickly():
            getattr(pattern, use)(text if isinstance(pattern.pattern, str) else text.encode())
