"""`schema`: look at schemas, and decide what becomes part of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from consumer.cli.console import console, error_console, print_json, safe, table
from consumer.cli.schema_approve import approve
from consumer.cli.schema_backfill import backfill
from consumer.cli.schema_diff import diff
from consumer.cli.schema_explain import explain
from consumer.cli.schema_learn import learn
from consumer.cli.schema_parts import AsJson, Number, Parts, Subject, opened, version_of
from consumer.cli.schema_tree import field_document, tree, unmatched
from consumer.errors import SetupError
from consumer.schema.export import json_schema, mongo_validator
from consumer.schema.model import SchemaVersion
from consumer.schema.paths import ANY_KEY, to_text
from consumer.storage import mongo
from consumer.storage.event_counts import documents_by_subject, estimated_documents

app = typer.Typer(no_args_is_help=True)

# Counting events is a look aside: it must not keep anybody waiting.
_COUNT_SECONDS = 10.0


class Format(str, Enum):
    """What `export` writes."""

    JSONSCHEMA = "jsonschema"
    MONGODB = "mongodb"


@app.command("list")
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


@app.command()
def show(
    ctx: typer.Context, subject: Subject, number: Number = None, as_json: AsJson = False
) -> None:
    """Show the fields of a version: types, since when, and what fills them."""
    with opened(ctx) as parts:
        version = version_of(parts.core, subject, number)
    facts = _facts(parts, version)
    defaults = parts.policy.of(subject).defaults
    if as_json:
        fields = [field_document(field, defaults) for field in version.fields]
        print_json({**facts, "fields": fields})
        return
    out = console()
    guards = facts["guards"]
    rows = [
        ("created", version.created_at),
        ("fields", f"{len(version.live)} of at most {guards['paths_per_subject']}"),
        ("maps", ", ".join(facts["maps"]) or None),
        ("contract", ", ".join(f"{name} = {value}" for name, value in facts["contract"].items())),
        ("defaults", facts["defaults"]),
        ("pinned as maps", ", ".join(facts["pinned_maps"]) or None),
        ("pinned as objects", ", ".join(facts["pinned_objects"]) or None),
        ("defaults without a field", ", ".join(facts["defaults_without_field"]) or None),
        ("depth", f"at most {guards['depth']} levels"),
        ("versions an hour", f"at most {guards['versions_per_hour']}"),
    ]
    out.print(table(("", ""), [row for row in rows if row[1] is not None]))
    out.print(tree(version, defaults))


@app.command()
def export(
    ctx: typer.Context,
    subject: Subject,
    *,
    number: Number = None,
    form: Annotated[
        Format, typer.Option("--format", help="JSON Schema (draft 2020-12), or a validator.")
    ] = Format.JSONSCHEMA,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write to this file.", metavar="FILE")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the schema with what was left out, as JSON.")
    ] = False,
) -> None:
    """Write a version as JSON Schema, or as a $jsonSchema validator for MongoDB.

    The validator checks the documents of this subject alone, so that it can stand on a collection
    that holds others too.
    """
    with opened(ctx) as parts:
        version = version_of(parts.core, subject, number)
    defaults = parts.policy.of(subject).defaults
    left_out: list[str] = []
    if form is Format.MONGODB:
        validator = mongo_validator(version, defaults)
        schema, left_out = validator.schema, list(map(to_text, validator.left_out))
    else:
        schema = json_schema(version, defaults)
    err = error_console()
    for path in left_out:
        err.print(safe(f"left out, for a validator cannot speak of it: {path}"), soft_wrap=True)
    if out_file is not None:
        _write(out_file, schema)
        err.print(safe(f"Wrote version {version.number} to {out_file}."), soft_wrap=True)
    if as_json:
        print_json({"subject": subject, "version": version.number, "format": form.value,
                    "left_out": left_out, "schema": schema})  # fmt: skip
    elif out_file is None:
        print_json(schema)


def _facts(parts: Parts, version: SchemaVersion) -> dict[str, Any]:
    policy = parts.policy.of(version.subject)
    return {
        "subject": version.subject,
        "version": version.number,
        "created_at": version.created_at,
        "newest_fillable": version.newest_fillable,
        "maps": [to_text(field.path) for field in version.live if field.path[-1] == ANY_KEY],
        "contract": asdict(policy.contract),
        "defaults": "typed" if policy.defaults.typed else "null",
        "defaults_without_field": list(map(to_text, unmatched(version, policy.defaults))),
        "pinned_maps": sorted(map(to_text, policy.pins.maps)),
        "pinned_objects": sorted(map(to_text, policy.pins.objects)),
        "guards": asdict(parts.policy.guards),
    }


def _write(path: Path, schema: dict[str, Any]) -> None:
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SetupError(
            f"cannot write {path} ({error.strerror}): check the directory and its permissions"
        ) from error


# Below the others, for help shows them in this order: looking first, deeds last.
for _name, _command in (
    ("diff", diff),
    ("explain", explain),
    ("learn", learn),
    ("approve", approve),
    ("backfill", backfill),
):
    app.command(_name)(_command)
