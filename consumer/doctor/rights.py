"""Examine whether MongoDB lets us write, in all our collections, as durably as we promise."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any
from uuid import uuid4

import pymongo
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from consumer.doctor.check import RIGHTS, Check, Target
from consumer.mongodb.client import COLLECTIONS
from consumer.mongodb.errors import refusal

# Ours alone, made and dropped here, so that no event is touched.
PROBE = "doctor_probe"
_NEEDED = ("find", "insert", "update", "remove", "createIndex")
_UNAUTHORIZED = 13
_SLOW_SECONDS = 0.5


def examine(target: Target) -> Iterator[Check]:
    db = target.database
    missing = missing_rights(privileges(db), db.name)
    yield _listed(db.name, missing)
    yield _durable_write(db, target.timeout, missing)


def missing_rights(
    privileges: Sequence[Mapping[str, Any]] | None, database: str
) -> dict[str, list[str]] | None:
    """By collection of ours, the needed actions that no privilege grants; None when the server
    does not list privileges (no authentication).

    `privileges` as in `connectionStatus` with `showPrivileges`.
    """
    if privileges is None:
        return None
    missing = {}
    for name in COLLECTIONS:
        granted = {
            action
            for privilege in privileges
            if covers(privilege["resource"], database, name)
            for action in privilege["actions"]
        }
        lacking = [a for a in _NEEDED if a not in granted and "anyAction" not in granted]
        if lacking:
            missing[name] = lacking
    return missing


def covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    """True for the resource of a privilege that a collection is part of."""
    if resource.get("anyResource"):
        return True
    # An empty name stands for any database or any collection (MongoDB manual, resource document).
    return resource.get("db") in ("", database) and resource.get("collection") in ("", collection)


def privileges(db: Database[dict[str, Any]]) -> list[Mapping[str, Any]] | None:
    """The privileges of this user, as `connectionStatus` has it; None where nobody says."""
    try:
        info = db.client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    except OperationFailure:
        return None
    return list(info["authenticatedUserPrivileges"]) if info["authenticatedUsers"] else None


def _listed(database: str, missing: Mapping[str, Collection[str]] | None) -> Check:
    if missing is None:
        return Check(
            RIGHTS, "ok", "MONGODB_URI names no user, or the server does not list its rights"
        )
    if not missing:
        return Check(RIGHTS, "ok", f"all that is needed in {database}")
    lacking: dict[str, list[str]] = {}
    for where, what in missing.items():
        lacking.setdefault(", ".join(what), []).append(where)
    finding = "; ".join(f"missing {what} in {', '.join(where)}" for what, where in lacking.items())
    return Check(RIGHTS, "fail", finding, f"grant the role readWrite on {database}")


def _durable_write(
    db: Database[dict[str, Any]], timeout: float, missing: Mapping[str, Any] | None
) -> Check:
    """Insert and delete one document under the concern that every answered delivery relies on."""
    name = "MongoDB write"
    started = monotonic()
    try:
        with pymongo.timeout(timeout):
            probe = db[PROBE]
            key = uuid4().hex
            probe.insert_one({"_id": key})
            seconds = monotonic() - started
            probe.delete_one({"_id": key})
            probe.drop()
    except OperationFailure as error:
        if error.code == _UNAUTHORIZED:
            # A role made for our collections alone rightly forbids the scratch one.
            allowed = missing is not None and not missing
            return Check(
                name,
                "warn" if allowed else "fail",
                f"not allowed in the scratch collection {PROBE}",
                "" if allowed else f"name a user in MONGODB_URI with readWrite on {db.name}",
            )
        return _refused(name, error)
    except PyMongoError as error:
        return _refused(name, error)
    slow = seconds > _SLOW_SECONDS
    return Check(
        name,
        "warn" if slow else "ok",
        f"acknowledged by the majority, on disk, in {seconds * 1000:.0f} ms",
        "some senders give up after 1 s: look at the load and disks of MongoDB" if slow else "",
    )


def _refused(name: str, error: PyMongoError) -> Check:
    if error.timeout:
        return Check(
            name,
            "fail",
            "not acknowledged by the majority in time",
            "look at rs.status(): a majority of the data members must be up and not lag",
        )
    code = getattr(error, "code", None)
    what = refusal(error) or (f"error {code}" if code else type(error).__name__)
    return Check(name, "fail", f"refused ({what})", "look at MongoDB's log")
