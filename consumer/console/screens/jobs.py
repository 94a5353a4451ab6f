"""Show the periodic jobs: how each last run ended, when the next comes, and the runs before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumer.console.context import Context
from consumer.console.request import Request
from consumer.monitoring.overview import JobState, Overview

_RUNS = 40
# The tone of each outcome, for somebody who looks for trouble.
TONES = {
    "succeeded": "good",
    "running": "info",
    "stopped": "quiet",
    "failed": "bad",
    "lost": "warn",
    "unfinished": "warn",
}
PURPOSES = {
    "adoption": "counts how far schema versions have spread",
    "announce_signals": "tells Datadog of fields that vanished or were likely renamed",
    "announce_versions": "tells Datadog of new schema versions",
    "judge_readers": "judges which readers new schema versions broke",
    "keep_views": "makes the views of pinned readers follow their pins",
    "field_statistics": "counts how often fields are sent, and looks for those that vanished",
    "backfill": "fills fields of newer versions into older documents",
    "look_for_holes": "looks for schema versions that were lost",
    "note_refusals": "notes who was refused, and why",
    "note_secrets": "notes when each secret was last used",
    "record_history": "keeps the figures of deliveries that charts show",
    "heartbeat": "says that this process lives",
    "prepare_store": "creates indexes and applies retention",
    "refresh_schemas": "takes over schemas of other processes",
    "report_datadog": "sends metrics",
    "sweep_dead_letters": "tries dead letters again",
}
_MOST_FACTS = 6
_MOST_TEXT = 200


def view(context: Context, request: Request) -> dict[str, Any]:
    """The last run of every job, and the history of the one that is asked for."""
    overview = context.overview()
    series = request.query.get("series", "")
    runs = context.job_runs.history(series, _RUNS) if series else []
    return {
        "jobs": job_rows(overview),
        "series": series,
        "runs": [run_row(run) for run in runs],
    }


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job's last run; `message` is its error, else what it did."""

    name: str
    series: str
    purpose: str
    where: str
    outcome: str
    tone: str
    started: datetime
    seconds: float
    next_due: datetime | None
    message: str


def job_rows(overview: Overview) -> list[JobRow]:
    """Every job, those in trouble first."""
    rows = [_row(job) for job in overview.jobs]
    return sorted(rows, key=lambda row: (row.tone not in ("bad", "warn"), row.name, row.where))


def run_row(run: Mapping[str, Any]) -> dict[str, Any]:
    """One run of the past."""
    facts = run.get("result") or run.get("progress") or {}
    return {
        "started": run["started_at"],
        "seconds": float(run["seconds"]),
        "outcome": run["outcome"],
        "tone": TONES.get(run["outcome"], "quiet"),
        "instance": run["instance"],
        "message": run.get("error") or facts_text(facts),
    }


def facts_text(facts: Mapping[str, Any]) -> str:
    """`sent 12, waiting 0`: the plain facts, not lists of them."""
    plain = [
        f"{name.replace('_', ' ')} {_value(value)}"
        for name, value in facts.items()
        if value is not None and not isinstance(value, list | dict)
    ]
    return ", ".join(plain[:_MOST_FACTS])


def _row(job: JobState) -> JobRow:
    return JobRow(
        name=job.job,
        series=job.job if job.exclusive else f"{job.job}@{job.instance}",
        purpose=PURPOSES.get(job.job, ""),
        where=job.holder or job.instance,
        outcome=job.outcome,
        tone=TONES.get(job.outcome, "quiet"),
        started=job.started,
        seconds=job.seconds,
        next_due=job.next_due,
        message=job.error or facts_text(job.result if job.result is not None else job.progress),
    )


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%H:%M:%S}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)[:_MOST_TEXT]
