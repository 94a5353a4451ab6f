"""`schema pin`, `pins` and `unpin`: programs downstream, each with a view of one version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.environment import user_name
from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.options import Yes, confirmed
from consumer.cli.schema.amend import check_known, read_path
from consumer.cli.schema.breaches import breach_document, print_breaches
from consumer.cli.schema.shared import Context, Subject, opened, version_of
from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.core.paths import Path, to_text
from consumer.core.text import safe
from consumer.privacy.rules import Redaction
from consumer.schemas.model import SchemaVersion

if TYPE_CHECKING:
    from consumer.readers.judge import Tally
    from consumer.readers.pins import Pin
    from consumer.readers.views import Views

_SHOWN = 50
_NUMBER = re.compile("[0-9]{1,9}")
_ALL_THE_SAME = "It is broken already, as seen from that version. Pin it all the same?"
_NOT_PINNED = (
    "Not pinned: it is broken already. Pin it to a newer version, name what it needs with --uses,"
    " or say --yes."
)
_COSTS = (
    "Look-ups by _id and windows of processed_at use an index. Filters on fields of the payload,"
    " sort without such a window, count and distinct read every event of the subject: seconds for"
    " 10,000. A view has no change streams and no $text, and compares text as it is (simple"
    " collation)."
)

Reader = Annotated[
    str, typer.Option("--as", metavar="READER", help="The program that reads: a-z, 0-9, _ and -.")
]


class Mismatch(str, Enum):
    """A value of a type that the version does not know."""

    NULL = "null"
    KEEP = "keep"


def pin(
    ctx: typer.Context,
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT[@VERSION]", help="An event type; else the newest.")
    ],
    *,
    reader: Reader,
    uses: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A field it needs, and all below; else every one."),
    ] = None,
    mismatch: Annotated[
        Mismatch, typer.Option(help="Show a value of a type that the version does not know.")
    ] = Mismatch.NULL,
    redact: Annotated[
        bool, typer.Option("--redact", help="Mask in the view what CXONE_REDACT names.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Pin a program to a version of a subject: a view shows it exactly the fields of that version.

    Newer fields are hidden, and older events are filled when they are read. Pinned again, the view
    is made what is said now. Where a later version breaks the program already, --yes pins it all
    the same.
    """
    _check(reader)
    with opened(ctx) as context:
        version = _named(context, subject)
        views = context.views()
        made = views.pins.made(
            reader,
            version,
            context.policy.of(version.subject).defaults,
            at=utc_now(),
            by=user_name(),
            uses=tuple(_used(text, version, context.hidden) for text in uses or ()),
            mismatch=mismatch.value,
            redact=redact,
        )
        before = views.pins.get(reader, version.subject)
        new = before is None or not before.is_like(made)
        newest = context.shared.registry.refreshed(made.subject)
        upto = newest.number if newest else made.version
        breaches = context.judge().standing(made.subject, upto, [made])
        if breaches and not as_json:
            print_breaches(console(), breaches)
        if new and breaches and not confirmed(_ALL_THE_SAME, yes=yes):
            error_console().print(_NOT_PINNED, soft_wrap=True)
            if as_json:
                print_json({"new": False, "breaches": list(map(breach_document, breaches))})
            return 1
        if new:
            context.record("schema pin", subject=made.subject, reader=reader, version=made.version)
            views.pin(made)
        facts = _facts(context, views, made, new)
        facts["breaches"] = list(map(breach_document, breaches))
    if as_json:
        print_json(facts)
    else:
        _print(facts, before)
    return 0


def pins(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the programs that are pinned, and their views."""
    with opened(ctx) as context:
        views = context.views()
        heads, kinds = context.shared.registry.subjects(), views.kinds()
        tallies = context.judge().tallies(lambda: heads)
        rows = [_row(context, each, heads, kinds, tallies) for each in views.pins.all()]
    if as_json:
        print_json({"pins": rows})
        return
    if not rows:
        console().print("No program is pinned: `schema pin SUBJECT --as READER` pins one.")
        return
    columns = ("reader", "subject", "version", "newest", "view", "uses", "pinned")
    out = [
        [
            each["reader"],
            each["subject"],
            each["version"],
            each["newest"],
            each["view"] + ("" if each["state"] == "view" else f" ({each['state']})"),
            ", ".join(each["uses"]) or "all",
            f"{each['at']:%Y-%m-%d %H:%M} by {each['by']}",
        ]
        for each in rows
    ]
    console().print(table(columns, out))


def unpin(ctx: typer.Context, subject: Subject, reader: Reader, as_json: AsJson = False) -> None:
    """End the pin of a program, and drop its view."""
    _check(reader)
    with opened(ctx) as context:
        views = context.views()
        found = views.pins.get(reader, subject)
        if found is None:
            there = [f"{each.subject} --as {each.reader}" for each in views.pins.all()]
            near = get_close_matches(f"{subject} --as {reader}", there, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else "`schema pins` lists all"
            raise SetupError(f'"{reader}" is not pinned to "{subject}": {hint}')
        context.record("schema unpin", subject=subject, reader=reader, version=found.version)
        view = f"the view {found.view} is dropped"
        if views.kinds().get(found.view) not in ("view", None):
            view = f"{found.view} is no view, and stays"
        views.unpin(found, utc_now())
    if as_json:
        print_json({"reader": reader, "subject": subject, "view": found.view})
    else:
        console().print(safe(f"Unpinned: {view}."), soft_wrap=True)


def _check(reader: str) -> None:
    from consumer.readers.pins import check_reader

    try:
        check_reader(reader)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--as") from error


def _named(context: Context, text: str) -> SchemaVersion:
    """The version that SUBJECT[@VERSION] names; a subject may have an @ in its own name."""
    name, at, number = text.rpartition("@")
    if at and _NUMBER.fullmatch(number) and context.shared.registry.refreshed(text) is None:
        return version_of(context.shared, name, int(number))
    return version_of(context.shared, text, None)


def _used(text: str, version: SchemaVersion, masks: Redaction) -> Path:
    path = read_path(text)
    check_known(version, path, masks)
    return path


def _facts(context: Context, views: Views, made: Pin, new: bool) -> dict[str, Any]:
    from consumer.readers.views import role

    hidden, subject = context.hidden, made.subject
    head = context.shared.registry.head(subject)
    types = {field.path: field.types for field in head.live} if head else {}
    not_shown = [
        {
            "path": to_text(hidden.path(each.path, subject)),
            "why": each.why,
            "since": min(types.get(each.path, {}).values(), default=None) if each.is_open else None,
        }
        for each in views.projection(made).not_shown
    ]
    return {
        "reader": made.reader,
        "subject": subject,
        "version": made.version,
        "view": made.view,
        "database": context.shared.database.name,
        "uses": [to_text(hidden.path(path, subject)) for path in made.uses],
        "mismatch": made.mismatch,
        "redact": made.redact,
        "new": new,
        "not_shown": not_shown,
        "role": role(context.shared.database.name, made.view),
    }


def _print(facts: dict[str, Any], before: Pin | None) -> None:
    out = console()

    def say(text: str) -> None:
        out.print(safe(text), soft_wrap=True)

    what = f"{facts['reader']} reads {facts['subject']} as version {facts['version']} has it"
    if not facts["new"]:
        say(f"{what}: it is pinned so already.")
    else:
        was = f" It was pinned to version {before.version}." if before else ""
        say(f"Pinned: {what}, in the view {facts['view']}.{was}")
    for each in facts["not_shown"][:_SHOWN]:
        newer = each["since"] and each["since"] > facts["version"]
        has = f"; version {each['since']} has one" if newer else ""
        say(f"Not shown: {each['path']}: {each['why']}{has}.")
    if len(facts["not_shown"]) > _SHOWN:
        say(f"And {len(facts['not_shown']) - _SHOWN:,} more are not shown: --json lists them.")
    say(_COSTS)
    view, database = json.dumps(facts["view"]), json.dumps(facts["database"])
    say("To read by time, in mongosh:")
    say(
        f"  db.getSiblingDB({database}).getCollection({view})"
        '.find({processed_at: {$gte: ISODate("2026-01-01"), $lt: ISODate("2026-01-02")}})'
    )
    say("The role that its user needs, and no other; grant it once it is made:")
    say(f"  db.getSiblingDB({database}).createRole({json.dumps(facts['role'])})")


def _row(
    context: Context,
    each: Pin,
    heads: dict[str, int],
    kinds: dict[str, str],
    tallies: Mapping[str, Tally],
) -> dict[str, Any]:
    from consumer.readers.judge import Tally

    lost = each.reader in tallies.get(each.subject, Tally()).lost
    return {
        "reader": each.reader,
        "subject": each.subject,
        "version": each.version,
        "newest": heads.get(each.subject),
        "view": each.view,
        "state": "version lost" if lost else kinds.get(each.view, "missing"),
        "uses": [to_text(context.hidden.path(path, each.subject)) for path in each.uses],
        "mismatch": each.mismatch,
        "redact": each.redact,
        "at": each.at,
        "by": each.by,
    }
