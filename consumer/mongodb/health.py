"""Ask MongoDB at most once a second whether it takes writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from consumer.mongodb.errors import refusal

_FRESH_FOR = 1.0
_TIMEOUT = 1.0
# No document of ours has this `_id`.
_NOBODY: dict[str, Any] = {"_id": ""}


@dataclass(frozen=True, slots=True)
class Deployment:
    """State of the deployment: `ok` where a primary answers, what it is in `detail`; `alone` where
    its machine alone holds the data."""

    ok: bool
    detail: str
    alone: bool = False


class PrimaryCheck:
    """The last answer to `hello` and to a write that changes nothing, asked anew when they are
    older than a second.

    `collection` is a small one of ours. One thread asks at a time, so that a flood of probes is not
    a flood of connections.
    """

    def __init__(
        self, collection: Collection[dict[str, Any]], now: Callable[[], float] = monotonic
    ) -> None:
        self._collection = collection
        self._now = now
        self._asking = threading.Lock()
        self._answer = Deployment(False, "not asked yet")
        self._asked_at = float("-inf")

    def check(self) -> Deployment:
        """The deployment now, at most a second old."""
        with self._asking:
            if self._now() - self._asked_at >= _FRESH_FOR:
                self._answer = self._ask()
                self._asked_at = self._now()
            return self._answer

    def _ask(self) -> Deployment:
        doing = "no primary answers"
        try:
            with pymongo.timeout(_TIMEOUT):
                found = read_hello(self._collection.database.client.admin.command("hello"))
                if not found.ok:
                    return found
                # Writes may be locked or refused where a greeting is answered. One that finds
                # nothing waits for the locks and the majority like any other.
                doing = f"{found.detail}: no write is taken"
                self._collection.update_one(_NOBODY, {"$unset": {"facts": ""}})
                return found
        except PyMongoError as error:
            # The driver's text may hold the URI, so only its kind is shown.
            return Deployment(False, f"{doing} ({refusal(error) or type(error).__name__})")


def read_hello(hello: Mapping[str, Any]) -> Deployment:
    """The deployment as the answer to `hello` shows it."""
    if not hello.get("isWritablePrimary"):
        return Deployment(False, "the server that answers is not a writable primary")
    if hello.get("msg") == "isdbgrid":
        return Deployment(True, "sharded cluster")
    if "setName" in hello:
        members = len(hello.get("hosts", ()))
        return Deployment(
            True, f"replica set {hello['setName']}, {members} member(s)", members == 1
        )
    return Deployment(True, "standalone", alone=True)
