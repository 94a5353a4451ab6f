"""Run examinations of a target; their checks say what was found, and decide the exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from config.loading import Settings
from consumer.mongodb.client import OurDatabase, open_database

Status = Literal["ok", "warn", "fail", "skip"]

SETTINGS = "settings"
MONGODB = "MongoDB"
RIGHTS = "MongoDB rights"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's table: the finding and, for a fault, advice.

    No secret and no payload value in either.
    """

    name: str
    status: Status
    finding: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The service to examine. `client` is connected lazily; None without `MONGODB_URI`. `url` is
    the public address that the probe is sent to; `timeout` bounds each wait, in seconds."""

    settings: Settings
    client: MongoClient[dict[str, Any]] | None
    clock: Callable[[], datetime]
    url: str | None = None
    timeout: float = 5.0

    @property
    def mongodb(self) -> MongoClient[dict[str, Any]]:
        """The client, for examinations that need one."""
        if self.client is None:
            raise RuntimeError("examined without a client")
        return self.client

    @property
    def database(self) -> OurDatabase:
        return open_database(self.mongodb, self.settings.mongodb_database)


Examine = Callable[[Target], Iterable[Check]]


@dataclass(frozen=True, slots=True)
class Row:
    """One examination by name; one that `needs_mongodb` is skipped when that cannot be reached."""

    name: str
    examine: Examine
    needs_mongodb: bool = False


def run(rows: Iterable[Row], target: Target) -> Iterator[Check]:
    """Every check of every row, in order; a row that breaks is a fault of its own."""
    reachable = target.client is not None
    for row in rows:
        if row.needs_mongodb and not reachable:
            yield Check(row.name, "skip", f"needs {MONGODB}")
            continue
        try:
            for check in row.examine(target):
                reachable = reachable and not (check.name == MONGODB and check.status == "fail")
                yield check
        except OperationFailure as error:
            yield _not_allowed(row.name, error)
        except Exception as error:
            # One examination that breaks must not cost the others; its text may quote anything.
            kind = type(error).__name__
            yield Check(row.name, "fail", f"could not be examined ({kind})", "try once more")


def _not_allowed(name: str, error: OperationFailure) -> Check:
    # 13 is Unauthorized: what the service itself needs is examined by its rights and a write.
    if error.code == 13:
        advice = "grant the role readWrite on the database to see this too"
        return Check(name, "warn", "this user is not allowed to look at it", advice)
    return Check(name, "fail", f"MongoDB answers with error {error.code}", "look at its log")


def exit_status(checks: Iterable[Check]) -> int:
    """0 without faults, 2 when the settings are wrong, 3 when MongoDB cannot be reached or refuses
    us, else 1."""
    failed = {check.name for check in checks if check.status == "fail"}
    if SETTINGS in failed:
        return 2
    if failed & {MONGODB, RIGHTS}:
        return 3
    return 1 if failed else 0
