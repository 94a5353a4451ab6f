"""Wire the console: `service` imports this, templates, charts and all, only where its password is
set."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import falcon

from config.loading import Settings
from consumer.adoption.history import AdoptionHistory
from consumer.console.context import Cached, Context
from consumer.console.routes import Access, mount
from consumer.console.traffic import TrafficBoard
from consumer.core.clock import utc_now
from consumer.dead_letters.approval import Approval, HeldEvents
from consumer.dead_letters.diagnosis import Inspector
from consumer.dead_letters.search import DeadLetterSearch, HeldDeadLetters
from consumer.events.search import EventSearch
from consumer.http.health import HealthCheck
from consumer.mongodb.client import AUDIT, DEAD_LETTERS, ENDED_SESSIONS, EVENTS, INSTANCES, JOB_RUNS
from consumer.mongodb.ended_sessions import EndedSessions
from consumer.monitoring.audit import Audit
from consumer.monitoring.ingest_history import IngestHistory
from consumer.monitoring.instances import Instances
from consumer.monitoring.job_runs import JobRuns
from consumer.monitoring.overview import gather
from consumer.runtime.fleet import masks_of_all
from consumer.runtime.settings_map import one_subject, redaction, schema_policy, shared_secrets
from consumer.runtime.shared import SharedParts, build_views
from consumer.signals.store import FieldStatistics, Signals

# Seconds for which what screens read of the whole fleet is good enough, and its document counts.
_FRESH = 2.0
_COUNTED = 10.0
# Seconds for which events that no adoption job has counted yet are not counted again.
_UNCOUNTED = 5.0
# Seconds after which a thread that makes a page lets another go on. Python's own 5 ms would be
# waited for several times in each webhook meanwhile.
_SWITCH = 0.0005


def add_console(
    app: falcon.App[Any, Any],
    settings: Settings,
    password: str,
    shared: SharedParts,
    checks: Mapping[str, HealthCheck],
) -> None:
    """Put the console on the application, behind the password."""
    secrets = shared_secrets(settings.main)
    access = Access(
        password=password,
        pepper=secrets[0].key if secrets else b"",
        seconds=settings.cxone_console_session,
        hosts=settings.cxone_console_hosts,
        proxies=settings.cxone_trusted_proxies,
        # The server keeps some for health and metrics beside these.
        threads=max(1, settings.cxone_threads // 4),
    )
    database = shared.database
    together = one_subject(settings)
    held = HeldEvents(HeldDeadLetters(database[DEAD_LETTERS]), shared.sources, together)
    adoption = AdoptionHistory(database, _UNCOUNTED)
    masks = redaction(settings, shared.registry.aliased)
    judge = shared.judge(masks)
    context = Context(
        settings=settings,
        clock=utc_now,
        checks=checks,
        registry=shared.registry,
        schema_policy=schema_policy(settings),
        one_subject=together,
        approval=Approval(shared.registry, held, shared.replay),
        held=held,
        adoption=adoption,
        field_statistics=FieldStatistics(database),
        signals=Signals(database),
        events=EventSearch(database[EVENTS]),
        redaction=masks,
        dead_letter_search=DeadLetterSearch(database[DEAD_LETTERS]),
        dead_letters=shared.dead_letters,
        replay=shared.replay,
        inspector=Inspector(shared.sources, shared.registry, together),
        overview=Cached(
            lambda: gather(shared.client, database, shared.registry, shared.dead_letters.depths),
            _FRESH,
        ),
        summaries=Cached(shared.registry.summaries, _FRESH),
        documents=Cached(adoption.documents, _COUNTED),
        judge=judge,
        tallies=Cached(lambda: judge.tallies(shared.registry.subjects), _FRESH),
        traffic=TrafficBoard(IngestHistory(database)),
        job_runs=JobRuns(database[JOB_RUNS]),
        audit=Audit(database[AUDIT]),
        ended_sessions=EndedSessions(database[ENDED_SESSIONS]),
        views=build_views(
            settings,
            shared,
            lambda: masks_of_all(
                settings, Instances(database[INSTANCES]).all(), shared.registry.aliased
            ),
        ),
    )
    mount(app, context, access)
    sys.setswitchinterval(_SWITCH)
