"""Wire the console. Whoever imports this pays for its templates and charts: `service` does only
where a password for the console is set."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import falcon

from config.settings import Settings
from consumer.approval import Approval
from consumer.clock import utc_now
from consumer.held import HeldEvents
from consumer.letters.diagnosis import Inspector
from consumer.options import event_fields, redaction, schema_policy, shared_secrets
from consumer.overview import gather
from consumer.parsing import EventParser
from consumer.runtime.core import Core
from consumer.storage import mongo
from consumer.storage.adoption_history import AdoptionHistory
from consumer.storage.audit import Audit
from consumer.storage.ended_sessions import EndedSessions
from consumer.storage.event_keys import COLLECTION_SUBJECT
from consumer.storage.event_search import EventSearch
from consumer.storage.held_letters import HeldLetters
from consumer.storage.ingest_history import IngestHistory
from consumer.storage.job_runs import JobRuns
from consumer.storage.letter_search import LetterSearch
from consumer.storage.recent_events import RecentEvents
from consumer.web.console.mount import Access, mount
from consumer.web.console.parts import Parts
from consumer.web.console.recent import Recent
from consumer.web.console.traffic import TrafficBoard
from consumer.web.health import Probe

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
    core: Core,
    probes: Mapping[str, Probe],
) -> None:
    """Put the console on the application, behind the password."""
    secrets = shared_secrets(settings)
    access = Access(
        password=password,
        pepper=secrets[0].key if secrets else b"",
        seconds=settings.cxone_console_session,
        hosts=settings.cxone_console_hosts,
        proxies=settings.cxone_trusted_proxies,
        # The server keeps some for health and metrics beside these.
        threads=max(1, settings.cxone_threads // 4),
    )
    database = core.database
    one_subject = COLLECTION_SUBJECT if settings.cxone_schema_scope == "collection" else None
    parser = EventParser(event_fields(settings), settings.cxone_store_max_depth)
    held = HeldEvents(HeldLetters(database[mongo.DEAD_LETTERS]), parser, one_subject)
    adoption = AdoptionHistory(database, _UNCOUNTED)
    parts = Parts(
        settings=settings,
        clock=utc_now,
        probes=probes,
        registry=core.registry,
        schema_policy=schema_policy(settings),
        one_subject=one_subject,
        approval=Approval(core.registry, held, core.replay),
        held=held,
        adoption=adoption,
        recent_events=RecentEvents(database[mongo.EVENTS]),
        events=EventSearch(database[mongo.EVENTS]),
        redaction=redaction(settings),
        letters=LetterSearch(database[mongo.DEAD_LETTERS]),
        dead_letters=core.dead_letters,
        replay=core.replay,
        inspector=Inspector(parser, core.registry, one_subject),
        overview=Recent(
            lambda: gather(core.client, database, core.registry, core.dead_letters.depths), _FRESH
        ),
        summaries=Recent(core.registry.summaries, _FRESH),
        documents=Recent(adoption.documents, _COUNTED),
        traffic=TrafficBoard(IngestHistory(database)),
        job_runs=JobRuns(database[mongo.JOB_RUNS]),
        audit=Audit(database[mongo.AUDIT]),
        ended_sessions=EndedSessions(database[mongo.ENDED_SESSIONS]),
    )
    mount(app, parts, access)
    sys.setswitchinterval(_SWITCH)
