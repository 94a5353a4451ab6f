"""Repair a body that is almost JSON, by named repairs that never invent what is not there."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# A string of escapes takes a hundred times its size while it is matched.
_MOST_BYTES = 4 * 1024 * 1024
# One string, or what is left of one that never ends: so a scan goes over each byte once, whatever
# the input holds.
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_STRINGS = re.compile(_STRING, re.DOTALL)
# Runs, for each match costs a hundred bytes: a body may hold millions.
_CONTROLS = re.compile(rb"[\x00-\x1f]+")
# RFC 8259, section 7: what may follow a backslash.
_ESCAPES = re.compile(rb'((?:[^\\]+|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})){1,4096})|\\')
_TRAILING_COMMA = re.compile(rb"(" + _STRING + rb")|,(?=[ \t\r\n]{0,4096}[}\]])", re.DOTALL)
# A character of several bytes (RFC 3629, section 4).
_UTF_8 = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_SHORT = {8: rb"\b", 9: rb"\t", 10: rb"\n", 12: rb"\f", 13: rb"\r"}
_ESCAPED = [_SHORT.get(code, b"\\u%04x" % code) for code in range(32)]


@dataclass(frozen=True, slots=True)
class Repair:
    """One row. `apply` gives the body unchanged where there is nothing of its kind to repair.

    `safe`: there is one way to read such a body, so that it may be done without asking.
    """

    name: str
    safe: bool
    help: str
    apply: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Repaired:
    """A body after the repairs `names`, which all changed something."""

    body: bytes
    names: tuple[str, ...]


def repair(body: bytes, *, safe_only: bool) -> Repaired | None:
    """The body after all repairs that apply; None when none does, or it is larger than 4 MiB or
    gets so. It may still not be JSON: only reading it tells."""
    wanted = [row for row in TABLE if row.safe or not safe_only]
    return _applied(body, wanted)


def repair_by_name(body: bytes, names: Sequence[str]) -> Repaired | None:
    """The body after the repairs of these names, as an entry recorded them."""
    return _applied(body, [row for row in TABLE if row.name in names])


def _applied(body: bytes, rows: Sequence[Repair]) -> Repaired | None:
    names: list[str] = []
    for row in rows:
        if len(body) > _MOST_BYTES:
            return None
        changed = row.apply(body)
        if changed != body:
            body = changed
            names.append(row.name)
    return Repaired(body, tuple(names)) if names else None


def _utf_16(body: bytes) -> bytes:
    # RFC 4627, section 3: JSON begins with two ASCII characters, so zeros tell the encoding.
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif body[1:2] == b"\0" and body[:1] in b'{["':
        encoding = "utf-16-le"
    elif body[:1] == b"\0" and body[1:2] in b'{["':
        encoding = "utf-16-be"
    else:
        return body
    return _decoded(body, encoding)


def _windows_1252(body: bytes) -> bytes:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        # One character that was cut off, or text of both encodings: what is UTF-8 is correct.
        return body if _UTF_8.search(body) else _decoded(body, "windows-1252")
    return body


def _decoded(body: bytes, encoding: str) -> bytes:
    try:
        return body.decode(encoding).encode("utf-8")
    except UnicodeError:
        return body


def _byte_order_mark(body: bytes) -> bytes:
    return body.removeprefix(codecs.BOM_UTF8)


def _control_characters(body: bytes) -> bytes:
    def escaped(string: re.Match[bytes]) -> bytes:
        return _CONTROLS.sub(_escape, string[0])

    return _STRINGS.sub(escaped, body) if _CONTROLS.search(body) else body


def _escape(controls: re.Match[bytes]) -> bytes:
    return b"".join([_ESCAPED[code] for code in controls[0]])


def _invalid_escapes(body: bytes) -> bytes:
    def doubled(found: re.Match[bytes]) -> bytes:
        return found[1] or rb"\\"

    return _STRINGS.sub(lambda string: _ESCAPES.sub(doubled, string[0]), body)


def _trailing_comma(body: bytes) -> bytes:
    return _TRAILING_COMMA.sub(lambda found: found[1] or b"", body)


# In the order in which they are applied: bytes first, then characters, then grammar. Each repairs
# what JSON never allows, so none can alter a body that is JSON.
TABLE = (
    Repair("utf_16", False, "read as UTF-16 instead of UTF-8", _utf_16),
    Repair("byte_order_mark", True, "byte-order mark removed", _byte_order_mark),
    Repair("windows_1252", False, "read as Windows-1252 instead of UTF-8", _windows_1252),
    Repair("control_characters", True, "raw control characters escaped", _control_characters),
    Repair("invalid_escapes", False, "backslashes that escape nothing doubled", _invalid_escapes),
    Repair("trailing_comma", False, "comma before } or ] removed", _trailing_comma),
)
