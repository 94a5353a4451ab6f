"""List the bytes a sender may have signed, given the body that arrived."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import parse_qsl, quote_plus, unquote_to_bytes

from consumer.detective.json_writings import json_writings

# Reading and writing JSON costs more than hashing it.
_MAX_JSON = 128 * 1024
# URL-encoding runs in Python, character by character.
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
        yield from json_writings(body)
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
