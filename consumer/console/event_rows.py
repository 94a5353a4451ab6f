"""Make a stored event rows of a tree, each marked: sent, filled at ingest, or backfilled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from consumer.core.paths import ANY_KEY, ITEM, RESERVED, Path, to_segment, to_text
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults
from consumer.schemas.provenance import filled_in

SENT, FILLED, BACKFILLED = "sent", "filled", "backfilled"
# Each mark as somebody who reads the data sees it, and its tone.
MARKS = {
    SENT: ("sent", "quiet"),
    FILLED: ("filled at ingest", "info"),
    BACKFILLED: ("backfilled", "warn"),
}
_MOST_ROWS = 1000
_MOST_VALUE = 300
# A key can be nearly as long as its event, and stands in the path of all below.
_MOST_NAME = 200
_MOST_JSON = 64 * 1024
_KINDS: Mapping[type, str] = {
    bool: "boolean", str: "string", dict: "object", list: "array", float: "number",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EventRow:
    """One value under its parent. `since` is the version that knows its field, None: none does."""

    name: str
    path: str
    depth: int
    kind: str
    value: str
    mark: str
    since: int | None


@dataclass(frozen=True, slots=True)
class Marked:
    """The rows, how many of each mark; `cut`: there are more."""

    rows: list[EventRow]
    counts: Mapping[str, int]
    cut: bool


def marked(
    document: Mapping[str, Any],
    shown: Mapping[str, Any],
    head: SchemaVersion | None,
    defaults: Defaults,
) -> Marked:
    """The payload of a document as rows; `shown` is the same with masks, and gives
    the values."""
    walk = _Walk(document, head, defaults)
    payload = {key: value for key, value in document.items() if key not in RESERVED}
    rows = list(islice(walk.rows(payload, shown, (), (), None), _MOST_ROWS + 1))
    cut = len(rows) > _MOST_ROWS
    rows = rows[:_MOST_ROWS]
    counts = {mark: sum(row.mark == mark for row in rows) for mark in MARKS}
    return Marked(rows, counts, cut)


def as_json(shown: Mapping[str, Any]) -> str:
    """The document as JSON, cut where it is long."""
    text = json.dumps(shown, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_JSON else f"{text[:_MOST_JSON]}\n\u2026 and more"


class _Walk:
    """One walk through a payload beside its masked copy."""

    def __init__(
        self, document: Mapping[str, Any], head: SchemaVersion | None, defaults: Defaults
    ) -> None:
        self._since: dict[Path, int] = {}
        self._marks: dict[Path, str] = {}
        if head is None:
            return
        self._since = {field.path: field.since for field in head.fields}
        at_ingest = (document.get("_meta") or {}).get("filled") or ()
        for position in filled_in(document, head, defaults):
            mark = FILLED if position in at_ingest else BACKFILLED
            self._marks[head.fields[position].path] = mark

    def rows(
        self,
        value: Any,
        shown: Any,
        place: Path,
        known: Path,
        mark: str | None,
    ) -> Iterator[EventRow]:
        """The rows below a value at `place`, whose field is `known`; `mark`: that of all below."""
        for name, child, seen, at, field in self._children(value, shown, place, known):
            here = mark or self._marks.get(at, SENT)
            yield EventRow(
                name=name,
                path=to_text(tuple(segment[:_MOST_NAME] for segment in at)),
                depth=min(len(at) - 1, 8),
                kind="null" if child is None else _KINDS.get(type(child), "integer"),
                value=text_of(seen),
                mark=here,
                since=self._since.get(field),
            )
            if isinstance(child, dict | list) and isinstance(seen, dict | list):
                # Below a filled object all is filled; what was sent is looked at field by field.
                yield from self.rows(child, seen, at, field, None if here == SENT else here)

    def _children(
        self, value: Any, shown: Any, place: Path, known: Path
    ) -> Iterator[tuple[str, Any, Any, Path, Path]]:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield f"[{index}]", item, shown[index], (*place, ITEM), (*known, ITEM)
            return
        for key, item in value.items():
            segment = to_segment(key)
            field = (*known, segment)
            if field not in self._since and (*known, ANY_KEY) in self._since:
                field = (*known, ANY_KEY)
            yield to_text((segment[:_MOST_NAME],)), item, shown[key], (*place, segment), field


def text_of(value: Any) -> str:
    """A value on one line; of lists and objects how much is in them."""
    if isinstance(value, dict):
        return f"{len(value):,} field{'' if len(value) == 1 else 's'}"
    if isinstance(value, list):
        return f"{len(value):,} item{'' if len(value) == 1 else 's'}"
    return on_one_line(value)


def on_one_line(value: Any) -> str:
    """Any value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_VALUE else f"{text[:_MOST_VALUE]}\u2026"
