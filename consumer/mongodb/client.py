"""Connect to MongoDB with the promises every answered write relies on, and name our collections.

Open our database so that all of our code reaches its collections under the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from time import monotonic
from typing import Any, cast

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


Document = dict[str, Any]

# A killed mongod lost 1,431 of 74,601 inserts under the default write concern, none under this one.
DURABLE = WriteConcern(w="majority", j=True)

SIMPLE = Collation("simple")
Keys = Sequence[tuple[str, int]]
# Seconds for which the name of an index is trusted.
_HINT_KEPT = 15.0
_UNAUTHORIZED = 13


class Barred(PyMongoError):
    """A write that was not sent, because this program must not write there: `why` is raised in its
    place at the edge of storage."""

    def __init__(self, why: StoreUnavailable) -> None:
        super().__init__(str(why))
        self.why = why


def serves(index: Mapping[str, Any], keys: Keys) -> bool:
    """Whether an index, as `listIndexes` has it, is on these keys and has every document, in the
    order of its text as it is."""
    odd = ("collation", "partialFilterExpression", "sparse", "hidden")
    return list(index["key"].items()) == list(keys) and not any(index.get(name) for name in odd)


def missing(collection: str, keys: Keys) -> str:
    """Sentence for an index that is not there."""
    named = ", ".join(f"{key}: {direction}" for key, direction in keys)
    return f"the index {{{named}}} of {collection!r} is missing"


@dataclass(frozen=True, slots=True)
class Standing:
    """Findings of a look: `bar` is why nothing may be written, `faults` say by collection what is
    wrong with it."""

    bar: StoreUnavailable | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


class OurDatabase(Database[Document]):
    """The database under our own concerns, whatever the URI says.

    `look` reads what keeps this program from writing there, and what else is wrong with it. It is
    asked before the first write to a collection of `guarded`, and by `look_again`.
    """

    def __init__(
        self,
        client: MongoClient[Document],
        name: str,
        look: Look,
        guarded: frozenset[str],
    ) -> None:
        super().__init__(
            client,
            name,
            write_concern=DURABLE,
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )
        self.standing = Standing()
        self.looked = False
        self._look = look
        self._guarded = guarded
        self._hints: dict[tuple[str, tuple[tuple[str, int], ...]], tuple[float, str]] = {}

    @property
    def bar(self) -> StoreUnavailable | None:
        """Reason that bars this program from writing, as far as is known."""
        return self.standing.bar

    def look_again(self) -> StoreUnavailable | None:
        """Find what bars us from writing now; raises PyMongoError where nobody can say."""
        self.standing = self._look(self)
        self.looked = True
        return self.bar

    def permit(self, collection: str) -> None:
        """Raise Barred where this program must not write to a collection."""
        if collection not in self._guarded:
            return
        if not self.looked:
            # By each that comes at first: nobody waits for what MongoDB does not say to another.
            self.look_again()
        if self.bar is not None:
            raise Barred(self.bar)

    def index_name(self, collection: str, keys: Keys) -> str | list[tuple[str, int]]:
        """The name of the index on these keys that compares text as it is: a hint by the keys alone
        may mean another one too. Raises Barred where there is none. The keys, where this user may
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
                raise Barred(StoreUnavailable(f"{missing(collection, keys)}: {why}"))
            self._hints[collection, tuple(keys)] = monotonic(), found
        return found

    def __getitem__(self, name: str) -> OurCollection:
        return OurCollection(self, name)


class OurCollection(Collection[Document]):
    """A collection of ours: it writes only where this program may, and compares text as it is.

    A collection may have been made with a collation, under which `ABC` is `abc` wherever a command
    says nothing else. Look-ups by `_id` say nothing: our digests are hexadecimal and compare alike,
    and with another collation than its own the index of `_id` is of no use.
    """

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


# The methods of the driver that we use: whether they write, and whether they compare by the filter
# or pipeline that is their argument of this number.
_METHODS: tuple[tuple[str, bool, int | None], ...] = (
    ("find", False, 0),
    ("aggregate", False, 0),
    ("count_documents", False, 0),
    ("distinct", False, 1),
    ("update_one", True, 0),
    ("update_many", True, 0),
    ("delete_one", True, 0),
    ("delete_many", True, 0),
    ("find_one_and_update", True, 0),
    # Those in a bulk are by `_id`.
    ("bulk_write", True, None),
    ("insert_one", True, None),
    ("insert_many", True, None),
    ("create_index", True, None),
    ("create_indexes", True, None),
    ("drop_index", True, None),
)


def _ours(name: str, writes: bool, compares: int | None) -> Callable[..., Any]:
    theirs = getattr(Collection, name)

    @wraps(theirs)
    def ours(self: OurCollection, *args: Any, **kwargs: Any) -> Any:
        database = cast(OurDatabase, self.database)
        if writes:
            database.permit(self.name)
        if isinstance(kwargs.get("hint"), list | tuple):
            kwargs["hint"] = database.index_name(self.name, kwargs["hint"])
        if compares is not None and not _by_id(args[compares] if args[compares:] else None):
            kwargs.setdefault("collation", SIMPLE)
        try:
            return theirs(self, *args, **kwargs)
        except OperationFailure as error:
            fault = database.standing.faults.get(self.name)
            if fault is None or isinstance(error, DuplicateKeyError):
                raise
            raise Barred(StoreUnavailable(fault)) from error

    return ours


def _by_id(looked_for: Any) -> bool:
    """Whether a filter, or the filter that begins a pipeline, names the `_id`s it is about."""
    if isinstance(looked_for, list):
        looked_for = looked_for[0].get("$match") if looked_for else None
    wanted = (looked_for or {}).get("_id")
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        return list(wanted) == ["$in"]
    return wanted is not None


for _row in _METHODS:
    setattr(OurCollection, _row[0], _ours(*_row))


Look = Callable[[OurDatabase], Standing]
