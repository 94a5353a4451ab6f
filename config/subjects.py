"""Read the `[subjects."…"]` tables: rules for one event type, or with `"*"` for all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from config.faults import Fault, shown

Policy = Literal["evolve", "hold"]

ALL = "*"
_NAME_CHARACTERS = 256
_PATH_CHARACTERS = 4096
_MAX_NESTING = 32


@dataclass(frozen=True, slots=True)
class SubjectRules:
    """The rules of a subject; None where it says nothing.

    `defaults` maps the text of a path to a JSON value (copy it before it goes into a document),
    `maps` and `objects` are texts of paths pinned as one or the other, `redact` of those whose
    values are masked, besides the general ones. The schema parses paths.
    """

    on_new_field: Policy | None = None
    on_type_conflict: Policy | None = None
    # Dead letters wait for what the text of these rules says: it stays what it was.
    on_reader_break: Policy | None = field(default=None, repr=False)
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    maps: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()

    def over(self, general: SubjectRules) -> SubjectRules:
        """These rules where they say something, `general` everywhere else."""
        return SubjectRules(
            on_new_field=self.on_new_field or general.on_new_field,
            on_type_conflict=self.on_type_conflict or general.on_type_conflict,
            on_reader_break=self.on_reader_break or general.on_reader_break,
            defaults=MappingProxyType({**general.defaults, **self.defaults}),
            maps=self.maps + _others(general.maps, self.maps + self.objects),
            objects=self.objects + _others(general.objects, self.maps + self.objects),
            redact=self.redact + _others(general.redact, self.redact),
        )


def read(table: object, source: str) -> tuple[dict[str, SubjectRules], list[Fault]]:
    """The rules of the TOML value under `subjects`, by subject, and what is wrong with it."""
    if not isinstance(table, dict):
        return {}, [Fault("subjects", source, "not a table", 'tables like [subjects."*"]')]
    faults: list[Fault] = []
    rules: dict[str, SubjectRules] = {}
    for subject, content in table.items():
        name = f"subjects.{shown(subject)}"
        if not 0 < len(subject) <= _NAME_CHARACTERS:
            allowed = f"an event type of 1 to {_NAME_CHARACTERS} characters"
            faults.append(Fault(name, source, "not an event type", allowed))
        elif not isinstance(content, dict):
            faults.append(Fault(name, source, "not a table", ", ".join(_READERS)))
        else:
            found = [Fault(name, source, *what) for what in _faults(content)]
            faults += found
            if not found:
                rules[subject] = _rules(content)
    return rules, faults


def _others(paths: tuple[str, ...], taken: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path for path in paths if path not in taken)


def _rules(content: dict[str, Any]) -> SubjectRules:
    return SubjectRules(
        on_new_field=content.get("on_new_field"),
        on_type_conflict=content.get("on_type_conflict"),
        on_reader_break=content.get("on_reader_break"),
        defaults=MappingProxyType(dict(content.get("defaults", {}))),
        maps=tuple(content.get("maps", ())),
        objects=tuple(content.get("objects", ())),
        redact=tuple(content.get("redact", ())),
    )


def _faults(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of what is wrong and what is allowed."""
    for key, value in content.items():
        if key not in _READERS:
            yield f"unknown key {shown(key)}", ", ".join(_READERS)
            continue
        is_valid, allowed = _READERS[key]
        if not is_valid(value):
            yield f"{key} = {shown(value)} is not allowed", allowed
    both = [path for path in _texts(content, "maps") if path in _texts(content, "objects")]
    for path in both:
        yield f"{shown(path)} is pinned as map and as object", "one of the two"


def _texts(content: dict[str, Any], key: str) -> list[object]:
    value = content.get(key)
    return value if isinstance(value, list) else []


def _is_policy(value: object) -> bool:
    return value in ("evolve", "hold")


def _is_path(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _PATH_CHARACTERS


def _are_paths(value: object) -> bool:
    return isinstance(value, list) and all(_is_path(path) for path in value)


def _are_defaults(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_path(path) and _is_json(item, _MAX_NESTING) for path, item in value.items()
    )


def _is_json(value: object, levels: int) -> bool:
    """TOML also knows dates, nan, inf and longer integers, which JSON or BSON cannot hold."""
    if isinstance(value, dict):
        return levels > 0 and all(_is_json(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_json(item, levels - 1) for item in value)
    if isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, float) and math.isfinite(value)


# The same for editors.
_POLICY_SCHEMA = {"enum": ["evolve", "hold"]}
_PATHS_SCHEMA = {"type": "array", "items": {"type": "string"}}
JSON_SCHEMA: Mapping[str, Mapping[str, Any]] = {
    "on_new_field": _POLICY_SCHEMA,
    "on_type_conflict": _POLICY_SCHEMA,
    "on_reader_break": _POLICY_SCHEMA,
    "defaults": {"type": "object"},
    "maps": _PATHS_SCHEMA,
    "objects": _PATHS_SCHEMA,
    "redact": _PATHS_SCHEMA,
}
_POLICIES = '"evolve" or "hold"'
_PATHS = 'a list of paths like ["agent.skills"]'
_READERS = {
    "on_new_field": (_is_policy, _POLICIES),
    "on_type_conflict": (_is_policy, _POLICIES),
    "on_reader_break": (_is_policy, _POLICIES),
    "defaults": (_are_defaults, 'a table of paths and JSON values like { "agent.name" = "" }'),
    "maps": (_are_paths, _PATHS),
    "objects": (_are_paths, _PATHS),
    "redact": (_are_paths, _PATHS),
}
