"""Draw a schema version: a tree of its fields with types, origin and what fills them."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text
from rich.tree import Tree

from consumer.printable import safe
from consumer.redaction import Redaction
from consumer.schema.fillable import Fill, fills
from consumer.schema.model import Field, SchemaVersion
from consumer.schema.paths import ANY_KEY, Path, to_text
from consumer.schema.policy import Defaults

# Known, but not filled: see CXONE_FILL_MAX_BYTES and CXONE_FILL_MAX_FIELDS.
BEYOND = "beyond the bound"
_SHOWN_CHARACTERS = 60


def tree(version: SchemaVersion, defaults: Defaults, masks: Redaction) -> Tree:
    """The live fields, each under its parent, in the order they were found."""
    filling = fills(version, defaults)
    root = Tree(Text(safe(f"{version.subject}, version {version.number}"), style="bold"))
    places: dict[Path, Tree] = {(): root}
    live = [numbered for numbered in enumerate(version.fields) if numbered[1].absorbed is None]
    # A parent stands before its children nearly always; not after a map was made above it.
    for position, field in sorted(live, key=lambda numbered: len(numbered[1].path)):
        name = to_text(masks.path(field.path, version.subject)[-1:])
        label = _label(name, field, filling.get(position), defaults)
        places[field.path] = places[field.path[:-1]].add(label)
    return root


def field_documents(
    version: SchemaVersion, defaults: Defaults, masks: Redaction
) -> list[dict[str, Any]]:
    """The fields for programs; `default` and `default_from` only where one is ever filled: the
    latter is `mapping`, `typed`, `null`, or says why nothing is filled after all."""
    filling = fills(version, defaults)
    documents: list[dict[str, Any]] = []
    for position, field in enumerate(version.fields):
        path = masks.path(field.path, version.subject)
        document: dict[str, Any] = {
            **field.to_document(),
            "path": list(path),
            "text": to_text(path),
        }
        if (fill := filling.get(position)) is not None:
            document["default"] = None if fill.beyond else fill.value
            document["default_from"] = _source(field, fill, defaults)
        documents.append(document)
    return documents


def _source(field: Field, fill: Fill, defaults: Defaults) -> str:
    if fill.beyond:
        return "none" if defaults.nothing else BEYOND
    if field.path in defaults.values:
        return "mapping"
    return "null" if fill.value is None else "typed"


def unmatched(version: SchemaVersion, defaults: Defaults) -> list[Path]:
    """Paths with a default by mapping that this version does not know, or can never fill."""
    known = {field.path for field in version.fields if field.is_filled}
    return [path for path in defaults.values if path not in known]


def _label(name: str, field: Field, fill: Fill | None, defaults: Defaults) -> Text:
    label = Text(safe(name), style="bold")
    label.append(f"  {_types(field)}", style="not bold cyan")
    label.append(f"  since {field.since}", style="not bold")
    if field.path[-1] == ANY_KEY:
        label.append("  (a map: any key)", style="not bold")
    if field.pinned is not None:
        label.append("  (pinned as an object)", style="not bold")
    if field.retired is not None:
        label.append(f"  retired since {field.retired}", style="not bold yellow")
    if fill is not None and fill.beyond:
        label.append("  not filled" if defaults.nothing else f"  {BEYOND}", style="not bold")
    elif fill is not None:
        source = _source(field, fill, defaults)
        text = safe(json.dumps(fill.value, ensure_ascii=False))
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
