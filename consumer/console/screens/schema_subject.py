"""Show one subject: its fields as a tree, how it became what it is, and two versions compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from config.settings import MASK
from consumer.console.answers import Download, Missing
from consumer.console.context import Context
from consumer.console.request import Request
from consumer.console.screens.adoption import USUAL_SPAN, hours_of_span, picture, version_rows
from consumer.console.screens.schemas import held_by_subject
from consumer.core.paths import ANY_KEY, Path, to_text
from consumer.privacy.rules import Redaction, masked
from consumer.readers.judge import Tally
from consumer.schemas.evolution import diff
from consumer.schemas.export import json_schema, mongo_validator
from consumer.schemas.fillable import Fill, fills
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.policy import Defaults
from consumer.signals.signals import told
from consumer.signals.statistics import Figures, looked_at

# Days over which it is told how often fields are sent.
SPANS = {1: "today", 7: "7 days", 30: "30 days", 90: "90 days"}
_STEPS = 30
_MOST_DEFAULT = 40
_MOST_BREACHES = 200
_MOST_ALIASES = 50
_MOST_SIGNALS = 5
_WEEK = timedelta(days=7)
TABS = {"fields": "Overview", "versions": "Versions", "compare": "Compare", "readers": "Readers"}


def view(context: Context, request: Request) -> dict[str, Any]:
    """The values of all tabs, and of the one that is asked for."""
    head = head_of(context, request)
    tab = request.query.get("tab", "fields")
    return {
        **common(context, head),
        "tab": tab if tab in TABS else "fields",
        **(_TABS.get(tab) or _fields)(context, request, head),
    }


def common(context: Context, head: SchemaVersion) -> dict[str, Any]:
    """The values that stand above every tab of a subject."""
    policy = context.schema_policy.of(head.subject)
    return {
        "head": head,
        "tabs": TABS,
        "held": held_by_subject(context).get(head.subject, 0),
        "broken": len(context.tallies().get(head.subject, Tally()).broken),
        "contract": policy.contract,
        "live": len(head.live),
    }


def head_of(context: Context, request: Request) -> SchemaVersion:
    """The newest version of the subject that the query names; raises Missing."""
    name = request.query.get("name", "")
    head = context.registry.refreshed(name) if name else None
    if head is None:
        raise Missing(f"There is no schema “{name[:200]}”.")
    return head


def export(context: Context, request: Request) -> Download:
    """A version as JSON Schema, or as a validator for MongoDB."""
    head = head_of(context, request)
    version = _version(context, head, request.query.number("version", head.number, most=10**9))
    defaults = context.schema_policy.of(head.subject).defaults
    is_validator = request.query.get("format") == "mongodb"
    version = context.redaction.without_hidden(version)
    schema = mongo_validator(version, defaults).schema if is_validator else None
    document = json_schema(version, defaults) if schema is None else schema
    kind = "validator" if is_validator else "schema"
    name = "".join(each if each.isalnum() or each in "._-" else "_" for each in head.subject)
    body = json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "replace")
    file_name = f"{name[:100]}.v{version.number}.{kind}.json"
    return Download(file_name, "application/json", body)


def _fields(context: Context, request: Request, head: SchemaVersion) -> dict[str, Any]:
    version = _version(context, head, request.query.number("version", head.number, most=10**9))
    defaults = context.schema_policy.of(head.subject).defaults
    asked = request.query.number("days", 7, least=1, most=400)
    days, now = asked if asked in SPANS else 7, context.clock()
    sent = context.field_statistics.figures(head.subject, days, now)
    return {
        "version": version,
        "spans": SPANS,
        "days": days,
        "looked_at": looked_at(sent),
        "fields": field_rows(version, defaults, sent, now, context.redaction),
        "aliases": list(_aliases(context, version)),
        # An older version is looked at for its fields alone.
        "together": _together(context, request, head) if version.number == head.number else None,
    }


def _together(context: Context, request: Request, head: SchemaVersion) -> dict[str, Any]:
    """All else that is known of an event type: its events an hour and their versions, who reads it,
    signals, and its dead letters."""
    subject = head.subject
    hours = hours_of_span(USUAL_SPAN, request.now)
    week = [hour - _WEEK for hour in hours]
    sent = context.adoption.sent(subject, [*week, *hours])
    now_, then = (
        replace(sent, hours={h: sent.hours.get(h, {}) for h in of}) for of in (hours, week)
    )
    count, before = (sum(sum(of.values()) for of in each.hours.values()) for each in (now_, then))
    documents = context.documents().documents.get(subject, {})
    tally = context.tallies().get(subject, Tally())
    signals = [each for each in context.signals.of(subject) if each.state != "muted"]
    together = context.one_subject is not None
    return {
        "span": USUAL_SPAN,
        "sent": count,
        # The current hour has just begun, and its twin is whole: small beside a day.
        "change": count / before - 1 if before else None,
        "chart": picture(now_, hours),
        "versions": version_rows(documents, now_, head.number),
        "documents": sum(documents.values()),
        "readers": [(name, name in tally.broken) for name in sorted(tally.readers)],
        "signals": [told(each, context.redaction) for each in signals[:_MOST_SIGNALS]],
        "more_signals": max(0, len(signals) - _MOST_SIGNALS),
        "letters": context.dead_letter_search.waiting(None if together else subject),
        "letters_type": "" if together else subject,
    }


def _aliases(context: Context, version: SchemaVersion) -> Iterator[dict[str, Any]]:
    """The aliases of a version that fill something, the newest first: since when, and by whom."""
    masks, subject = context.redaction, version.subject
    for each in islice(reversed(version.aliases_in_force), _MOST_ALIASES):
        made = context.registry.version(subject, each.since)
        about = {"subject": subject, "path": masks.recorded(each.old, subject)}
        value = MASK if masks.hides(each.old, subject) else _text(each.value)
        yield {
            "old": to_text(masks.path(each.old, subject)),
            "new": to_text(masks.path(each.new, subject)) if each.new else None,
            "value": value,
            "since": each.since,
            "at": made.created_at if made else None,
            "by": context.audit.who("schema alias", made.created_at, about) if made else "",
        }


def _versions(context: Context, request: Request, head: SchemaVersion) -> dict[str, Any]:
    upto = request.query.number("upto", head.number, least=1, most=head.number)
    after = max(0, upto - _STEPS)
    steps = [
        replace(step, changes=masked(step.changes, context.redaction, head.subject))
        for step in context.registry.changes_between(head.subject, after, upto)
    ]
    broken: dict[int | None, dict[str, None]] = {}
    for each in context.judge.breaches(head.subject, upto, after):
        broken.setdefault(each.since, {})[each.reader] = None
    return {"steps": steps[::-1], "older": after or None, "breaks": broken}


def _compare(context: Context, request: Request, head: SchemaVersion) -> dict[str, Any]:
    newer = request.query.number("to", head.number, least=1, most=head.number)
    older = request.query.number("from", max(0, newer - 1), most=head.number)
    older, newer = min(older, newer), max(older, newer)
    before = _version(context, head, older) if older else None
    after = _version(context, head, newer)
    caused: dict[Path, str] = {}
    for step in islice(context.registry.changes_between(head.subject, older, newer), 1000):
        changes = masked(step.changes, context.redaction, head.subject)
        caused.update({change.path: change.caused_by for change in changes})
    return {
        "older": older,
        "newer": newer,
        "changes": masked(diff(before, after), context.redaction, head.subject)
        if older != newer
        else (),
        "caused": caused,
        "breaches": context.judge.breaches(head.subject, newer, older)[:_MOST_BREACHES],
    }


def _readers(context: Context, _: Request, head: SchemaVersion) -> dict[str, Any]:
    pins = context.judge.pins(head.subject)
    breaches = context.judge.standing(head.subject, head.number, pins)
    fields: dict[str, set[Path]] = {}
    for each in breaches:
        fields.setdefault(each.reader, set()).add(each.path)
    return {
        "pins": pins,
        "fields": {reader: len(paths) for reader, paths in fields.items()},
        "breaches": breaches[:_MOST_BREACHES],
        "more": max(0, len(breaches) - _MOST_BREACHES),
    }


def _version(context: Context, head: SchemaVersion, number: int) -> SchemaVersion:
    version = head if number == head.number else context.registry.version(head.subject, number)
    if version is None:
        raise Missing(f"“{head.subject}” has no version {number}: it is at {head.number}.")
    return version


_TABS = {"fields": _fields, "versions": _versions, "compare": _compare, "readers": _readers}


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field under its parent. `types`: names, each with the version that first knew it where
    that is a later one. `default` is empty where nothing is ever filled in; `sent` is a share from
    0 to 1, None where no event was looked at, and `often` says it in words."""

    name: str
    path: str
    depth: int
    types: tuple[tuple[str, int | None], ...]
    since: int
    newest: int
    is_map: bool
    default: str
    sent: float | None
    often: str
    retired: int | None


def field_rows(
    version: SchemaVersion,
    defaults: Defaults,
    sent: Figures,
    now: datetime,
    masks: Redaction,
) -> list[FieldRow]:
    """The live fields, children under their parents in the order they were found."""
    children: dict[Path, list[Field]] = {}
    for field in version.live:
        children.setdefault(field.path[:-1], []).append(field)
    filling = fills(version, defaults)
    filled = {version.fields[position].path: fill for position, fill in filling.items()}
    positions = {field.path: at for at, field in enumerate(version.fields)}
    return [
        _row(
            field,
            masks.path(field.path, version.subject),
            filled.get(field.path),
            sent.share(positions[field.path]),
            sent.text(positions[field.path], now),
        )
        for field in _walk(children, ())
    ]


def _walk(children: Mapping[Path, list[Field]], parent: Path) -> Iterator[Field]:
    for field in children.get(parent, ()):
        yield field
        yield from _walk(children, field.path)


def _row(field: Field, shown: Path, fill: Fill | None, sent: float | None, often: str) -> FieldRow:
    types = sorted(field.types.items(), key=lambda item: item[1])
    return FieldRow(
        name=to_text(shown[-1:]),
        path=to_text(shown),
        depth=min(len(field.path) - 1, 8),
        types=tuple((name, since if since > field.since else None) for name, since in types),
        since=field.since,
        newest=max((field.since, *field.types.values())),
        is_map=field.path[-1] == ANY_KEY,
        default=_default(fill),
        sent=sent,
        often=often,
        retired=field.retired,
    )


def _default(fill: Fill | None) -> str:
    if fill is None:
        return ""
    if fill.beyond:
        return "not filled"
    return _text(fill.value)


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_DEFAULT else f"{text[:_MOST_DEFAULT]}\u2026"
