"""Bring older documents up to the fields of their subject's head, while ingest goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from consumer.core.errors import ConsumerError, SetupError, StoreUnavailable
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import BACKFILL_BACKLOG, BACKFILL_FAILED, BACKFILLED
from consumer.core.ratelimit import RateLimit
from consumer.schemas.check import CompiledSchema
from consumer.schemas.defaults import fillings, newer_than
from consumer.schemas.provenance import leaving
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.backfill.failures import Examined
from jobs.backfill.pace import Pace, PaceRules, Progress
from jobs.backfill.run import BackfillParts, Pass, Tally, fill_subject
from jobs.backfill.store import Upgraded
from jobs.scheduling.job import JobRun

log = structlog.get_logger(__name__)

_LOG_EVERY = 30.0
# Documents may come so much later than they say; others are noticed after a day.
_LATE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Behind:
    """A subject with documents behind: how many, the lowest version they are filled to, the head
    they will have, how many fields those lack at most and of how many that were retired they may
    hold fillings, and whether the schema was quiet. `refused`: all of them were refused, and
    nothing has changed since."""

    subject: str
    documents: int
    lowest: int
    head: int
    fields: int
    retired: int
    quiet: bool
    refused: bool = False


@dataclass(frozen=True, slots=True)
class BackfillRules:
    """`quiet`: seconds that a subject must not have changed; `retry_refused`: also try documents
    again that were refused lately."""

    quiet: float = 60.0
    pace: PaceRules = field(default_factory=PaceRules)
    retry_refused: bool = False


@dataclass(slots=True)
class Backfill:
    """The job. It finds what is behind by the documents' own stamps, whoever stamped them late."""

    registry: SchemaRegistry
    parts: BackfillParts
    metrics: Metrics
    rules: BackfillRules = field(default_factory=BackfillRules)
    _log_limit: RateLimit = field(init=False)
    _fillable: dict[str, tuple[int, int]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._log_limit = RateLimit(_LOG_EVERY, self.parts.clock)

    def behind(self, only: str | None = None) -> list[Behind]:
        """List what there is to do, by subject; raises SetupError for one that has no schema."""
        self.registry.refresh()
        subjects = self.registry.subjects()
        if only is not None and only not in subjects:
            raise SetupError(f"no schema {only!r}: `cxone-consumer schema list` shows them all")
        return list(self._behind(subjects if only is None else {only: subjects[only]}))

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """Fill all that is behind of subjects that are quiet; what is left comes next time."""
        found = self.behind()
        self.parts.failures.end_others({work.subject for work in found}, self.parts.clock())
        return self.fill(found, run)

    def fill(self, found: list[Behind], run: JobRun) -> dict[str, Any]:
        """Fill what `behind` found, as far as it is quiet: how many documents were filled, refused
        and passed over, how many keep values of retired fields (`left`), and how many remain.
        Raises StoreUnavailable."""
        due = [work for work in found if work.quiet and not work.refused]
        refused = sum(work.documents for work in found if work.refused)
        later = sum(work.documents for work in found if not (work.quiet or work.refused))
        timer = self.parts.timer
        progress = Progress(sum(work.documents for work in due), timer())
        total = Tally()
        for work in due:
            if run.stopping():
                break
            tally = self._subject(work, run, progress, later)
            total.documents += tally.documents
            total.unfilled += tally.unfilled
            total.failed += tally.failed
            total.left += tally.left
        remaining = progress.remaining + later + refused
        self.metrics.set(BACKFILL_BACKLOG, remaining)
        return {
            "documents": total.documents,
            "unfilled": total.unfilled,
            "failed": total.failed,
            "passed_over": refused,
            "left": total.left,
            "remaining": remaining,
            "seconds": round(timer() - progress.started, 3),
        }

    def _subject(self, work: Behind, run: JobRun, progress: Progress, later: int) -> Tally:
        def report(upgraded: Upgraded) -> None:
            self.metrics.count(BACKFILLED, upgraded.documents)
            self.metrics.count(BACKFILL_FAILED, len(upgraded.refused))
            progress.done += upgraded.documents
            progress.remaining = max(0, progress.remaining - upgraded.documents)
            self.metrics.set(BACKFILL_BACKLOG, progress.remaining + later)
            facts = progress.facts(self.parts.timer(), self.parts.clock())
            run.progress(subject=work.subject, **facts)
            if self._log_limit.allow("progress") is not None:
                log.info("backfilling", subject=work.subject, **facts)

        schema = self.registry.compiled(work.subject)
        pace = Pace(self.rules.pace, self.parts.sleep)
        subject = Pass(work.subject, self.parts, pace, run.stopping, report)
        # Both from before: what changes meanwhile is to be noticed.
        began, constraints = self.parts.clock(), self.parts.store.constraints().digest
        try:
            if fill_subject(subject, schema):
                self._note(subject, schema, began, constraints)
        except StoreUnavailable:
            raise
        except ConsumerError as error:
            # One subject's odd default must not keep the others from being filled.
            log.error("backfill failed", subject=work.subject, error=str(error))  # noqa: TRY400
        tally = subject.tally
        if tally.documents or tally.failed:
            log.info(
                "backfilled",
                subject=work.subject,
                version=schema.number,
                documents=tally.documents,
                failed=tally.failed,
                left=tally.left,
            )
        return tally

    def _note(self, work: Pass, schema: CompiledSchema, began: datetime, constraints: str) -> None:
        """Remember what was refused, so that it is not tried again while nothing changes."""
        newest, after = self._due(work.subject, schema), began - _LATE
        # In this order: what comes in between shows in the second.
        recent = self.parts.store.behind(work.subject, newest, after)
        left = self.parts.store.behind(work.subject, newest)
        known = recent if left == work.causes.documents else -1
        examined = Examined(schema.number, constraints, began, after, known)
        self.parts.failures.keep(work.subject, work.causes, examined)

    def _is_refused(self, subject: str, head: int, newest: int) -> bool:
        """Tell whether all that is behind was refused, and would be again."""
        if self.rules.retry_refused:
            return False
        constraints, now = self.parts.store.constraints().digest, self.parts.clock()
        last = self.parts.failures.examined(subject, head, constraints, now)
        if last is None:
            return False
        return self.parts.store.behind(subject, newest, last.after) <= last.recent

    def _behind(self, subjects: dict[str, int]) -> Iterator[Behind]:
        now = self.parts.clock()
        for subject in subjects:
            schema = self.registry.compiled(subject)
            version = schema.version
            if version is None:
                continue
            newest = self._due(subject, schema)
            lowest = self.parts.store.next_stamp(subject, -1, newest)
            if lowest is None:
                continue
            yield Behind(
                subject=subject,
                documents=self.parts.store.behind(subject, newest),
                lowest=lowest,
                head=version.number,
                fields=_lacking(newer_than(schema, lowest)),
                retired=len(leaving(version, schema.defaults, lowest)),
                quiet=now - version.created_at >= timedelta(seconds=self.rules.quiet),
                refused=self._is_refused(subject, version.number, newest),
            )

    def _due(self, subject: str, schema: CompiledSchema) -> int:
        """Kept per version, for it walks all fields and is asked every interval."""
        number, newest = self._fillable.get(subject, (0, 0))
        if number != schema.number and schema.version is not None:
            newest = schema.version.due
            self._fillable[subject] = (schema.number, newest)
        return newest


def _lacking(schema: CompiledSchema) -> int:
    return fillings(schema.root) + (len(schema.aliases.rules) if schema.aliases else 0)
