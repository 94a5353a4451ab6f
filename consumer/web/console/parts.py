"""What the screens are handed: nothing of it is made or found by a screen itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from config.settings import Settings
from consumer.overview import Overview
from consumer.storage.audit import Audit
from consumer.storage.job_runs import JobRuns
from consumer.storage.schema_registry import SchemaRegistry
from consumer.web.health import Probe


@dataclass(frozen=True, slots=True)
class Parts:
    """`overview` raises StoreUnavailable like every store; `probes` are those of /readyz."""

    settings: Settings
    clock: Callable[[], datetime]
    probes: Mapping[str, Probe]
    registry: SchemaRegistry
    overview: Callable[[], Overview]
    job_runs: JobRuns
    audit: Audit
