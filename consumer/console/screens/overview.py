"""Show everything at a glance: what comes in, what waits, what runs, and what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consumer.console.context import Context
from consumer.console.request import Request
from consumer.console.screens.jobs import job_rows
from consumer.console.traffic import SPANS, USUAL_SPAN
from consumer.dead_letters.retry import DISCARDED, RESOLVED
from consumer.monitoring.overview import DeadLetterCount, JobState, Overview
from consumer.privacy.rules import masked

_ENDED = frozenset({RESOLVED, DISCARDED})
_NEWS = 6


def view(context: Context, request: Request) -> dict[str, Any]:
    """The fleet as its processes left it in MongoDB, and this process as it is."""
    overview = context.overview()
    waiting = [each for each in overview.dead_letters if each.status not in _ENDED]
    span = request.query.get("span", USUAL_SPAN)
    return {
        "overview": overview,
        "traffic": context.traffic.of(span if span in SPANS else USUAL_SPAN, request.now),
        "spans": list(SPANS),
        "dead_letters": by_reason(waiting),
        "dead_letters_count": sum(each.count for each in waiting),
        "dead_letters_age": max((each.oldest_age for each in waiting), default=None),
        "spool": spools(overview),
        "backfill": backfill(overview),
        "news": [
            replace(step, changes=masked(step.changes, context.redaction, step.subject))
            for step in context.registry.latest(_NEWS)
        ],
        "conditions": {name: check() for name, check in context.checks.items()},
        "jobs": job_rows(overview),
    }


def by_reason(waiting: list[DeadLetterCount]) -> list[dict[str, Any]]:
    """Dead letters that wait, by reason, the most first; `share` of the largest."""
    counts: dict[str, int] = {}
    ages: dict[str, float] = {}
    for each in waiting:
        counts[each.reason] = counts.get(each.reason, 0) + each.count
        ages[each.reason] = max(ages.get(each.reason, 0.0), each.oldest_age)
    most = max(counts.values(), default=1)
    return [
        {"reason": reason, "count": count, "age": ages[reason], "share": count / most}
        for reason, count in sorted(counts.items(), key=lambda item: -item[1])
    ]


def spools(overview: Overview) -> dict[str, Any]:
    """All spools together, as their processes last said: how much waits, since when, and faults."""
    known = [each.spool for each in overview.instances if each.spool]
    oldest = [each["oldest"] for each in known if each.get("oldest")]
    return {
        "depth": sum(each.get("depth", 0) for each in known),
        "oldest": min(oldest, default=None),
        "faults": [each["fault"] for each in known if each.get("fault")],
    }


def backfill(overview: Overview) -> dict[str, Any]:
    """The number of documents that still lack fields of newer versions, and how fast that goes."""
    job = next((each for each in overview.jobs if each.job == "backfill"), None)
    facts = {} if job is None else _facts(job)
    return {
        "remaining": facts.get("remaining"),
        "running": job is not None and job.outcome == "running",
        "rate": facts.get("rate"),
        "seconds_left": facts.get("seconds_left"),
    }


def _facts(job: JobState) -> dict[str, Any]:
    return job.progress if job.result is None else job.result
