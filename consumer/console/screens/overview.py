"""Everything at a glance: what comes in, what waits, what runs, and what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consumer.console.context import Parts
from consumer.console.job_rows import job_rows
from consumer.console.request import Request
from consumer.console.traffic import SPANS, USUAL_SPAN
from consumer.dead_letters.retry import DISCARDED, RESOLVED
from consumer.monitoring.overview import DeadLetterCount, JobState, Overview
from consumer.privacy.rules import masked

_ENDED = frozenset({RESOLVED, DISCARDED})
_NEWS = 6


def show(parts: Parts, request: Request) -> dict[str, Any]:
    """The fleet as its processes left it in MongoDB, and this process as it is."""
    overview = parts.overview()
    letters = [each for each in overview.dead_letters if each.status not in _ENDED]
    span = request.query.get("span", USUAL_SPAN)
    return {
        "overview": overview,
        "traffic": parts.traffic.of(span if span in SPANS else USUAL_SPAN, request.now),
        "spans": list(SPANS),
        "letters": by_reason(letters),
        "letters_count": sum(each.count for each in letters),
        "letters_age": max((each.oldest_age for each in letters), default=None),
        "spool": spools(overview),
        "backfill": backfill(overview),
        "news": [
            replace(step, changes=masked(step.changes, parts.redaction, step.subject))
            for step in parts.registry.latest(_NEWS)
        ],
        "conditions": {name: check() for name, check in parts.checks.items()},
        "jobs": job_rows(overview),
    }


def by_reason(letters: list[DeadLetterCount]) -> list[dict[str, Any]]:
    """Dead letters that wait, by reason, the most first; `share` of the largest."""
    counts: dict[str, int] = {}
    ages: dict[str, float] = {}
    for each in letters:
        counts[each.reason] = counts.get(each.reason, 0) + each.count
        ages[each.reason] = max(ages.get(each.reason, 0.0), each.oldest_age)
    most = max(counts.values(), default=1)
    return [
        {"reason": reason, "count": count, "age": ages[reason], "share": count / most}
        for reason, count in sorted(counts.items(), key=lambda item: -item[1])
    ]


def spools(overview: Overview) -> dict[str, Any]:
    """All spools together, as their processes last said: how much waits, since when, and faults."""
    told = [each.spool for each in overview.instances if each.spool]
    oldest = [each["oldest"] for each in told if each.get("oldest")]
    return {
        "depth": sum(each.get("depth", 0) for each in told),
        "oldest": min(oldest, default=None),
        "faults": [each["fault"] for each in told if each.get("fault")],
    }


def backfill(overview: Overview) -> dict[str, Any]:
    """How many documents still lack fields of newer versions, and how fast that goes."""
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
