"""Store how far adoption was counted, the generation of counts in use, and marks to count again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from consumer.adoption.counts import Superseded
from consumer.mongodb.client import ADOPTION_STATE, Document
from consumer.mongodb.deadline import soon
from consumer.mongodb.errors import translated

# `_id`s of the documents that are no generation.
_CURRENT, _ERASED, _LATE = "current", "erased", "late"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class State:
    """Progress of the counting: every event before `counted` (a slice) is in the counts, hours
    before `summed` are in the totals, hours before `since` have expired and are in neither."""

    generation: int
    since: datetime
    summed: datetime
    counted: datetime
    fence: int


class AdoptionState:
    """The collection `adoption_state`; every method raises StoreUnavailable."""

    def __init__(self, db: Database[Document]) -> None:
        self._states = db[ADOPTION_STATE]

    def current(self) -> State | None:
        """The state of the generation in use; None before the first count."""
        for _ in range(_ATTEMPTS):
            with translated(ADOPTION_STATE):
                pointer = self._states.find_one({"_id": _CURRENT})
                if pointer is None:
                    return None
                found = self._states.find_one({"_id": pointer["generation"]})
            if found is not None:
                return _state(found)
            # A rebuild removed it between the two reads: another is in use by now.
        return None

    def claim(self, fence: int, begin: datetime) -> State:
        """The state of the generation in use, from now on written under `fence` alone; counting
        starts with the hour of `begin` where nothing was counted yet.

        Raises Superseded when a later fence has claimed it.
        """
        state = self.current()
        if state is None:
            with translated(ADOPTION_STATE), soon(self._states):
                first = State(1, begin, begin, begin, 0)
                self._states.update_one({"_id": 1}, {"$setOnInsert": _fields(first)}, upsert=True)
                self._states.update_one(
                    {"_id": _CURRENT}, {"$setOnInsert": {"generation": 1}}, upsert=True
                )
            state = self.current() or first
        return self._set({"_id": state.generation, "fence": {"$lte": fence}}, {"fence": fence})

    def advance(
        self,
        state: State,
        *,
        since: datetime | None = None,
        summed: datetime | None = None,
        counted: datetime | None = None,
    ) -> State:
        """The state with what is given; raises Superseded when another has moved it meanwhile."""
        new = replace(
            state,
            since=since or state.since,
            summed=summed or state.summed,
            counted=counted or state.counted,
        )
        return self._set({"_id": state.generation, **_fields(state)}, _fields(new))

    def begin(self, begin: datetime) -> tuple[State, int]:
        """A generation beyond all others, not in use yet, and the one in use (0: none)."""
        while True:
            with translated(ADOPTION_STATE), soon(self._states):
                pointer = self._states.find_one({"_id": _CURRENT}) or {"generation": 0}
                last = self._states.find_one({"_id": {"$type": "number"}}, sort=[("_id", -1)])
                state = State(last["_id"] + 1 if last else 1, begin, begin, begin, 0)
                try:
                    self._states.insert_one({"_id": state.generation, **_fields(state)})
                except DuplicateKeyError:
                    continue
            return state, pointer["generation"]

    def use(self, state: State) -> None:
        """Make a generation the one in use. Raises Superseded when a later rebuild removed it."""
        with translated(ADOPTION_STATE), soon(self._states):
            if self._states.find_one({"_id": state.generation}) is None:
                raise _superseded()
            try:
                self._states.update_one(
                    {"_id": _CURRENT, "generation": {"$lt": state.generation}},
                    {"$set": {"generation": state.generation}},
                    upsert=True,
                )
            except DuplicateKeyError as error:
                raise _superseded() from error

    def discard(self, start: int, end: int) -> None:
        """Forget the generations from `start` to before `end`: whoever still counts in one of them
        is superseded."""
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.delete_many({"_id": {"$gte": start, "$lt": end}})

    def _set(self, filters: Document, fields: Document) -> State:
        with translated(ADOPTION_STATE), soon(self._states):
            found = self._states.find_one_and_update(
                filters, {"$set": fields}, return_document=ReturnDocument.AFTER
            )
        if found is None:
            raise _superseded()
        return _state(found)


def _superseded() -> Superseded:
    return Superseded(
        "another process counts adoption, or its counts were rebuilt: this count is not used;"
        " if no other runs, `cxone-consumer adoption rebuild` starts afresh"
    )


def _state(found: Document) -> State:
    return State(
        found["_id"], found["since"], found["summed"], found["counted"], int(found["fence"])
    )


def _fields(state: State) -> Document:
    return {
        "since": state.since,
        "summed": state.summed,
        "counted": state.counted,
        "fence": state.fence,
    }


class RecountMark:
    """Marks that events must be counted again: some were deleted, or came late.

    Two documents of the collection `adoption_state`; every method raises StoreUnavailable.
    """

    def __init__(self, db: Database[Document]) -> None:
        self._states = db[ADOPTION_STATE]

    def set(self) -> None:
        """Mark, before events are deleted, that all must be counted again."""
        mark = {"$set": {"token": uuid4().hex, "at": "$$NOW"}}
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.update_one({"_id": _ERASED}, [mark], upsert=True)

    def token(self, min_age: timedelta = timedelta(0)) -> str | None:
        """The mark of a deletion after which nothing was counted again; None where there is none,
        or one younger than `min_age` by the server's clock: whoever deletes counts then."""
        age = {"$subtract": ["$$NOW", "$at"]}
        enough = {"$gte": [age, min_age // timedelta(milliseconds=1)]}
        with translated(ADOPTION_STATE), soon(self._states):
            found = self._states.find_one({"_id": _ERASED, "$expr": enough})
        return found["token"] if found else None

    def clear(self, token: str) -> None:
        """Clear the mark, unless more was deleted since it was read."""
        self._clear(_ERASED, token)

    def set_late(self, since: datetime) -> None:
        """Mark that events are stored whose stamps are old, none before `since`."""
        mark = {"token": uuid4().hex, "since": {"$min": ["$since", since]}}
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.update_one({"_id": _LATE}, [{"$set": mark}], upsert=True)

    def late(self) -> tuple[str, datetime] | None:
        """The mark of late events, and from when on they are stamped."""
        with translated(ADOPTION_STATE), soon(self._states):
            found = self._states.find_one({"_id": _LATE})
        return (found["token"], found["since"]) if found else None

    def clear_late(self, token: str) -> None:
        """Clear that mark, unless more came since it was read."""
        self._clear(_LATE, token)

    def _clear(self, mark: str, token: str) -> None:
        with translated(ADOPTION_STATE), soon(self._states):
            self._states.delete_one({"_id": mark, "token": token})
