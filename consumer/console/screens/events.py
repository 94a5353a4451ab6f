"""Show the stored events: find them, and see of one what was sent and what was filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from consumer.console.answers import Invalid, Missing
from consumer.console.context import Context
from consumer.console.event_rows import MARKS, as_json, marked, on_one_line
from consumer.console.pagination import KeysetPage
from consumer.console.request import Request, to_mark
from consumer.core.paths import ITEM
from consumer.events.matching import Condition, read_condition
from consumer.events.search import MOST_LOOKED_AT, EventFilter
from consumer.privacy.person_query import payload_of
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults

_PAGE = 50
_MOST_TEXT = 1000
_MOST_TYPES = 2000
_MOST_LETTERS = 10
_MOST_TRIES = 20
_FIELDS = ("id", "type", "version", "where", "from", "to")


def view(context: Context, request: Request) -> dict[str, Any]:
    """A page of events, the last processed first."""
    query, page = request.query, KeysetPage.of(request)
    types = [each.subject for each in context.summaries()]
    subjects = _subjects(types, query.get("type", "").strip()[:_MOST_TEXT])
    wanted = EventFilter(
        key=query.get("id", "").strip()[:_MOST_TEXT],
        subjects=subjects,
        version=query.number("version", 0, most=10**9) or None,
        since=query.time("from"),
        until=_earlier(query.time_before("to"), page.until),
        skip=page.skip,
        # Whoever may not see ids must not find them letter by letter.
        begins=not any(context.redaction.event_id("", each) for each in _rules_of(subjects)),
        condition=_condition(context, query.get("where", "").strip()[:_MOST_TEXT], subjects),
    )
    found = context.events.page(wanted, _PAGE + 1, partial(_shown, context))
    links = page.links(request, found.rows, _PAGE, lambda row: row["processed_at"])
    if found.back_to is not None and links.older is None:
        further = request.link(at=to_mark(found.back_to), past=None, page=page.page + 1)
        links = replace(links, older=further)
    return {
        "wanted": wanted,
        "types": types[:_MOST_TYPES],
        "rows": [_row(context, each) for each in found.rows[:_PAGE]],
        "partial": found.partial,
        "back_to": found.back_to,
        "looked_at": MOST_LOOKED_AT,
        "links": links,
        "by_type": context.one_subject is None,
        "filtered": any(query.get(name) for name in _FIELDS),
    }


def _subjects(types: list[str], text: str) -> tuple[str, ...]:
    """The type of this name, else those that begin with it; a name that no schema has by itself."""
    if not text or text in types:
        return (text,) if text else ()
    return tuple(each for each in types if each.startswith(text)) or (text,)


def _rules_of(subjects: Sequence[str]) -> Sequence[str | None]:
    """Whose rules of redaction hold for these; None: those of all."""
    return subjects or (None,)


def _condition(context: Context, text: str, subjects: Sequence[str]) -> Condition | None:
    """The condition on a payload that is asked for; raises Invalid for one on what is hidden."""
    if not text:
        return None
    try:
        found = replace(read_condition(text), by_key=False)
    except ValueError as error:
        raise Invalid(f"That cannot be looked for: {error}.") from error
    # Lists are looked through, also those in lists, and rules may name their items.
    path = tuple(part for key in found.path for part in (key, ITEM, ITEM))
    together = context.one_subject is not None
    rules = (None,) if together else _rules_of(subjects)
    if any(context.redaction.hides(path, each) for each in rules):
        raise Invalid("That field is masked (CXONE_REDACT): nothing can be found by it here.")
    return found


def _shown(context: Context, document: dict[str, Any]) -> dict[str, Any]:
    """The payload of a document as people see it."""
    subject = str((document.get("_meta") or {}).get("subject", ""))
    return payload_of(context.redaction.document(document, _rules(context, subject)))


def one(context: Context, request: Request) -> dict[str, Any]:
    """One event, field by field."""
    _id = request.query.get("id", "")
    document = context.events.one(_id) if _id else None
    if document is None:
        raise Missing("There is no event with this address: it may have been erased, or expired.")
    subject = str((document.get("_meta") or {}).get("subject", ""))
    # Positions of fields mean the same in every version, so that the newest one tells them all.
    head = context.registry.refreshed(subject) if subject else None
    defaults = context.schema_policy.of(subject).defaults if subject else Defaults()
    shown = context.redaction.document(document, _rules(context, subject))
    meta = shown.get("_meta") or {}
    return {
        "id": _id,
        "key": meta.get("key"),
        "meta": meta,
        "aside": [(each["name"], on_one_line(each["value"])) for each in meta.get("shadowed", ())],
        "subject": subject,
        "head": head,
        "stored": document.get("schema_version", 0),
        "processed": document.get("processed_at"),
        "event": marked(document, shown, head, defaults),
        "marks": MARKS,
        "json": as_json(shown),
        "way": _way(context, _id, document, head),
        "pins": context.judge.pins(subject) if head else [],
    }


@dataclass(frozen=True, slots=True)
class Step:
    """A moment in the life of an event; `letter` is the dead letter that it was then, `version` the
    one of its schema that filled it."""

    at: datetime | None
    text: str
    letter: str = ""
    version: int = 0


def _way(
    context: Context, _id: str, document: Mapping[str, Any], head: SchemaVersion | None
) -> list[Step]:
    """The way of an event in time: as a dead letter, tried again, stored, and filled."""
    meta = document.get("_meta") or {}
    letters = context.dead_letter_search.of_event(_id, _MOST_LETTERS)
    steps = [Step(meta.get("received_at"), "Received")]
    for each in letters:
        steps.append(Step(each["timestamp"], f"Dead letter: {each['reason']}", each["_id"]))
        steps += [
            Step(tried["at"], f"Tried by {tried['by']}: {tried['result']}", each["_id"])
            for tried in each["history"][-_MOST_TRIES:]
        ]
    stored = document.get("schema_version", 0)
    at = document.get("processed_at")
    steps.append(Step(at, f"Stored as version {stored}" if stored else "Stored", version=stored))
    upto = meta.get("backfilled_to") or 0
    if head is not None and stored < upto:
        version = context.registry.version(head.subject, upto)
        since = None if version is None else version.created_at
        steps.append(Step(since, f"Version {upto} came: later a backfill filled it", version=upto))
    # What has no time is of a document that others put there.
    return sorted(steps, key=lambda step: to_mark(step.at) if isinstance(step.at, datetime) else 0)


def _row(context: Context, row: dict[str, Any]) -> dict[str, Any]:
    meta = row.get("_meta") or {}
    subject = str(meta.get("subject", ""))
    return {
        "id": row["_id"],
        "key": context.redaction.event_id(meta.get("key"), _rules(context, subject)),
        "subject": subject,
        "source": meta.get("source"),
        "version": row.get("schema_version", 0),
        "exhibited": meta.get("exhibited_version", 0),
        "at": row["processed_at"],
    }


def _rules(context: Context, subject: str) -> str | None:
    """The subject whose rules of redaction hold: where all evolve as one, those of any type."""
    return subject if context.one_subject is None else None


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other
