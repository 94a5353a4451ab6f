"""Show what became of a demo: tables for people, a document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from statistics import median
from typing import Any

from consumer.cli.console import console, shown, table
from consumer.cli.schema.breaches import breach_document, print_breaches, types_text
from consumer.core.paths import RESERVED, to_key, to_segment, to_text
from consumer.core.paths import Path as FieldPath
from consumer.demo.play import Answered, Example, Stored, count_answers
from consumer.demo.readers import NEW, OLD, READER, RETYPED, SUBJECT, Played

# Of a value in an example, and where two stand side by side.
_VALUE_CHARACTERS = 50
_HALF = 22


def show(answered: list[Answered], found: Stored) -> None:
    """Print what became of the usual story."""
    out = console()
    out.print(
        table(
            ("answer", "deliveries"),
            [
                (f"{status or ''} {word}".strip(), count)
                for (status, word), count in _ordered(answered)
            ],
            title=f"{len(answered)} deliveries sent through HTTP",
        )
    )
    special = [one for one in answered if one.sample.expect not in ("processed", "duplicate")]
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
            ("field", "change", "was", "is"),
            _changes(found),
            title="What changed on the way",
        )
    )
    if found.example is not None:
        _show_example(found.example)
    milliseconds = median(one.seconds for one in answered) * 1000
    out.print(f"Median time to a durable answer: {milliseconds:.1f} ms over one connection.")


def _changes(found: Stored) -> Iterator[tuple[str | None, ...]]:
    """A row for each change, those of a version below its name, so that a terminal has room."""
    for (subject, number), changes in groupby(found.changes(), lambda c: (c[0], c[1].number)):
        yield f"{subject}, version {number}", "", "", ""
        for _, _, change in changes:
            before = None if change.before is None else types_text(change.before)
            yield to_text(change.path), change.kind, before, types_text(change.after)


def _show_example(example: Example) -> None:
    """A stored event field by field: sent, filled since then, or added by the service."""
    rows = []
    for path, value in _leaves(example.document, ()):
        added = path[0] in RESERVED
        origin = "added" if added else "sent" if _holds(example.sent, path) else "filled"
        text = shown(value) if added else json.dumps(value, ensure_ascii=False, default=shown)
        rows.append((to_text(path), _cut(text, _VALUE_CHARACTERS), origin))
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


def _ordered(answered: list[Answered]) -> list[tuple[tuple[int | None, str], int]]:
    return sorted(count_answers(answered).items(), key=lambda item: (-item[1], item[0][1]))


def _counts(answered: list[Answered]) -> list[dict[str, object]]:
    return [
        {"status": status, "word": word, "count": count}
        for (status, word), count in _ordered(answered)
    ]


def document(answered: list[Answered], found: Stored) -> dict[str, object]:
    """The same for programs."""
    return {
        "deliveries": len(answered),
        "answers": _counts(answered),
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


def show_readers(told: Played) -> None:
    """Print the story of a reader."""
    out = console()
    first, last = (f"{at:%Y-%m-%d}" for at in told.ends)
    out.print(
        f"The service's clock is hastened: it began on {first}, and four weeks went by in seconds."
        " All else is real: deliveries through HTTP, MongoDB, the jobs.\n"
    )
    out.print(
        f"1. {READER} is pinned to version {told.pin.version} of {SUBJECT}. In the third week some"
        f" senders rename {OLD} to {NEW}, in the fourth all do.\n"
    )
    weeks = [(f"{each.start:%Y-%m-%d}", each.events, each.old, each.new) for each in told.weeks]
    title = "What was sent, as the field statistics count it"
    out.print(table(("week from", "events", OLD, NEW), weeks, title=title))
    out.print(f"\n2. On {told.appeared:%Y-%m-%d} a signal appears, `{told.signal.kind}`:\n")
    out.print(f"{OLD}: {told.words.sentence}.")
    print_breaches(out, told.broken_by_signal)
    out.print("\nThe signal comes with what to do about it:\n")
    out.print(f"  {told.words.alias}", soft_wrap=True)
    broken = "somebody still" if told.broken_after_alias else "nobody"
    out.print(
        f"\n3. The alias is set: that is version {told.alias.number}, and {broken} is broken by the"
        f" rename. {READER} goes on reading its view, which shows old and new events alike and"
        f" hides {NEW}.\n"
    )
    sides = (f"{first} as {OLD}", f"{last} as {NEW}")
    rows = [(each.field, _half(each.first), _half(each.last)) for each in told.rows]
    title = f"The first and the last event in the view {told.pin.view}"
    out.print(table(("field", *sides), rows, title=title))
    for each in told.rows:
        if each.before != each.last:
            out.print(f"Before the alias {each.field} of the last one was {_half(each.before)}.")
    out.print(
        f"\n4. Now {RETYPED} comes as text. That is version {told.conflict.number}. Datadog, where"
        f" it is set up, gets an event of the alert type `{told.announcement.alert}`:\n"
    )
    out.print(f"  {told.announcement.title}")
    print_breaches(out, told.broken_by_conflict)
    out.print(
        f"In the view {RETYPED} of that event is {_half(told.conflicting[RETYPED])}, and {OLD}"
        f" {_half(told.conflicting[OLD])}: the alias fills new events as they come."
    )


def _half(value: object) -> str:
    text = shown(value) if isinstance(value, datetime) else json.dumps(value, ensure_ascii=False)
    return _cut(text, _HALF)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def readers_document(told: Played) -> dict[str, object]:
    """The same for programs."""
    signal = told.signal
    return {
        "clock": "hastened",
        "deliveries": len(told.answered),
        "answers": _counts(told.answered),
        "pin": {"reader": READER, "subject": SUBJECT, "version": told.pin.version},
        "view": told.pin.view,
        "weeks": [
            {"start": each.start, "events": each.events, OLD: each.old, NEW: each.new}
            for each in told.weeks
        ],
        "signal": {
            "kind": signal.kind,
            "path": to_text(signal.path),
            "to": to_text(signal.to or ()),
            "score": signal.score,
            "appeared": told.appeared,
            "text": told.words.sentence,
            "command": told.words.alias,
            "breaks": list(map(breach_document, told.broken_by_signal)),
        },
        "alias": {
            "version": told.alias.number,
            "breaks": list(map(breach_document, told.broken_after_alias)),
        },
        "shown": [
            {"field": each.field, "first": each.first, "before": each.before, "last": each.last}
            for each in told.rows
        ],
        "conflict": {
            "version": told.conflict.number,
            "announced": told.announcement.title,
            "alert": told.announcement.alert,
            "breaks": list(map(breach_document, told.broken_by_conflict)),
            "shown": told.conflicting,
        },
    }
