"""Wire the periodic jobs: run in each process or once in the fleet, begun and ended together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import pymongo

from config.loading import Settings
from consumer.adoption.rollup import adoption_stores
from consumer.adoption.state import RecountMark
from consumer.core.clock import utc_now
from consumer.core.errors import StoreUnavailable
from consumer.dead_letters.conditions import ConditionStore
from consumer.dead_letters.refusal_notes import RefusalNotes
from consumer.dead_letters.requeue import Requeue
from consumer.events.recent import RecentEvents
from consumer.mongodb.client import (
    ADOPTION_COUNTS,
    ADOPTION_STATE,
    ADOPTION_TOTALS,
    DEAD_LETTERS,
    EVENTS,
    FIELD_STATISTICS,
    INSTANCES,
    JOB_RUNS,
    LEASES,
    REFUSALS,
    REPORTS,
    RETRY_CONDITIONS,
    SCHEMA_VERSIONS,
    SECRET_USE,
    SIGNALS,
    OurDatabase,
)
from consumer.mongodb.leases import Leases
from consumer.monitoring.datadog.announcements import Announcements
from consumer.monitoring.datadog.sink import Sink, open_sink
from consumer.monitoring.ingest_history import IngestHistory
from consumer.monitoring.instances import BEAT_EVERY, Instances, this_process
from consumer.monitoring.job_runs import JobRuns
from consumer.monitoring.secret_use import SecretUse
from consumer.runtime.fleet import facts, masks_of_all
from consumer.runtime.service_options import (
    configured_conditions,
    datadog_account,
    dead_letter_retention,
    report_common,
)
from consumer.runtime.settings_map import redaction, shared_secrets
from consumer.runtime.shared import SharedParts, build_views
from consumer.signals.store import FieldStatistics, Signals
from consumer.spool.spool import Spool
from jobs.adoption import Adoption
from jobs.announce_signals import AnnounceSignals
from jobs.announce_versions import AnnounceVersions
from jobs.backfill.failures import MigrationFailures
from jobs.backfill.job import Backfill, BackfillRules
from jobs.backfill.pace import PaceRules
from jobs.backfill.run import BackfillParts
from jobs.backfill.store import BackfillStore
from jobs.drain_spool import DrainSpool
from jobs.field_statistics import EVERY as COUNT_FIELDS_EVERY
from jobs.field_statistics import CountFields
from jobs.heartbeat import Heartbeat
from jobs.judge_readers import JudgeReaders
from jobs.keep_views import EVERY as VIEWS_EVERY
from jobs.keep_views import KeepViews
from jobs.note_refusals import EVERY as NOTE_REFUSALS_EVERY
from jobs.note_refusals import NoteRefusals
from jobs.note_secrets import EVERY as NOTE_EVERY
from jobs.note_secrets import NoteSecrets
from jobs.record_history import LOOK_EVERY, RecordHistory
from jobs.report_datadog import ReportDatadog
from jobs.scheduling.job import Job, JobFunction, JobRun
from jobs.scheduling.runner import Runner
from jobs.scheduling.scheduler import Scheduler
from jobs.sweep_dead_letters import SweepDeadLetters

COUNT_FIELDS = "field_statistics"
# Seconds between looks for schema versions that other processes registered, so that few documents
# are stamped with an older one: within ten seconds each of them follows.
_REFRESH_EVERY = 5.0
# Seconds between looks for what bars or spoils writing: faults of collections, lost indexes.
PREPARE_EVERY = 15.0
# Seconds between looks for versions that were lost: a backup may be restored at any time.
_HOLES_EVERY = 3600.0
# What MongoDB could not take waits that long after it is back, at most.
_DRAIN_EVERY = 1.0
# Seconds for the last report and for the last words to MongoDB, when the process stops.
_LAST_REPORT = 2.0
_LAST_WORDS = 1.0


@dataclass(frozen=True, slots=True)
class Periodic:
    """The scheduler with its jobs, the drain's own, and what is done once more at the end.

    The drain runs every second and while MongoDB is away: a record of its runs in MongoDB would
    cost more than it is worth, and wait just then. So it has a scheduler without records.
    """

    scheduler: Scheduler
    drain: Scheduler
    heartbeat: Heartbeat
    secrets: NoteSecrets
    refusals: NoteRefusals
    history: RecordHistory
    report: ReportDatadog
    sink: Sink

    def start(self) -> None:
        self.drain.start()
        self.scheduler.start()

    def end_runs(self, timeout: float) -> bool:
        """Ask the runs under way to end, and wait up to `timeout` seconds; True if all did."""
        # Both at once: where MongoDB does not answer, each takes all its time.
        with ThreadPoolExecutor(2) as pool:
            return all(pool.map(lambda each: each.stop(timeout), (self.scheduler, self.drain)))

    def finish(self) -> None:
        """Report and record once more, and leave the list of processes."""
        self.report.finish(_LAST_REPORT)
        self.sink.close()
        # Without MongoDB the list forgets this process by itself.
        with contextlib.suppress(StoreUnavailable), pymongo.timeout(_LAST_WORDS):
            self.history()
            self.secrets()
            self.refusals()
            self.heartbeat.finish()


def periodic(
    settings: Settings,
    shared: SharedParts,
    spool: Spool,
    prepare: JobFunction,
    prepared: Callable[[], bool],
    *,
    clock: Callable[[], datetime] = utc_now,
    prepare_every: float = PREPARE_EVERY,
) -> Periodic:
    """All jobs of one process; `prepare` readies MongoDB, tried until it succeeds, and `prepared`
    is true once it came to an end: a backfill before that would miss its index."""
    database, metrics = shared.database, shared.metrics
    sink = open_sink(datadog_account(settings), settings.cxone_report_buffer, metrics, clock)
    fleet = report_common(settings, fleet=True)
    report = ReportDatadog(
        metrics=metrics, sink=sink, common=report_common(settings), fleet=fleet, clock=clock
    )
    masks = redaction(settings, shared.registry.aliased)
    judge = shared.judge(masks)
    announce = AnnounceVersions(
        newest=shared.registry.subjects,
        announcements=Announcements(database[REPORTS], database[SCHEMA_VERSIONS]),
        sink=sink,
        common=fleet,
        masks=masks,
        clock=clock,
        breaches=judge.breaches,
    )
    drain = DrainSpool(
        spool=spool,
        breaker=shared.breaker,
        store=shared.ingest.store,
        workers=settings.cxone_drain_workers,
        metrics=metrics,
        clock=clock,
    )
    sweep = SweepDeadLetters(
        replay=shared.replay,
        dead_letters=shared.dead_letters,
        requeue=Requeue(database[DEAD_LETTERS]),
        conditions=ConditionStore(database, shared.registry, configured_conditions(settings)),
        metrics=metrics,
        clock=clock,
    )
    backfill = Backfill(
        shared.registry,
        BackfillParts(
            store=BackfillStore(database[EVENTS]),
            failures=MigrationFailures(database[DEAD_LETTERS], dead_letter_retention(settings)),
            clock=clock,
        ),
        metrics,
        backfill_rules(settings),
    )
    own_facts = facts(settings)
    instance = this_process(version("cxone-consumer"), settings.dd_hostname)
    heartbeat = Heartbeat(
        Instances(database[INSTANCES]),
        instance,
        lambda: {"spool": _spool_facts(spool), **own_facts},
        RecountMark(database).set_late,
        clock,
    )
    adoption = Adoption(
        stores=adoption_stores(database),
        heads=shared.registry,
        metrics=metrics,
        retention_days=settings.cxone_retention_days,
        clock=clock,
        ahead=lambda: heartbeat.ahead,
    )
    announce_signals = AnnounceSignals(
        signals=Signals(database), sink=sink, common=fleet, masks=masks, clock=clock
    )
    counting = count_fields(settings, shared, clock, lambda: heartbeat.ahead)
    views = build_views(
        settings,
        shared,
        lambda: masks_of_all(
            settings, Instances(database[INSTANCES]).all(), shared.registry.aliased
        ),
    )
    known = {name: shared_secrets(source) for name, source in settings.every_source.items()}
    secrets = NoteSecrets(known, metrics, SecretUse(database[SECRET_USE]))
    refusals = NoteRefusals(shared.peers, RefusalNotes(database[REFUSALS]), metrics, clock)
    history = RecordHistory(metrics, IngestHistory(database), instance.id, clock)
    jobs = (
        Job("prepare_store", prepare_every, prepare),
        Job("refresh_schemas", _REFRESH_EVERY, shared.refresh),
        Job("look_for_holes", _HOLES_EVERY, shared.registry.look_for_holes),
        Job("heartbeat", BEAT_EVERY, heartbeat),
        Job("note_secrets", NOTE_EVERY, secrets),
        Job("note_refusals", NOTE_REFUSALS_EVERY, refusals),
        Job("record_history", LOOK_EVERY, history),
        Job("report_datadog", settings.cxone_report_interval, report),
        Job(
            "announce_versions",
            settings.cxone_report_interval,
            _with_faults(database, announce, REPORTS),
            exclusive=True,
        ),
        Job(
            "judge_readers",
            settings.cxone_report_interval,
            JudgeReaders(judge, shared.registry.subjects, metrics),
            exclusive=True,
        ),
        Job(
            "announce_signals",
            settings.cxone_report_interval,
            _with_faults(database, announce_signals, SIGNALS),
            exclusive=True,
        ),
        Job(
            "adoption",
            settings.cxone_adoption_interval,
            _with_faults(database, adoption, ADOPTION_COUNTS, ADOPTION_TOTALS, ADOPTION_STATE),
            exclusive=True,
        ),
        Job(
            COUNT_FIELDS,
            COUNT_FIELDS_EVERY,
            _with_faults(database, counting, FIELD_STATISTICS, SIGNALS),
            exclusive=True,
            ready=prepared,
        ),
        Job("keep_views", VIEWS_EVERY, KeepViews(views), exclusive=True),
        Job("backfill", settings.cxone_backfill_interval, backfill, exclusive=True, ready=prepared),
        Job(
            "sweep_dead_letters",
            settings.cxone_sweep_interval,
            _with_faults(database, sweep, RETRY_CONDITIONS),
            exclusive=True,
        ),
    )

    def away() -> bool:
        # What bars all writes is reported by the job that looks for it.
        return database.write_block is not None or shared.breaker.confirms_failure()

    runner = Runner(
        instance.id,
        leases=Leases(database[LEASES], instance.id, settings.cxone_lease_time),
        runs=JobRuns(database[JOB_RUNS]),
        metrics=metrics,
        away=away,
    )
    alone = Scheduler(
        (Job("drain_spool", _DRAIN_EVERY, drain),),
        Runner(instance.id, metrics=metrics, away=away),
    )
    return Periodic(
        Scheduler(jobs, runner), alone, heartbeat, secrets, refusals, history, report, sink
    )


def count_fields(
    settings: Settings,
    shared: SharedParts,
    clock: Callable[[], datetime],
    ahead: Callable[[], timedelta] = timedelta,
    sleep: Callable[[float], None] = time.sleep,
) -> CountFields:
    """The job COUNT_FIELDS; `ahead` and `sleep` as it has them."""
    database = shared.database
    return CountFields(
        events=RecentEvents(database[EVENTS]),
        statistics=FieldStatistics(database),
        signals=Signals(database),
        heads=shared.registry,
        metrics=shared.metrics,
        max_bytes=settings.cxone_statistics_max_bytes,
        clock=clock,
        ahead=ahead,
        sleep=sleep,
    )


def _with_faults(database: OurDatabase, job: JobFunction, *collections: str) -> JobFunction:
    """The job, whose result also says what is wrong with its collections."""

    def reporting(run: JobRun) -> dict[str, Any]:
        result = job(run)
        faults = database.inspection.faults
        found = [faults[name] for name in collections if name in faults]
        return {**result, "fault": "; ".join(found)} if found else result

    return reporting


def backfill_rules(settings: Settings) -> BackfillRules:
    """The quiet and the pace at which older documents are filled."""
    return BackfillRules(
        quiet=settings.cxone_backfill_quiet,
        pace=PaceRules(batch=settings.cxone_backfill_batch, pause=settings.cxone_backfill_pause),
    )


def _spool_facts(spool: Spool) -> dict[str, Any]:
    """Facts for `status` about a spool that only its own process may open."""
    return {
        "depth": spool.depth,
        "bytes": spool.size,
        "oldest": spool.oldest(),
        "fault": spool.fault,
    }
