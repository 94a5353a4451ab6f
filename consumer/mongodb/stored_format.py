"""Know in which format the database is written, so that no older program writes to it."""

from __future__ import annotations

from importlib.metadata import version

from pymongo.errors import DuplicateKeyError

from consumer.core.errors import FormatTooNew, SetupError
from consumer.mongodb.client import DATABASE_FORMAT, INSTANCES, OurDatabase
from consumer.mongodb.errors import translated

# What each format brought: a program that knows less must not write where it is recorded.
FORMATS = {
    1: "as first released",
    2: "versions made by people: fields retired, maps undone, names erased",
    3: "sources beside main, whose dead letters an older program would take for main's",
    4: "aliases, which an older program would drop from the next version and never fill",
}
SOURCES = 3
ALIASES = 4
# The newest that this program understands.
FORMAT = max(FORMATS)
# What it writes as long as nobody used more.
_FIRST = min(FORMATS)
# Of so many processes the error tells.
_MOST_NAMED = 20
# Where no older program looks at all.
_ID = "stored_format"


def recorded(db: OurDatabase) -> int | None:
    """The format that the database is written in; None before anybody recorded it. Raises
    PyMongoError."""
    found = db[DATABASE_FORMAT].find_one({"_id": _ID})
    if found is None:
        return None
    try:
        return int(found["format"])
    except (KeyError, TypeError, ValueError, OverflowError):
        # Whoever wrote this knows more than we do.
        return FORMAT + 1


def too_new(db: OurDatabase) -> FormatTooNew | None:
    """Error for a database that is written in a format newer than this program's."""
    found = recorded(db)
    if found is None or found <= FORMAT:
        return None
    return FormatTooNew(
        f"the database {db.name!r} is written in format {found} of a newer cxone-consumer, and this"
        f" one ({version('cxone-consumer')}) knows formats up to {FORMAT}: upgrade it"
    )


def has(db: OurDatabase, wanted: int) -> bool:
    """True where something of a format may be stored; raises StoreUnavailable."""
    with translated(DATABASE_FORMAT):
        return (recorded(db) or _FIRST) >= wanted


def record(db: OurDatabase) -> None:
    """Record the first format, unless one is recorded; raises StoreUnavailable."""
    with translated(DATABASE_FORMAT):
        if recorded(db) is None:
            _raise(db, _FIRST)


def require(db: OurDatabase, wanted: int) -> None:
    """Raise the recorded format to `wanted`, which a deed needs that comes next.

    Raises SetupError that names them while `instances` shows processes that do not know it, silent
    ones too, for they may come back; and StoreUnavailable.
    """
    if has(db, wanted):
        return
    with translated(INSTANCES):
        # `not $gte`: also those that say nothing of formats.
        found = db[INSTANCES].find({"format": {"$not": {"$gte": wanted}}}).limit(_MOST_NAMED)
        older = [f"{each['_id']} (cxone-consumer {each.get('version')})" for each in found]
    if older:
        raise SetupError(
            f"these processes do not know what this writes: {', '.join(older)}: upgrade them, or"
            " stop them, and try again; one that ended without a word is forgotten after an hour"
        )
    with translated(DATABASE_FORMAT):
        _raise(db, wanted)


def _raise(db: OurDatabase, to: int) -> None:
    for last in (False, True):
        try:
            db[DATABASE_FORMAT].update_one({"_id": _ID}, {"$max": {"format": to}}, upsert=True)
        except DuplicateKeyError:
            # Two first records raced: the other inserted.
            if last:
                raise
        else:
            return
