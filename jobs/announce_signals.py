"""Post signals to Datadog as events, each once for all processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from consumer.monitoring.datadog.points import Common
from consumer.monitoring.datadog.sink import Sink
from consumer.monitoring.datadog.version_events import signal_event
from consumer.privacy.rules import Redaction
from consumer.signals.signals import told
from consumer.signals.store import Signals
from jobs.announce_versions import posted
from jobs.scheduling.job import JobRun

_A_REPORT = 20


class AnnounceSignals:
    """The job of the one process that holds its lease."""

    def __init__(
        self,
        *,
        signals: Signals,
        sink: Sink,
        common: Common,
        masks: Redaction,
        clock: Callable[[], datetime],
    ) -> None:
        self._signals = signals
        self._sink = sink
        self._common = common
        self._masks = masks
        self._clock = clock

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Announce the signals that are new; the result says how many. Raises StoreUnavailable.

        Each is marked first, as a schema version is: a process killed in between loses one event,
        which `schema signals` still has, where the other order would post it twice.
        """
        sent = 0
        for signal in self._signals.untold(_A_REPORT):
            if run.stopping() or not self._signals.tell(signal, told=True):
                break
            words = told(signal, self._masks)
            if not signal.holds or signal.state != "open":
                continue
            event = signal_event(
                signal.subject,
                signal.kind,
                words.path,
                words.text,
                at=self._clock(),
                common=self._common,
            )
            if not posted(self._sink, event, signal.subject, run):
                self._signals.tell(signal, told=False)
                break
            sent += 1
            run.progress(events=sent)
        return {"events": sent}
