"""Redaction rules: the paths hidden of each subject, in bodies, payloads, documents and schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from config.settings import MASK
from consumer.core.paths import ANY_KEY, ITEM, RESERVED, Path, is_key, to_key, to_text
from consumer.privacy.masks import MOST, MaskedBody, mask, masked_text
from consumer.privacy.paths import ANY_DEPTH, Paths, any_below, below, inside, met, pointer
from consumer.schemas.aliases import led_to
from consumer.schemas.manual_changes import without_names
from consumer.schemas.maps import is_personal, names_one
from consumer.schemas.model import Change, SchemaVersion

# Fields of which one is filled from the other, by their keys.
AliasPairs = frozenset[tuple[Path, Path]]


def no_aliases(_: str | None) -> AliasPairs:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Redaction:
    """The paths whose values are hidden: of every subject, and of single ones besides.

    Where the subject is not known (None), what any subject hides is hidden.
    """

    general: Paths = frozenset()
    subjects: Mapping[str, Paths] = field(default_factory=dict)
    # Where event ids stand, of any source: keys and JSON Pointers. They are shown in more places
    # than payloads, and not always with their source.
    id_fields: tuple[str, ...] = ("id",)
    # The one subject of all types, where they evolve together: what any of them hides is hidden.
    together: str | None = None
    # The aliases of a subject (None: of any), those that ended too, as far as they are known here:
    # whoever hides one of two fields hides the value that both have.
    aliases: Callable[[str | None], AliasPairs] = no_aliases

    def __bool__(self) -> bool:
        return bool(self.general or any(self.subjects.values()))

    def body(self, raw: bytes, subject: str | None = None, most: int = MOST) -> MaskedBody:
        """A body as received; of one that is no JSON about `most` bytes are read."""
        paths = self._paths(subject)
        return mask(raw, paths, most) if paths else MaskedBody(raw)

    def value(self, payload: Any, subject: str | None = None) -> Any:
        """A masked copy of a payload that was read."""
        paths = self._paths(subject)
        return _masked(payload, paths, paths)

    def document(self, document: Mapping[str, Any], subject: str | None = None) -> dict[str, Any]:
        """A masked copy of a document of `events`, with what it keeps aside in `_meta`."""
        paths = self._paths(subject)
        shown = {
            key: value if key in RESERVED else _masked(value, below(paths, key), paths)
            for key, value in document.items()
        }
        meta = shown.get("_meta")
        if paths and isinstance(meta, Mapping):
            meta = dict(meta)
            if "shadowed" in meta:
                meta["shadowed"] = [
                    {**each, "value": _masked(each["value"], below(paths, each["name"]), paths)}
                    for each in meta["shadowed"]
                ]
            if "key" in meta:
                meta["key"] = self.event_id(meta["key"], subject)
            shown["_meta"] = meta
        return shown

    def event_id(self, event_id: Any, subject: str | None = None) -> Any:
        """The id of an event, or the mask where a field is hidden that it may come from."""
        paths = self._paths(subject)
        hidden = event_id is not None and any(_hides(paths, place) for place in self.id_fields)
        return MASK if hidden else event_id

    def path(self, path: Path, subject: str | None = None) -> Path:
        """The path of a field, without the keys below a value that is hidden: they are part of it;
        nor those that name a person, wherever they stand."""
        paths = self._paths(subject)
        if not paths:
            return path
        shown = []
        for segment in path:
            if not is_key(segment):
                shown.append(segment)
                paths = below(paths, ANY_KEY) if segment == ANY_KEY and not met(paths) else paths
                continue
            key = to_key(segment)
            is_data = met(paths) or (ANY_KEY,) in paths or is_personal(key)
            shown.append(MASK if is_data else segment)
            if not met(paths):
                paths = below(paths, key)
        return tuple(shown)

    def recorded(self, path: Path, subject: str | None = None) -> str:
        """The text of a path as the audit may keep it for good: without hidden names, and those
        that tell by themselves whose they are."""
        return to_text(without_names(self.path(path, subject), names_one))

    def hides(self, path: Path, subject: str | None = None) -> bool:
        """True where values at a path of a schema are hidden, or around it: of some item or key, if
        not of every one."""
        paths = self._paths(subject)
        for segment in path:
            if met(paths):
                break
            if segment == ITEM:
                paths |= {rest[1:] for rest in paths if rest and rest[0].isdigit()}
            elif segment == ANY_KEY:
                paths = any_below(paths)
            else:
                paths = below(paths, to_key(segment)) if is_key(segment) else frozenset()
        return met(paths)

    def of(self, subject: str | None) -> Redaction:
        """The rules for one subject, for many paths of it."""
        return Redaction(self._paths(subject), id_fields=self.id_fields)

    def without_hidden(self, version: SchemaVersion) -> SchemaVersion:
        """The version without the fields whose names are hidden."""
        masks = self.of(version.subject)
        shown = (each for each in version.fields if masks.path(each.path) == each.path)
        return replace(version, fields=tuple(shown))

    @property
    def fingerprint(self) -> str:
        """Text that differs where something else is hidden by these rules; aliases come with the
        newest version."""
        subjects = {name: sorted(paths) for name, paths in sorted(self.subjects.items())}
        return repr((sorted(self.general), subjects, self.together))

    def _paths(self, subject: str | None) -> Paths:
        if subject is None or subject == self.together:
            paths = self.general.union(*self.subjects.values())
        else:
            paths = self.general | self.subjects.get(subject, frozenset())
        pairs = self.aliases(self.together or subject) if paths else frozenset()
        return _with_aliases(paths, pairs) if pairs else paths


def _masked(value: Any, paths: Paths, whole: Paths) -> Any:
    if not whole or value is None:
        return value
    if met(paths):
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(item, below(paths, key), whole) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, inside(paths, index), whole) for index, item in enumerate(value)]
    return masked_text(value, paths, whole) if isinstance(value, str) else value


@lru_cache(maxsize=64)
def _with_aliases(paths: Paths, pairs: AliasPairs) -> Paths:
    """The paths, and those that lead to the same values by an alias, from either side."""
    plain = [tuple(tuple(to_key(s).casefold() for s in path) for path in pair) for pair in pairs]
    return frozenset(led_to(paths, ((one, other) for one, other in plain), _rests))


def _rests(path: Path, field: Path) -> Paths:
    rests: Paths = frozenset({path})
    for key in field:
        rests = rests if met(rests) else below(rests, key)
    return frozenset({()}) if met(rests) else frozenset(r for r in rests if r[:1] != (ANY_DEPTH,))


def masked(changes: Iterable[Change], masks: Redaction, subject: str | None) -> tuple[Change, ...]:
    """The changes without the keys that are hidden, nor the ids of the events that caused them
    where ids are."""
    return tuple(
        replace(
            each,
            path=masks.path(each.path, subject),
            caused_by=each.caused_by and masks.event_id(each.caused_by, subject),
        )
        for each in changes
    )


def with_masked_changes(version: SchemaVersion, masks: Redaction) -> SchemaVersion:
    """The version with its changes masked."""
    return replace(version, changes=masked(version.changes, masks, version.subject))


def masked_documents(
    changes: Iterable[Mapping[str, Any]], masks: Redaction, subject: str | None
) -> list[dict[str, Any]]:
    """The same for changes as they are stored."""
    return [
        {
            **each,
            "path": list(masks.path(tuple(each["path"]), subject)),
            "caused_by": masks.event_id(each.get("caused_by"), subject),
        }
        for each in changes
    ]


def _hides(paths: Paths, place: str) -> bool:
    """True where one of `paths` hides what stands at a key or JSON Pointer, or around it."""
    for key in pointer(place) if place.startswith("/") else (place,):
        paths = below(paths, key)
        if met(paths):
            return True
    return False
