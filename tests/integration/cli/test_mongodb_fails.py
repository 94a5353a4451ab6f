"""Every command ends soon, with 3 and one sentence, whatever keeps MongoDB from it."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from consumer.cli.main import command, run
from consumer.cli.table import COMMANDS
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from tests.support.processes import freeze

TIMEOUT = 0.5
# What a command needs to get as far as MongoDB.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "status": (),
    "doctor": (),
    "adoption": (),
    "adoption rebuild": (),
    "dlq list": (),
    "dlq show": ("a" * 24,),
    "dlq retry": ("--all",),
    "dlq repair": ("a" * 24, "--yes"),
    "dlq edit": ("a" * 24, "--yes"),
    "dlq discard": ("a" * 24, "--because", "a test"),
    "dlq export": ("out.jsonl",),
    "audit list": (),
    "events list": (),
    "events show": ("a" * 24,),
    "events export": ("out.jsonl",),
    "events erase": ("--id", "1", "--yes"),
    "schema list": (),
    "schema show": ("contact.created",),
    "schema export": ("contact.created", "--format", "jsonschema"),
    "schema diff": ("contact.created",),
    "schema signals": (),
    "schema explain": ("event.json",),
    "schema check": ("event.json",),
    "schema pins": (),
    "schema pin": ("contact.created", "--as", "billing"),
    "schema unpin": ("contact.created", "--as", "billing"),
    "schema learn": ("event.json", "--yes"),
    "schema approve": ("contact.created", "--yes"),
    "schema reject": ("contact.created", "a"),
    "schema backfill": (),
    "schema retire": ("contact.created", "a"),
    "schema unmap": ("contact.created", "a"),
    "schema alias": ("contact.created", "a", "b"),
    "schema unalias": ("contact.created", "a"),
    "schema renumber": ("contact.created",),
}
_LIFE = ("install", "uninstall", "start", "stop", "restart")
# What ends without MongoDB, or goes on without it.
WITHOUT = {
    *("init", "serve", "demo", "send", "sign", "datadog assets", "metrics assets", "secret rotate"),
    *("spool status", "spool export", "spool drain", "config show", "config schema"),
    *(f"service {name}" for name in (*_LIFE, "status", "logs")),
}
EVENT = '{"id": "1", "type": "contact.created"}'
FROZEN = pytest.param(
    "frozen", marks=pytest.mark.skipif(sys.platform == "win32", reason="no process stops there")
)
STATES = ("away", FROZEN, "wrong password", "missing rights", "tls")

Uris = Callable[[str], str]


@pytest.fixture(scope="module")
def uris(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uris]:
    """The URI of a MongoDB in one of STATES."""
    name = uuid.uuid4().hex
    server = EmbeddedMongo(tmp_path_factory.mktemp("frozen"), cache_gb=0.25).start()
    where = ",".join(f"{host}:{port}" for host, port in parse_uri(mongod_uri)["nodelist"])
    options = "?replicaSet=cxone&authSource=admin"
    with MongoClient[dict[str, Any]](mongod_uri) as client:
        client.admin.command("createUser", name, pwd="p", roles=[])
        if sys.platform != "win32":
            freeze(server.pid)
        known = {
            "away": "mongodb://127.0.0.1:9/",
            "frozen": server.uri,
            "wrong password": f"mongodb://{name}:wr0ng@{where}/{options}",
            "missing rights": f"mongodb://{name}:p@{where}/{options}",
            "tls": f"{mongod_uri}&tls=true",
        }
        yield known.__getitem__
        server.stop(grace=0)
        client.admin.command("dropUser", name)


def commands(among: Mapping[str, Any] | None = None, path: str = "") -> Iterator[str]:
    """The names of all commands there are."""
    for name, one in (among or {name: command(name) for name in COMMANDS}).items():
        if hasattr(one, "commands"):
            if one.invoke_without_command:
                yield f"{path}{name}"
            yield from commands(one.commands, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def test_every_command_is_in_the_table() -> None:
    assert set(commands()) == set(ARGUMENTS) | WITHOUT


def check(
    command: str,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
) -> None:
    """Run it, and hold it to the contract."""
    (folder / "event.json").write_text(EVENT, encoding="utf-8")
    monkeypatch.chdir(folder)
    given = {
        "MONGODB_URI": uri,
        "CXONE_STORE_TIMEOUT": f"{TIMEOUT}",
        "CXONE_SHARED_SECRET": "s" * 20,
    }
    for setting, value in given.items():
        monkeypatch.setenv(setting, value)
    capsys.readouterr()
    began = time.monotonic()

    code = run([*command.split(), *ARGUMENTS[command]])

    elapsed = time.monotonic() - began
    said = capsys.readouterr()
    print(f"{command}: {code} after {elapsed:.1f} s: {said.err}")
    assert code == 3
    assert elapsed < TIMEOUT + 10
    assert "Traceback" not in said.err + said.out
    assert "wr0ng" not in said.err + said.out
    if command != "doctor":
        assert len(said.err.splitlines()) == 1, said.err


@pytest.mark.parametrize("command", ARGUMENTS)
def test_mongodb_that_is_away_ends_each_command(
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    check(command, "mongodb://127.0.0.1:9/", monkeypatch, capsys, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("command", ARGUMENTS)
def test_whatever_mongodb_does_each_command_ends(
    command: str,
    state: str,
    uris: Uris,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    check(command, uris(state), monkeypatch, capsys, tmp_path)
