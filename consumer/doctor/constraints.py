"""Find what others set on our collections that could refuse events, and say how to mend it:
indexes, validators, kinds of collection, shard keys, documents of others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from consumer.doctor.check import Check, Target
from consumer.events.constraints import can_refuse
from consumer.mongodb import collection_faults
from consumer.mongodb.client import COLLECTIONS, EVENTS
from consumer.mongodb.indexes import is_declared, missing_indexes

NAME = "MongoDB constraints"
INDEXES = "MongoDB indexes"
DOCUMENTS = "MongoDB documents"
_HELD = "deliveries it refuses are held as dead letters `constraint_violation`"
_MISSING = (
    "start the service, which makes it; what keeps it from that is in its log and in `status`"
)
_FOREIGN = "remove them, or let them be: nothing here reads them"
_MAX_SHOWN = 100

Index = Mapping[str, Any]

# What an id or an address is; null and what is absent, of which there are many, are neither.
_ONE_OF_A_KIND = {"$type": ["string", "number"]}
# No payload has this key, so no value of one is taken for the name of a language.
_NO_LANGUAGE = "cxone_consumer_no_language"
# What createIndex takes again; `sparse` cannot stand beside a filter, which does more.
_KEPT = (
    *("unique", "collation", "expireAfterSeconds", "partialFilterExpression"),
    *("default_language", "language_override", "weights", "min", "max"),
)


def examine(target: Target) -> Iterator[Check]:
    db = target.database
    ours = {"name": {"$in": list(COLLECTIONS)}}
    kinds = {info["name"]: info for info in db.list_collections(filter=ours)}
    faults = [fault for info in kinds.values() for fault in judge_collection(info)]
    for name, info in kinds.items():
        if info.get("type", "collection") == "collection":
            faults.extend(judge_indexes(name, db[name].list_indexes()))
    yield from faults[:_MAX_SHOWN]
    if not faults:
        yield Check(NAME, "ok", "no index or validator of others that can refuse events")
    if EVENTS in kinds:
        yield from _sharding(db)


def indexes(target: Target) -> Iterator[Check]:
    """Judge our own indexes: all there, or why one is not."""
    missing = missing_indexes(target.database)
    yield from (Check(INDEXES, "fail", finding, why) for finding, why in missing if why)
    waiting = [finding for finding, why in missing if not why]
    if waiting:
        more = f", and {len(waiting) - 1} more" if waiting[1:] else ""
        yield Check(INDEXES, "warn", waiting[0] + more, "start the service, which makes them")
    if not missing:
        yield Check(INDEXES, "ok", "all there")


def documents(target: Target) -> Iterator[Check]:
    """Find documents in our collections that we never wrote."""
    found = list(collection_faults.foreign_documents(target.database))
    yield from (Check(DOCUMENTS, "warn", each, _FOREIGN) for each in found)
    if not found:
        yield Check(DOCUMENTS, "ok", "none that others put into our collections")


def judge_collection(info: Mapping[str, Any]) -> Iterator[Check]:
    """Judge a row of `listCollections`: its kind and its validator."""
    name, options = info["name"], info.get("options", {})
    if fault := collection_faults.kind_fault(info):
        finding, _, advice = fault.rpartition(": ")
        yield Check(NAME, "fail", finding, advice)
    if options.get("validator") and options.get("validationAction", "error") == "error":
        yield Check(
            NAME,
            "warn",
            f"{name} has a validator: {_HELD}",
            f'to let them in: db.runCommand({{collMod: "{name}", validationAction: "warn"}})',
        )


def judge_indexes(collection: str, indexes: Iterable[Mapping[str, Any]]) -> Iterator[Check]:
    """Indexes of others that can refuse a document of ours, each with what heals it. No value of
    ours is the second of its kind, or of a kind that an index cannot hold."""
    for index in indexes:
        if is_declared(collection, index) or not can_refuse(index):
            continue
        unique, name = bool(index.get("unique")), index["name"]
        if not unique and collection != EVENTS:
            continue
        found = remedy(index)
        advice = f"it refuses {found.refuses}: {found.commands(collection, name)}"
        if found.is_made(index):
            advice = ""
        if unique:
            advice += (
                f"{'; ' if advice else ''}it refuses a value that comes again, as one id may with"
                " other content: for that make it a plain index, or look at `cxone-consumer dlq"
                " list`"
            )
        if advice:
            keys, kind = ", ".join(index["key"]), "unique index" if unique else "index"
            yield Check(
                NAME, "warn", f"{collection} has the {kind} {name} on {keys}: {_HELD}", advice
            )


def _sharding(db: Database[dict[str, Any]]) -> Iterator[Check]:
    if db.client.admin.command("hello").get("msg") != "isdbgrid":
        return
    try:
        row = db.client["config"]["collections"].find_one({"_id": f"{db.name}.{EVENTS}"})
    except PyMongoError:
        yield Check("MongoDB shard key", "skip", "not allowed to read it")
        return
    yield judge_shard_key(db.name, row)


def judge_shard_key(database: str, row: Mapping[str, Any] | None) -> Check:
    """Judge a row of `config.collections`, by which events spread; None: they do not."""
    name = "MongoDB shard key"
    # `_id` is a digest: both spread alike. Hashed costs one more index, by range the chunks are
    # split by hand, before the first event.
    wanted = (
        f'sh.shardCollection("{database}.events", {{_id: 1}}), its chunks split beforehand, or'
        ' {_id: "hashed"}'
    )
    if row is None or row.get("dropped"):
        return Check(name, "warn", "events is not sharded: one shard holds all", wanted)
    keys = ", ".join(f"{key}: {kind}" for key, kind in row["key"].items())
    if list(row["key"]) == ["_id"]:
        return Check(name, "ok", f"{{{keys}}}")
    return Check(
        name,
        "warn",
        f"{{{keys}}}: look-ups by _id ask every shard, and _id is not unique across shards",
        f"wanted: {wanted}",
    )


@dataclass(frozen=True, slots=True)
class Remedy:
    """The values that an index refuses, and indexes in its place that take them, each as keys and
    options."""

    refuses: str
    instead: tuple[tuple[dict[str, Any], dict[str, Any]], ...]

    def is_made(self, index: Index) -> bool:
        """True when the index is already so."""
        return self.instead == ((_keys(index), _options(index)),)

    def commands(self, collection: str, name: str) -> str:
        """Commands to type in mongosh."""
        made = (
            ", ".join(json.dumps(each, default=str) for each in pair if each)
            for pair in self.instead
        )
        calls = (f"db.{collection}.createIndex({arguments})" for arguments in made)
        return "; ".join((f"db.{collection}.dropIndex({json.dumps(name)})", *calls))


def remedy(index: Index) -> Remedy:
    """The remedy for an index that can refuse a document, given as `listIndexes` has it."""
    keys, options = _keys(index), _options(index)
    kinds = set(keys.values())
    if "text" in kinds:
        options["language_override"] = _NO_LANGUAGE
        return Remedy("a language that MongoDB does not know, or null", ((keys, options),))
    if "hashed" in kinds:
        plain = {key: 1 if kind == "hashed" else kind for key, kind in keys.items()}
        return Remedy("arrays", tuple(({key: kind}, {}) for key, kind in plain.items()))
    found = options.pop("partialFilterExpression", {})
    for key, kind in keys.items():
        found = {**found, **_shape(key, kind)}
    if index.get("unique"):
        found = {**found, **{key: _one_of_a_kind(found.get(key, {})) for key in keys}}
    if found and (index.get("unique") or kinds & {"2d", "2dsphere"}):
        options["partialFilterExpression"] = found
        what = "a second null" if index.get("unique") else "a value that is no place"
        return Remedy(what, ((keys, options),))
    return Remedy("two arrays in one event", tuple(({key: kind}, {}) for key, kind in keys.items()))


def _one_of_a_kind(condition: Any) -> Any:
    if not isinstance(condition, Mapping) or "$type" in condition or "$eq" in condition:
        return condition
    return {**condition, **_ONE_OF_A_KIND}


def _shape(key: str, kind: Any) -> dict[str, Any]:
    """Conditions that a value must meet to be a place."""
    if kind == "2dsphere":
        return {f"{key}.type": {"$type": "string"}, f"{key}.coordinates": {"$type": "array"}}
    if kind == "2d":
        return {f"{key}.0": {"$type": "number"}, f"{key}.1": {"$type": "number"}}
    return {}


def _options(index: Index) -> dict[str, Any]:
    return {name: index[name] for name in _KEPT if name in index}


def _keys(index: Index) -> dict[str, Any]:
    """The keys as createIndex takes them."""
    return dict(_pairs(index))


def _pairs(index: Index) -> Iterator[tuple[str, Any]]:
    for key, kind in index["key"].items():
        if key == "_fts":
            yield from ((name, "text") for name in index["weights"])
        elif key != "_ftsx":
            yield key, int(kind) if isinstance(kind, float) else kind
