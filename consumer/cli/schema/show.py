"""`schema list` and `schema show`: the subjects, and a version as a tree of its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from consumer.cli.console import console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.schema.alias import alias_documents, alias_text
from consumer.cli.schema.breaches import print_readers, reader_documents
from consumer.cli.schema.shared import COUNT_SECONDS, Context, Number, Subject, opened, version_of
from consumer.core.clock import utc_now
from consumer.core.paths import ANY_KEY, Path, to_text
from consumer.core.text import safe
from consumer.privacy.rules import Redaction
from consumer.schemas.fillable import Fill, fills
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.policy import Defaults
from consumer.signals.statistics import looked_at

# Known, but not filled: see CXONE_FILL_MAX_BYTES and CXONE_FILL_MAX_FIELDS.
BEYOND = "beyond the bound"
_SHOWN_CHARACTERS = 60
_SHOWN_READERS = 5

Days = Annotated[
    int, typer.Option(min=1, max=400, metavar="N", help="How often fields were sent in N days.")
]


def list_subjects(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show every subject with its version, fields, documents, held deliveries and last change; and
    its readers, with those that are broken."""
    from consumer.events.recent import documents_by_subject, estimated_documents
    from consumer.mongodb.client import EVENTS
    from consumer.readers.judge import Tally

    with opened(ctx) as context:
        summaries = context.shared.registry.summaries()
        events = context.shared.database[EVENTS]
        documents = documents_by_subject(events, COUNT_SECONDS)
        estimated = estimated_documents(events)
        held = context.held.counts()
        newest = {each.subject: each.version for each in summaries}
        tallies = context.judge().tallies(lambda: newest)
    if context.one_subject is not None:
        held = {context.one_subject: sum(held.values())}
    rows: list[dict[str, Any]] = [
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
        for row in rows:
            tally = tallies.get(row["subject"], Tally())
            row |= {"readers": len(tally.readers), "broken": list(tally.broken)}
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
            f" than {COUNT_SECONDS:.0f} s)."
        )
    if tallies:
        read = [
            (subject, len(each.readers), len(each.broken), _named(list(each.broken)))
            for subject, each in tallies.items()
        ]
        out.print(table(("subject", "readers", "broken", ""), read, title="Readers"))


def show(
    ctx: typer.Context,
    subject: Subject,
    number: Number = None,
    days: Days = 7,
    as_json: AsJson = False,
) -> None:
    """Show the fields of a version: types, since when, how often events send them, and what fills
    them; and the readers, each with what broke it up to that version."""
    from consumer.signals.store import FieldStatistics

    now = utc_now()
    with opened(ctx) as context:
        version = version_of(context.shared, subject, number)
        judge = context.judge()
        pins = judge.pins(subject)
        breaches = judge.standing(subject, version.number, pins)
        sent = FieldStatistics(context.shared.database).figures(subject, days, now)
        aliases = alias_documents(context, version)
    seen = {"days": days, "looked_at": sent.looked_at}
    facts = {**_facts(context, version), **seen, "aliases": aliases}
    defaults = context.policy.of(subject).defaults
    if as_json:
        fields = field_documents(version, defaults, context.hidden)
        for position, field in enumerate(fields):
            field["statistics"] = sent.document(position)
        readers = reader_documents(pins, breaches)
        print_json({**facts, "fields": fields, "readers": readers})
        return
    out = console()
    guards = facts["guards"]
    rows = [
        ("created", version.created_at),
        ("fields", f"{len(version.live)} of at most {guards['paths_per_subject']}"),
        ("maps", ", ".join(facts["maps"]) or None),
        ("contract", ", ".join(f"{name} = {value}" for name, value in facts["contract"].items())),
        ("defaults", facts["defaults"]),
        ("beyond the bound", facts["beyond_the_bound"] or None),
        ("aliases", "; ".join(map(alias_text, aliases)) or None),
        ("pinned as maps", ", ".join(facts["pinned_maps"]) or None),
        ("pinned as objects", ", ".join(facts["pinned_objects"]) or None),
        ("defaults without a field", ", ".join(facts["defaults_without_field"]) or None),
        ("depth", f"at most {guards['depth']} levels"),
        ("versions an hour", f"at most {guards['versions_per_hour']}"),
        ("looked at", looked_at(sent)),
    ]
    out.print(table(("", ""), [row for row in rows if row[1] is not None]))
    out.print(tree(version, defaults, context.hidden, lambda at: sent.text(at, now)))
    print_readers(out, pins, breaches)


def _named(readers: Sequence[str]) -> str:
    more = len(readers) - _SHOWN_READERS
    return ", ".join(readers[:_SHOWN_READERS]) + (f" and {more:,} more" if more > 0 else "")


def _facts(context: Context, version: SchemaVersion) -> dict[str, Any]:
    policy = context.policy.of(version.subject)
    return {
        "subject": version.subject,
        "version": version.number,
        "created_at": version.created_at,
        "newest_fillable": version.newest_fillable,
        "maps": [
            to_text(context.hidden.path(field.path, version.subject))
            for field in version.live
            if field.path[-1] == ANY_KEY
        ],
        "contract": asdict(policy.contract),
        "defaults": _kind(policy.defaults),
        "beyond_the_bound": 0 if policy.defaults.nothing else _beyond(version, policy.defaults),
        "defaults_without_field": list(map(to_text, unmatched(version, policy.defaults))),
        "pinned_maps": sorted(map(to_text, policy.pins.maps)),
        "pinned_objects": sorted(map(to_text, policy.pins.objects)),
        "guards": asdict(context.policy.guards),
    }


def _kind(defaults: Defaults) -> str:
    return "none" if defaults.nothing else "typed" if defaults.typed else "null"


def _beyond(version: SchemaVersion, defaults: Defaults) -> int:
    return sum(fill.beyond for fill in fills(version, defaults).values())


def tree(
    version: SchemaVersion,
    defaults: Defaults,
    masks: Redaction,
    sent: Callable[[int], str] = lambda _: "",
) -> Tree:
    """The live fields, each under its parent, in the order they were found; `sent` says of the
    field at a position how often it is."""
    filling = fills(version, defaults)
    aliases: dict[Path, str] = {}
    for each in version.aliases_in_force:
        source = "a value" if each.new is None else to_text(masks.path(each.new, version.subject))
        before = f"{aliases[each.old]}, else " if each.old in aliases else ""
        aliases[each.old] = f"{before}{source}"
    root = Tree(Text(safe(f"{version.subject}, version {version.number}"), style="bold"))
    places: dict[Path, Tree] = {(): root}
    live = [numbered for numbered in enumerate(version.fields) if numbered[1].absorbed is None]
    # A parent stands before its children nearly always; not after a map was made above it.
    for position, field in sorted(live, key=lambda numbered: len(numbered[1].path)):
        name = to_text(masks.path(field.path, version.subject)[-1:])
        label = _label(name, field, filling.get(position), defaults)
        if often := sent(position):
            label.append(f"  {often}", style="not bold green")
        if field.path in aliases:
            label.append(f"  filled from {safe(aliases[field.path])}", style="not bold green")
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
