"""Signals: what field statistics show, from when it is found until it has ended; and in words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from consumer.core.clock import HOUR
from consumer.core.paths import Path, to_text
from consumer.signals.statistics import percent, span

Kind = Literal["vanished", "renamed"]
# Open until somebody says otherwise; muted ones are never told again, whatever they do.
State = Literal["open", "acknowledged", "muted"]
STATES: tuple[State, ...] = get_args(State)


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


def sentence(signal: Signal, shown: Callable[[Path], Path]) -> str:
    """A signal in words; `shown` is a path as people may see it."""
    figures = signal.figures
    if signal.kind == "vanished" or signal.to is None:
        absent, longest = (
            timedelta(hours=figures.get(name, 0)) for name in ("absent_hours", "longest_gap_hours")
        )
        gap = (
            f"its longest gap was {span(longest)}" if longest >= HOUR else "it never paused before"
        )
        return (
            f"not sent for {span(absent)}: {gap};"
            f" {figures.get('events_without', 0):,} events came without it in its usual hours"
        )
    events = figures.get("events", 0)
    together = figures.get("together", 0)
    return (
        f"likely {to_text(shown(signal.to))} now (score {signal.score:.2f}):"
        f" {_often(together, events)} sent together,"
        f" now in {_share(figures, 'old_share')} and {_share(figures, 'new_share')} of events,"
        f" before in {_share(figures, 'share_before')}; {_agreement(figures)}"
    )


def _often(together: int, events: int) -> str:
    return f"in {together:,} of {events:,} events" if together else f"never in {events:,} events"


def _share(figures: Mapping[str, Any], name: str) -> str:
    return percent(round(figures.get(name, 0) * 10_000), 10_000)


def _agreement(figures: Mapping[str, Any]) -> str:
    agree = {
        "types": figures.get("types_agree"),
        "place": figures.get("same_place"),
        "names": figures.get("names_agree", 0) >= 0.6,
    }
    return " and ".join(name for name, same in agree.items() if same) + " agree"


def alias_command(signal: Signal, shown: Callable[[Path], Path]) -> str | None:
    """The command that has the old field filled from the new one, quoted for a shell; None where a
    name in it is hidden, or it is no renaming."""
    if signal.to is None or any(shown(path) != path for path in (signal.path, signal.to)):
        return None
    names = [signal.subject, to_text(signal.path), to_text(signal.to)]
    if any(name.startswith("-") for name in names):
        names.insert(0, "--")
    return f"cxone-consumer schema alias {shlex.join(names)}"
