"""Notice commands of the product that a sharded cluster refuses, or may carry out more than once.

The tests' mongod is a replica set, which takes all of them. The rules are those of MongoDB's
manual, "Operational Restrictions in Sharded Clusters", "update", "delete" and "findAndModify",
with `events` sharded by its `_id`, in the oldest version that is supported: 7.0 takes more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

SHARDED = "events"
_AGAIN = "sent again"
# Made twice, they leave what they leave when made once.
_IDEMPOTENT = {"$set", "$unset", "$min", "$max", "$setOnInsert", "$addToSet", "$pull"}
# `mongos` has none of them.
_OF_A_REPLICA_SET = {
    "compact",
    "convertToCapped",
    "cloneCollectionAsCapped",
    "reIndex",
    "replSetGetConfig",
    "replSetGetStatus",
    "top",
}
_PRODUCT = tuple(f"{Path(__file__).parents[2] / name}/" for name in ("consumer", "jobs"))
_TESTS = f"{Path(__file__).parents[1]}/"
# Each command passes it.
_PASSED = f"{_PRODUCT[0]}mongodb/client.py"
# It speaks to its own mongod.
_ITS_OWN = f"{_PRODUCT[0]}mongodb/embedded/"


class ShardingRules(CommandListener):
    """Keeps what the product's own commands broke, each with the line that sent it."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        # The mongod on which what changed many documents is sent again.
        self.again: MongoClient[dict[str, Any]] | None = None
        self._changing: dict[int, Mapping[str, Any]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        command = event.command
        rules = [*broken_rules(event.database_name, event.command_name, command)]
        if rules and (place := _place()):
            self.broken += [f"{place}: {event.command_name}: {rule}" for rule in rules]
        is_ours = command.get("comment") == _AGAIN
        if (
            command.get("update") == SHARDED
            and not is_ours
            and any(_by_pipeline(u) for u in command["updates"])
        ):
            self._changing[event.request_id] = command

    def succeeded(self, event: CommandSucceededEvent) -> None:
        command = self._changing.pop(event.request_id, None)
        address = self.again.address if self.again is not None else None
        if command is None or self.again is None or event.connection_id != address:
            return
        # As may happen to a document that moves to another shard meanwhile.
        kept = {name: command[name] for name in ("update", "ordered", "updates")}
        reply = self.again[event.database_name].command({**kept, "comment": _AGAIN})
        if reply["nModified"] and (place := _place()):
            self.broken.append(f"{place}: update: made twice, it changes documents twice")

    def failed(self, event: CommandFailedEvent) -> None:
        self._changing.pop(event.request_id, None)


def broken_rules(database: str, name: str, command: Mapping[str, Any]) -> Iterator[str]:
    """The rules that a command breaks, in words."""
    if database == "local":
        yield "mongos has no database local"
    if name in _OF_A_REPLICA_SET:
        yield "no command of mongos"
    for stage in _stages(command.get("pipeline", ())):
        lookup = stage.get("$lookup") or stage.get("$graphLookup") or {}
        if lookup.get("from") == SHARDED:
            yield "before 5.1 nothing is looked up in a sharded collection"
    if command.get(name) != SHARDED:
        return
    if name == "update":
        for each in command["updates"]:
            yield from _update(each)
    elif name == "delete":
        for each in command["deletes"]:
            if each["limit"] == 1 and not _is_routed(each["q"]):
                yield "one document is deleted by other than its shard key"
    elif name == "findAndModify" and not _is_routed(command.get("query", {})):
        yield "one document is changed by other than its shard key"
    elif name == "createIndexes":
        for index in command["indexes"]:
            if index.get("unique"):
                yield f"{index['name']} is unique on other than the shard key"
    elif name == "create" and command.get("capped"):
        yield "a capped collection cannot be sharded"


def shard(client: MongoClient[Any], database: str) -> None:
    """Spread the events of a new database over the shards, where it is a sharded cluster."""
    if client.admin.command("hello").get("msg") != "isdbgrid":
        return
    name = f"{database}.{SHARDED}"
    client.admin.command("shardCollection", name, key={"_id": 1})
    shards = [each["_id"] for each in client.admin.command("listShards")["shards"]]
    # As .github/OPERATIONS.md says: `_id` is a digest in hex.
    for number, digit in enumerate("0123456789abcdef"):
        client.admin.command("split", name, middle={"_id": digit})
        to = shards[number % len(shards)]
        client.admin.command("moveChunk", name, find={"_id": digit}, to=to)


def _update(statement: Mapping[str, Any]) -> Iterator[str]:
    change = statement["u"]
    if not statement.get("multi"):
        if not _is_routed(statement["q"]):
            yield "one document is updated by other than its shard key"
    elif statement.get("upsert"):
        yield "an upsert of many has no shard key"
    elif not _by_pipeline(statement) and not _IDEMPOTENT.issuperset(change):
        yield "many documents are changed by what is not idempotent"


def _by_pipeline(statement: Mapping[str, Any]) -> bool:
    return bool(statement.get("multi")) and isinstance(statement["u"], list)


def _is_routed(query: Mapping[str, Any]) -> bool:
    wanted = query.get("_id")
    if isinstance(wanted, Mapping):
        return "$eq" in wanted or not any(name.startswith("$") for name in wanted)
    return "_id" in query or any(_is_routed(each) for each in query.get("$and", ()))


def _stages(value: Any) -> Iterator[Mapping[str, Any]]:
    """The stages of a pipeline, those of pipelines in it too."""
    for stage in value if isinstance(value, list | tuple) else ():
        if isinstance(stage, Mapping):
            yield stage
            for inner in stage.values():
                if isinstance(inner, Mapping):
                    yield from _stages(inner.get("pipeline"))


def _place() -> str | None:
    """The line that sent a command, where it is one of the product's."""
    frame = sys._getframe()
    while (frame := frame.f_back) is not None:  # type: ignore[assignment]
        name = frame.f_code.co_filename
        if name.startswith(_ITS_OWN):
            return None
        if name.startswith(_PRODUCT) and name != _PASSED:
            return f"{name}:{frame.f_lineno}"
        if name.startswith(_TESTS) and name != __file__:
            return None
    return None
