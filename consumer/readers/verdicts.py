"""Judge what a change means for a program that reads one version of a subject."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from consumer.core.paths import ANY_KEY, ITEM, Path, is_key
from consumer.readers.pins import Pin
from consumer.schemas.json_types import INTEGER, NUMBER, OBJECT
from consumer.schemas.model import Change, Field, SchemaVersion
from consumer.schemas.planned import Planned

# The version that a reader is pinned to is there no more, as after a restore: nobody can tell what
# breaks it.
LOST = "version_lost"
# What a reader knew comes no more.
ENDINGS = frozenset({"vanished", "renamed", "alias_removed"})


@dataclass(frozen=True, slots=True)
class Breach:
    """A change that breaks a reader: at the path that it knows, from the types that it knows.

    `since` is the version that brought it, `first_event` the `_id` of the first event that shows
    it, where that is known; what a signal says is so `at` a time.
    """

    reader: str
    version: int
    path: Path
    change: Change
    since: int | None = None
    first_event: str | None = None
    at: datetime | None = None

    @property
    def is_lost(self) -> bool:
        """True where the reader's version is lost, whatever changed: the path is that of all."""
        return self.change.kind == LOST

    @property
    def is_end(self) -> bool:
        """True where what the reader knew comes no more."""
        return self.change.kind in ENDINGS


class Sight:
    """The paths and types that a reader sees, who is pinned to `version` and uses `uses` of it
    (nothing named: all)."""

    def __init__(self, reader: str, version: SchemaVersion, uses: Collection[Path] = ()) -> None:
        self.reader = reader
        self.version = version.number
        self._pinned = version
        self._known = {field.path: field for field in version.live if _is_used(field.path, uses)}
        # Paths through maps match more than one text; few schemas have any.
        self._through_maps = [path for path in self._known if ANY_KEY in path]

    def breaches(self, changes: Iterable[Change]) -> Iterator[Breach]:
        """Those of the changes that break the reader, once for each path that it knows."""
        for change in changes:
            for field in self._touched(change.path):
                if _breaks(change, field.mask):
                    yield self._breach(field, change)
            if change.kind == "type_conflict" and change.path[-1] == ITEM:
                # Items came where an array had stood for an empty object only.
                for field in self._touched(change.path[:-1]):
                    if field.mask & OBJECT and (*field.path, ITEM) not in self._known:
                        yield self._breach(field, change)

    def breaches_by(self, planned: Planned) -> Iterator[Breach]:
        """The breaches by what may be sent, also by what was sent before."""
        return self.breaches(planned.changes(self._pinned))

    def _breach(self, field: Field, change: Change) -> Breach:
        return Breach(self.reader, self.version, field.path, replace(change, before=field.mask))

    def _touched(self, path: Path) -> Iterator[Field]:
        """The known fields that a change at this path is about."""
        if ANY_KEY in path:
            alike = [known for known in self._known if _may_be(known, path)]
        elif path in self._known:
            alike = [path]
        else:
            alike = [known for known in self._through_maps if _may_be(known, path)]
        return (self._known[known] for known in alike)


def sights(
    pins: Iterable[Pin], version_of: Callable[[str, int], SchemaVersion | None]
) -> list[Sight]:
    """All that the pins see; `version_of` gives a version by subject and number. A pin whose
    version is lost sees nothing."""
    found = ((pin, version_of(pin.subject, pin.version)) for pin in pins)
    return [Sight(pin.reader, version, pin.uses) for pin, version in found if version is not None]


def _breaks(change: Change, known: int) -> bool:
    """True for a change of a field of which the reader knows these types."""
    if change.kind in ENDINGS:
        return True
    if change.kind == "type_widened":
        return bool(known & INTEGER and change.after & NUMBER)
    # Of a path without a type the reader is shown null, whatever comes.
    return change.kind == "type_conflict" and bool(known and change.after & ~known)


def _is_used(path: Path, uses: Collection[Path]) -> bool:
    """True for a used path, what it stands in, and what stands in it."""
    return not uses or any(_may_be(path[: len(use)], use[: len(path)]) for use in uses)


def _may_be(one: Path, other: Path) -> bool:
    """True where one value may be at both paths, for a `*` is any key."""
    return len(one) == len(other) and all(
        a == b or (ANY_KEY in (a, b) and is_key(a if b == ANY_KEY else b))
        for a, b in zip(one, other, strict=True)
    )
