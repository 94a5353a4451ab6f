"""Find the dead letters a command is about, and lay one out for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.environment import user_name
from config.loading import Settings
from consumer.cli.console import console, print_json, table
from consumer.cli.context import load_settings, open_shared
from consumer.cli.options import CANDIDATES, ambiguous, moment
from consumer.cli.reveal import masks_beside
from consumer.core.clock import utc_now
from consumer.core.delivery import MAIN
from consumer.core.errors import SetupError
from consumer.dead_letters.retry import STATUSES, UNRESOLVED
from consumer.privacy.rules import Redaction

if TYPE_CHECKING:
    from consumer.dead_letters.diagnosis import Inspector
    from consumer.monitoring.audit import Audit
    from consumer.runtime.shared import SharedParts

Entry = dict[str, Any]
# Hex digits, of which no two in a million letters are alike.
_SHOWN_ID = 12

EntryId = Annotated[str, typer.Argument(metavar="ID", help="Its id, or how that begins.")]
Everything = Annotated[bool, typer.Option("--all", help="All that have not ended.")]
EntryIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or how they begin.")
]


def _reasons() -> Iterable[str]:
    from consumer.dead_letters.requeue import reasons

    return reasons()


def _one_of(known: Callable[[], Iterable[str]]) -> Callable[[str | None], str | None]:
    """Refuse a value that is none of these."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in (names := sorted(known())):
            raise typer.BadParameter(f"{value!r} is none of {', '.join(names)}")
        return value

    return check


Reason = Annotated[
    str | None, typer.Option(callback=_one_of(_reasons), help="Only entries of this reason.")
]
Status = Annotated[
    str | None,
    typer.Option(
        callback=_one_of(lambda: STATUSES), help=f"Only entries with it: {', '.join(STATUSES)}."
    ),
]
OlderThan = Annotated[
    str | None, typer.Option(help="Only entries first seen before: 30m, 12h, 7d.", metavar="TIME")
]


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
        from consumer.dead_letters.diagnosis import Inspector
        from consumer.runtime.settings_map import one_subject

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
        from consumer.dead_letters.search import DeadLetterSearch
        from consumer.mongodb.client import DEAD_LETTERS

        named: Entry = {"entries": list(ids[:1000]), "count": len(ids), **details}
        if sources := DeadLetterSearch(self.shared.database[DEAD_LETTERS]).sources(ids[:1000]):
            named["sources"] = sources
        self.audit.record(self.who, what, utc_now(), named)


@contextmanager
def opened(ctx: typer.Context) -> Iterator[Context]:
    """The context on the configured MongoDB, closed at the end."""
    from consumer.mongodb.client import AUDIT
    from consumer.monitoring.audit import Audit

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
        found["timestamp"] = {"$lt": moment(older_than, utc_now(), "--older-than")}
    return found


def waiting(chosen: Entry) -> Entry:
    """The query for those that have not ended, unless it names a status."""
    return chosen if "status" in chosen else {**chosen, "status": {"$in": list(UNRESOLVED)}}


def found(context: Context, entry_ids: Sequence[str], chosen: Entry) -> list[tuple[str, str]]:
    """Ids and reasons of the entries that a command is about, the oldest first: those named, else
    those that wait and are chosen."""
    if not entry_ids:
        return context.shared.dead_letters.ids(waiting(chosen))
    entries = [one(context.shared, entry_id) for entry_id in entry_ids]
    return list({entry["_id"]: entry["reason"] for entry in entries}.items())


def print_choice(found: Sequence[tuple[str, str]], what: str, *, as_json: bool) -> None:
    """Print which entries it would be."""
    if as_json:
        print_json({"entries": [{"id": _id, "reason": reason} for _id, reason in found]})
        return
    counts = Counter(reason for _, reason in found)
    title = f"{len(found)} entries would be {what}"
    console().print(table(("reason", "entries"), counts.most_common(), title=title))


def short_id(_id: str) -> str:
    """An id as a person reads it on a terminal: every command takes its beginning."""
    return _id[:_SHOWN_ID] if console().is_terminal else _id


def one(shared: SharedParts, prefix: str) -> Entry:
    """The entry whose id begins so; raises SetupError where there is none, or more than one."""
    found = shared.dead_letters.by_prefix(prefix.lower(), CANDIDATES + 1) if prefix else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise SetupError(
            f"no dead letter begins with {prefix!r}: `cxone-consumer dlq list` shows their ids"
        )
    raise ambiguous(
        "dead letter",
        prefix,
        [f"{each['_id']} {each['reason']} {each.get('event_type') or ''}" for each in found],
    )


def brief(entry: Mapping[str, Any], masks: Redaction) -> Entry:
    """An entry without its body, whole or as it is listed."""
    names = (
        "reason", "status", "error_message", "diagnosis", "event_type", "event_id",
        "delivery_id", "seen", "timestamp", "last_seen", "retry_count", "next_retry_at",
        "blocked_by", "resolved_by", "discarded_because", "and_copies", "expires_at", "digest",
        "peer", "source", "as_source", "right_for",
    )  # fmt: skip
    found = {"id": entry["_id"], **{name: entry.get(name) for name in names}}
    found["event_id"] = masks.event_id(found["event_id"], found["event_type"])
    if found["blocked_by"] == found["reason"]:
        found["blocked_by"] = None
    if "original_payload" in entry:
        return {**found, "bytes": len(entry["original_payload"])}
    return {**found, "bytes": entry.get("bytes")}
