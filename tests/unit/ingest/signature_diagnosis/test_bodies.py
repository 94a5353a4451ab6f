"""The detective finds what changed a body on its way."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.support.evidence import BODY, HEADER, KEY, b64, found, mac


def compact(**options: Any) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps(json.loads(body), separators=(",", ":"), **options).encode()


REWRITINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("compact JSON", lambda b: b.replace(b", ", b",").replace(b": ", b":")),
    ("compact JSON with \\u escapes", lambda b: b'{"a":"\\u00e9"}'),
    ("indented by 2", lambda b: json.dumps({"a": "é"}, indent=2, ensure_ascii=False).encode()),
    ("LF", lambda b: b + b"\n"),
    ("CRLF", lambda b: b + b"\r\n"),
    ("with a byte order mark", lambda b: b"\xef\xbb\xbf" + b),
    ("(it arrived as UTF-8)", lambda b: b.decode().encode("latin-1")),
    ("UTF-16", lambda b: b.decode().encode("utf-16-le")),
    ("URL-encoded", lambda b: quote_plus(b).encode()),
    ("an empty body", lambda b: b""),
]


@pytest.mark.parametrize(("words", "signed"), REWRITINGS)
def test_a_rewritten_body_is_named(words: str, signed: Callable[[bytes], bytes]) -> None:
    arrived = '{"a": "é"}'.encode()
    finding = found({HEADER: b64(mac(signed(arrived)))}, arrived)

    assert finding is not None
    assert finding.kind == "body"
    assert words in finding.advice


ARRIVALS: list[tuple[str, bytes, bytes]] = [
    ("without its last line end", b"{}", b"{}\n"),
    ("LF line ends", b'{\n"a":1\n}', b'{\r\n"a":1\r\n}'),
    ("CRLF line ends", b'{\r\n"a":1\r\n}', b'{\n"a":1\n}'),
    ("without its byte order mark", b"{}", b"\xef\xbb\xbf{}"),
    ("UTF-8 (it arrived as Latin-1)", '{"a":"é"}'.encode(), '{"a":"é"}'.encode("latin-1")),
    ("Latin-1 (it arrived as UTF-8)", '{"a":"é"}'.encode(), '{"a":"Ã©"}'.encode()),
    ("Windows-1252 (it arrived as", b'{"a":"\x93"}', '{"a":"“"}'.encode()),
    ("sorted keys", b'{"a":1.10,"b":-0}', b'{"b":-0,"a":1.10}'),
    ("JavaScript", b'{"a":1,"b":2.5}', b'{"a": 1.0, "b": 2.5}'),
    ("escaped < > &", b'{"a":"\\u003cb\\u003e"}', b'{"a": "<b>"}'),
    ("System.Text.Json", b'{"a":"\\u00E9\\u0022\\u002B"}', '{"a": "é\\"+"}'.encode()),
    ("escaped slashes", b'{"a":"x\\/y"}', b'{"a": "x/y"}'),
    ("form-encoded", b'{"a":"b c"}', b"payload=%7B%22a%22%3A%22b+c%22%7D"),
    ("URL-decoded", b'{"a":"b c"}', b"%7B%22a%22%3A%22b+c%22%7D"),
    ("decompressed", b'{"a":1}', gzip.compress(b'{"a":1}', mtime=0)),
    ("inside the JSON string", b'{"a":1}', b'"{\\"a\\":1}"'),
]  # fmt: skip


@pytest.mark.parametrize(("words", "signed", "arrived"), ARRIVALS)
def test_a_body_changed_on_the_way_is_named(words: str, signed: bytes, arrived: bytes) -> None:
    finding = found({HEADER: b64(mac(signed))}, arrived)

    assert finding is not None
    assert finding.kind == "body"
    assert words in finding.advice


def test_two_differences_at_once_are_found_and_the_graver_names_the_kind() -> None:
    signed = BODY.replace(b", ", b",").replace(b": ", b":")
    finding = found({"x-hmac": mac(signed, KEY + b"\n").hex()})

    assert finding is not None
    assert finding.kind == "body"
    assert "CXONE_SIGNATURE_HEADER=X-Hmac and CXONE_SIGNATURE_ENCODING=hex" in finding.advice
    assert "at CXone seems to end with a newline" in finding.advice
