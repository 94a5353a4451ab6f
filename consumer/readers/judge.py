"""Judge what came after their versions for the readers that are pinned, and tell who is broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

from consumer.core.paths import Path
from consumer.readers.pins import Pin, Pins
from consumer.readers.verdicts import ENDINGS, Breach, Sight
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
class Tally:
    """The readers of a subject; `broken` are those that something broke, in how many fields."""

    readers: tuple[str, ...] = ()
    broken: Mapping[str, int] = field(default_factory=dict)


class Judge:
    """The breaches of the pins in a database; every method raises StoreUnavailable.

    `first_event` gives the `_id` of the first event that shows a version of a subject, by the id
    that the change names; `shown` is the path of a subject as people may see it.
    """

    def __init__(
        self,
        pins: Pins,
        schemas: Schemas,
        first_event: Callable[[str, int, str], str | None],
        shown: Callable[[Path, str], Path],
    ) -> None:
        self._pins = pins
        self._schemas = schemas
        self._first_event = first_event
        self._shown = shown
        # By subject: the pins and the newest version that it was judged for.
        self._tallied: dict[str, tuple[list[Pin], int, Tally]] = {}

    def pins(self, subject: str) -> list[Pin]:
        """The pins of a subject, by reader."""
        return self._pins.all(subject)

    def breaches(
        self, subject: str, upto: int, after: int = 0, pins: Collection[Pin] | None = None
    ) -> list[Breach]:
        """Breaches by the versions of a subject beyond `after`, up to `upto`, for people and
        programs: no hidden name in a path, no id of a sender in a change."""
        pins = self._pins.all(subject) if pins is None else pins
        known: dict[tuple[int, str], str | None] = {}
        return [
            self._told(subject, each, known) for each in broken(pins, self._schemas, upto, after)
        ]

    def tallies(self, newest: Mapping[str, int]) -> dict[str, Tally]:
        """The readers of every subject that has any, given the newest version of each."""
        found: dict[str, tuple[list[Pin], int, Tally]] = {}
        for subject, group in groupby(self._pins.all(), lambda pin: pin.subject):
            pins, upto = list(group), newest.get(subject, 0)
            known = self._tallied.get(subject)
            is_known = known is not None and known[:2] == (pins, upto)
            found[subject] = known if known and is_known else (pins, upto, self._tally(pins, upto))
        self._tallied = found
        return {subject: tally for subject, (_, _, tally) in found.items()}

    def _tally(self, pins: Sequence[Pin], upto: int) -> Tally:
        fields = {(each.reader, each.path) for each in broken(pins, self._schemas, upto)}
        counts = Counter(reader for reader, _ in fields)
        readers = tuple(pin.reader for pin in pins)
        return Tally(readers, {name: counts[name] for name in readers if counts[name]})

    def _told(
        self, subject: str, breach: Breach, known: dict[tuple[int, str], str | None]
    ) -> Breach:
        key = (breach.since or 0, breach.change.caused_by)
        if key not in known and all(key) and len(known) < _MOST_EVENTS:
            known[key] = self._first_event(subject, *key)
        path = self._shown(breach.path, subject)
        change = replace(breach.change, path=path, caused_by="")
        return replace(breach, path=path, change=change, first_event=known.get(key))


def broken(pins: Collection[Pin], schemas: Schemas, upto: int, after: int = 0) -> list[Breach]:
    """Breaches of pins of one subject by the versions beyond `after`, up to `upto`, each seen from
    its own version. An alias that was ended and is there again breaks nobody."""
    behind = [pin for pin in pins if pin.version < upto]
    if not behind:
        return []
    subject = behind[0].subject
    after = max(after, min(pin.version for pin in behind))
    # Most versions add fields only: then no pinned version is read.
    steps = [
        (step.version, telling)
        for step in schemas.changes_between(subject, after, upto)
        if (telling := [change for change in step.changes if change.kind in _TELLING])
    ]
    versions: dict[int, SchemaVersion | None] = {}
    found: list[Breach] = []
    for pin in behind:
        later = [step for step in steps if step[0] > pin.version]
        if later and pin.version not in versions:
            versions[pin.version] = schemas.version(subject, pin.version)
        version = versions.get(pin.version)
        # A pin whose version is lost sees nothing.
        if later and version is not None:
            found += _seen(Sight(pin.reader, version, pin.uses), later)
    return found


def _seen(sight: Sight, steps: Sequence[tuple[int, list[Change]]]) -> list[Breach]:
    found: list[Breach] = []
    for number, changes in steps:
        back = {change.path for change in changes if change.kind == "alias_added"}
        if back:
            found = [
                each
                for each in found
                if each.change.kind != "alias_removed" or each.change.path not in back
            ]
        found += (replace(each, since=number) for each in sight.breaches(changes))
    return found
