"""Show what was told to the sender of the demo, and what was kept of what it sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from consumer.cli.console import console, shown, table
from consumer.demo import Example, Kept, Told, answers
from consumer.schema.jsontypes import bits
from consumer.schema.paths import RESERVED, to_key, to_segment, to_text
from consumer.schema.paths import Path as FieldPath

_VALUE_CHARACTERS = 50


def show(told: list[Told], found: Kept) -> None:
    out = console()
    out.print(
        table(
            ("answer", "deliveries"),
            [(f"{status or ''} {word}".strip(), count) for (status, word), count in _ordered(told)],
            title=f"{len(told)} deliveries sent through HTTP",
        )
    )
    special = [one for one in told if one.sample.expect not in ("processed", "duplicate")]
    out.print(
        table(
            ("delivery", "answer"),
            [(one.sample.note, f"{one.status} {one.word}") for one in special],
            title="What was wrong on purpose",
        )
    )
    out.print(
        table(
            ("reason", "entries", "seen", "status"),
            [
                (row["_id"]["reason"], row["count"], row["seen"], row["_id"]["status"])
                for row in found.dead_letters
            ],
            title="Dead letters: kept with their bytes unaltered",
        )
    )
    out.print(
        table(
            ("event type", "documents", "versions", "fields"),
            [
                (subject, found.documents.get(subject, 0), len(versions), len(versions[-1].live))
                for subject, versions in found.histories.items()
            ],
            title="Schemas",
        )
    )
    out.print(
        table(
            ("event type", "version", "change", "field", "was", "is"),
            [
                (
                    subject,
                    version.number,
                    change.kind,
                    to_text(change.path),
                    _types(change.before),
                    _types(change.after),
                )
                for subject, version, change in found.changes()
            ],
            title="What changed on the way",
        )
    )
    if found.example is not None:
        _show_example(found.example)
    milliseconds = median(one.seconds for one in told) * 1000
    out.print(f"Median time to a durable answer: {milliseconds:.1f} ms over one connection.")


def _show_example(example: Example) -> None:
    """A stored event field by field: sent, filled since then, or added by the service."""
    rows = []
    for path, value in _leaves(example.document, ()):
        added = path[0] in RESERVED
        origin = "added" if added else "sent" if _holds(example.sent, path) else "filled"
        text = shown(value) if added else json.dumps(value, ensure_ascii=False, default=shown)
        cut = text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 3] + "..."
        rows.append((to_text(path), cut, origin))
    kind = example.document["_meta"]["subject"]
    title = (
        f"A stored {kind} of version {example.document['schema_version']}, readable as the newest"
    )
    console().print(table(("field", "value", "origin"), rows, title=title))


def _leaves(value: Mapping[str, Any], above: FieldPath) -> Iterator[tuple[FieldPath, object]]:
    """Values that hold no object, by path, without `_meta`."""
    for key, held in value.items():
        path = (*above, to_segment(key))
        if path == ("_meta",):
            continue
        if isinstance(held, dict) and held:
            yield from _leaves(held, path)
        else:
            yield path, held


def _holds(payload: Any, path: FieldPath) -> bool:
    for segment in path:
        if not isinstance(payload, dict) or to_key(segment) not in payload:
            return False
        payload = payload[to_key(segment)]
    return True


def _types(mask: int | None) -> str | None:
    return None if mask is None else " | ".join(bits(mask)) or "null"


def _ordered(told: list[Told]) -> list[tuple[tuple[int | None, str], int]]:
    return sorted(answers(told).items(), key=lambda item: (-item[1], item[0][1]))


def facts(told: list[Told], found: Kept) -> dict[str, object]:
    return {
        "deliveries": len(told),
        "answers": [
            {"status": status, "word": word, "count": count}
            for (status, word), count in _ordered(told)
        ],
        "documents": dict(found.documents),
        "dead_letters": [
            {**row["_id"], "entries": row["count"], "seen": row["seen"]}
            for row in found.dead_letters
        ],
        "schemas": {
            subject: {
                "versions": len(versions),
                "changes": [
                    {"version": version.number, **change.to_document()}
                    for version in versions[1:]
                    for change in version.changes
                ],
            }
            for subject, versions in found.histories.items()
        },
    }
