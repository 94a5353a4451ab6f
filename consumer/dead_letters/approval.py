"""Approve changes that a contract holds: plan, register exactly that, replay what it lets in."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from consumer.core.delivery import Event
from consumer.core.errors import Rejected, SourceUnknown
from consumer.core.paths import Path, to_text
from consumer.dead_letters.replay import Replay, Replayed, recorded_correction
from consumer.dead_letters.search import HeldDeadLetters
from consumer.ingest.source import Sources
from consumer.mongodb.leases import CLAIM
from consumer.schemas.draft import Draft
from consumer.schemas.model import SchemaVersion
from consumer.schemas.registry.registry import SchemaRegistry

# How many entries a plan lists by name; the rest are counted.
LISTED = 1000
# Seconds to wait for entries that another process is trying: a little more than its claim lasts if
# it was killed.
BUSY_SECONDS = int(CLAIM.total_seconds()) + 5
BUSY = "busy"
_RESOLVED_ELSEWHERE = Replayed(True, "settled elsewhere")


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """A held entry that an approval leaves alone, and the reason."""

    entry_id: str
    because: str
    path: Path | None = None

    def text(self, shown: Callable[[Path], Path]) -> str:
        """The reason, with the path that it is about as it may be `shown`."""
        return self.because if self.path is None else f"{to_text(shown(self.path))} {self.because}"


@dataclass(frozen=True, slots=True)
class ApprovalPlan:
    """Effects of an approval: register `draft.version` when it is new, replay `replays` entries.

    `entries` and `stays` list the first LISTED of `replays` and `left`. `paths` are the approved
    ones, empty for all; `held` counts, by path, the entries that wait for it.
    """

    draft: Draft
    paths: tuple[Path, ...]
    replays: int
    left: int
    entries: tuple[str, ...]
    stays: tuple[NotReplayed, ...]
    held: dict[Path, int]

    @property
    def is_empty(self) -> bool:
        return not self.draft.is_new and not self.replays


class Approval:
    """Plans the approval of a subject's held deliveries, and lets them in."""

    def __init__(
        self,
        registry: SchemaRegistry,
        held: HeldEvents,
        replay: Replay,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`pause` waits for so many seconds."""
        self._registry = registry
        self._held = held
        self._replay = replay
        self._pause = pause

    def plan(self, subject: str, paths: Collection[Path] = ()) -> ApprovalPlan:
        """Plan what approving registers and replays; changes nothing.

        With `paths` only deliveries count all of whose held changes are at these paths or below.
        Raises StoreUnavailable.
        """
        draft = self._registry.draft(subject, by_hand=True)
        asked = tuple(paths)
        replays = left = 0
        entries: list[str] = []
        stays: list[NotReplayed] = []
        held: dict[Path, int] = {}
        known = replace(draft)
        for entry, event in self._held.of(subject):
            because = _reason_to_stay(event, known, draft, asked, held)
            if because is None:
                replays += 1
                if len(entries) < LISTED:
                    entries.append(entry["_id"])
            else:
                left += 1
                if len(stays) < LISTED:
                    stays.append(NotReplayed(entry["_id"], *because))
        return ApprovalPlan(draft, asked, replays, left, tuple(entries), tuple(stays), held)

    def register(self, plan: ApprovalPlan) -> SchemaVersion | None:
        """Register what the plan showed, once; raises SchemaMoved and StoreUnavailable."""
        return self._registry.register(plan.draft)

    def replay(self, plan: ApprovalPlan, by: str) -> Iterator[tuple[str, Replayed]]:
        """Replay every held entry that the contract lets in now: ids and how each ended.

        Also those that came since the plan was made, and those that an approval which was
        interrupted left behind; its claim on one of them is waited for. Raises StoreUnavailable.
        """
        subject = plan.draft.subject
        known = self._registry.draft(subject)
        busy: dict[str, Replayed] = {}
        for entry, event in self._held.of(subject):
            if isinstance(event, Event) and not known.judge(event.payload).held:
                ended = self._replay.entry(entry, by)
                if ended.result == BUSY:
                    busy[entry["_id"]] = ended
                else:
                    yield entry["_id"], ended
        yield from self._retry_busy(busy, by)

    def _retry_busy(self, busy: dict[str, Replayed], by: str) -> Iterator[tuple[str, Replayed]]:
        """Replay what others are trying, once they are done with it or their claims are over."""
        for _ in range(BUSY_SECONDS):
            if not busy:
                return
            self._pause(1.0)
            still = {entry["_id"]: entry for entry in self._held.dead_letters.read(list(busy))}
            for _id in list(busy):
                ended = self._replay.entry(still[_id], by) if _id in still else _RESOLVED_ELSEWHERE
                busy[_id] = ended
                if ended.result != BUSY:
                    del busy[_id]
                    yield _id, ended
        yield from busy.items()


def _reason_to_stay(
    event: Event | str,
    known: Draft,
    draft: Draft,
    paths: tuple[Path, ...],
    held: dict[Path, int],
) -> tuple[str] | tuple[str, Path] | None:
    """The reason why a held event stays, and the path that this is about; None when the approval
    lets it in, and then `draft` takes it in."""
    if isinstance(event, str):
        return (event,)
    waits_for = {change.path for change in known.held(known.judge(event.payload))}
    for path in waits_for:
        held[path] = held.get(path, 0) + 1
    others = sorted(path for path in waits_for if paths and not _within(path, paths))
    if others:
        return "is not among the approved paths", others[0]
    # Also when nothing holds it any more: then its replay would register this in any case.
    before = draft.version
    left_out = draft.approve(event.payload, event.key).left_out
    if left_out and draft.judge(event.payload).held:
        draft.version = before
        return (left_out,)
    return None


def _within(path: Path, paths: Collection[Path]) -> bool:
    return any(path[: len(each)] == each for each in paths)


class HeldEvents:
    """The events that a subject's contract holds, as a replay would read them."""

    def __init__(
        self, dead_letters: HeldDeadLetters, sources: Sources, one_subject: str | None = None
    ) -> None:
        """`one_subject` is the subject of all event types, where they evolve together."""
        self.dead_letters = dead_letters
        self._sources = sources
        self._one_subject = one_subject

    def of(self, subject: str) -> Iterator[tuple[dict[str, Any], Event | str]]:
        """Each entry with its event, or with the reason why it is none of this subject's now: the
        settings of id, type or depth may be others than when it was held. Raises
        StoreUnavailable."""
        if self._one_subject is not None:
            if subject == self._one_subject:
                yield from ((entry, self._event(entry)) for entry in self.dead_letters.of(None))
            return
        for entry in self.dead_letters.of(subject):
            event = self._event(entry)
            if isinstance(event, Event) and event.type == subject:
                yield entry, event
            elif entry.get("event_type") == subject:
                yield entry, event if isinstance(event, str) else "its type is another one now"

    def _event(self, entry: dict[str, Any]) -> Event | str:
        original = bytes(entry["original_payload"])
        correction = recorded_correction(entry)
        try:
            body = correction.body if correction else original
            return self._sources.parse(entry, body, original)
        except (Rejected, SourceUnknown) as error:
            return str(error)
