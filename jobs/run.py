"""What a job is told while it runs: its fence, whether to end, and where to report progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class JobRun(Protocol):
    """One run of one job, as the job sees it."""

    @property
    def fence(self) -> int:
        """The fencing token of the lease; 0 for a job that every process runs."""

    def stopping(self) -> bool:
        """Whether the process stops or the lease is lost: end soon. Cheap to ask often."""

    def progress(self, **facts: object) -> None:
        """Say how far it is, for `job_runs` and `status`; later facts join earlier ones. Cheap to
        call often: it is written now and then, not at each call."""


# What it returns is its result, kept in `job_runs`: small, and storable as BSON.
JobFunction = Callable[[JobRun], dict[str, Any]]
