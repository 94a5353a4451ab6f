"""`schema list`: every subject in one line."""

from __future__ import annotations

import typer

from consumer.cli.console import console, print_json, table
from consumer.cli.schema_parts import AsJson, opened
from consumer.storage import mongo
from consumer.storage.event_counts import documents_by_subject, estimated_documents

# Counting events is a look aside: it must not keep anybody waiting.
_COUNT_SECONDS = 10.0


def list_subjects(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show every subject with its version, fields, documents, held deliveries and last change."""
    with opened(ctx) as parts:
        summaries = parts.core.registry.summaries()
        events = parts.core.database[mongo.EVENTS]
        documents = documents_by_subject(events, _COUNT_SECONDS)
        estimated = estimated_documents(events)
        held = parts.letters.counts()
    if parts.one_subject is not None:
        held = {parts.one_subject: sum(held.values())}
    rows = [
        {
            "subject": each.subject,
            "version": each.version,
            "fields": each.fields,
            "documents": None if documents is None else documents.get(each.subject, 0),
            "held": held.get(each.subject, 0),
            "last_change": each.changed_at,
        }
        for each in summaries
    ]
    if as_json:
        print_json({"subjects": rows, "documents_estimated": estimated})
        return
    out = console()
    if not rows:
        out.print("No schemas: the first event of a type registers its first version.")
        return
    columns = ("subject", "version", "fields", "documents", "held", "last change")
    out.print(table(columns, [list(row.values()) for row in rows], title="Schemas"))
    if documents is None:
        out.print(
            f"About {estimated:,} documents in all (estimated: counting them by subject takes more"
            f" than {_COUNT_SECONDS:.0f} s)."
        )
