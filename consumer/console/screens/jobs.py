"""The periodic jobs: how each last run ended, when the next comes, and the runs before."""

from __future__ import annotations

from typing import Any

from consumer.console.context import Parts
from consumer.console.job_rows import job_rows, run_row
from consumer.console.request import Request

_RUNS = 40


def show(parts: Parts, request: Request) -> dict[str, Any]:
    """The last run of every job, and the history of the one that is asked for."""
    overview = parts.overview()
    series = request.query.get("series", "")
    runs = parts.job_runs.history(series, _RUNS) if series else []
    return {
        "jobs": job_rows(overview),
        "series": series,
        "runs": [run_row(run) for run in runs],
    }
