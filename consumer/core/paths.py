"""Paths of fields: unambiguous segments inside the program, text for people.

A path is a tuple of segments from the payload's root. The segment `[]` is any item of an array,
`*` any key of an object used as a map; every other segment is a key. A key that equals one of these
markers, or begins with a backslash, stands with one backslash in front. So no key ever becomes
the segment ERASED, which stands where a name was taken out for good.
"""

from __future__ import annotations

import json
from collections.abc import Set

Path = tuple[str, ...]

ITEM = "[]"
ANY_KEY = "*"
ERASED = "\\erased"

# The names of the stored document's own fields: payload keys that collide are kept aside.
RESERVED = frozenset({"_id", "_meta", "schema_version", "processed_at"})

_MARKERS = {ITEM: ITEM, ANY_KEY: ANY_KEY, ERASED: "(erased)"}
_SPECIAL = frozenset('.[]*"\\')


def is_reserved(key: str) -> bool:
    """True for a key at the payload's top level that cannot stand there in the stored document."""
    return key in RESERVED or key.startswith("$")


def is_key(segment: str) -> bool:
    """True for a segment that is one literal key, not a marker."""
    return segment not in (ITEM, ANY_KEY, ERASED)


def to_segment(key: str) -> str:
    """The segment of a literal key."""
    return "\\" + key if key.startswith("\\") or not is_key(key) else key


def to_key(segment: str) -> str:
    """The literal key of a segment for which `is_key` holds."""
    return segment.removeprefix("\\")


def is_fillable(path: Path) -> bool:
    """True where a default may be filled in: objects only on the way, no reserved root."""
    return bool(path) and all(map(is_key, path)) and not is_reserved(to_key(path[0]))


def is_within_maps(path: Path, objects: Set[Path]) -> bool:
    """True for a path that is the `*` of one of these objects, or lies below it."""
    return any(
        segment == ANY_KEY and path[:at] in objects for at, segment in enumerate(path) if objects
    )


def to_text(path: Path) -> str:
    """The path as people read it: `agent_skills[].level`, `metrics.*`, `a."b.c"`, `a.(erased)`."""
    text = ""
    for segment in path:
        shown = _MARKERS.get(segment) or _shown(to_key(segment))
        text += shown if segment == ITEM or not text else "." + shown
    return text


def from_text(text: str) -> Path:
    """The path of a text that `to_text` could have written; raises ValueError with the position."""
    path: list[str] = []
    position = 0
    while position < len(text):
        if text.startswith(ITEM, position):
            path.append(ITEM)
            position += len(ITEM)
            continue
        if path:
            if text[position] != ".":
                raise ValueError(_fault(text, position, "expected '.' or '[]'"))
            position += 1
        segment, position = _read(text, position)
        path.append(segment)
    return tuple(path)


def _shown(key: str) -> str:
    if key and key.isprintable() and not _SPECIAL & set(key) and key == key.strip():
        return key
    return json.dumps(key, ensure_ascii=not key.isprintable())


def _read(text: str, start: int) -> tuple[str, int]:
    """One segment that is no `[]`, and the position after it."""
    if text.startswith('"', start):
        try:
            key, end = json.JSONDecoder().raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise ValueError(_fault(text, error.pos, "a quoted key does not end")) from None
        return to_segment(key), end
    end = start
    while end < len(text) and text[end] not in _SPECIAL:
        end += 1
    if text.startswith(ANY_KEY, end) and end == start:
        return ANY_KEY, end + 1
    if end == start:
        raise ValueError(_fault(text, start, "expected a key (an unusual one in double quotes)"))
    return to_segment(text[start:end]), end


def _fault(text: str, position: int, what: str) -> str:
    return f"{text[:200]!r} is not a path: {what} at position {position}"
