"""Make one Datadog event of the new versions of a subject, and one of a signal."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from consumer.core.paths import to_text
from consumer.monitoring.datadog.points import Common, tags
from consumer.schemas import json_types
from consumer.schemas.model import Change, SchemaVersion

_TITLE = 100
_TEXT = 4000
_NAME = 60
# Readers that are named in tags.
_MOST_READERS = 50
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class VersionEvent:
    """An event for Datadog within its limits; `second` is Unix time. `alert`: error where a reader
    breaks, else warning for a conflict. `about`: its message where it goes to the log."""

    title: str
    text: str
    tags: tuple[str, ...]
    host: str
    key: str
    second: int
    alert: Literal["info", "warning", "error"]
    about: str = "schema changed"


class Broken(Protocol):
    """A change that breaks a reader of `version`; `first_event` is the `_id` of the event."""

    @property
    def reader(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def change(self) -> Change: ...
    @property
    def since(self) -> int | None: ...
    @property
    def first_event(self) -> str | None: ...


def version_event(
    versions: Sequence[SchemaVersion], common: Common, broken: Sequence[Broken] = ()
) -> VersionEvent:
    """One event for versions of one subject, oldest first (not empty), and what they broke. What of
    it nobody may see is masked before: the event leaves this service."""
    newest = versions[-1]
    numbers = f"version {newest.number}"
    if len(versions) > 1:
        numbers = f"versions {versions[0].number} to {newest.number}"
    name = _short(newest.subject)
    classes = {change.kind for version in versions for change in version.changes}
    readers = list(dict.fromkeys(each.reader for each in broken))
    own = (
        f"event_type:{newest.subject}",
        *(f"change:{kind}" for kind in classes),
        *(f"reader:{reader}" for reader in readers[:_MOST_READERS]),
    )
    quiet: Literal["info", "warning"] = "warning" if "type_conflict" in classes else "info"
    return VersionEvent(
        title=f"Schema of {name}: {numbers}{_whom(readers, len(versions))}"[:_TITLE],
        text=_text([*map(_break, broken), *(line for each in versions for line in _lines(each))]),
        tags=tags((*own, *common.tags)),
        host=common.host,
        # Of one version from two processes Datadog makes one line in its stream.
        key=f"cxone-schema-{_digest(newest.subject)}-{newest.number}",
        second=int(newest.created_at.timestamp()),
        alert="error" if broken else quiet,
    )


def signal_event(
    subject: str, kind: str, path: str, lines: str, *, at: datetime, common: Common
) -> VersionEvent:
    """An event for a signal of a field, in lines as people may see them."""
    return VersionEvent(
        title=f"{_short(subject)}: {kind} {_safe(path)}"[:_TITLE],
        text=_text([_safe(line) for line in lines.split("\n")]),
        tags=tags((f"event_type:{subject}", f"signal:{kind}", *common.tags)),
        host=common.host,
        key=f"cxone-signal-{_digest(f'{subject} {kind} {path}')}",
        second=int(at.timestamp()),
        alert="warning",
        about="signal of a field",
    )


def _short(subject: str) -> str:
    name = _safe(subject)
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _whom(readers: Sequence[str], versions: int) -> str:
    if not readers:
        return ""
    more = f" and {len(readers) - 1} more" if len(readers) > 1 else ""
    return f" {'breaks' if versions == 1 else 'break'} {_safe(readers[0])}{more}"


def _break(broken: Broken) -> str:
    change = broken.change
    first = f", first by event {broken.first_event}" if broken.first_event else ""
    return (
        f"{broken.since}: breaks {_safe(broken.reader)} (pinned to {broken.version}): {change.kind}"
        f" {_path(change)} {_types(change)}{first}"
    )


def _text(lines: Sequence[str]) -> str:
    left = _TEXT - 40
    text: list[str] = []
    for count, line in enumerate(lines):
        if len(line) + 1 > left:
            return "\n".join([*text, f"and {len(lines) - count} more changes"])
        text.append(line)
        left -= len(line) + 1
    return "\n".join(text) or "no changes recorded"


def _lines(version: SchemaVersion) -> Iterator[str]:
    for change in version.changes:
        yield f"{version.number}: {change.kind} {_path(change)} {_types(change)}"


def _path(change: Change) -> str:
    return _safe(to_text(change.path))[:300]


def _types(change: Change) -> str:
    after = _names(change.after)
    return after if change.before in (None, change.after) else f"{_names(change.before)} → {after}"


def _names(mask: int) -> str:
    return " or ".join(json_types.bits(mask)) or "null"


def _safe(text: str) -> str:
    """Names come from outside: `@` in an event notifies people, controls move terminals."""
    return _UNPRINTABLE.sub("_", text).replace("@", "(at)")
