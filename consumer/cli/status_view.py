"""Lay `status` out in sentences, on one screen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from consumer.cli.console import shown
from consumer.core.text import duration, safe

if TYPE_CHECKING:
    from consumer.monitoring.overview import JobState, Overview, Process

_WELL = "succeeded"
# So many of the things that are amiss are written whole.
_WHOLE = 3


@dataclass(frozen=True, slots=True)
class Section:
    """Head that is always said, and rows of which as many are shown as fit, weightiest first."""

    head: str
    rows: Sequence[str] = field(default=())


def screen(sections: Sequence[Section], width: int, height: int) -> list[str]:
    """Lines of at most `width` characters, `height` in all unless the heads alone are more. The
    room left by the heads goes round the sections, a row for each."""
    heads = [
        textwrap.wrap(safe(each.head), width, max_lines=3, placeholder=" …") for each in sections
    ]
    room = height - sum(map(len, heads))
    shares = [0] * len(sections)
    while room > 0:
        waiting = [n for n, each in enumerate(sections) if shares[n] < len(each.rows)][:room]
        for number in waiting:
            shares[number] += 1
        room = room - len(waiting) if waiting else 0
    lines: list[str] = []
    for head, each, share in zip(heads, sections, shares, strict=True):
        lines += [*head, *_rows(each.rows, share, width)]
    return lines


def _rows(rows: Sequence[str], share: int, width: int) -> Iterator[str]:
    """So many rows; where there are more, the last says how many."""
    kept = share if share == len(rows) else share - 1
    for row in rows[: max(kept, 0)]:
        text = f"  {safe(row)}"
        yield text if len(text) <= width else f"{text[: width - 1]}…"
    if 0 < share < len(rows):
        yield f"  … and {len(rows) - kept} more"


def sections(overview: Overview, remedies: Sequence[str] = ()) -> Iterator[Section]:
    """Sections for people, top to bottom; `remedies` are for schemas that settings contradict."""
    store = overview.store
    yield Section(f"MongoDB {store.version}, {store.topology}")
    yield Section(f"Database {store.database}: about {store.documents:,} event(s)")
    # Few, while missing indexes may be many.
    amiss = (*remedies, *overview.clocks, *store.faults)
    # Whole, for each says what to do; what comes behind these is one line.
    for each in amiss[:_WHOLE]:
        yield Section(each)
    if amiss[_WHOLE:]:
        yield Section(f"And {len(amiss) - _WHOLE} more:", amiss[_WHOLE:])
    yield _processes(overview.instances)
    yield _jobs(overview)
    yield _dead_letters(overview)
    datadog = (f"last success {shown(overview.datadog.last_success)}", *overview.datadog.states)
    yield Section(f"Datadog: {'; '.join(datadog)}")
    yield _subjects(overview.subjects)


def _processes(processes: Sequence[Process]) -> Section:
    if not processes:
        return Section("No process of the service has given a sign of life in the last hour.")
    silent = sum(process.state != "running" for process in processes)
    quiet = f", {silent} silent" if silent else ""
    ordered = sorted(processes, key=lambda process: (process.state == "running", process.id))
    rows = [
        f"{process.id}: {process.state}, version {process.version},"
        f" seen {duration(process.silent)} ago" + _after(spool_words(process.spool))
        for process in ordered
    ]
    return Section(f"Processes: {len(processes) - silent} running{quiet}", rows)


def spool_words(spool: Mapping[str, Any] | None) -> str:
    """Say what is known of a spool; "" where nothing is."""
    if spool is None:
        return ""
    text = f"{spool.get('depth', 0)} waiting"
    if spool.get("oldest"):
        text += f" since {shown(spool['oldest'])}"
    if spool.get("fault"):
        text += f"; {spool['fault']}"
    return text


def _after(words: str) -> str:
    return f"; {words}" if words else ""


def _jobs(overview: Overview) -> Section:
    jobs = overview.jobs
    if not jobs:
        return Section("No job has run yet.")
    troubled = [job for job in jobs if job.outcome not in (_WELL, "running")]
    well = "all went well" if not troubled else f"{len(troubled)} not as it should"
    order = {"running": 1, _WELL: 2}
    ordered = sorted(jobs, key=lambda job: (order.get(job.outcome, 0), job.job))
    return Section(f"Jobs: {len(jobs)}, {well}", [_job(job, overview) for job in ordered])


def _job(job: JobState, overview: Overview) -> str:
    age = duration(max(0.0, (overview.at - job.started).total_seconds()))
    where = f" on {job.holder or job.instance}"
    if job.outcome == "running":
        text = f"{job.job} running for {age}{where}"
    else:
        text = f"{job.job} {job.outcome} {age} ago in {duration(job.seconds)}"
    facts = job.error or facts_in_words(job.progress if job.result is None else job.result)
    return f"{text}: {facts}" if facts else text


def facts_in_words(facts: Mapping[str, Any]) -> str:
    """Facts of a job, those that are nothing left out: `counted to 2026-01-31 12:00:00Z, figures
    3`."""
    return ", ".join(
        f"{name} {len(value)}"
        if isinstance(value, list)
        else facts_in_words(value)
        if isinstance(value, Mapping)
        else f"{name} {shown(value)}"
        for name, value in ((key.replace("_", " "), each) for key, each in facts.items() if each)
    )


def _dead_letters(overview: Overview) -> Section:
    groups = overview.dead_letters
    if not groups:
        return Section("No dead letters.")
    rows = [
        f"{each.reason}, {each.status}: {each.count:,}, the oldest {duration(each.oldest_age)} old"
        for each in sorted(groups, key=lambda each: -each.count)
    ]
    return Section(f"Dead letters: {sum(each.count for each in groups):,}", rows)


def _subjects(subjects: Mapping[str, int]) -> Section:
    if not subjects:
        return Section("No schema yet.")
    rows = [f"{subject}: version {version}" for subject, version in sorted(subjects.items())]
    return Section(f"Schemas: {len(subjects):,} (`cxone-consumer schema list`)", rows)
