"""Tell the fleet that this process runs, and what only it knows of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from consumer.storage.instances import Instance, Instances


class Heartbeat:
    """The job of every process that lists it in `status`.

    `facts` are storable as BSON; `spool` in it is shown: {depth, bytes, oldest, fault}.
    """

    def __init__(
        self,
        instances: Instances,
        instance: Instance,
        facts: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._instances = instances
        self._instance = instance
        self._facts = facts

    def __call__(self) -> None:
        """Give the sign of life; raises StoreUnavailable."""
        self._instances.beat(self._instance, self._facts())

    def finish(self) -> None:
        """Leave the list when the process ends as it should; raises StoreUnavailable."""
        self._instances.leave(self._instance)
