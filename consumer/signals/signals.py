"""Signals: what field statistics show, from when it is found until it has ended; and in words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from consumer.core.clock import HOUR
from consumer.core.paths import Path, to_text
from consumer.signals.statistics import percent, span

Kind = Literal["vanished", "renamed"]
# Open until somebody says otherwise; muted ones are never told again, whatever they do.
State = Literal["open", "acknowledged", "muted"]
# By kind, the figures that its words need.
FIGURES: Mapping[Kind, tuple[str, ...]] = {
    "vanished": ("absent_hours", "longest_gap_hours", "events_without"),
    "renamed": (
        "events",
        "together",
        "old_share",
        "new_share",
        "share_before",
        "types_agree",
        "same_place",
        "names_agree",
    ),
}
# Names that are so similar agree.
ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class Finding:
    """A path that vanished `since`, or was likely renamed to another since then; `score` from 0 to
    1, `figures` are why."""

    kind: Kind
    path: Path
    to: Path | None
    since: datetime
    score: float
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signal(Finding):
    """A finding of a subject that is kept: when it was last seen to hold, and since when it does
    not any more. `is_told`: Datadog got it, or need not."""

    subject: str = ""
    last_seen: datetime | None = None
    state: State = "open"
    ended_at: datetime | None = None
    is_told: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """The `_id` of its document."""
        to = {} if self.to is None else {"to": list(self.to)}
        return {"subject": self.subject, "kind": self.kind, "path": list(self.path), **to}

    @property
    def holds(self) -> bool:
        return self.ended_at is None


def settle(
    subject: str,
    found: Iterable[Finding],
    known: Iterable[Signal],
    has_ended: Callable[[Signal], bool],
    now: datetime,
) -> Iterator[tuple[Signal, bool]]:
    """The signals of a subject that a new look changes, each with whether it is new. One that ended
    and is found again is open and told again, unless it was muted: a muted one goes on."""
    old = {(each.kind, each.path, each.to): each for each in known}
    for each in found:
        was = old.pop((each.kind, each.path, each.to), None)
        if was is not None and (was.holds or was.state == "muted"):
            going_on = replace(was, last_seen=now, score=each.score, figures=each.figures)
            yield replace(going_on, ended_at=None), False
        else:
            fresh = {name.name: getattr(each, name.name) for name in fields(Finding)}
            yield Signal(**fresh, subject=subject, last_seen=now), True
    for was in old.values():
        if was.holds and has_ended(was):
            yield replace(was, ended_at=now), False


class Masks(Protocol):
    """The names and values that nobody may see."""

    def path(self, path: Path, subject: str | None) -> Path: ...

    def hides(self, path: Path, subject: str | None) -> bool: ...


@dataclass(frozen=True, slots=True)
class Told:
    """A signal in words, as people may see them. `alias`: the command that has the old field filled
    from the new one, quoted for a shell; None where a name in it is hidden, or it is no renaming.
    `warning`: a hidden value has a name now under which it is not."""

    path: str
    to: str | None
    sentence: str
    alias: str | None = None
    warning: str | None = None

    @property
    def text(self) -> str:
        """All of it in lines."""
        lines = [f"{self.path}: {self.sentence}", self.warning, self.alias]
        return "\n".join(line for line in lines if line)


def told(signal: Signal, masks: Masks) -> Told:
    """The words for a signal."""
    subject = signal.subject
    path = to_text(masks.path(signal.path, subject))
    if signal.to is None:
        return Told(path, None, _vanished(signal.figures))
    to = to_text(masks.path(signal.to, subject))
    shown = all(masks.path(each, subject) == each for each in (signal.path, signal.to))
    names = [subject, path, to]
    if any(name.startswith("-") for name in names):
        names.insert(0, "--")
    in_clear = masks.hides(signal.path, subject) and not masks.hides(signal.to, subject)
    return Told(
        path,
        to,
        _renamed(path, to, signal.score, signal.figures),
        f"cxone-consumer schema alias {shlex.join(names)}" if shown else None,
        f"CXONE_REDACT hides {path}, but not {to}: name that too" if in_clear else None,
    )


def _vanished(figures: Mapping[str, Any]) -> str:
    absent, longest = (timedelta(hours=figures[n]) for n in ("absent_hours", "longest_gap_hours"))
    gap = f"its longest gap was {span(longest)}" if longest >= HOUR else "it never paused before"
    without = figures["events_without"]
    return f"not sent for {span(absent)}, {gap}: {without:,} events in its usual hours lack it"


def _renamed(path: str, to: str, score: float, figures: Mapping[str, Any]) -> str:
    events, together = figures["events"], figures["together"]
    old, new, before = (
        percent(round(figures[name] * 10_000), 10_000)
        for name in ("old_share", "new_share", "share_before")
    )
    often = f"together in {together:,}" if together else "never together"
    agree = {
        "types": figures["types_agree"],
        "places": figures["same_place"],
        "names": figures["names_agree"] >= ALIKE,
    }
    same = ", ".join(name for name, agrees in agree.items() if agrees)
    return (
        f"likely {to} now (score {score:.2f}): of events {before} sent {path} before, now {old},"
        f" and {new} send {to}; {often} in {events:,} events; alike in {same}"
    )
