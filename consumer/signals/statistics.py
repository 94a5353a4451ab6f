"""Count which fields events send, by hour and day, and say it in figures and words; no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from consumer.core.clock import HOUR
from consumer.core.paths import ANY_KEY, ITEM, RESERVED, Path, to_key
from consumer.schemas import json_types
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults
from consumer.schemas.provenance import filled_in

HOURS = 24
DAY = timedelta(days=1)
# A null has no type; here it has a bit beside those of the types.
NULL = 64
_BITS = {kind: json_types.BITS[name] for name, kind in json_types.PYTHON_TYPES.items()}
_BITS[type(None)] = NULL
# Bytes of the fields in a document: with all else it stays below 40 KB.
_MOST_BYTES = 32_000
# Of a number among them.
_MOST_BITS = 63


class Seen(NamedTuple):
    """A field in the events of a day: how many sent it, and as null; all its types and the hours in
    which it came, as bits."""

    sent: int
    null: int
    types: int
    hours: int


class Together(NamedTuple):
    """Two fields in the events that may send both: how many sent the old, the new one, and both."""

    events: int = 0
    old: int = 0
    new: int = 0
    both: int = 0

    def __add__(self, other: Together) -> Together:  # type: ignore[override]
        return Together(*map(sum, zip(self, other, strict=True)))


Pair = tuple[int, int]


@dataclass(slots=True)
class Day:
    """The events of a subject that were looked at on a day (UTC), by hour, and the fields that they
    sent, by position; `version` is the newest schema known then. `pairs` (old, new) are counted
    jointly."""

    day: datetime
    version: int
    looked_at: list[int] = field(default_factory=lambda: [0] * HOURS)
    fields: dict[int, Seen] = field(default_factory=dict)
    pairs: dict[Pair, Together] = field(default_factory=dict)

    @property
    def events(self) -> int:
        return sum(self.looked_at)

    def of(self, position: int | None) -> int:
        """Events that sent a field; None: all events."""
        if position is None:
            return self.events
        seen = self.fields.get(position)
        return seen.sent if seen else 0

    def add(self, other: Day) -> None:
        """Take in what was counted of the same day since."""
        self.version = max(self.version, other.version)
        self.looked_at = [a + b for a, b in zip(self.looked_at, other.looked_at, strict=True)]
        for position, new in other.fields.items():
            old = self.fields.get(position, Seen(0, 0, 0, 0))
            self.fields[position] = Seen(
                old.sent + new.sent,
                old.null + new.null,
                old.types | new.types,
                old.hours | new.hours,
            )
        for pair, both in other.pairs.items():
            self.pairs[pair] = self.pairs.get(pair, Together()) + both


def day_of(at: datetime) -> datetime:
    """The beginning of the day (UTC) that holds `at`."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def pack(fields: Mapping[int, Seen]) -> bytes:
    """The fields as bytes, about ten each; those at the highest positions are left out where they
    would be more than a document may hold."""
    packed = bytearray()
    last = 0
    for position in sorted(fields):
        seen = fields[position]
        row = bytearray()
        for number in (position - last, seen.sent, seen.null):
            while number > 127:
                row.append(number & 127 | 128)
                number >>= 7  # noqa: PLW2901 - its next seven bits
            row.append(number)
        row.append(seen.types)
        row += seen.hours.to_bytes(3, "little")
        if len(packed) + len(row) > _MOST_BYTES:
            break
        packed += row
        last = position
    return bytes(packed)


def unpack(packed: bytes) -> dict[int, Seen]:
    """The fields that `pack` packed; raises LookupError for other bytes."""
    fields: dict[int, Seen] = {}
    at = position = 0
    while at < len(packed):
        numbers = []
        for _ in range(3):
            number = shift = 0
            while (byte := packed[at]) > 127:
                number |= (byte & 127) << shift
                shift += 7
                at += 1
                if shift > _MOST_BITS:
                    raise LookupError
            numbers.append(number | byte << shift)
            at += 1
        position += numbers[0]
        hours = packed[at + 1] | packed[at + 2] << 8 | packed[at + 3] << 16
        fields[position] = Seen(numbers[1], numbers[2], packed[at], hours)
        at += 4
    return fields


@dataclass(slots=True)
class _Node:
    """A live field, by its position, and what is known below it; the root has none."""

    position: int = -1
    keys: dict[str, _Node] = field(default_factory=dict)
    any_key: _Node | None = None
    item: _Node | None = None


class Count:
    """Counts documents of one subject as they were sent, given a version not older than theirs."""

    def __init__(self, head: SchemaVersion, defaults: Defaults) -> None:
        self._head = head
        self._defaults = defaults
        self._root = _Node()
        self._below: dict[int, frozenset[int]] = {}
        self._filled: dict[tuple[int, int], bool] = {}
        self.days: dict[datetime, Day] = {}
        places: dict[Path, _Node] = {(): self._root}
        live = (each for each in enumerate(head.fields) if each[1].absorbed is None)
        for position, known in sorted(live, key=lambda each: len(each[1].path)):
            node = places[known.path] = _Node(position)
            above, segment = places[known.path[:-1]], known.path[-1]
            if segment == ANY_KEY:
                above.any_key = node
            elif segment == ITEM:
                above.item = node
            else:
                above.keys[to_key(segment)] = node

    def add(self, document: Mapping[str, Any], pairs: Sequence[tuple[Pair, int | None]]) -> bool:
        """Count one event; False where it is left out, for nobody can tell what it sent. `pairs`
        each with the field above both, None for none."""
        meta = document["_meta"]
        stamped, upto = document["schema_version"], meta.get("backfilled_to", 0)
        was_filled = stamped < upto and self._fills_between(stamped, upto)
        if was_filled and meta.get("untracked"):
            return False
        seen: dict[int, int] = {}
        _walk({name: document[name] for name in document if name not in RESERVED}, self._root, seen)
        if shadowed := meta.get("shadowed"):
            _walk({each["name"]: each["value"] for each in shadowed}, self._root, seen)
        filled = meta.get("filled") or ()
        if was_filled:
            filled = list(filled_in(document, self._head, self._defaults))
        for position in filled:
            if seen.pop(position, 0) & json_types.OBJECT:
                for below in self._all_below(position):
                    seen.pop(below, None)
        self._count(document["processed_at"], seen, pairs)
        return True

    def _count(
        self, at: datetime, seen: Mapping[int, int], pairs: Sequence[tuple[Pair, int | None]]
    ) -> None:
        day = self.days.get(day_of(at))
        if day is None:
            none_yet = {pair: Together() for pair, _ in pairs}
            day = self.days[day_of(at)] = Day(day_of(at), self._head.number, pairs=none_yet)
        day.looked_at[at.hour] += 1
        hour, none = 1 << at.hour, Seen(0, 0, 0, 0)
        for position, types in seen.items():
            sent, null, known, hours = day.fields.get(position, none)
            is_null = null + 1 if types & NULL else null
            day.fields[position] = Seen(sent + 1, is_null, known | types & ~NULL, hours | hour)
        for pair, above in pairs:
            if above is None or above in seen:
                old, new = pair[0] in seen, pair[1] in seen
                day.pairs[pair] = day.pairs.get(pair, Together()) + Together(
                    1, old, new, old and new
                )

    def _fills_between(self, stamped: int, upto: int) -> bool:
        """True where a backfill from one version to another fills anything at all."""
        known = self._filled.get((stamped, upto))
        if known is None:
            known = any(stamped < each.fill_from <= upto for each in self._head.fields)
            self._filled[stamped, upto] = known
        return known

    def _all_below(self, position: int) -> frozenset[int]:
        if position not in self._below:
            path = self._head.fields[position].path
            self._below[position] = frozenset(
                at
                for at, each in enumerate(self._head.fields)
                if len(each.path) > len(path) and each.path[: len(path)] == path
            )
        return self._below[position]


def _walk(value: Any, node: _Node, seen: dict[int, int]) -> None:
    members: Iterable[tuple[Any, _Node | None]]
    if isinstance(value, dict):
        any_key, keys = node.any_key, node.keys
        members = ((child, any_key or keys.get(key)) for key, child in value.items())
    else:
        members = ((child, node.item) for child in value) if node.item else ()
    for child, below in members:
        if below is None:
            continue
        bit = _BITS.get(type(child))
        if bit is None:
            bit = _bit(child)
        seen[below.position] = seen.get(below.position, 0) | bit
        if bit >= json_types.OBJECT and bit != NULL:
            _walk(child, below, seen)


def _bit(value: Any) -> int:
    """The type of a value that BSON has a class of its own for: integers of 64 bits and more."""
    is_number = isinstance(value, int) or hasattr(value, "to_decimal")
    return json_types.INTEGER if is_number else 0


@dataclass(frozen=True, slots=True)
class FieldFigures:
    """A field over some days: events that sent it, as null, and the end of the last hour in which
    one did (None: never)."""

    sent: int = 0
    null: int = 0
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """All fields of a subject over some days, by position; `upto` is the last hour with events."""

    days: int
    looked_at: int = 0
    upto: datetime | None = None
    fields: Mapping[int, FieldFigures] = field(default_factory=dict)

    def document(self, position: int) -> dict[str, Any]:
        """The figures of a field for programs."""
        found = self.fields.get(position, FieldFigures())
        return {"sent": found.sent, "null": found.null, "last_sent": found.last}

    def share(self, position: int) -> float | None:
        """The share of the events that sent a field; None where none was looked at."""
        found = self.fields.get(position, FieldFigures())
        return found.sent / self.looked_at if self.looked_at else None

    def text(self, position: int, now: datetime) -> str:
        """The same in words; "" where no event was looked at."""
        if not self.looked_at or self.upto is None:
            return ""
        found = self.fields.get(position)
        if found is None or found.last is None:
            return "not sent"
        text = f"sent by {percent(found.sent, self.looked_at)}"
        if found.null:
            text += f", null in {percent(found.null, self.looked_at)}"
        # Events are looked at later than they come: an hour of which nobody knows says nothing.
        if found.last < self.upto and now - found.last >= HOUR:
            text += f", last sent at least {span(now - found.last)} ago"
        return text


def figures(days: Sequence[Day], number: int) -> Figures:
    """The figures of these days, out of `number` that were asked for."""
    sums: dict[int, FieldFigures] = {}
    for day in days:
        for position, seen in day.fields.items():
            was = sums.get(position, FieldFigures())
            last = day.day + seen.hours.bit_length() * HOUR
            sums[position] = FieldFigures(
                was.sent + seen.sent, was.null + seen.null, max(was.last or last, last)
            )
    ends = [day.day + (at + 1) * HOUR for day in days for at in range(HOURS) if day.looked_at[at]]
    return Figures(number, sum(day.events for day in days), max(ends, default=None), sums)


def looked_at(figures: Figures) -> str:
    """Words for the events that figures are of."""
    days = f"the last {figures.days} days" if figures.days > 1 else "today (UTC)"
    if not figures.looked_at:
        return f"no events of {days}: they are looked at five minutes after they came"
    return f"{figures.looked_at:,} events of {days}"


def percent(part: int, whole: int) -> str:
    """A share for people; it is all or nothing only where it is so."""
    rounded = round(100 * part / whole)
    if rounded == 0 and part:
        return "under 1 %"
    return "over 99 %" if rounded == 100 and part < whole else f"{rounded} %"


def span(time: timedelta) -> str:
    """A time in whole hours, or in days where they are more than two."""
    hours = int(time // HOUR)
    return f"{hours} h" if hours < 2 * HOURS else f"{hours // HOURS} d"
