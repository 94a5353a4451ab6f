"""Everything at a glance: what comes in, what waits, what runs, and what is wrong."""

from __future__ import annotations

from typing import Any

from consumer.web.console.job_view import job_rows
from consumer.web.console.parts import Parts
from consumer.web.console.request import Request

_ENDED = frozenset({"resolved", "discarded"})


def show(parts: Parts, _request: Request) -> dict[str, Any]:
    """The fleet as its processes left it in MongoDB, and this process as it is."""
    overview = parts.overview()
    letters = [each for each in overview.dead_letters if each.status not in _ENDED]
    return {
        "overview": overview,
        "letters": letters,
        "letters_count": sum(each.count for each in letters),
        "letters_age": max((each.oldest_age for each in letters), default=None),
        "spooled": sum((each.spool or {}).get("depth", 0) for each in overview.instances),
        "conditions": {name: probe() for name, probe in parts.probes.items()},
        "jobs": job_rows(overview),
    }
