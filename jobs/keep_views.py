"""Keep the views of readers what their pins and schemas say."""

from __future__ import annotations

from typing import Any

from consumer.readers.views import Views
from jobs.scheduling.job import JobRun

# Seconds between two looks: with the lease of a process that was killed less than a minute.
EVERY = 20.0


class KeepViews:
    """The job of one process of the fleet."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """One look; its result says how many views there are, were changed, and what is wrong."""
        return self._views.keep(run.stopping)
