"""A process that sets and ends aliases, and sends new fields, until it is killed:

python -m tests.faults.alias_worker URI DATABASE WORKER
"""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from typing import Any

from pymongo import MongoClient

from consumer.core.errors import SetupError
from consumer.core.paths import Path
from consumer.mongodb import stored_format
from consumer.mongodb.client import open_database
from consumer.mongodb.collection_faults import inspect
from consumer.schemas.manual_changes import alias, alias_value, unalias
from consumer.schemas.registry.subject import Make
from tests.support.backfill import registry


def main(uri: str, name: str, worker: str) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
    schemas, chance = registry(client[name]), random.Random()
    ours = open_database(client, name, inspect)
    while True:
        old, new = chance.sample(("a", "b", "c", "d", "n.x", "n.y", "n"), 2)
        kind = chance.randrange(4)
        stored_format.require(ours, stored_format.ALIASES)
        with suppress(SetupError):
            schemas.change("s", decision(kind, tuple(old.split(".")), tuple(new.split("."))))
        if kind == len(old):
            schemas.admit("s", {f"{worker}{chance.randrange(10_000)}": 1})


def decision(kind: int, old: Path, new: Path) -> Make:
    if kind == 0:
        return lambda head, now: unalias(head, old, now)
    if kind == 1:
        return lambda head, now: alias_value(head, old, "7", now)
    return lambda head, now: alias(head, old, new, now)


if __name__ == "__main__":
    main(*sys.argv[1:])
