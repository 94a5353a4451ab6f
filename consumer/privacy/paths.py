"""Read the paths that are to be hidden, and follow several of them at once into a payload.

Keys match in any case, and paths reach through lists whether they say so or not: a mask errs on the
side of hiding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from consumer.core.paths import ANY_KEY, ITEM, from_text, is_key, to_key

# The rest of each path that may yet be met; the empty one is met here.
Paths = frozenset[tuple[str, ...]]

ANY_DEPTH = "**"
_ANYWHERE = f"{ANY_DEPTH}."
_ESCAPES = {"~1": "/", "~0": "~"}


def read_paths(texts: Iterable[str]) -> Paths:
    """Paths as people write them: `customer.name`, `participants[].email`, `**.phone` (at any
    depth), or JSON Pointers. Raises ValueError with the position of what is none."""
    return frozenset(_read(text) for text in texts)


def met(paths: Paths) -> bool:
    """True where the value here is hidden as a whole."""
    return () in paths


def below(paths: Paths, key: str) -> Paths:
    """Rest of the paths below a key."""
    found, plain = set(), key.casefold()
    for path in paths:
        rest = path
        if path[:1] == (ANY_DEPTH,):
            found.add(path)
            rest = path[1:]
        if rest and rest[0] in (plain, ANY_KEY):
            found.add(rest[1:])
    return frozenset(found)


def any_below(paths: Paths) -> Paths:
    """Rest of the paths below some key."""
    found = {path for path in paths if path[:1] == (ANY_DEPTH,)}
    rests = (path[1:] if path[:1] == (ANY_DEPTH,) else path for path in paths)
    return frozenset(found | {rest[1:] for rest in rests if rest})


def inside(paths: Paths, index: int) -> Paths:
    """Rest of the paths in an item of a list: a JSON Pointer may count it."""
    return paths | {path[1:] for path in paths if path and path[0] == str(index)}


def pointer(text: str) -> tuple[str, ...]:
    """The keys of a JSON Pointer (RFC 6901)."""
    return tuple(
        re.sub("~[01]", lambda found: _ESCAPES[found[0]], part) for part in text[1:].split("/")
    )


def _read(text: str) -> tuple[str, ...]:
    if text.startswith("/"):
        return tuple(key.casefold() for key in pointer(text))
    path = from_text(text.removeprefix(_ANYWHERE))
    keys = tuple(to_key(s).casefold() if is_key(s) else s for s in path if s != ITEM)
    if not keys:
        raise ValueError(f"{text[:200]!r} names no field")
    return (ANY_DEPTH, *keys) if text.startswith(_ANYWHERE) else keys
