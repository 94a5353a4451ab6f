"""Judge what came after their versions for the readers that are pinned, and tell who is broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import groupby, takewhile
from typing import Protocol

from consumer.core.paths import Path
from consumer.readers.pins import Pin, Pins
from consumer.readers.verdicts import ENDINGS, LOST, Breach, Sight, sights
from consumer.schemas.model import Change, SchemaVersion
from consumer.schemas.registry.versions import VersionChanges

_TELLING = ENDINGS | {"type_widened", "type_conflict", "alias_added"}
# Each costs a look-up in an index.
_MOST_EVENTS = 100


class Schemas(Protocol):
    """Versions of all subjects, as the registry has them; each method raises StoreUnavailable."""

    def version(self, subject: str, number: int) -> SchemaVersion | None:
        """A version by its number."""

    def changes_between(self, subject: str, after: int, upto: int) -> Iterator[VersionChanges]:
        """Changes of the versions beyond `after`, up to and with `upto`, oldest first."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A field of a subject that comes no more: `vanished` or `renamed`, since a time."""

    subject: str
    kind: str
    path: Path
    at: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """The readers of a subject; `broken` are those that something broke, in how many fields, and
    `lost` those of them whose version is lost."""

    readers: tuple[str, ...] = ()
    broken: Mapping[str, int] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()


class Judge:
    """The breaches of the pins in a database; every method raises StoreUnavailable.

    `first_event` gives the `_id` of the first event that shows a version of a subject, by the id
    that the change names; `shown` is the path of a subject as people may see it; `endings` are
    those of a subject, or of all.
    """

    def __init__(
        self,
        pins: Pins,
        schemas: Schemas,
        first_event: Callable[[str, int, str], str | None],
        shown: Callable[[Path, str], Path],
        endings: Callable[[str | None], Iterable[Ending]],
    ) -> None:
        self._pins = pins
        self._schemas = schemas
        self._first_event = first_event
        self._shown = shown
        self._endings = endings
        # By subject: the pins, the newest version and the endings that it was judged for.
        self._tallied: dict[str, tuple[list[Pin], int, list[Ending], Tally]] = {}

    def pins(self, subject: str) -> list[Pin]:
        """The pins of a subject, by reader."""
        return self._pins.all(subject)

    def breaches(self, subject: str, upto: int, after: int = 0) -> list[Breach]:
        """Breaches by the versions of a subject beyond `after`, up to `upto`, for people and
        programs: no hidden name in a path, no id of a sender in a change."""
        pins = self._pins.all(subject)
        return self._told(subject, broken(pins, self._schemas, upto, after))

    def would_break(self, version: SchemaVersion | None) -> list[Breach]:
        """The same by the changes of a version that is not registered yet, if there is one."""
        if version is None:
            return []
        seen = sights(self._pins.all(version.subject), self._schemas.version)
        found = (breach for sight in seen for breach in sight.breaches(version.changes))
        return self._told(version.subject, [replace(each, since=version.number) for each in found])

    def standing(self, subject: str, upto: int, pins: Collection[Pin]) -> list[Breach]:
        """The same of these pins by all versions up to `upto`, and by the fields that come no
        more."""
        endings = self._endings(subject) if pins else ()
        return self._told(subject, self._standing(pins, upto, endings))

    def tallies(
        self,
        newest_of_all: Callable[[], Mapping[str, int]],
        stopping: Callable[[], bool] = lambda: False,
    ) -> dict[str, Tally]:
        """The readers of every subject that has any; the newest version of each is asked for only
        where there are any. Once it is `stopping` some are missing, or not judged by all."""
        found: dict[str, tuple[list[Pin], int, list[Ending], Tally]] = {}
        everyone = self._pins.all()
        newest = newest_of_all() if everyone else {}
        endings: dict[str, list[Ending]] = {}
        for each in self._endings(None) if everyone else ():
            endings.setdefault(each.subject, []).append(each)
        for subject, group in groupby(everyone, lambda pin: pin.subject):
            judged = list(group), newest.get(subject, 0), endings.get(subject, [])
            known = self._tallied.get(subject)
            tally = known[3] if known and known[:3] == judged else self._tally(*judged, stopping)
            if stopping():
                break
            found[subject] = (*judged, tally)
        else:
            self._tallied = found
        return {subject: tally for subject, (*_, tally) in found.items()}

    def _standing(
        self,
        pins: Collection[Pin],
        upto: int,
        endings: Iterable[Ending],
        stopping: Callable[[], bool] = lambda: False,
    ) -> Iterator[Breach]:
        yield from broken(pins, self._schemas, upto, stopping=stopping, tell_lost=True)
        yield from ended(pins, self._schemas, upto, endings, stopping)

    def _tally(
        self,
        pins: Collection[Pin],
        upto: int,
        endings: Iterable[Ending],
        stopping: Callable[[], bool],
    ) -> Tally:
        breaches = list(self._standing(pins, upto, endings, stopping))
        counts = Counter(reader for reader, _ in {(each.reader, each.path) for each in breaches})
        readers = tuple(pin.reader for pin in pins)
        lost = frozenset(each.reader for each in breaches if each.is_lost)
        return Tally(readers, {name: counts[name] for name in readers if counts[name]}, lost)

    def _told(self, subject: str, breaches: Iterable[Breach]) -> list[Breach]:
        known: dict[tuple[int, str], str | None] = {}
        told = []
        for each in breaches:
            key = (each.since or 0, each.change.caused_by)
            if key not in known and all(key) and len(known) < _MOST_EVENTS:
                known[key] = self._first_event(subject, *key)
            path = self._shown(each.path, subject)
            change = replace(each.change, path=path, caused_by="")
            told.append(replace(each, path=path, change=change, first_event=known.get(key)))
        return told


def broken(
    pins: Collection[Pin],
    schemas: Schemas,
    upto: int,
    after: int = 0,
    stopping: Callable[[], bool] = lambda: False,
    *,
    tell_lost: bool = False,
) -> list[Breach]:
    """Breaches of pins of one subject by the versions beyond `after`, up to `upto`, each seen from
    its own version; and where that is asked for, by the loss of that. Not of all pins once it is
    `stopping`. An alias that was ended and is there again breaks nobody."""
    behind = [pin for pin in pins if pin.version < upto]
    subject = behind[0].subject if behind else ""
    after = max(after, min((pin.version - tell_lost for pin in behind), default=upto))
    there = {upto} if upto else set()
    steps: list[tuple[int, list[Change]]] = []
    # Most versions add fields only: then no pinned version is read.
    for step in schemas.changes_between(subject, after, upto) if behind else ():
        there.add(step.version)
        if telling := [change for change in step.changes if change.kind in _TELLING]:
            steps.append((step.version, telling))
    gone = [
        pin
        for pin in (pins if tell_lost else ())
        if pin.version not in there
        # What lies beyond may be there, too, where nobody asks for the newest.
        and (pin.version < upto or schemas.version(pin.subject, pin.version) is None)
    ]
    versions: dict[int, SchemaVersion | None] = {}
    found = [Breach(pin.reader, pin.version, (), Change(LOST, (), None, 0)) for pin in gone]
    for pin in behind:
        if stopping():
            break
        later = [step for step in steps if step[0] > pin.version]
        if later and pin.version not in versions:
            versions[pin.version] = schemas.version(subject, pin.version)
        version = versions.get(pin.version)
        if version is not None:
            found += _seen(Sight(pin.reader, version, pin.uses), later)
    return found


def ended(
    pins: Collection[Pin],
    schemas: Schemas,
    upto: int,
    endings: Iterable[Ending],
    stopping: Callable[[], bool],
) -> list[Breach]:
    """Breaches of pins of one subject by fields that come no more; not of all pins once it is
    `stopping`. Where an alias of the newest version, `upto`, fills such a field from another one
    nobody is broken."""
    endings = list(endings)
    if not endings:
        return []
    # Most are pinned to the newest one.
    version_of = cache(schemas.version)
    head = version_of(next(iter(pins)).subject, upto)
    aliases = head.aliases_in_force if head else ()
    filled = {alias.old for alias in aliases if alias.new is not None}
    changes = [
        (each.at, Change(each.kind, each.path, None, 0))
        for each in endings
        if not _lineage(each.path) & filled
    ]
    return [
        replace(breach, at=at)
        for pin in takewhile(lambda _: not stopping(), pins if changes else ())
        for sight in sights([pin], version_of)
        for at, change in changes
        for breach in sight.breaches([change])
    ]


def _lineage(path: Path) -> set[Path]:
    """The path and all that it stands in."""
    return {path[:length] for length in range(1, len(path) + 1)}


def _seen(sight: Sight, steps: Sequence[tuple[int, list[Change]]]) -> list[Breach]:
    found: list[Breach] = []
    for number, changes in steps:
        back = {change.path for change in changes if change.kind == "alias_added"}
        found = [
            each
            for each in found
            if each.change.kind != "alias_removed" or each.change.path not in back
        ]
        found += (replace(each, since=number) for each in sight.breaches(changes))
    return found
