"""Draw a schema version: a tree of its fields with types, origin and what fills them."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text
from rich.tree import Tree

from consumer.printable import safe
from consumer.schema.model import Field, SchemaVersion
from consumer.schema.paths import ANY_KEY, Path, to_text
from consumer.schema.policy import Defaults

_SHOWN_CHARACTERS = 60


def tree(version: SchemaVersion, defaults: Defaults) -> Tree:
    """The live fields, each under its parent, in the order they were found."""
    root = Tree(Text(safe(f"{version.subject}, version {version.number}"), style="bold"))
    places: dict[Path, Tree] = {(): root}
    # A parent stands before its children nearly always; not after a map was made above it.
    for field in sorted(version.live, key=lambda field: len(field.path)):
        places[field.path] = places[field.path[:-1]].add(_label(field, defaults))
    return root


def field_document(field: Field, defaults: Defaults) -> dict[str, Any]:
    """A field for programs; `default` and `default_from` only where defaults are ever filled."""
    document: dict[str, Any] = {**field.to_document(), "text": to_text(field.path)}
    if field.is_filled:
        document["default"], document["default_from"] = default_of(field, defaults)
    return document


def default_of(field: Field, defaults: Defaults) -> tuple[Any, str]:
    """What fills a fillable field, and where that comes from: `mapping`, `typed` or `null`."""
    value = defaults.value(field.path, field.mask)
    if field.path in defaults.values:
        return value, "mapping"
    return value, "null" if value is None else "typed"


def unmatched(version: SchemaVersion, defaults: Defaults) -> list[Path]:
    """Paths with a default by mapping that this version does not know, or can never fill."""
    known = {field.path for field in version.fields if field.is_filled}
    return [path for path in defaults.values if path not in known]


def _label(field: Field, defaults: Defaults) -> Text:
    label = Text(safe(to_text(field.path[-1:])), style="bold")
    label.append(f"  {_types(field)}", style="not bold cyan")
    label.append(f"  since {field.since}", style="not bold")
    if field.path[-1] == ANY_KEY:
        label.append("  (a map: any key)", style="not bold")
    if field.pinned is not None:
        label.append("  (pinned as an object)", style="not bold")
    if field.retired is not None:
        label.append(f"  retired since {field.retired}", style="not bold yellow")
    if field.is_filled:
        value, source = default_of(field, defaults)
        text = safe(json.dumps(value, ensure_ascii=False))
        if len(text) > _SHOWN_CHARACTERS:
            text = text[:_SHOWN_CHARACTERS] + " ..."
        origin = f" ({source})" if source != "null" else ""
        label.append(f"  default {text}{origin}", style="not bold")
    return label


def _types(field: Field) -> str:
    """The types, each with the version that first knew it where that is a later one."""
    if not field.types:
        return "null"
    return " | ".join(
        name if since == field.since else f"{name} (since {since})"
        for name, since in sorted(field.types.items(), key=lambda item: item[1])
    )
