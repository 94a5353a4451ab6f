"""`schema check`: would payloads, or a planned change of them, break a program that reads them?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumer.cli.bodies import read_bodies
from consumer.cli.console import console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.schema.breaches import breach_document, types
from consumer.cli.schema.shared import Context, head_of, opened
from consumer.core.errors import Rejected, SetupError
from consumer.core.paths import to_text
from consumer.core.text import safe
from consumer.schemas.planned import of_payload, read

if TYPE_CHECKING:
    from consumer.readers.verdicts import Breach, Sight

_SHOWN = 50
_DIALECT = "json-schema.org/"
# As `schema export` names it.
_TITLE = re.compile(r"(.+), version \d+")


@dataclass(frozen=True, slots=True)
class _Finding:
    """Body `number` breaks somebody, or is no event at all: then it says `why`."""

    number: int
    subject: str | None
    breach: Breach | None = None
    why: str | None = None


def check(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Payloads (JSON, .jsonl with one a line, - for stdin), or the JSON Schema of a"
            " planned change.",
        ),
    ],
    reader: Annotated[
        str | None, typer.Option("--reader", metavar="NAME", help="Only this reader; else all.")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option("--type", help="FILEs are JSON Schemas of payloads of this event type."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Tell which pinned readers the payloads in FILEs would break, or a planned change of them.

    Nothing is stored and nothing is registered. A file is a JSON Schema where its `$schema` says
    so; its subject is that of its title, as `schema export` writes it, unless --type is given.
    What it does not name can be sent no more only where it says `additionalProperties: false`.

    Exit status: 0 nobody breaks, 1 somebody does, or a payload is no event, 2 a keyword of JSON
    Schema is not understood.
    """
    bodies = read_bodies(files)
    with opened(ctx) as context:
        try:
            checks = _Checks(context, reader, subject)
            found = [each for n, body in enumerate(bodies, 1) for each in checks.of(n, body)]
        except SetupError as error:
            # Status 1 would say that somebody breaks.
            raise typer.BadParameter(str(error)) from error
    if as_json:
        print_json(
            {
                "checked": len(bodies),
                "readers": checks.readers,
                "findings": [_document(each) for each in found],
            }
        )
    else:
        _print(found, len(bodies), checks.readers)
    return 1 if found else 0


class _Checks:
    """The pins of each subject, looked up once; `readers` are those that were asked."""

    def __init__(self, context: Context, reader: str | None, subject: str | None) -> None:
        from consumer.mongodb.client import READERS
        from consumer.readers.pins import Pins

        self._context = context
        self._subject = subject
        pins = Pins(context.shared.database[READERS]).all()
        if reader is not None and all(pin.reader != reader for pin in pins):
            known = ", ".join(sorted({pin.reader for pin in pins})) or "nobody is pinned yet"
            raise SetupError(f"no reader {reader!r} is pinned: {known}")
        self._pins = [pin for pin in pins if reader in (None, pin.reader)]
        self._sights: dict[str, list[Sight]] = {}
        self.readers: list[str] = []

    def of(self, number: int, body: bytes) -> Iterator[_Finding]:
        """The findings on one body; raises SetupError for a schema that is not understood."""
        from consumer.events.documents import encode

        schema = self._schema(body)
        if schema is not None:
            subject = self._subject or self._titled(schema)
            head_of(self._context.shared, subject)
            planned = read(schema)
        else:
            try:
                event = self._context.shared.sources.main.parser.parse(body)
                encode(event.payload)
            except Rejected as error:
                yield _Finding(number, None, why=f"no event, {error.reason}: {error}")
                return
            subject = self._context.one_subject or event.type
            policy = self._context.policy
            planned = of_payload(event.payload, policy.of(subject), policy.guards)
        for sight in self._of(subject):
            for breach in sight.breaches_by(planned):
                yield _Finding(number, subject, self._masked(breach, subject))

    def _schema(self, body: bytes) -> Any:
        """The JSON Schema that a body is, None for a payload."""
        if self._subject is None and _DIALECT.encode() not in body:
            return None
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            if self._subject is None:
                return None
            raise SetupError(f"no JSON Schema: {error}") from error
        says_so = isinstance(found, dict) and _DIALECT in str(found.get("$schema"))
        return found if says_so or self._subject is not None else None

    def _titled(self, schema: dict[str, Any]) -> str:
        named = _TITLE.fullmatch(str(schema.get("title")))
        if named is None:
            raise SetupError("whose payloads does the schema describe? Say it with --type")
        return named.group(1)

    def _of(self, subject: str) -> list[Sight]:
        from consumer.readers.verdicts import sights

        if subject not in self._sights:
            pins = [pin for pin in self._pins if pin.subject == subject]
            found = sights(pins, self._context.shared.registry.version)
            if len(found) < len(pins):
                raise SetupError(
                    f'a version of "{subject}" that a reader is pinned to is lost, and nobody can'
                    " tell what breaks it: pin it again to one that is there"
                )
            self._sights[subject] = found
            self.readers += [f"{pin.reader} ({subject}@{pin.version})" for pin in pins]
        return self._sights[subject]

    def _masked(self, breach: Breach, subject: str) -> Breach:
        path = self._context.hidden.path(breach.path, subject)
        return replace(breach, path=path)


def _print(found: list[_Finding], bodies: int, readers: list[str]) -> None:
    out = console()
    broken = [each for each in found if each.breach]
    if broken:
        columns = ("reader", "path", "knows", "would get", "body")
        rows = [_row(each, each.breach) for each in broken[:_SHOWN] if each.breach]
        out.print(table(columns, rows, title="Would break"))
    for each in [each for each in found if each.why][:_SHOWN]:
        out.print(safe(f"Body {each.number}: {each.why}"), soft_wrap=True)
    if len(found) > _SHOWN:
        out.print(f"{len(found):,} findings: --json shows all")
    asked = ", ".join(readers) or "nobody is pinned to these subjects"
    out.print(safe(f"Bodies: {bodies:,}. Readers: {asked}."), soft_wrap=True)
    if not found:
        out.print("Nobody breaks.")


def _row(found: _Finding, breach: Breach) -> Sequence[object]:
    reader = f"{breach.reader} ({found.subject}@{breach.version})"
    return (reader, to_text(breach.path), *types(breach), found.number)


def _document(found: _Finding) -> dict[str, Any]:
    breach = found.breach
    if breach is None:
        return {"body": found.number, "subject": found.subject, "why": found.why}
    return {"body": found.number, "subject": found.subject, **breach_document(breach)}
