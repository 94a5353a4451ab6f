"""Decisions of a user about schemas: contracts, pins, defaults and guards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from consumer.core.paths import Path, from_text
from consumer.schemas.json_types import ARRAY, BOOLEAN, INTEGER, NUMBER, OBJECT, STRING

Choice = Literal["evolve", "hold"]
# Bounds on the filling of a schema, where nobody says otherwise.
MAX_BYTES = 65_536
MAX_FIELDS = 1000


@dataclass(frozen=True, slots=True)
class Guards:
    """Bounds on what is registered, never on what is stored.

    Depth counts the segments of a path; sizes are in paths, characters or bytes of UTF-8;
    `version_bytes` keeps a version well below MongoDB's 16 MiB for one document.
    """

    depth: int = 32
    paths_per_event: int = 2000
    paths_per_subject: int = 2000
    path_bytes: int = 1024
    version_bytes: int = 6_000_000
    subjects: int = 1000
    subject_characters: int = 256
    versions_per_hour: int = 60
    map_children: int = 100


@dataclass(frozen=True, slots=True)
class Contract:
    """Rule for a delivery that would add a field, or a type to a field that has one.

    Version 1 is always admitted and widening always evolves, unless it breaks a reader and
    `on_reader_break` holds that.
    """

    on_new_field: Choice = "evolve"
    on_type_conflict: Choice = "evolve"
    # Dead letters wait for what the text of a contract says: it stays what it was.
    on_reader_break: Choice = field(default="evolve", repr=False)

    @property
    def may_hold(self) -> bool:
        return "hold" in (self.on_new_field, self.on_type_conflict, self.on_reader_break)


@dataclass(frozen=True, slots=True)
class Pins:
    """Objects and maps named by hand; what is both is an object. A map that is registered stays
    one: only `schema unmap` undoes it."""

    objects: frozenset[Path] = frozenset()
    maps: frozenset[Path] = frozenset()

    def undone_by(self, maps: frozenset[Path]) -> list[Path]:
        """The objects that stand here and are maps all the same."""
        return sorted(self.objects & maps)

    def with_objects(self, objects: frozenset[Path]) -> Pins:
        """These pins and further objects."""
        return Pins(self.objects | objects, self.maps) if objects else self


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for known fields that are absent: an explicit one, else null, or with `typed`
    the empty value of the type where exactly one is known; `nothing` at all where nobody wants it.

    The fields of a schema that are filled take `max_bytes` in a document at most, and are
    `max_fields` at most.
    """

    typed: bool = False
    values: Mapping[Path, Any] = field(default_factory=dict)
    nothing: bool = False
    max_bytes: int = MAX_BYTES
    max_fields: int = MAX_FIELDS

    def frozen(self) -> Defaults:
        """These defaults with no bounds of the settings, also where nothing is filled at ingest: a
        reader's view fills what it shows."""
        return Defaults(self.typed, self.values)

    def value(self, path: Path, types: int, *, has_items: bool) -> Any:
        """The default at `path`, whose known types are the mask `types`; without an item an array
        may stand for an empty object, so beside one it is no type. Containers are shared: copy them
        before they go into a document."""
        if path in self.values:
            return self.values[path]
        if types & OBJECT and not has_items:
            types &= ~ARRAY
        return _TYPED.get(types) if self.typed else None


_TYPED: dict[int, Any] = {
    STRING: "",
    INTEGER: 0,
    NUMBER: 0,
    BOOLEAN: False,
    ARRAY: [],
    OBJECT: {},
}


@dataclass(frozen=True, slots=True)
class SubjectPolicy:
    """The rules of one subject."""

    contract: Contract = Contract()
    pins: Pins = Pins()
    defaults: Defaults = Defaults()


@dataclass(frozen=True, slots=True)
class SchemaPolicy:
    """The policy of every subject: its own, or the general one."""

    general: SubjectPolicy = SubjectPolicy()
    subjects: Mapping[str, SubjectPolicy] = field(default_factory=dict)
    guards: Guards = Guards()

    def of(self, subject: str) -> SubjectPolicy:
        return self.subjects.get(subject, self.general)


def subject_policy(
    *,
    on_new_field: Choice | None = None,
    on_type_conflict: Choice | None = None,
    on_reader_break: Choice | None = None,
    typed: bool = False,
    nothing: bool = False,
    defaults: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
    max_fields: int = MAX_FIELDS,
    maps: Iterable[str] = (),
    objects: Iterable[str] = (),
) -> SubjectPolicy:
    """A policy from settings, whose paths are texts; raises ValueError that names the wrong one."""
    return SubjectPolicy(
        contract=Contract(
            on_new_field or "evolve", on_type_conflict or "evolve", on_reader_break or "evolve"
        ),
        pins=Pins(frozenset(map(from_text, objects)), frozenset(map(from_text, maps))),
        defaults=Defaults(
            typed,
            {from_text(text): value for text, value in (defaults or {}).items()},
            nothing,
            max_bytes,
            max_fields,
        ),
    )
