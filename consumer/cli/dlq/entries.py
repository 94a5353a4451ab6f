"""Find the dead letters a command is about, and lay one out for people and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.environment import user_name
from config.loading import Settings
from consumer.cli.context import load_settings, open_shared
from consumer.cli.reveal import masks_beside
from consumer.core.clock import utc_now
from consumer.core.delivery import MAIN
from consumer.core.errors import SetupError
from consumer.dead_letters.diagnosis import Inspector
from consumer.dead_letters.search import DeadLetterSearch
from consumer.mongodb.client import AUDIT, DEAD_LETTERS
from consumer.monitoring.audit import Audit
from consumer.privacy.rules import Redaction
from consumer.runtime.settings_map import one_subject

if TYPE_CHECKING:
    from consumer.runtime.shared import SharedParts

Entry = dict[str, Any]

EntryId = Annotated[str, typer.Argument(metavar="ID", help="Its id, or how that begins.")]
EntryIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or how they begin.")
]
Reason = Annotated[str | None, typer.Option(help="Only entries of this reason.")]
EventType = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
Status = Annotated[str | None, typer.Option(help="Only entries with this status.")]
OlderThan = Annotated[
    str | None, typer.Option(help="Only entries first seen before: 30m, 12h, 7d.", metavar="TIME")
]

FromSource = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="Only what came by this source; main is one."),
]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a command on dead letters, and the person who gave it."""

    settings: Settings
    shared: SharedParts
    audit: Audit
    who: str
    hidden: Redaction

    @property
    def inspector(self) -> Inspector:
        return Inspector(self.shared.sources, self.shared.registry, one_subject(self.settings))

    def masks(self, what: str, entries: Sequence[str], *, reveal: bool) -> Redaction:
        """The masks for these entries: none for a person who said `--reveal`, which the audit
        records first."""
        if reveal and self.hidden:
            self.record(f"{what} --reveal", entries)
            return Redaction()
        return self.hidden

    def record(self, what: str, ids: Sequence[str], **details: object) -> None:
        """Write a deed to the audit before it is done; only the first thousand ids by name."""
        named: Entry = {"entries": list(ids[:1000]), "count": len(ids), **details}
        if sources := DeadLetterSearch(self.shared.database[DEAD_LETTERS]).sources(ids[:1000]):
            named["sources"] = sources
        self.audit.record(self.who, what, utc_now(), named)


@contextmanager
def opened(ctx: typer.Context) -> Iterator[Context]:
    """The context on the configured MongoDB, closed at the end."""
    settings = load_settings(ctx)
    with open_shared(settings) as shared:
        audit = Audit(shared.database[AUDIT])
        yield Context(settings, shared, audit, user_name(), masks_beside(settings, shared))


def filters(
    reason: str | None = None,
    event_type: str | None = None,
    status: str | None = None,
    older_than: str | None = None,
    source: str | None = None,
) -> Entry:
    """The query of these options; raises typer.BadParameter for a time that is none."""
    given = {"reason": reason, "event_type": event_type, "status": status}
    found: Entry = {name: value for name, value in given.items() if value is not None}
    if source is not None:
        found["source"] = None if source == MAIN else source
    if older_than is not None:
        found["timestamp"] = {"$lt": before(older_than, utc_now())}
    return found


def before(age: str, now: datetime) -> datetime:
    """The time so long ago: `90` (seconds), `30m`, `12h`, `7d`."""
    number, unit = (age[:-1], age[-1:]) if age[-1:] in _UNITS else (age, "s")
    if not (number.isascii() and number.isdecimal() and len(number) <= 9):
        raise typer.BadParameter("--older-than takes a time like 30m, 12h or 7d")
    try:
        return now - timedelta(seconds=int(number) * _UNITS[unit])
    except OverflowError:
        raise typer.BadParameter("--older-than lies before the first year") from None


def one(shared: SharedParts, prefix: str) -> Entry:
    """The entry whose id begins so; raises SetupError where there is none, or more than one."""
    found = shared.dead_letters.by_prefix(prefix.lower()) if prefix else []
    if len(found) == 1:
        return found[0]
    what = "more than one dead letter begins" if found else "no dead letter begins"
    raise SetupError(f"{what} with {prefix!r}: `cxone-consumer dlq list` shows their ids")


def brief(entry: Mapping[str, Any], masks: Redaction) -> Entry:
    """An entry without its body, whole or as it is listed."""
    names = (
        "_id", "reason", "status", "error_message", "diagnosis", "event_type", "event_id",
        "delivery_id", "seen", "timestamp", "last_seen", "retry_count", "next_retry_at",
        "blocked_by", "resolved_by", "discarded_because", "and_copies", "expires_at", "digest",
        "peer", "source", "as_source", "right_for",
    )  # fmt: skip
    found = {name: entry.get(name) for name in names}
    found["event_id"] = masks.event_id(found["event_id"], found["event_type"])
    if found["blocked_by"] == found["reason"]:
        found["blocked_by"] = None
    if "original_payload" in entry:
        return {**found, "bytes": len(entry["original_payload"])}
    return {**found, "bytes": entry.get("bytes")}


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask the person to agree, unless `yes` was said on the command line."""
    return yes or typer.confirm(question, default=False, err=True)
