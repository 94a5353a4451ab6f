"""Connect to MongoDB, name our collections, and open our database under one set of rules.

Every answered write relies on its concerns; text is compared as it is; nothing is written where
this program must not write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from time import monotonic
from typing import Any, TypeVar, cast

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collation import Collation
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.server_api import ServerApi
from pymongo.write_concern import WriteConcern

from consumer.core.errors import StoreUnavailable

Document = dict[str, Any]
Method = TypeVar("Method", bound=Callable[..., Any])
Keys = Sequence[tuple[str, int]]

# A killed mongod lost 1,431 of 74,601 inserts under the default write concern, none under this one.
DURABLE = WriteConcern(w="majority", j=True)

# Documents as their bytes, decoded as they are read: payloads come back unaltered.
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument, tz_aware=True)
SIMPLE = Collation("simple")

# Our collections.
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
READERS = "readers"
FIELD_STATISTICS = "field_statistics"
SIGNALS = "signals"
REJECTED_CHANGES = "rejected_changes"

COLLECTIONS = (
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
    READERS,
    FIELD_STATISTICS,
    SIGNALS,
    REJECTED_CHANGES,
)
# A process that must not write still says that it lives.
_GUARDED = frozenset(COLLECTIONS) - {INSTANCES}

# Milliseconds.
_HEARTBEAT = 3000
# Seconds for which the name of an index is trusted.
_HINT_KEPT = 15.0
_UNAUTHORIZED = 13


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
        heartbeatFrequencyMS=_HEARTBEAT,
        retryWrites=True,
    )


def is_looked_up(uri: str) -> bool:
    """True for a URI whose servers DNS must name."""
    return uri.startswith("mongodb+srv://")


class Blocked(PyMongoError):
    """A command that was not sent, or was refused, for a reason that we know: `why` is raised in
    its place once it has passed the driver."""

    def __init__(self, why: StoreUnavailable) -> None:
        super().__init__(str(why))
        self.why = why


def serves(index: Mapping[str, Any], keys: Keys) -> bool:
    """True for an index, as `listIndexes` has it, that is on these keys and has every document, in
    the order of its text as it is."""
    odd = ("collation", "partialFilterExpression", "sparse", "hidden")
    return list(index["key"].items()) == list(keys) and not any(index.get(name) for name in odd)


def missing_index(collection: str, keys: Keys) -> str:
    """Sentence for an index that is not there."""
    named = ", ".join(f"{key}: {direction}" for key, direction in keys)
    return f"the index {{{named}}} of {collection!r} is missing"


@dataclass(frozen=True, slots=True)
class Inspection:
    """Findings about the database: `write_block` is why nothing may be written, `faults` say by
    collection what is wrong with it."""

    write_block: StoreUnavailable | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


class OurDatabase(Database[Document]):
    """The database under our own concerns, whatever the URI says.

    `inspect_with` reads what keeps this program from writing there, and what else is wrong with it.
    It is asked before the first write to a collection of `guarded`, and by `inspect`.
    """

    def __init__(
        self,
        client: MongoClient[Document],
        name: str,
        inspect_with: Callable[[OurDatabase], Inspection],
        guarded: frozenset[str],
    ) -> None:
        super().__init__(
            client,
            name,
            write_concern=DURABLE,
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )
        self.inspection = Inspection()
        self.inspected = False
        self._inspect_with = inspect_with
        self._guarded = guarded
        self._hints: dict[tuple[str, tuple[tuple[str, int], ...]], tuple[float, str]] = {}

    @property
    def write_block(self) -> StoreUnavailable | None:
        """Reason why this program must not write, as far as is known."""
        return self.inspection.write_block

    def inspect(self) -> StoreUnavailable | None:
        """Find what keeps us from writing now; raises PyMongoError where nobody can say."""
        self.inspection = self._inspect_with(self)
        self.inspected = True
        return self.write_block

    def require_writable(self, collection: str) -> None:
        """Raise Blocked where this program must not write to a collection."""
        if collection not in self._guarded:
            return
        if not self.inspected:
            # By each that comes at first: nobody waits for what MongoDB does not say to another.
            self.inspect()
        if self.write_block is not None:
            raise Blocked(self.write_block)

    def hint(self, collection: str, keys: Keys) -> str | list[tuple[str, int]]:
        """The name of the index on these keys that compares text as it is: a hint by the keys alone
        may mean another one too. Raises Blocked where there is none. The keys, where this user may
        not look."""
        at, found = self._hints.get((collection, tuple(keys)), (0.0, None))
        if found is None or monotonic() > at + _HINT_KEPT:
            try:
                rows = list(self[collection].list_indexes())
            except OperationFailure as error:
                if error.code != _UNAUTHORIZED:
                    raise
                return list(keys)
            found = next((row["name"] for row in rows if serves(row, keys)), None)
            if found is None:
                why = "`cxone-consumer doctor` says why, the service makes it again"
                raise Blocked(StoreUnavailable(f"{missing_index(collection, keys)}: {why}"))
            self._hints[collection, tuple(keys)] = monotonic(), found
        return found

    def __getitem__(self, name: str) -> OurCollection:
        return OurCollection(self, name)


def _ours(theirs: Method, *, writes: bool = False, compares: int | None = None) -> Method:
    """A method of the driver under our rules: whether it writes, and the number of the argument (a
    filter or pipeline) by which it compares."""

    @wraps(theirs)
    def ours(self: OurCollection, *args: Any, **kwargs: Any) -> Any:
        database = cast(OurDatabase, self.database)
        if writes:
            database.require_writable(self.name)
        if isinstance(kwargs.get("hint"), list | tuple):
            kwargs["hint"] = database.hint(self.name, kwargs["hint"])
        if compares is not None and not _by_id(args[compares] if args[compares:] else None):
            kwargs.setdefault("collation", SIMPLE)
        try:
            return theirs(self, *args, **kwargs)
        except OperationFailure as error:
            fault = database.inspection.faults.get(self.name)
            if fault is None or isinstance(error, DuplicateKeyError):
                raise
            raise Blocked(StoreUnavailable(fault)) from error

    return cast(Method, ours)


def _by_id(looked_for: Any) -> bool:
    """True for a filter, or a pipeline that begins with one, that names the `_id`s it is about."""
    if isinstance(looked_for, list):
        looked_for = looked_for[0].get("$match") if looked_for else None
    wanted = (looked_for or {}).get("_id")
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        return list(wanted) == ["$in"]
    return wanted is not None


class OurCollection(Collection[Document]):
    """A collection of ours: it writes only where this program may, and compares text as it is.

    A collection may have been made with a collation, under which `ABC` is `abc` wherever a command
    says nothing else. Look-ups by `_id` say nothing: our digests are hexadecimal and compare alike,
    and with another collation than its own the index of `_id` is of no use.
    """

    find = _ours(Collection[Document].find, compares=0)
    aggregate = _ours(Collection[Document].aggregate, compares=0)
    count_documents = _ours(Collection[Document].count_documents, compares=0)
    distinct = _ours(Collection[Document].distinct, compares=1)
    update_one = _ours(Collection[Document].update_one, writes=True, compares=0)
    update_many = _ours(Collection[Document].update_many, writes=True, compares=0)
    delete_one = _ours(Collection[Document].delete_one, writes=True, compares=0)
    delete_many = _ours(Collection[Document].delete_many, writes=True, compares=0)
    find_one_and_update = _ours(Collection[Document].find_one_and_update, writes=True, compares=0)
    # Those in a bulk are by `_id`.
    bulk_write = _ours(Collection[Document].bulk_write, writes=True)
    insert_one = _ours(Collection[Document].insert_one, writes=True)
    insert_many = _ours(Collection[Document].insert_many, writes=True)
    create_index = _ours(Collection[Document].create_index, writes=True)
    create_indexes = _ours(Collection[Document].create_indexes, writes=True)
    drop_index = _ours(Collection[Document].drop_index, writes=True)

    def with_options(self, *args: Any, **kwargs: Any) -> OurCollection:  # type: ignore[override]
        plain = super().with_options(*args, **kwargs)
        return OurCollection(
            self.database,
            self.name,
            codec_options=plain.codec_options,
            read_preference=plain.read_preference,
            write_concern=plain.write_concern,
            read_concern=plain.read_concern,
        )


def open_database(
    client: MongoClient[Document],
    name: str,
    inspect_with: Callable[[OurDatabase], Inspection] = lambda _: Inspection(),
) -> OurDatabase:
    """The database under our own concerns, whatever the URI says; `inspect_with` reads what keeps
    this program from writing there, and what else is wrong with it."""
    return OurDatabase(client, name, inspect_with, _GUARDED)
