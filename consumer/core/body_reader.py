"""Read all that a body holds, within bounds: JSON, JSON in its strings, form fields, gzip."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from consumer.core.json_repairs import repair

# What packing and quoting may hide one in the other; each may be as long as what it stands in.
LEVELS = 8
# Of all that one body unpacks to: a megabyte of gzip may hold a thousand.
_UNPACKED_BYTES = 16 * 1024 * 1024
_FORM_FIELDS = 10_000
# Of one gzip file: each copies what stands behind it.
_MEMBERS = 100
# gzip, and zlib's own heads.
_PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_FORM = re.compile(rb"[\w%.+*~\[\]-]{1,1024}=")
_MAY_BE_JSON = re.compile(r'[\s\ufeff]*[{\["]')
_NAME = re.compile(r"[^\[\].]+")
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(["\\/]))')
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class BodyContent:
    """Content of a body: `documents` are the body, also with the strings that are JSON opened in
    their places; `inner` are the strings' values, each by itself; `texts` is what could be read as
    text alone. Unless `whole`, something could not be read, or lies beyond the bounds."""

    documents: list[Any] = field(default_factory=list)
    inner: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    whole: bool = True


def read_body(body: bytes) -> BodyContent:
    """Read all that a body holds."""
    found = BodyContent()
    for _ in range(LEVELS):
        if not body.startswith(_PACKED):
            break
        body, whole = _unpacked(body)
        found.whole = found.whole and whole
    if not body:
        return found
    document = _json(body)
    if not document and _FORM.match(body.lstrip()):
        document = _form(body)
    repaired = None if document else repair(body, safe_only=False)
    if repaired:
        document = _json(repaired.body)
    if document:
        _open(document[0], found)
        return found
    found.whole = False
    bodies = (body, repaired.body) if repaired else (body,)
    found.texts += [each.decode("utf-8", "replace") for each in bodies]
    return found


def read_document(document: Any) -> BodyContent:
    """Read all that the strings of a parsed document hold."""
    found = BodyContent()
    _open(document, found)
    return found


def parse_inner(text: str) -> Any:
    """The value that is written in a string as JSON; None where none is."""
    if not _MAY_BE_JSON.match(text):
        return None
    try:
        return msgspec.json.decode(text.lstrip("\ufeff").encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, RecursionError):
        return None


def unescaped(text: str) -> Iterator[str]:
    """A text that cannot be parsed, then the same with its escapes resolved, level by level."""
    yield text
    for _ in range(LEVELS):
        if "\\" not in text:
            return
        plain = _ESCAPE.sub(_character, text)
        if plain == text:
            return
        text = plain
        if _SURROGATE.search(text):
            # Characters beyond the first plane are written as two escapes.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        yield text


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else escape[2]


def _open(document: Any, found: BodyContent) -> None:
    found.documents.append(document)
    try:
        whole = _opened(document, 0, found)
    except RecursionError:
        # Nothing is stored that deep.
        found.whole = False
        return
    if found.inner:
        found.documents.append(whole)


def _opened(value: Any, level: int, found: BodyContent) -> Any:
    """The value with its strings opened, those of what is in them too."""
    if isinstance(value, dict):
        for key in value:
            # A form may have no names, only one value.
            _opened(key, level, found)
        return {key: _opened(item, level, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_opened(item, level, found) for item in value]
    if not isinstance(value, str) or not _MAY_BE_JSON.match(value):
        return value
    if level == LEVELS:
        found.whole = False
        return value
    inner = parse_inner(value)
    if inner is None:
        found.texts.append(value)
        return value
    at = len(found.inner)
    whole = _opened(inner, level + 1, found)
    found.inner.insert(at, whole)
    return whole


def _json(body: bytes) -> list[Any]:
    """The value in a list of one; none where there is no JSON."""
    try:
        return [msgspec.json.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _form(body: bytes) -> list[Any]:
    """The fields of a form, and those that their names nest: `a[b]=1` and `a.b=1` are also
    {"a": {"b": "1"}}. Each stands in a list, with others of its name."""
    text = body.decode("utf-8", "replace")
    form: dict[str, Any] = {}
    for encoding in ("utf-8", "windows-1252"):
        try:
            pairs = parse_qsl(
                text, keep_blank_values=True, encoding=encoding, max_num_fields=_FORM_FIELDS
            )
        except ValueError:
            return []
        for name, value in pairs:
            _put(form, [name], value)
            if len(names := _NAME.findall(name)[:32]) > 1:
                _put(form, names, value)
        if not any("\ufffd" in name or "\ufffd" in value for name, value in pairs):
            break
    return [form]


def _put(form: dict[str, Any], names: list[str], value: str) -> None:
    for name in names[:-1]:
        held = form.setdefault(name, [])
        if not held or not isinstance(held[0], dict):
            held.insert(0, {})
        form = held[0]
    form.setdefault(names[-1], []).append(value)


def _unpacked(body: bytes) -> tuple[bytes, bool]:
    """Unpack gzip or zlib as far as it goes; True beside it where that is all."""
    parts: list[bytes] = []
    room = _UNPACKED_BYTES
    for _ in range(_MEMBERS):
        if not body.startswith(_PACKED):
            return b"".join(parts), not body.strip(b"\0")
        packer = zlib.decompressobj(wbits=47)
        try:
            parts.append(packer.decompress(body, room))
        except zlib.error:
            return b"".join(parts) or body, False
        room -= len(parts[-1])
        if not packer.eof or room <= 0:
            return b"".join(parts), False
        body = packer.unused_data
        if not body:
            return b"".join(parts), True
    return b"".join(parts), False
