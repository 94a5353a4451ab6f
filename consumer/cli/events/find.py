"""Find the events that a command is about, and lay one out in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumer.cli.dlq.entries import short_id
from consumer.cli.schema.shared import Context
from consumer.core.clock import EPOCH, utc_now
from consumer.core.delivery import MAIN
from consumer.privacy.rules import Redaction

if TYPE_CHECKING:
    from consumer.mongodb.client import Document
    from consumer.privacy.person_query import Person

# Seconds that a search through events may take that no index tells apart.
LOOK_SECONDS = 20.0
# So long after it was stamped an event may still be stored, or come from a clock that is behind.
LATE = timedelta(minutes=5)
_SHOWN = ("_id", "_meta", "schema_version", "processed_at")
COLUMNS = ("id", "processed", "version", "type", "event id")

Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=VALUE",
        help="With this value, like customer.email=ann@example.com; several: all hold.",
    ),
]
Version = Annotated[
    int | None, typer.Option("--version", min=0, help="Stored under this version of its schema.")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The events that are asked for: by type, version and time, and by what no index knows."""

    event_type: str | None
    version: int | None
    source: str | None
    person: Person | None
    since: datetime
    until: datetime | None
    by_subject: bool
    type_of: Callable[[Document], str | None]
    masks: Redaction

    @property
    def looks_inside(self) -> bool:
        """True where no index tells them apart."""
        of_type = self.event_type is not None and not self.by_subject
        return of_type or self.person is not None or self.source is not None

    def query(self, context: Context) -> Document:
        """A filter that has all of them, and perhaps more."""
        found: Document = {}
        if self.event_type is not None:
            found |= {"_meta.subject": self.event_type} if self.by_subject else {}
        if self.version is not None:
            found["schema_version"] = self.version
        if self.source is not None:
            found["_meta.source"] = None if self.source == MAIN else self.source
        if self.person is not None and (asked := self._asked(context, self.person)):
            found["$and"] = [asked]
        return found

    def _asked(self, context: Context, person: Person) -> Document:
        from consumer.privacy.person_query import key_places, query

        registry = context.shared.registry
        heads = filter(None, map(registry.refreshed, registry.subjects() if person.keys else ()))
        places = {
            place
            for head in heads
            for place in key_places(head.subject, (each.path for each in head.fields), person.keys)
        }
        return query(person, by_subject=self.by_subject, places=places)

    def fits(self, event: Document) -> bool:
        """Decide on one, as `events erase` does."""
        from consumer.privacy.person_query import meta_of, payload_of

        of_all = self.event_type is None or self.by_subject
        if not of_all and self.type_of(payload_of(event)) != self.event_type:
            return False
        if self.person is None:
            return True
        meta = meta_of(event)
        subject = str(meta.get("subject"))
        # Nothing is found by what is not shown.
        payload = self.masks.value(payload_of(event), subject if self.by_subject else None)
        return self.person.of(subject).fits(payload, sure=not meta.get("untracked"))


def read_person(context: Context, where: Sequence[str] | None) -> Person | None:
    """The conditions of --where; raises typer.BadParameter, which quotes no value."""
    from consumer.events.matching import read_condition
    from consumer.privacy.person_query import Person

    if not where:
        return None
    try:
        conditions = tuple(map(read_condition, where))
    except ValueError as error:
        raise typer.BadParameter(f"{error}", param_hint="--where") from error
    registry = context.shared.registry
    registry.refresh_aliases()
    pairs = {subject: registry.aliased(subject) for subject in registry.subjects()}
    return Person(conditions=conditions, aliases={s: p for s, p in pairs.items() if p})


@dataclass(frozen=True, slots=True)
class Found:
    """Events, the newest first, and the time back to which all were looked at (None: to the end).
    `more`: there are others before them."""

    events: list[Document]
    looked_to: datetime | None = None
    more: bool = False


def newest(context: Context, wanted: Wanted, limit: int, skip: int = 0) -> Found:
    """The newest events that are wanted, without the first `skip` of those at `until` itself."""
    from consumer.events.search import EventFilter, EventSearch
    from consumer.events.walk import EventWalk
    from consumer.mongodb.client import EVENTS

    events = context.shared.database[EVENTS]
    if not wanted.looks_inside:
        asked = EventFilter(
            subjects=() if wanted.event_type is None else (wanted.event_type,),
            version=wanted.version,
            since=wanted.since,
            until=wanted.until,
            skip=skip,
        )
        if wanted.event_type is not None or wanted.version is None:
            page = EventSearch(events).page(asked, limit + 1)
            return Found(page.rows[:limit], more=len(page.rows) > limit)
    found: list[Document] = []
    ends, passed = monotonic() + LOOK_SECONDS, 0
    for window in EventWalk(events).backward(wanted.query(context), wanted.since, wanted.until):
        for event in window.events:
            if not wanted.fits(event):
                continue
            if passed < skip and event["processed_at"] == wanted.until:
                passed += 1
                continue
            if len(found) == limit:
                return Found(found, more=True)
            found.append({name: event[name] for name in _SHOWN if name in event})
        if monotonic() > ends and window.upto > wanted.since:
            return Found(found, looked_to=window.upto, more=True)
    return Found(found)


def facts(event: Mapping[str, Any], context: Context, masks: Redaction) -> dict[str, Any]:
    """An event in a list, for programs."""
    from consumer.privacy.person_query import meta_of

    meta = meta_of(dict(event))
    subject = str(meta.get("subject"))
    return {
        "id": event["_id"],
        "event_id": masks.event_id(meta.get("key"), rules(context, subject)),
        "type": subject,
        "source": meta.get("source", MAIN),
        "version": event.get("schema_version", 0),
        "exhibited_version": meta.get("exhibited_version"),
        "processed_at": event.get("processed_at"),
    }


def may_be_found(event: Mapping[str, Any], prefix: str, context: Context, masks: Redaction) -> bool:
    """True unless it was found by an id that is masked."""
    return str(event["_id"]).startswith(prefix) or str(
        facts(event, context, masks)["event_id"]
    ).startswith(prefix)


def row(found: Mapping[str, Any]) -> tuple[object, ...]:
    """The same in a line for people, under COLUMNS."""
    where = "" if found["source"] == MAIN else f"{found['source']}: "
    return (
        short_id(found["id"]),
        found["processed_at"],
        found["version"],
        found["type"],
        f"{where}{found['event_id']}",
    )


def rules(context: Context, subject: str) -> str | None:
    """The subject whose rules of redaction hold: where all evolve as one, those of any type."""
    return subject if context.one_subject is None else None


def masks_of(context: Context, what: str, *, reveal: bool, **details: object) -> Redaction:
    """The masks; none for a person who said --reveal, which the audit records first."""
    if not reveal or not context.hidden:
        return context.hidden
    context.record(f"{what} --reveal", **details)
    return Redaction()


def since_or_first(text: datetime | None) -> datetime:
    return EPOCH if text is None else text


def new_ones(context: Context, wanted: Wanted, most: int) -> Iterator[list[Document]]:
    """Events that come, each `_id` once, a list for each look; the first has what was there before.
    Those that come late are met too: each look begins five minutes back, or so many events."""
    seen: dict[str, datetime] = {}
    since = wanted.since
    while True:
        since = max(since, utc_now() - LATE)
        found = newest(context, replace(wanted, since=since, until=None), most).events
        if len(found) == most:
            # Never earlier again, or what was forgotten would come twice.
            since = max(since, found[-1]["processed_at"])
        seen = {_id: at for _id, at in seen.items() if at >= since}
        fresh = [event for event in reversed(found) if event["_id"] not in seen]
        seen |= {event["_id"]: event["processed_at"] for event in found}
        yield fresh
