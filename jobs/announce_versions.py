"""Tell Datadog of new schema versions as events, once for all processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import structlog

from consumer.monitoring.datadog.announcements import Announcements, Watermark
from consumer.monitoring.datadog.points import Common
from consumer.monitoring.datadog.sink import Outlet
from consumer.monitoring.datadog.version_events import notice
from consumer.privacy.rules import Redaction, with_masked_changes
from consumer.schemas.model import SchemaVersion
from jobs.scheduling.job import JobRun

log = structlog.get_logger(__name__)

# Datadog takes no events that are older than 18 hours.
_TELLABLE = timedelta(hours=17)
# At the very first report older versions are history, not news.
_NEWS = timedelta(hours=1)
_SUBJECTS_A_REPORT = 50
_SECONDS_AN_EVENT = 15.0


class AnnounceVersions:
    """The job of the one process that holds its lease."""

    def __init__(
        self,
        *,
        newest: Callable[[], Mapping[str, int]],
        announcements: Announcements,
        outlet: Outlet,
        common: Common,
        masks: Redaction,
        clock: Callable[[], datetime],
    ) -> None:
        self._newest = newest
        self._announcements = announcements
        self._outlet = outlet
        self._common = common
        self._masks = masks
        self._clock = clock

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Tell of the versions that are new since the last run, at most one event of a subject;
        the result says how many. `newest` are all subjects with their newest version. Raises
        StoreUnavailable."""
        newest = self._newest()
        mark = self._announcements.read()
        if mark.told is None:
            mark = self._announcements.write(self._history(newest), mark, run.fence, self._clock())
        beyond = self._announcements.since(mark.told or {}, newest)
        by_subject = groupby(beyond, attrgetter("subject"))
        sent = 0
        for _, versions in islice(by_subject, _SUBJECTS_A_REPORT):
            if run.stopping():
                break
            mark, told = self._tell(run, mark, list(versions))
            if not told:
                break
            sent += 1
            run.progress(events=sent)
        return {"events": sent}

    def _tell(
        self, run: JobRun, mark: Watermark, versions: list[SchemaVersion]
    ) -> tuple[Watermark, bool]:
        """Claim the versions of one subject, then tell of them; False: try again next time.

        Claimed before they are told: a process killed in between loses one event, which the log and
        `schema_versions` still have, where the other order would tell it twice.
        """
        now = self._clock()
        before = dict(mark.told or {})
        after = {**before, versions[-1].subject: versions[-1].number}
        mark = self._announcements.write(after, mark, run.fence, now)
        fresh = [version for version in versions if version.created_at > now - _TELLABLE]
        if not fresh:
            return mark, True
        news = [with_masked_changes(version, self._masks) for version in fresh]
        event = notice(news, self._common)
        reply = self._outlet.post(event, run.stopping, _SECONDS_AN_EVENT)
        if reply.meaning in ("accepted", "bad", "too_large"):
            if reply.meaning != "accepted":
                log.warning("Datadog refused an event", subject=versions[-1].subject)
            return mark, True
        return self._announcements.write(before, mark, run.fence, now), False

    def _history(self, newest: Mapping[str, int]) -> dict[str, int]:
        """What counts as told where nothing was ever: all but newest versions that are news."""
        before = {subject: number - 1 for subject, number in newest.items()}
        last = self._announcements.since(before, newest)
        since = self._clock() - _NEWS
        news = {version.subject for version in last if version.created_at > since}
        return {
            subject: number - 1 if subject in news else number for subject, number in newest.items()
        }
