"""Find the fields that likely go on under another name, from counts of both together."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from itertools import takewhile
from math import sqrt
from operator import eq

from consumer.core.paths import ANY_KEY, ERASED, ITEM, Path
from consumer.schemas import json_types
from consumer.schemas.model import Field, SchemaVersion
from consumer.signals.signals import ALIKE, Finding
from consumer.signals.statistics import DAY, Day, Pair, Together

# A field was renamed: what came before it is looked at, and what came since.
_BEFORE = 28
_BACK = 7
_SINCE = 14
_NEW = 60
_LEAST_BEFORE = 50
_LEAST_DAYS = 14
_LEAST_SHARE = 0.05
_LEAST_NEW = 50
_LEAST_EXPECTED = 100
_LEAST_A_DAY = 20
# Of the rarer field this share may come beside the other.
_BESIDE = 0.02
# How far from the old share both together may be, of what the new one sends.
_MISFIT = 0.1
_UNSTEADY = 0.25
# Sampling errors within which nothing is seen.
_ERRORS = 4.0
_MOST_PAIRS = 40
_MOST_NEW = 200


def candidates(
    version: SchemaVersion, days: Sequence[Day], stopping: Callable[[], bool] = lambda: False
) -> list[Pair]:
    """Pairs of a new field and an older one whose share fell since, to be counted jointly from now
    on: the likeliest alone; not all of them once it is `stopping`."""
    found = []
    columns = _Columns(days)
    fell: dict[tuple[int, int | None, _Share], bool] = {}
    for (old, new), above, share in _before(version, days):
        since = [day for day in days[-_SINCE:] if day.day >= share.born]
        key = old, above, share
        if key not in fell:
            # As if every event sent the new one: the same for all that are new since.
            rows = ((d.day, Together(d.of(above), d.of(old), d.of(above))) for d in since)
            fell[key] = share.sums(rows).fell
        if not fell[key] or not any(new in day.fields for day in since):
            continue
        if stopping():
            break
        if likeness := _likeness_apart(version, columns, (old, new), above, share.born):
            found.append((-sum(likeness), (old, new)))
    return [pair for _, pair in sorted(found)[:_MOST_PAIRS]]


def with_field_above(
    version: SchemaVersion, pairs: Iterable[Pair]
) -> list[tuple[Pair, int | None]]:
    """Each pair with the field that both stand in; None: the payload."""
    positions = {each.path: at for at, each in enumerate(version.fields) if each.absorbed is None}
    found = []
    for pair in pairs:
        old, new = (version.fields[position].path for position in pair)
        found.append((pair, positions.get(old[: _common(old, new)])))
    return found


def renamed(version: SchemaVersion, days: Sequence[Day]) -> list[Finding]:
    """The pairs that were likely renamed, of each field the likeliest; those alone that were
    counted jointly."""
    counted: dict[Pair, list[tuple[datetime, Together]]] = {}
    for day in days[-_SINCE:]:
        for pair, both in day.pairs.items():
            counted.setdefault(pair, []).append((day.day, both))
    columns = _Columns(days)
    found = [
        finding
        for pair, above, share in (_before(version, days, counted) if counted else ())
        if _likeness_apart(version, columns, pair, above, share.born)
        if (finding := _renamed(version, pair, share.sums(counted[pair]), share.born))
    ]
    taken: set[Path | None] = set()
    best: list[Finding] = []
    for each in sorted(found, key=lambda each: -each.score):
        if each.path not in taken and each.to not in taken:
            taken |= {each.path, each.to}
            best.append(each)
    return best


def went_back(version: SchemaVersion, days: Sequence[Day], finding: Finding) -> bool:
    """True for a renaming that was taken back: for a week the old field comes as often as it did
    before, and the new one hardly ever."""
    positions = {each.path: at for at, each in enumerate(version.fields) if each.absorbed is None}
    old, new = positions.get(finding.path), positions.get(finding.to or ())
    if old is None or not days:
        return False
    begin = days[-1].day - _BACK * DAY
    if finding.since > begin:
        return False
    above = positions.get(finding.path[: _common(finding.path, finding.to or ())])
    week = [(d.of(above), d.of(old), d.of(new)) for d in days if d.day > begin]
    events, sent, other = (sum(counts) for counts in zip(*week, strict=True))
    expected = finding.figures["share_before"] * events
    sums = _Sums(events, sent, other, 0, expected, 0.0)
    least = max(_LEAST_EXPECTED, expected * (1 - _BESIDE) - sums.error)
    return bool(other <= _BESIDE * sent and sent >= least)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Events that may send two fields, how many sent the old, the new one and both, and how many
    would have sent the old one as before. `unsteady`: how far that was ever off, on a day."""

    events: int
    old: int
    new: int
    both: int
    expected: float
    unsteady: float

    @property
    def error(self) -> float:
        return _ERRORS * sqrt(max(1.0, self.expected * (1 - self.expected / max(1, self.events))))

    @property
    def fell(self) -> bool:
        """True where fewer sent the old one than ever before."""
        least = self.expected * (1 - _BESIDE) - self.error - self.unsteady
        return self.old < least

    @property
    def misfit(self) -> float:
        """Distance of both together from what the old one was."""
        return abs(self.old + self.new - self.both - self.expected)

    @property
    def is_rename(self) -> bool:
        steady = min(self.unsteady, _UNSTEADY * self.new)
        return (
            self.new >= max(_LEAST_NEW, self.error)
            and self.expected >= _LEAST_EXPECTED
            and self.both <= _BESIDE * min(self.old, self.new)
            and self.misfit <= max(_MISFIT * self.new, self.error, steady)
            and self.fell
        )


@dataclass(frozen=True, slots=True)
class _Share:
    """The share of an older field before a new one was `born`, for each day of the week, and how
    far apart those of single days were, more than by chance."""

    born: datetime
    shares: tuple[float, ...]
    apart: float

    def sums(self, rows: Iterable[tuple[datetime, Together]]) -> _Sums:
        events, old, new, both = Together()
        expected = 0.0
        for day, count in rows:
            events, old, new, both = Together(events, old, new, both) + count
            expected += count.events * self.shares[day.weekday()]
        return _Sums(events, old, new, both, expected, self.apart * events)


def _before(
    version: SchemaVersion, days: Sequence[Day], among: Collection[Pair] | None = None
) -> Iterator[tuple[Pair, int | None, _Share]]:
    """Each new field with each older one that could be meant (`among` these pairs), the field above
    both, and the share of the older one before."""
    fields = version.fields
    positions = {each.path: at for at, each in enumerate(fields) if each.absorbed is None}
    shares: dict[tuple[int, int | None, datetime, int], _Share | None] = {}
    for new, (at, before) in _born(version, days).items():
        path, since = fields[new].path, fields[new].since
        for old, known in enumerate(fields):
            if among is not None and (old, new) not in among:
                continue
            if not _may_be(known, fields[new]):
                continue
            above = positions.get(path[: _common(path, known.path)])
            # Of many new fields most are born alike: then an older one had one share before.
            key = old, above, at, since
            if key not in shares:
                shares[key] = _share(before, old, above, at)
            if share := shares[key]:
                yield (old, new), above, share


class _Columns:
    """The events of each day that sent a field."""

    def __init__(self, days: Sequence[Day]) -> None:
        self._days = days
        self._columns: dict[int | None, list[int]] = {}

    def since(self, born: datetime, position: int | None) -> list[int]:
        """Those from the day `born` on; None: all events."""
        if position not in self._columns:
            self._columns[position] = [day.of(position) for day in self._days]
        return self._columns[position][bisect_left(self._days, born, key=lambda day: day.day) :]


def _likeness_apart(
    version: SchemaVersion, columns: _Columns, pair: Pair, above: int | None, born: datetime
) -> tuple[float, float, float] | None:
    """The likeness of two fields, where it is enough; None where more events sent them than there
    were: so some sent both."""
    old, new, events = (columns.since(born, each) for each in (*pair, above))
    both = sum(max(0, a + b - of) for a, b, of in zip(old, new, events, strict=True))
    if both > _BESIDE * sum(map(min, old, new)):
        return None
    types, place, name = _likeness(*(version.fields[position] for position in pair))
    return (types, place, name) if types > 0 and (place > 0 or name >= ALIKE) else None


def _born(version: SchemaVersion, days: Sequence[Day]) -> dict[int, tuple[datetime, list[Day]]]:
    """The topmost fields that are new, each with the first day that it came and those before."""
    if not days or version.newest_added <= days[0].version:
        return {}
    found = {}
    for position, known in enumerate(version.fields):
        if known.since <= days[0].version or known.absorbed is not None or known.retired:
            continue
        first = next((day for day in days if position in day.fields), None)
        if first is not None and days[-1].day - first.day < _NEW * DAY:
            oldest = first.day - _BEFORE * DAY
            # A day on which the field came and did not come yet says nothing of before.
            before = [d for d in days if oldest <= d.day < first.day and d.version < known.since]
            found[position] = (first.day, before)
    paths = {version.fields[position].path for position in found}
    top = {at: each for at, each in found.items() if version.fields[at].path[:-1] not in paths}
    # So many at once were not renamed one by one.
    return top if len(top) <= _MOST_NEW else {}


def _may_be(old: Field, new: Field) -> bool:
    """True for two fields of which one may be the other under a new name: not around each other."""
    if old.absorbed is not None or old.retired is not None or old.since >= new.since:
        return False
    if ERASED in old.path or old.path[-1] in (ITEM, ANY_KEY) or new.path[-1] in (ITEM, ANY_KEY):
        return False
    return _common(old.path, new.path) < min(len(old.path), len(new.path))


def _likeness(old: Field, new: Field) -> tuple[float, float, float]:
    """Agreement of types, places and names, each from 0 to 1."""
    wide = json_types.INTEGER | json_types.NUMBER
    one, other = (each.mask | (wide if each.mask & wide else 0) for each in (old, new))
    types = 1.0 if one == other else 0.5 if one & other or not (one and other) else 0.0
    a, b = (re.sub(r"[^a-z0-9]", "", each.path[-1].lower()) for each in (old, new))
    return types, float(old.path[:-1] == new.path[:-1]), SequenceMatcher(None, a, b).ratio()


def _common(one: Path, other: Path) -> int:
    """The number of segments that two paths begin with alike."""
    return sum(1 for _ in takewhile(bool, map(eq, one, other)))


def _share(before: Sequence[Day], old: int, above: int | None, born: datetime) -> _Share | None:
    """The share of a field before; None where too little is known of it."""
    rows = [(d.day.weekday(), d.of(old), d.of(above)) for d in before]
    sent, events = sum(row[1] for row in rows), sum(row[2] for row in rows)
    if sent < _LEAST_BEFORE or len(before) < _LEAST_DAYS or sent < _LEAST_SHARE * events:
        return None
    shares = [sent / events] * 7
    weekdays = Counter(weekday for weekday, _, of in rows if of >= _LEAST_A_DAY)
    if len(weekdays) == 7 and min(weekdays.values()) > 1:
        for weekday in weekdays:
            of = [row for row in rows if row[0] == weekday]
            shares[weekday] = sum(row[1] for row in of) / sum(row[2] for row in of)
    usual = [(shares[day], part / of, of) for day, part, of in rows if of >= _LEAST_A_DAY]
    off = [share - part for share, part, _ in usual]
    by_chance = all(
        abs(share - part) <= _ERRORS * sqrt(max(share * (1 - share), 1 / of) / of)
        for share, part, of in usual
    )
    apart = 0.0 if by_chance else max(*off, 0.0) - min(*off, 0.0)
    return _Share(born, tuple(shares), apart)


def _renamed(version: SchemaVersion, pair: Pair, sums: _Sums, born: datetime) -> Finding | None:
    if not sums.is_rename:
        return None
    old, new = (version.fields[position] for position in pair)
    types, place, name = _likeness(old, new)
    fit = 1 - sums.misfit / sums.new
    score = fit * (0.5 + 0.2 * types + 0.15 * place + 0.15 * name)
    figures = {
        "events": sums.events,
        "together": sums.both,
        "old_share": round(sums.old / sums.events, 4),
        "new_share": round(sums.new / sums.events, 4),
        "share_before": round(sums.expected / sums.events, 4),
        "types_agree": types == 1,
        "same_place": place == 1,
        "names_agree": round(name, 2),
    }
    return Finding("renamed", old.path, new.path, born, round(score, 2), figures)
