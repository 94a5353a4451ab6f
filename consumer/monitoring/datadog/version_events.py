"""Make one Datadog event of the new versions of a subject."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consumer.core.paths import to_text
from consumer.monitoring.datadog.points import Common, tags
from consumer.schemas import json_types
from consumer.schemas.model import Change, SchemaVersion

_TITLE = 100
_TEXT = 4000
_NAME = 60
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class VersionEvent:
    """An event for Datadog within its limits; `second` is Unix time, `warns` for a conflict."""

    title: str
    text: str
    tags: tuple[str, ...]
    host: str
    key: str
    second: int
    warns: bool


def version_event(versions: Sequence[SchemaVersion], common: Common) -> VersionEvent:
    """One event for versions of one subject, oldest first (not empty). What of their changes nobody
    may see is masked before: the event leaves this service."""
    newest = versions[-1]
    numbers = f"version {newest.number}"
    if len(versions) > 1:
        numbers = f"versions {versions[0].number} to {newest.number}"
    subject = _safe(newest.subject)
    name = subject if len(subject) <= _NAME else f"{subject[: _NAME - 1]}…"
    classes = {change.kind for version in versions for change in version.changes}
    digest = hashlib.sha256(newest.subject.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    own = (f"event_type:{newest.subject}", *(f"change:{kind}" for kind in classes))
    return VersionEvent(
        title=f"Schema of {name}: {numbers}"[:_TITLE],
        text=_text(versions),
        tags=tags((*own, *common.tags)),
        host=common.host,
        # Of one version from two processes Datadog makes one line in its stream.
        key=f"cxone-schema-{digest}-{newest.number}",
        second=int(newest.created_at.timestamp()),
        warns="type_conflict" in classes,
    )


def _text(versions: Sequence[SchemaVersion]) -> str:
    lines = [line for version in versions for line in _lines(version)]
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
        path = _safe(to_text(change.path))[:300]
        yield f"{version.number}: {change.kind} {path} {_types(change)}"


def _types(change: Change) -> str:
    after = _names(change.after)
    return after if change.before in (None, change.after) else f"{_names(change.before)} → {after}"


def _names(mask: int) -> str:
    return " or ".join(json_types.bits(mask)) or "null"


def _safe(text: str) -> str:
    """Names come from outside: `@` in an event notifies people, controls move terminals."""
    return _UNPRINTABLE.sub("_", text).replace("@", "(at)")
