"""Ask MongoDB at most once a second whether it would take a write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

_FRESH_FOR = 1.0
_TIMEOUT = 1.0


class Reachability:
    """The last answer to `hello`, asked anew when it is older than a second.

    One thread asks at a time, so that a flood of probes is not a flood of connections.
    """

    def __init__(
        self, client: MongoClient[dict[str, Any]], now: Callable[[], float] = monotonic
    ) -> None:
        self._client = client
        self._now = now
        self._asking = threading.Lock()
        self._answer: tuple[bool, str] = (False, "not asked yet")
        self._asked_at = float("-inf")

    def check(self) -> tuple[bool, str]:
        """Whether a primary answers, and in words what did."""
        with self._asking:
            if self._now() - self._asked_at >= _FRESH_FOR:
                self._answer = self._ask()
                self._asked_at = self._now()
            return self._answer

    def _ask(self) -> tuple[bool, str]:
        try:
            with pymongo.timeout(_TIMEOUT):
                hello = self._client.admin.command("hello")
        except PyMongoError as error:
            # The driver's text may hold the URI, so only its kind is shown.
            return False, f"no primary answers ({type(error).__name__})"
        if not hello.get("isWritablePrimary"):
            return False, "the server that answers is not a writable primary"
        return True, _topology(hello)


def _topology(hello: dict[str, Any]) -> str:
    if hello.get("msg") == "isdbgrid":
        return "sharded cluster"
    if "setName" in hello:
        return f"replica set {hello['setName']}, {len(hello.get('hosts', []))} member(s)"
    return "standalone: one machine holds the data"
