"""Show what was told to the sender of the demo, and what was kept of what it sent."""

from __future__ import annotations

from statistics import median

from consumer.cli.console import console, table
from consumer.demo import Kept, Told, answers
from consumer.schema.jsontypes import bits
from consumer.schema.paths import to_text


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
    milliseconds = median(one.seconds for one in told) * 1000
    out.print(f"Median time to a durable answer: {milliseconds:.1f} ms over one connection.")


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
