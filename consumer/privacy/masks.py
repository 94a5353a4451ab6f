"""Mask a body: find the bytes that are to be hidden, though it may not be JSON.

The scan is lenient where JSON's parts are certain all the same (raw control characters in text, odd
numbers). Where they are not, no value is known to be harmless: a quote too many makes keys of
values, a brace too many moves them elsewhere. Then every value in front of the fault is hidden, and
behind it everything but JSON's own punctuation.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice

import msgspec

from config.settings import MASK
from consumer.privacy.paths import Paths, below, inside, met

# What may be seen where a body could not be read.
PUNCTUATION = b'{}[],:" \t\r\n'


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to before `end` of a body are hidden; `instead` stands for them in text."""

    start: int
    end: int
    instead: bytes


@dataclass(frozen=True, slots=True)
class MaskedBody:
    """A body and what of it is hidden. From byte `fault` on it could not be read."""

    raw: bytes
    spans: tuple[Span, ...] = ()
    fault: int | None = None

    @property
    def shown(self) -> bytes:
        """The body with masks; JSON stays JSON."""
        parts, at = [], 0
        for span in self.spans:
            parts += [self.raw[at : span.start], span.instead]
            at = span.end
        return b"".join([*parts, self.raw[at:]])

    def hidden(self, start: int, end: int) -> list[bool]:
        """For each byte in the range, True where it is hidden."""
        flags = [False] * max(0, min(end, len(self.raw)) - start)
        # A megabyte has half a million of them, and is shown in rows of 16 bytes.
        first = bisect_right(self.spans, start, key=_end)
        for span in islice(self.spans, first, None):
            if span.start >= end:
                break
            for at in range(max(span.start, start), min(span.end, start + len(flags))):
                flags[at - start] = at < self.certain or self.raw[at] not in PUNCTUATION
        return flags

    def hides(self, start: int, end: int) -> bool:
        """True where one mask covers the whole range."""
        first = bisect_right(self.spans, start, key=_end)
        return any(s.start <= start and end <= s.end for s in self.spans[first : first + 1])

    @property
    def certain(self) -> int:
        """Number of bytes that could be read."""
        return len(self.raw) if self.fault is None else self.fault


def _end(span: Span) -> int:
    return span.end


_INSTEAD = f'"{MASK}"'.encode()

_PIECE = re.compile(
    rb"[ \t\r\n]*(?:(?P<mark>[{}\[\],:])"
    rb'|(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")'
    rb"|(?P<word>-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity))",
    re.DOTALL,
)
_BOM = b"\xef\xbb\xbf"
# A string in which an object or a list of such, or of strings, may be written.
_IS_JSON = re.compile(r'[ \t\r\n\ufeff]*(?:\{[ \t\r\n]*["}]|\[[ \t\r\n]*["\[{]|")')
_MAY_OPEN = b'{["\\ \t\r\n\xef'
# What is read of a body that is no JSON: each piece costs microseconds.
MOST = 256 * 1024
# A longer string that is no JSON is not read to find that out.
_MOST_BROKEN = 16 * 1024
# JSON in a string in a string and so on; what lies deeper is hidden as a whole.
_LEVELS = 8
# Nothing is stored that is deeper than 100; keeping track of more would only cost time.
_DEPTH = 256
# Stars for all that may not be seen behind a fault.
_BLOT = bytes(byte if byte in PUNCTUATION else ord("*") for byte in range(256))


def mask(raw: bytes, paths: Paths, most: int = MOST) -> MaskedBody:
    """The body, with what the paths lead to hidden, in JSON in its strings too; null stays visible,
    for it says nothing of anybody and much to whoever looks for a fault.

    Of one that is no JSON about `most` bytes are read, as if it broke behind them.
    """
    scan = _Scan(raw, paths, 0)
    if len(raw) > most and not _is_json(raw):
        scan.most = most
    return scan.run(paths)


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def masked_text(text: str, paths: Paths, whole: Paths, level: int = 0) -> str:
    """A string as it may be shown. JSON in it is what its place says, to which `paths` go on, and
    perhaps a payload of its own, for which `whole` are the paths; the mask where it breaks."""
    if not whole or not _IS_JSON.match(text):
        return text
    # More texts begin with a quotation than are one.
    if text.lstrip(" \t\r\n\ufeff")[:1] == '"' and not _is_quoted(text):
        return text
    if level == _LEVELS:
        return MASK
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > _MOST_BROKEN and not _is_json(raw):
        return MASK
    body = _Scan(raw, whole, level + 1).run(paths | whole)
    if not body.spans:
        return text
    return body.shown.decode("utf-8", "surrogatepass") if body.fault is None else MASK


def _is_quoted(text: str) -> bool:
    try:
        return isinstance(json.loads(text.lstrip("\ufeff"), strict=False), str)
    except ValueError:
        return False


@dataclass(slots=True)
class _Level:
    """An object or list that is open: what may come next, and where in the paths we are."""

    is_object: bool
    paths: Paths
    may_end: bool = True
    expects_comma: bool = False
    index: int = 0


class _Fault(Exception):
    """From here on the body cannot be read."""


class _Scan:
    """One pass over a body; `_at` is the byte up to which it was read for certain."""

    def __init__(self, raw: bytes, whole: Paths, level: int) -> None:
        self._raw = raw
        self._whole = whole
        self._level = level
        self.most = len(raw)
        self._at = len(_BOM) if raw.startswith(_BOM) else 0
        self._spans: list[Span] = []
        self._values: list[tuple[int, int]] = []
        self._levels: list[_Level] = []
        # The depth of the value that is hidden as a whole, and where it began.
        self._hiding: tuple[int, int] | None = None

    def run(self, paths: Paths) -> MaskedBody:
        fault = None
        try:
            self._value(paths, self._at)
            while self._levels:
                self._step(self._levels[-1])
            if self._raw[self._at :].strip():
                fault = self._at
        except _Fault:
            fault = self._at
        if fault is not None:
            self._hide_all(fault)
        return MaskedBody(self._raw, tuple(self._spans), fault)

    def _hide_all(self, fault: int) -> None:
        """Hide every value in front of the fault, the keys below a masked one with it, and whatever
        is behind it; so in a masked value that did not end."""
        certain = fault if self._hiding is None else self._hiding[1]
        whole = [span for span in self._spans if span.instead == _INSTEAD]
        spans, at = [], 0
        for start, end in (*self._values, (certain, certain)):
            while at < len(whole) and whole[at].start <= start:
                spans.append(whole[at])
                at += 1
            if start < certain and not (spans and start < spans[-1].end):
                spans.append(Span(start, end, _INSTEAD))
        if rest := self._raw[certain:]:
            spans.append(Span(certain, len(self._raw), rest.translate(_BLOT)))
        self._spans = spans

    def _step(self, level: _Level) -> None:
        if self._at > self.most:
            raise _Fault
        found = self._piece(self._at)
        mark = found["mark"]
        if mark == (b"}" if level.is_object else b"]") and level.may_end:
            self._at = found.end()
            self._close()
        elif level.expects_comma:
            if mark != b",":
                raise _Fault
            self._at = found.end()
            level.index += 1
            level.may_end = level.expects_comma = False
        else:
            level.may_end = level.expects_comma = True
            if level.is_object:
                self._member(level, found)
            else:
                self._value(inside(level.paths, level.index), self._at)

    def _member(self, level: _Level, found: re.Match[bytes]) -> None:
        # Text is a key only where a colon follows.
        if found["text"] is None:
            raise _Fault
        colon = self._piece(found.end())
        if colon["mark"] != b":":
            raise _Fault
        key = _text(found["text"])
        self._at = colon.end()
        self._value(below(level.paths, key), self._at)

    def _value(self, paths: Paths, at: int) -> None:
        found = self._piece(at)
        mark, start = found["mark"], found.start(found.lastgroup or 0)
        if mark not in (None, b"{", b"["):
            raise _Fault
        if len(self._levels) == _DEPTH:
            raise _Fault
        self._at = found.end()
        hides = met(paths) and self._hiding is None and found["word"] != b"null"
        if mark is not None:
            if hides:
                self._hiding = len(self._levels), start
            self._levels.append(_Level(mark == b"{", paths))
        elif found["word"] != b"null":
            self._values.append((start, self._at))
            if hides:
                self._hide(start)
            elif found["text"] is not None and self._hiding is None:
                self._hide_inside(start, found["text"], paths)

    def _close(self) -> None:
        self._levels.pop()
        if self._hiding is not None and self._hiding[0] == len(self._levels):
            start, self._hiding = self._hiding[1], None
            self._hide(start)

    def _hide_inside(self, start: int, quoted: bytes, paths: Paths) -> None:
        # Nearly all strings are told by their first byte.
        if quoted[1] not in _MAY_OPEN:
            return
        try:
            text = _text(quoted)
        except _Fault:
            return
        if (shown := masked_text(text, paths, self._whole, self._level)) != text:
            self._spans.append(Span(start, self._at, _quoted(shown)))

    def _hide(self, start: int) -> None:
        self._spans.append(Span(start, self._at, _INSTEAD))

    def _piece(self, at: int) -> re.Match[bytes]:
        found = _PIECE.match(self._raw, at)
        if found is None:
            raise _Fault
        return found


def _quoted(text: str) -> bytes:
    try:
        return json.dumps(text, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(text).encode()


def _text(quoted: bytes) -> str:
    text = quoted.decode("utf-8", "surrogateescape")
    if "\\" not in text:
        return text[1:-1]
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        raise _Fault from None
