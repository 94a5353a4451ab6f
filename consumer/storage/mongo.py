"""Connect to MongoDB with the promises every answered write relies on, and name our collections."""

from __future__ import annotations

from pymongo import MongoClient
from pymongo.server_api import ServerApi

from consumer.storage.ours import DURABLE, Document, Look, OurDatabase, Standing

# What is passed on beside the names.
__all__ = ["DURABLE", "Document", "OurDatabase"]

EVENTS = "events"
# What holds for this database whatever program and settings work on it.
DATABASE_FORMAT = "database_format"
SCHEMA_VERSIONS = "schema_versions"
DEAD_LETTERS = "dead_letter_queue"
RETRY_CONDITIONS = "retry_conditions"
AUDIT = "audit"
ENDED_SESSIONS = "ended_sessions"
LEASES = "leases"
REPORTS = "reports"
JOB_RUNS = "job_runs"
INSTANCES = "instances"
REFUSALS = "refusals"
SECRET_USE = "secret_use"  # noqa: S105 - a name
INGEST_HISTORY = "ingest_history"
INGEST_QUARTERS = "ingest_quarters"
ADOPTION_COUNTS = "adoption_counts"
ADOPTION_TOTALS = "adoption_totals"
ADOPTION_STATE = "adoption_state"

OURS = (
    EVENTS,
    DATABASE_FORMAT,
    SCHEMA_VERSIONS,
    DEAD_LETTERS,
    ADOPTION_COUNTS,
    ADOPTION_TOTALS,
    ADOPTION_STATE,
    LEASES,
    JOB_RUNS,
    INSTANCES,
    SECRET_USE,
    REFUSALS,
    RETRY_CONDITIONS,
    REPORTS,
    AUDIT,
    ENDED_SESSIONS,
    INGEST_HISTORY,
    INGEST_QUARTERS,
)
# A process that must not write still says that it lives.
_GUARDED = frozenset(OURS) - {INSTANCES}

# Milliseconds.
_LOOK_EVERY = 3000


def connect(
    uri: str, *, timeout: float, pool_size: int = 100, server_api: str | None = None
) -> MongoClient[Document]:
    """A lazy client that waits at most `timeout` seconds for a server or an answer. `server_api` is
    the version of the stable API to declare, for servers that require one."""
    milliseconds = int(timeout * 1000)
    return MongoClient(
        uri,
        appname="cxone-consumer",
        tz_aware=True,
        # Left to the first use, a mongodb+srv:// name is looked up again until DNS knows it.
        connect=not is_looked_up(uri),
        server_api=ServerApi(server_api) if server_api else None,
        maxPoolSize=pool_size,
        minPoolSize=0,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        timeoutMS=milliseconds,
        # How soon it is seen that a server fell silent; see `unhurried`.
        heartbeatFrequencyMS=_LOOK_EVERY,
        retryWrites=True,
    )


def is_looked_up(uri: str) -> bool:
    """Whether DNS must say which servers the URI means."""
    return uri.startswith("mongodb+srv://")


def open_database(
    client: MongoClient[Document], name: str, look: Look = lambda _: Standing()
) -> OurDatabase:
    """The database under our own concerns, whatever the URI says; `look` reads what keeps this
    program from writing there, and what else is wrong with it."""
    return OurDatabase(client, name, look, _GUARDED)
