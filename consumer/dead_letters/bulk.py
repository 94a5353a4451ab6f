"""Retry or discard many dead letters in bounded steps, with a report after each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from time import monotonic
from typing import Any, Literal

from consumer.dead_letters.claims import Claims
from consumer.dead_letters.replay import ALREADY, Replay
from consumer.dead_letters.search import DeadLetterFilter, DeadLetterSearch

Action = Literal["retry", "discard"]

# Ids that are read at once, and seconds that a step may take.
_BATCH = 100
_SECONDS = 2.0
_MOST_PASSES = 5
_BUSY = "had ended, or is being tried just now"


@dataclass(frozen=True, slots=True)
class BulkRun:
    """A run so far: what is done to which entries, how many there were at the start, up to
    which `_id` it got, and how each ended. Only what had come before the start is in it.

    `busy` entries were being tried when their turn came; `passes` is how often all were gone
    through.
    """

    action: Action
    wanted: DeadLetterFilter
    total: int
    because: str = ""
    and_copies: bool = False
    after: str = ""
    ended: Mapping[str, int] = field(default_factory=dict)
    busy: int = 0
    passes: int = 0
    over: bool = False

    @property
    def done(self) -> int:
        return sum(self.ended.values())

    def dump(self) -> str:
        """As text, for a form that goes on with it."""
        wanted = self.wanted
        times = (wanted.since, wanted.until, wanted.first_until)
        return json.dumps(
            {
                "what": self.action,
                "reason": wanted.reason,
                "statuses": wanted.statuses,
                "event_type": wanted.event_type,
                "source": wanted.source,
                "ids": wanted.ids,
                "times": [None if at is None else at.isoformat() for at in times],
                "total": self.total,
                "because": self.because,
                "and_copies": self.and_copies,
                "after": self.after,
                "ended": dict(self.ended),
                "busy": self.busy,
                "passes": self.passes,
            }
        )

    @classmethod
    def load(cls, text: str) -> BulkRun:
        """The run of a text that `dump` wrote."""
        loaded: dict[str, Any] = json.loads(text)
        since, until, first = (
            None if at is None else datetime.fromisoformat(at).astimezone(timezone.utc)
            for at in loaded["times"]
        )
        wanted = DeadLetterFilter(
            loaded["reason"],
            tuple(loaded["statuses"]),
            loaded["event_type"],
            since,
            until,
            first,
            loaded.get("source", ""),
            tuple(loaded.get("ids", ())),
        )
        names = ("total", "because", "and_copies", "after", "ended", "busy", "passes")
        # An older program, before whose form this one goes on, knew fewer.
        return cls(
            loaded["what"], wanted, **{name: loaded[name] for name in names if name in loaded}
        )


@dataclass(frozen=True, slots=True)
class BulkRunner:
    """Executes runs in steps of at most `seconds`."""

    search: DeadLetterSearch
    claims: Claims
    replay: Replay
    clock: Callable[[], datetime]
    seconds: float = _SECONDS

    def step(self, run: BulkRun, by: str) -> BulkRun:
        """Go on with a run for a while, in the name of `by`; raises StoreUnavailable. An entry is
        finished or untouched."""
        end = monotonic() + self.seconds
        ended, after, busy = dict(run.ended), run.after, run.busy
        for _id in self._ids(run):
            word = self._one(run, _id, by)
            if word is None:
                busy += 1
            else:
                ended[word] = ended.get(word, 0) + 1
            after = _id
            if monotonic() > end:
                return replace(run, after=after, ended=ended, busy=busy)
        passes = run.passes + 1
        if busy and run.action == "discard" and passes < _MOST_PASSES:
            # What was discarded is found no more, so that another pass meets the busy ones alone.
            return replace(run, after="", ended=ended, busy=0, passes=passes)
        if busy:
            ended[_BUSY] = busy
        return replace(run, after=after, ended=ended, busy=0, passes=passes, over=True)

    def _one(self, run: BulkRun, _id: str, by: str) -> str | None:
        """The result in words; None when somebody else tries the entry just now."""
        if run.action == "discard":
            done = self.claims.discard(
                _id, by, run.because, self.clock(), and_copies=run.and_copies
            )
            return "discarded" if done else None
        entry = self.search.one(_id)
        if entry is None:
            return "had expired"
        tried = self.replay.entry(entry, by)
        if tried.result == "busy" and not tried.resolved:
            return None
        if tried.result == ALREADY:
            return ALREADY
        return f"resolved: {tried.result}" if tried.resolved else f"stays: {tried.result}"

    def _ids(self, run: BulkRun) -> Iterator[str]:
        after = run.after
        while ids := self.search.following(run.wanted, after, _BATCH):
            yield from ids
            after = ids[-1]
