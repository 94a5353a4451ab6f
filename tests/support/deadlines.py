"""Notice commands that may outlast the deadline of who sent them."""

from __future__ import annotations

from pymongo import _csot
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from consumer.core.deadline import remaining


class DeadlineRule(CommandListener):
    """Keeps the commands that were sent within a `deadline` of which the driver did not know."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        left, known = remaining(), _csot.remaining()
        # The driver's own reaches it a moment later, or is shorter.
        if left >= 0 and (known is None or known > left + 0.1):
            self.broken.append(f"{event.command_name}: {left:.2f} s left, to the driver {known}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass
