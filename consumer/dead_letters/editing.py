"""Let people edit a body whose masked values they may not see, and show the difference.

A masked value stands in the text as a numbered placeholder, and is restored afterwards. It may
stand in masked fields alone: moved elsewhere it would come to light.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from consumer.core.text import safe
from consumer.privacy.masks import MaskedBody
from consumer.privacy.rules import Redaction

Bodies = Callable[[bytes], Sequence[MaskedBody]]

_PLACEHOLDER = re.compile(rb'"\[masked ([1-9][0-9]{0,5})\]"')
_MARK = b"[masked "
# Where a body could not be read: a text as far as it goes, and what stands between punctuation.
_HIDDEN = re.compile(rb'"[^"]+(?:"|\Z)|[^{}\[\],:" \t\r\n]+')
# Escapes of JSON: two halves of a pair, a letter, anything else.
_ESCAPE = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|.)",
    re.DOTALL,
)
# JSON on one line falls into its members; line feeds stay visible.
_PIECE = re.compile(rb"[^,{}\[\]\n]*(?:[,{}\[\]\n]|\Z)")
# Finding the smallest difference takes time that grows with the square of what differs.
_MAX_PIECES = 2000
_MAX_LINES = 200
_MAX_WIDTH = 200


class NotEditable(Exception):
    """The body cannot be edited without being seen; the text says why."""


class Misplaced(Exception):
    """A placeholder is none of the body's, or stands where its value would be seen."""


@dataclass(frozen=True, slots=True)
class Editable:
    """A body as text that may be shown: `values` are what its placeholders stand for."""

    text: bytes
    values: Mapping[int, bytes]


def editable(body: MaskedBody) -> Editable:
    """The body with placeholders for what is masked; raises NotEditable. Of one that cannot be read
    to its end that is every value, and where it breaks every word: what `restore` takes back is in
    masked fields alone, and the rest is written anew."""
    if body.spans and _MARK in body.raw:
        raise NotEditable("Its text looks like the placeholder of a masked value.")
    parts: list[bytes] = []
    values: dict[int, bytes] = {}
    at = 0
    for number, (start, end) in enumerate(_hidden(body), start=1):
        values[number] = body.raw[start:end]
        parts += [body.raw[at:start], b'"[masked %d]"' % number]
        at = end
    return Editable(b"".join([*parts, body.raw[at:]]), values)


def _hidden(body: MaskedBody) -> Iterator[tuple[int, int]]:
    for span in body.spans:
        if body.fault is None or span.end < len(body.raw) or span.end <= body.fault:
            yield span.start, span.end
        else:
            found = _HIDDEN.finditer(body.raw, span.start)
            yield from (each.span() for each in found)


def readable(body: bytes) -> bytes:
    """JSON with letters beyond ASCII as themselves, not as `\\u00fc`; all else as it is."""
    return _ESCAPE.sub(_letter, body)


def _letter(escape: re.Match[bytes]) -> bytes:
    high, low, one = escape.groups()
    if not (high or one):
        return escape[0]
    letter = bytes.fromhex((high + low if high else one).decode()).decode("utf-16-be", "replace")
    shown = letter.isprintable() and letter > "\x7f" and letter != "\ufffd"
    return letter.encode() if shown else escape[0]


def sides(lines: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Lines of a `difference` side by side: what was and what is; alike where nothing changed, and
    None where there is nothing opposite."""
    rows: list[tuple[str | None, str | None]] = []
    for is_changed, run in groupby(lines, lambda line: line[:1] in ("-", "+")):
        group = list(run)
        if is_changed:
            was = [line[1:] for line in group if line.startswith("-")]
            now = [line[1:] for line in group if line.startswith("+")]
            rows += zip_longest(was, now)
        else:
            rows += [(line, line) for line in group]
    return rows


def restore(text: bytes, values: Mapping[int, bytes], bodies: Bodies) -> bytes:
    """The edited text with the values in place of their placeholders; raises Misplaced unless each
    will be masked there, in all the `bodies` that the whole one may be."""
    parts: list[bytes] = []
    places: list[tuple[int, int]] = []
    at = length = 0
    for found in _PLACEHOLDER.finditer(text) if values else ():
        value = values.get(int(found[1]))
        if value is None:
            raise Misplaced(f"There is no masked value {int(found[1])}.")
        parts += [text[at : found.start()], value]
        start = length + found.start() - at
        length = start + len(value)
        places.append((start, length))
        at = found.end()
    body = b"".join([*parts, text[at:]])
    # Masked once, for a body may have thousands of them.
    if places and not all(each.hides(*place) for each in bodies(body) for place in places):
        raise Misplaced("A masked value may only stand where it is masked: put it back there.")
    return body


def masker(masks: Redaction, known: str | None, type_of: Callable[[bytes], str | None]) -> Bodies:
    """A body as it is masked for events of the type that is `known` of the entry, and for those of
    the type that the body has."""
    return lambda body: [masks.body(body, each) for each in {known, type_of(body)}]


def difference(before: bytes, after: bytes) -> list[str]:
    """Lines that begin with `-` (was), `+` (is) or a space (around it), free of control characters;
    at most some 200, and the last one then says so."""
    old, new = _PIECE.findall(before), _PIECE.findall(after)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    context = slice(max(0, start - 1), start)
    left, right = old[start : len(old) - end], new[start : len(new) - end]
    lines = [" " + _shown(piece) for piece in old[context]]
    if max(len(left), len(right)) > _MAX_PIECES:
        lines += ["-" + _shown(piece) for piece in left[: _MAX_LINES // 2]]
        lines += ["+" + _shown(piece) for piece in right[: _MAX_LINES // 2]]
        return [*lines, f"… {len(left)} pieces became {len(right)}: only the first are shown"]
    found = difflib.unified_diff([_shown(p) for p in left], [_shown(p) for p in right], n=1)
    lines += [line.rstrip("\n") for line in list(found)[2:] if not line.startswith("@@")]
    if len(lines) > _MAX_LINES:
        return [*lines[:_MAX_LINES], f"… and {len(lines) - _MAX_LINES} lines more"]
    return lines


def _common(old: list[bytes], new: list[bytes]) -> int:
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _shown(piece: bytes) -> str:
    text = piece.decode("utf-8", "backslashreplace").replace("\n", "\\n")
    # The mark cannot be seen, and is often the whole difference.
    text = safe(text).replace("\ufeff", "\\ufeff")
    return text if len(text) <= _MAX_WIDTH else f"{text[:_MAX_WIDTH]}…"
