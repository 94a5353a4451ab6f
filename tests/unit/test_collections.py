"""MongoDB ends in a short list of modules that own a collection; others hand it on to its owner."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from consumer.mongodb import client
from tests.support.places import ROOT

# Who reads or writes a collection, by its name in `consumer.mongodb.client`.
OWNERS: dict[str, tuple[str, ...]] = {
    "EVENTS": (
        "consumer.adoption.events",
        "consumer.adoption.history",
        "consumer.adoption.rollup",
        "consumer.dead_letters.conditions",
        "consumer.dead_letters.store",
        "consumer.demo.play",
        "consumer.events.constraints",
        "consumer.events.filling",
        "consumer.events.keys",
        "consumer.events.recent",
        "consumer.events.search",
        "consumer.events.store",
        "consumer.events.walk",
        "consumer.monitoring.overview",
        "consumer.privacy.name_erasure",
        "consumer.privacy.person_records",
        "consumer.readers.views",
        "consumer.schemas.registry.document_stamps",
        "jobs.backfill.aliases",
        "jobs.backfill.replace",
        "jobs.backfill.store",
        "jobs.backfill.stretches",
        "jobs.backfill.unfilled",
    ),
    "SCHEMA_VERSIONS": (
        "consumer.privacy.name_erasure",
        "consumer.schemas.registry.cache",
        "consumer.schemas.registry.versions",
    ),
    "DEAD_LETTERS": (
        "consumer.dead_letters.claims",
        "consumer.dead_letters.requeue",
        "consumer.dead_letters.search",
        "consumer.dead_letters.store",
        "consumer.doctor.refusals",
        "consumer.privacy.person_records",
        "jobs.backfill.failures",
    ),
    "RETRY_CONDITIONS": ("consumer.dead_letters.conditions",),
    "REFUSALS": ("consumer.dead_letters.refusal_notes",),
    "ADOPTION_COUNTS": ("consumer.adoption.counts",),
    "ADOPTION_TOTALS": ("consumer.adoption.counts",),
    "ADOPTION_STATE": ("consumer.adoption.state",),
    "AUDIT": ("consumer.monitoring.audit",),
    "INGEST_HISTORY": ("consumer.monitoring.ingest_history",),
    "INGEST_QUARTERS": ("consumer.monitoring.ingest_history",),
    "INSTANCES": (
        "consumer.mongodb.health",
        "consumer.mongodb.stored_format",
        "consumer.monitoring.instances",
        "consumer.monitoring.overview",
    ),
    "JOB_RUNS": ("consumer.monitoring.job_runs", "consumer.monitoring.overview"),
    "REPORTS": ("consumer.monitoring.datadog.announcements",),
    "SECRET_USE": ("consumer.monitoring.secret_use",),
    "FIELD_STATISTICS": ("consumer.signals.store",),
    "SIGNALS": ("consumer.signals.store",),
    "LEASES": ("consumer.mongodb.leases", "consumer.monitoring.overview"),
    "DATABASE_FORMAT": ("consumer.events.keys", "consumer.mongodb.stored_format"),
    "READERS": (
        "consumer.privacy.name_erasure",
        "consumer.readers.pins",
        "consumer.readers.views",
    ),
    "REJECTED_CHANGES": ("consumer.privacy.name_erasure", "consumer.readers.objections"),
    "ENDED_SESSIONS": ("consumer.mongodb.ended_sessions",),
}
# Tables of all collections, each for one purpose.
TABLES = (
    "consumer.mongodb.client",
    "consumer.mongodb.collection_faults",
    "consumer.mongodb.indexes",
    "consumer.mongodb.retention",
)
# These hand a collection to its owner, but for the modules above.
WIRING = ("consumer.runtime", "consumer.cli", "consumer.doctor", "consumer.demo")
# The driver is this package's own matter.
DRIVER = "consumer.mongodb"


@cache
def modules() -> dict[str, ast.Module]:
    files = [path for place in ("consumer", "jobs") for path in (ROOT / place).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_bytes())
        for path in files
    }


def owners() -> set[str]:
    return {module for row in OWNERS.values() for module in row}


def is_in(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def named(tree: ast.Module) -> set[str]:
    """The names that a module has from `consumer.mongodb.client`."""
    nodes = list(ast.walk(tree))
    found = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == client.__name__
        for alias in node.names
    }
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    package = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == DRIVER
        for alias in node.names
    }
    return found | (attributes if "client" in package else set())


def imports_driver(tree: ast.Module) -> bool:
    places = (
        [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    )
    return any(is_in(str(name), ("pymongo",)) for names in places for name in names)


def used(tree: ast.Module) -> Iterator[int]:
    """Lines that ask something of a collection: `database[NAME].find`, or name one in text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Subscript):
            if is_collection(node.value.slice):
                yield node.lineno
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and is_collection(node.slice)
        ):
            yield node.lineno


def is_collection(key: ast.expr) -> bool:
    if isinstance(key, ast.Constant):
        return key.value in client.COLLECTIONS
    return isinstance(key, ast.Name) and key.id in OWNERS


def test_each_collection_has_owners() -> None:
    assert {getattr(client, name) for name in OWNERS} == set(client.COLLECTIONS)
    assert owners() <= modules().keys()


@pytest.mark.parametrize("name", OWNERS)
def test_nobody_else_names_a_collection(name: str) -> None:
    known = (*OWNERS[name], *TABLES, *WIRING)

    assert [m for m, tree in modules().items() if name in named(tree) and not is_in(m, known)] == []


def test_nobody_but_owners_imports_the_driver() -> None:
    known = (*owners(), *WIRING, DRIVER)
    importing = [module for module, tree in modules().items() if imports_driver(tree)]

    assert [module for module in importing if not is_in(module, known)] == []


def test_wiring_only_hands_collections_on() -> None:
    wiring = [module for module in modules() if is_in(module, WIRING) and module not in owners()]
    found = {module: list(used(modules()[module])) for module in wiring}

    assert {module: lines for module, lines in found.items() if lines} == {}


def test_a_module_that_asks_a_collection_itself_would_be_seen() -> None:
    source = (
        "from consumer.mongodb.client import EVENTS\ndb[EVENTS].find({})\ndb['events'].find({})"
    )

    assert (named(ast.parse(source)), set(used(ast.parse(source)))) == ({"EVENTS"}, {2, 3})
