"""Give bodies new ids, at whichever places a source has its id, so that none is a duplicate."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from config.signing import CONST, HEADER

# Above, programs that read numbers as doubles would see two ids as one.
_EXACT = 2**53 - 1


def freshened(
    body: bytes, places: Sequence[str], new_id: Callable[[], UUID]
) -> tuple[bytes, dict[str, str]] | None:
    """The body, and headers by names in lower case, with a new id at the first of the places where
    one can be: one new part makes a joined id a new one. None where there is no such place."""
    for place in places:
        if place.startswith(HEADER):
            return body, {place.removeprefix(HEADER).lower(): str(new_id())}
        fresh = None if place.startswith(CONST) else with_fresh_id(body, place, new_id)
        if fresh is not None:
            return fresh, {}
    return None


def with_fresh_id(body: bytes, field: str, new_id: Callable[[], UUID]) -> bytes | None:
    """The body with a new id in `field` (a key, or a JSON Pointer from `/` on), of the type the old
    one had, for another type would be a change of the schema.

    Everything else keeps its value; blanks do not matter to JSON and go. None when there is no
    such id to replace.
    """
    try:
        event = json.loads(body)
        holder, key = _holder(event, field)
        old = holder[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if isinstance(old, str):
        holder[key] = str(new_id())
    elif isinstance(old, int) and not isinstance(old, bool):
        holder[key] = new_id().int & _EXACT
    else:
        return None
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair: only its escape can be sent.
        return json.dumps(event, separators=(",", ":")).encode()


def _holder(event: Any, field: str) -> tuple[Any, Any]:
    """The object (or array) that holds the id, and its key there; RFC 6901 for pointers."""
    if not field.startswith("/"):
        return event, field
    *path, last = (step.replace("~1", "/").replace("~0", "~") for step in field[1:].split("/"))
    for step in path:
        event = event[int(step) if isinstance(event, list) else step]
    return event, int(last) if isinstance(event, list) else last
