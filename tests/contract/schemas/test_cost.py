"""The cost of a look at the registry: commands, concerns and indexes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.schemas.model import SchemaVersion
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.versions import SchemaSummary, SchemaVersions
from tests.support.registry import Clock, Commands, Document, Versions
from tests.support.strategies import NOW


def test_a_known_payload_costs_no_command(watched: tuple[Versions, Commands]) -> None:
    versions, commands = watched
    registry = SchemaRegistry(versions)
    registry.admit("s", {"a": 1})
    commands.names.clear()

    assert registry.admit("s", {"a": 2}).version == 1
    assert commands.names == []


@pytest.mark.parametrize("key", ["user5@example.com", "+15551234567"])
def test_an_address_beside_names_costs_no_command(
    watched: tuple[Versions, Commands], key: str
) -> None:
    versions, commands = watched
    registry = SchemaRegistry(versions)
    first = registry.admit("s", {"a": 1, key: 1, "o": {"b": 1, key: 2}})
    commands.names.clear()

    later = registry.admit("s", {"a": 2, key: 1, "o": {"b": 1, key.replace("5", "7"): 2}})
    of_known = list(commands.names)
    beside_news = registry.admit("s", {"a": 2, key: 1, "new": 1})

    assert (first.version, first.guard, first.untracked) == (1, "data_key", 2)
    assert of_known == []
    assert (later.version, later.guard) == (1, "data_key")
    assert (beside_news.version, beside_news.guard, beside_news.untracked) == (2, "data_key", 1)


def test_first_sight_of_a_known_subject_costs_one_read(
    versions: Versions, watched: tuple[Versions, Commands]
) -> None:
    SchemaRegistry(versions).admit("s", {"a": 1})
    registry, commands = SchemaRegistry(watched[0]), watched[1]

    registry.admit("s", {"a": 2})

    assert commands.names == ["find"]


def test_reads_and_writes_name_their_concerns_whatever_the_uri_says(
    database: Database[Document], mongod_uri: str
) -> None:
    commands = Commands()
    weak = f"{mongod_uri}{'&' if '?' in mongod_uri else '/?'}w=1&readPreference=secondaryPreferred"
    with MongoClient[Document](weak, event_listeners=[commands]) as client:
        SchemaRegistry(client[database.name]["schema_versions"]).admit("s", {"a": 1})

    assert commands.last["insert"]["writeConcern"]["w"] == "majority"
    assert commands.last["insert"]["writeConcern"]["j"] is True
    assert commands.last["find"]["readConcern"]["level"] == "majority"
    assert commands.last["find"].get("$readPreference", {"mode": "primary"})["mode"] == "primary"


def plan(versions: Versions, command: Document) -> list[str]:
    """The stages of the winning plan, outermost first."""
    explained = versions.database.command("explain", command, verbosity="queryPlanner")
    stage = explained["queryPlanner"]["winningPlan"]
    stage = stage.get("queryPlan", stage)
    stages = []
    while stage:
        stages.append(
            f"{stage['stage']}:{stage['indexName']}" if "indexName" in stage else stage["stage"]
        )
        stage = stage.get("inputStage")
    return stages


def sent(commands: Commands) -> Document:
    keep = ("find", "filter", "sort", "limit", "projection", "hint")
    return {key: value for key, value in commands.last["find"].items() if key in keep}


def test_every_read_uses_the_index_on_id(watched: tuple[Versions, Commands]) -> None:
    versions, commands = watched
    store = SchemaVersions(versions)
    for n in range(20):
        store.insert(SchemaVersion(f"s{n % 4}", n // 4 + 1, (), (), NOW))

    store.head("s1")
    head = plan(versions, sent(commands))
    list(store.history("s1"))
    history = plan(versions, sent(commands))
    list(store.advanced({"s1": 3, "s2": 5}))
    advanced = plan(versions, sent(commands))
    assert store.subjects() == {f"s{n}": 5 for n in range(4)}
    subjects = plan(versions, sent(commands))

    assert head[-2:] == ["FETCH", "IXSCAN:_id_"]
    assert history[-2:] == ["FETCH", "IXSCAN:_id_"]
    assert advanced[-1] == "IXSCAN:_id_"
    assert subjects == ["PROJECTION_COVERED", "IXSCAN:_id_"]
    explained = versions.database.command(
        "explain",
        {"find": versions.name, **{k: v for k, v in sent(commands).items() if k != "find"}},
        verbosity="executionStats",
    )
    assert explained["executionStats"]["totalDocsExamined"] == 0


def test_the_head_is_found_with_one_document_examined(
    watched: tuple[Versions, Commands],
) -> None:
    versions, commands = watched
    store = SchemaVersions(versions)
    for n in range(1, 13):
        store.insert(SchemaVersion("s", n, (), (), NOW))
    store.insert(SchemaVersion("s2", 1, (), (), NOW))

    head = store.head("s")

    assert head is not None
    assert head.number == 12
    explained = versions.database.command("explain", sent(commands), verbosity="executionStats")
    assert explained["executionStats"]["totalDocsExamined"] == 1


def test_refresh_takes_over_what_another_process_registered(
    versions: Versions, watched: tuple[Versions, Commands]
) -> None:
    here, there, commands = SchemaRegistry(watched[0]), SchemaRegistry(versions), watched[1]
    for n in range(5):
        here.admit(f"s{n}", {"a": 1})
    there.admit("s3", {"b": 1})
    commands.names.clear()

    here.refresh()

    head = here.head("s3")
    assert head is not None
    assert head.number == 2
    assert commands.names == ["find", "find"]
    assert here.subjects() == {"s0": 1, "s1": 1, "s2": 1, "s3": 2, "s4": 1}
    assert [version.number for version in here.history("s3")] == [1, 2]


def test_subjects_are_told_in_figures_with_the_fields_that_no_map_absorbed(
    versions: Versions,
) -> None:
    clock = Clock()
    registry = SchemaRegistry(versions, clock=clock)
    registry.admit("b", {"a": 1})
    clock.move(minutes=1)
    registry.admit("a", {"m": {f"k{n}": 1 for n in range(60)}})
    registry.admit("a", {"m": {f"x{n}": 1 for n in range(59)}})

    assert registry.summaries() == [
        SchemaSummary("a", 2, 2, clock.now),
        SchemaSummary("b", 1, 1, clock.now - timedelta(minutes=1)),
    ]
