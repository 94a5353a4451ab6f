"""`schema export`: write a version for other programs."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from consumer.cli.console import error_console, print_json
from consumer.cli.schema.shared import Number, Subject, opened, version_of
from consumer.core.errors import SetupError
from consumer.core.paths import to_text
from consumer.core.text import safe
from consumer.schemas.export import json_schema, mongo_validator


class Format(str, Enum):
    """The formats of `export`."""

    JSONSCHEMA = "jsonschema"
    MONGODB = "mongodb"


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
    with opened(ctx) as context:
        whole = version_of(context.shared, subject, number)
        version = context.hidden.without_hidden(whole)
        hidden = len(whole.live) - len(version.live)
    defaults = context.policy.of(subject).defaults
    left_out: list[str] = []
    if form is Format.MONGODB:
        validator = mongo_validator(version, defaults)
        schema, left_out = validator.schema, list(map(to_text, validator.left_out))
    else:
        schema = json_schema(version, defaults)
    err = error_console()
    if hidden:
        err.print(f"left out, for CXONE_REDACT hides their names: {hidden:,} fields")
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


def _write(path: Path, schema: dict[str, Any]) -> None:
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SetupError(
            f"cannot write {path} ({error.strerror}): check the directory and its permissions"
        ) from error
