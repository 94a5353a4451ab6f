"""A schema version as rows of a tree: types, since when, what fills a field, and who sends it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consumer.redaction import Redaction
from consumer.schema.fillable import Fill, fills
from consumer.schema.model import Field, SchemaVersion
from consumer.schema.paths import ANY_KEY, Path, to_text
from consumer.schema.policy import Defaults

_MOST_DEFAULT = 40


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field under its parent. `types`: names, each with the version that first knew it where
    that is a later one. `default` is empty where nothing is ever filled in; `sent` is a share from
    0 to 1, None where no event was looked at."""

    name: str
    path: str
    depth: int
    types: tuple[tuple[str, int | None], ...]
    since: int
    newest: int
    is_map: bool
    default: str
    sent: float | None
    retired: int | None


def field_rows(
    version: SchemaVersion,
    defaults: Defaults,
    sent: Mapping[Path, int],
    looked_at: int,
    masks: Redaction,
) -> list[FieldRow]:
    """The live fields, children under their parents in the order they were found."""
    children: dict[Path, list[Field]] = {}
    for field in version.live:
        children.setdefault(field.path[:-1], []).append(field)
    filling = fills(version, defaults)
    filled = {version.fields[position].path: fill for position, fill in filling.items()}
    return [
        _row(
            field,
            masks.path(field.path, version.subject),
            filled.get(field.path),
            sent[field.path] / looked_at if looked_at else None,
        )
        for field in _walk(children, ())
    ]


def _walk(children: Mapping[Path, list[Field]], parent: Path) -> Iterator[Field]:
    for field in children.get(parent, ()):
        yield field
        yield from _walk(children, field.path)


def _row(field: Field, shown: Path, fill: Fill | None, sent: float | None) -> FieldRow:
    types = sorted(field.types.items(), key=lambda item: item[1])
    return FieldRow(
        name=to_text(shown[-1:]),
        path=to_text(shown),
        depth=min(len(field.path) - 1, 8),
        types=tuple((name, since if since > field.since else None) for name, since in types),
        since=field.since,
        newest=max((field.since, *field.types.values())),
        is_map=field.path[-1] == ANY_KEY,
        default=_default(fill),
        sent=sent,
        retired=field.retired,
    )


def _default(fill: Fill | None) -> str:
    if fill is None:
        return ""
    if fill.beyond:
        return "not filled"
    text = json.dumps(fill.value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_DEFAULT else f"{text[:_MOST_DEFAULT]}\u2026"
