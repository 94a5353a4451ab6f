"""List the bytes a sender may have signed, given the body that arrived.

Among them are the same JSON as the libraries of others serialize it.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote_plus, unquote_to_bytes

# Reading and writing JSON costs more than hashing it.
_MAX_JSON = 128 * 1024
# URL-encoding and indenting run in Python, character by character.
_MAX_SLOW = 16 * 1024
_MAX_BYTES = 2 * 1024 * 1024


def bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """(what it is, bytes) for each variant that differs from the body and from those before."""
    seen = [body]
    for what, variant in _variants(body):
        if variant is not None and len(variant) <= _MAX_BYTES and variant not in seen:
            seen.append(variant)
            yield what, variant


def _variants(body: bytes) -> Iterator[tuple[str, bytes | None]]:
    for what, make in _BYTE_VARIANTS:
        try:
            yield what, make(body)
        except (UnicodeError, zlib.error):
            continue
    if len(body) <= _MAX_JSON:
        yield from json_serializations(body)
        yield from _form_fields(body)


def _form_fields(body: bytes) -> Iterator[tuple[str, bytes]]:
    if b"=" not in body[:64]:
        return
    try:
        fields = parse_qsl(body, keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return
    for _name, value in fields:
        yield "the value of a form field: the body is form-encoded", value


def _lf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n")


def _one_newline_less(body: bytes) -> bytes | None:
    if body.endswith(b"\r\n"):
        return body[:-2]
    return body[:-1] if body.endswith(b"\n") else None


def _url_decoded(body: bytes) -> bytes | None:
    if b"%" not in body or len(body) > _MAX_SLOW:
        return None
    return unquote_to_bytes(body.replace(b"+", b" "))


def _url_encoded(body: bytes) -> bytes | None:
    return quote_plus(body).encode("ascii") if len(body) <= _MAX_SLOW else None


def _inflated(body: bytes) -> bytes | None:
    if body[:2] not in (b"\x1f\x8b", b"\x78\x9c"):
        return None
    return zlib.decompressobj(wbits=47).decompress(body, _MAX_BYTES)


_BYTE_VARIANTS: Sequence[tuple[str, Callable[[bytes], bytes | None]]] = (
    ("the body without its last line end", _one_newline_less),
    ("the body with a line end (LF) after it", lambda body: body + b"\n"),
    ("the body with a line end (CRLF) after it", lambda body: body + b"\r\n"),
    ("the body with CRLF line ends", lambda body: _lf(body).replace(b"\n", b"\r\n")),
    ("the body with LF line ends", _lf),
    ("the body without blanks around it", lambda body: body.strip()),
    ("the body without its byte order mark", lambda body: body.removeprefix(b"\xef\xbb\xbf")),
    ("the body with a byte order mark before it", lambda body: b"\xef\xbb\xbf" + body),
    ("UTF-8 (it arrived as Latin-1)", lambda body: body.decode("latin-1").encode("utf-8")),
    ("UTF-8 (it arrived as Windows-1252)", lambda body: body.decode("cp1252").encode("utf-8")),
    ("Latin-1 (it arrived as UTF-8)", lambda body: body.decode("utf-8").encode("latin-1")),
    ("Windows-1252 (it arrived as UTF-8)", lambda body: body.decode("utf-8").encode("cp1252")),
    ("UTF-16", lambda body: body.decode("utf-8").encode("utf-16-le")),
    ("URL-decoded text", _url_decoded),
    ("URL-encoded text", _url_encoded),
    ("an empty body", lambda _body: b""),
    ("the body decompressed", _inflated),
)


# Number texts travel through the parser in strings marked by private-use characters.
_OPEN, _CLOSE = "\ue000", "\ue001"
_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
_WHOLE_FLOAT = re.compile(r"\.0+(?![0-9])|[eE]")


@dataclass(frozen=True, slots=True)
class Serialization:
    """A way to serialize JSON: `separators` are of items and keys, `escapes` replace characters,
    `upper` is of hex in escapes; those that are not `common` are left out for large bodies."""

    what: str
    separators: tuple[str, str] = (",", ":")
    ascii: bool = False
    sort: bool = False
    indent: int | None = None
    upper: bool = False
    common: bool = False
    whole_floats: bool = True
    escapes: Sequence[tuple[str, str]] = ()


_SPACED = (", ", ": ")
_HTML = [(c, f"\\u{ord(c):04x}") for c in "<>&"]
_DOT_NET = [('\\"', "\\u0022"), *((c, f"\\u{ord(c):04X}") for c in "<>&'+`")]

_SERIALIZATIONS = (
    Serialization("compact JSON", common=True),
    Serialization("JSON with a blank after commas and colons", _SPACED, common=True),
    Serialization("compact JSON with \\u escapes", ascii=True, common=True),
    Serialization("JSON with blanks and \\u escapes", _SPACED, ascii=True, common=True),
    Serialization(
        "compact JSON with whole numbers instead of 1.0 (JavaScript)",
        whole_floats=False,
        common=True,
    ),
    Serialization("compact JSON with sorted keys", sort=True, common=True),
    Serialization("JSON with sorted keys and blanks", _SPACED, sort=True, common=True),
    Serialization("compact JSON with sorted keys and \\u escapes", ascii=True, sort=True),
    Serialization("JSON with sorted keys, blanks and \\u escapes", _SPACED, ascii=True, sort=True),
    Serialization("compact JSON with escaped < > & (Go, Java)", escapes=_HTML),
    Serialization("compact JSON with sorted keys and escaped < > & (Go)", sort=True, escapes=_HTML),
    Serialization("compact JSON with escaped slashes (PHP)", ascii=True, escapes=[("/", "\\/")]),
    Serialization(
        "compact JSON as System.Text.Json writes it", ascii=True, upper=True, escapes=_DOT_NET
    ),
    Serialization("JSON indented by 2", (",", ": "), indent=2),
    Serialization("JSON indented by 4", (",", ": "), indent=4),
)


def json_serializations(body: bytes) -> Iterator[tuple[str, bytes]]:
    """(what it is, bytes) for each serialization of the JSON; nothing where the body is none."""
    try:
        text = body.decode("utf-8-sig")
        exact = json.loads(text, parse_float=_marked, parse_int=_marked)
        # Reading a second time pays only where there is a whole number to shorten.
        whole = (
            json.loads(text, parse_float=_whole, parse_int=_marked)
            if _WHOLE_FLOAT.search(text)
            else exact
        )
    except (ValueError, RecursionError):
        return
    for each in _SERIALIZATIONS:
        if each.common or len(body) <= _MAX_SLOW:
            try:
                yield each.what, _serialized(exact if each.whole_floats else whole, each)
            except (ValueError, RecursionError):
                # Half a surrogate pair, NaN, or nesting that Python cannot write.
                continue
    if isinstance(exact, str):
        yield "the text inside the JSON string that arrived", exact.encode("utf-8", "replace")


def _serialized(value: Any, style: Serialization) -> bytes:
    text = json.dumps(
        value,
        ensure_ascii=style.ascii,
        separators=style.separators,
        sort_keys=style.sort,
        indent=style.indent,
    )
    if style.ascii:
        text = text.replace('"\\ue000', "").replace('\\ue001"', "")
    else:
        text = text.replace(f'"{_OPEN}', "").replace(f'{_CLOSE}"', "")
    if style.upper:
        text = _ESCAPE.sub(lambda found: "\\u" + found[0][2:].upper(), text)
    for character, escape in style.escapes:
        text = text.replace(character, escape)
    return text.encode("utf-8")


def _marked(number: str) -> str:
    """The number as its sender wrote it: 1.10 must not become 1.1."""
    return f"{_OPEN}{number}{_CLOSE}"


def _whole(number: str) -> float | int:
    value = float(number)
    return int(value) if value.is_integer() and abs(value) < 1e21 else value
