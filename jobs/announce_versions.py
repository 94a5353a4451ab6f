"""Post new schema versions to Datadog as events, once for all processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import structlog

from consumer.monitoring.datadog.announcements import Announcements, Watermark
from consumer.monitoring.datadog.points import Common
from consumer.monitoring.datadog.sink import Sink
from consumer.monitoring.datadog.version_events import Broken, VersionEvent, version_event
from consumer.privacy.rules import Redaction, with_masked_changes
from consumer.schemas.model import SchemaVersion
from jobs.scheduling.job import JobRun

log = structlog.get_logger(__name__)

# Datadog takes no events that are older than 18 hours.
_MAX_AGE = timedelta(hours=17)
# At the very first report older versions are history, not news.
_NEWS = timedelta(hours=1)
_SUBJECTS_A_REPORT = 50
_SECONDS_AN_EVENT = 15.0


def posted(sink: Sink, event: VersionEvent, subject: str, run: JobRun) -> bool:
    """Post an event; False where it is to come again. One that Datadog refuses is not."""
    reply = sink.post(event, run.stopping, _SECONDS_AN_EVENT)
    is_refused = reply.meaning in ("bad", "too_large")
    if is_refused:
        log.warning("Datadog refused an event", subject=subject)
    return is_refused or reply.meaning == "accepted"


class AnnounceVersions:
    """The job of the one process that holds its lease."""

    def __init__(
        self,
        *,
        newest: Callable[[], Mapping[str, int]],
        announcements: Announcements,
        sink: Sink,
        common: Common,
        masks: Redaction,
        clock: Callable[[], datetime],
        breaches: Callable[[str, int, int], Sequence[Broken]] = lambda *_: (),
    ) -> None:
        """`breaches` are of a subject, by its versions up to one and beyond another, masked."""
        self._breaches = breaches
        self._newest = newest
        self._announcements = announcements
        self._sink = sink
        self._common = common
        self._masks = masks
        self._clock = clock

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Announce the versions that are new since the last run, at most one event of a subject;
        the result says how many. `newest` are all subjects with their newest version. Raises
        StoreUnavailable."""
        newest = self._newest()
        mark = self._announcements.read()
        if mark.announced is None:
            mark = self._announcements.write(self._history(newest), mark, run.fence, self._clock())
        beyond = self._announcements.since(mark.announced or {}, newest)
        by_subject = groupby(beyond, attrgetter("subject"))
        sent = 0
        for _, versions in islice(by_subject, _SUBJECTS_A_REPORT):
            if run.stopping():
                break
            mark, announced = self._announce(run, mark, list(versions))
            if not announced:
                break
            sent += 1
            run.progress(events=sent)
        return {"events": sent}

    def _announce(
        self, run: JobRun, mark: Watermark, versions: list[SchemaVersion]
    ) -> tuple[Watermark, bool]:
        """Mark the versions of one subject as announced, then post them; False: not taken.

        Marked first: a process killed in between loses one event, which the log and
        `schema_versions` still have, where the other order would post it twice.
        """
        now = self._clock()
        before = dict(mark.announced or {})
        after = {**before, versions[-1].subject: versions[-1].number}
        mark = self._announcements.write(after, mark, run.fence, now)
        fresh = [version for version in versions if version.created_at > now - _MAX_AGE]
        if not fresh:
            return mark, True
        news = [with_masked_changes(version, self._masks) for version in fresh]
        broken = self._breaches(fresh[-1].subject, fresh[-1].number, fresh[0].number - 1)
        event = version_event(news, self._common, broken)
        if posted(self._sink, event, versions[-1].subject, run):
            return mark, True
        return self._announcements.write(before, mark, run.fence, now), False

    def _history(self, newest: Mapping[str, int]) -> dict[str, int]:
        """The versions that count as announced at first: all but newest ones that are news."""
        before = {subject: number - 1 for subject, number in newest.items()}
        last = self._announcements.since(before, newest)
        since = self._clock() - _NEWS
        news = {version.subject for version in last if version.created_at > since}
        return {
            subject: number - 1 if subject in news else number for subject, number in newest.items()
        }
