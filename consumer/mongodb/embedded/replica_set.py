"""Make the mongod on a loopback port the writable primary of its one-node replica set."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from consumer.mongodb.embedded import key as keys

NAME = "cxone"
USER = "cxone-consumer"
# In the data directory: the files of the database.
DBPATH = "mongodb"
_NOT_YET_INITIALIZED = 94
_AUTHENTICATION_FAILED = 18
_USER_EXISTS = 51003
# The members of a set know each other by their key and this name.
_MEMBER = {"username": "__system", "authSource": "local", "authMechanism": "SCRAM-SHA-256"}


def host(port: int) -> str:
    return f"127.0.0.1:{port}"


def uri(port: int, key: str | None) -> str:
    """With the set's name, so that a client refuses a stranger on this port, and waits for a
    primary while mongod restarts; a direct connection would send its writes meanwhile. `key` None:
    of a mongod that asks for none."""
    login = f"{USER}:{keys.password(key)}@" if key else ""
    source = "&authSource=admin" if key else ""
    return f"mongodb://{login}{host(port)}/?replicaSet={NAME}{source}"


def listens(port: int) -> bool:
    """True for a port that accepts connections; asked before a client, whose own search for a
    server would look only twice a second."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def direct(
    port: int, key: str | None = None, timeout: float = 1
) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of this one server, whatever it thinks its replica set is, logged in as a member of
    the set where there is a `key`: only who holds it too can answer. It waits `timeout` seconds
    for the server to show itself."""
    with _client(port, {**_MEMBER, "password": key} if key else {}, timeout) as client:
        yield client


def _client(port: int, login: dict[str, Any], timeout: float = 1) -> MongoClient[dict[str, Any]]:
    return MongoClient(
        "127.0.0.1",
        port,
        directConnection=True,
        appname="cxone-consumer-embedded",
        serverSelectionTimeoutMS=int(timeout * 1000),
        connectTimeoutMS=int(timeout * 1000),
        socketTimeoutMS=5000,
        **login,
    )


def identify(client: MongoClient[dict[str, Any]]) -> tuple[int, Path]:
    """The process id and data directory of the server that answers. Raises PyMongoError."""
    options = client.admin.command("getCmdLineOpts").get("parsed", {})
    status = client.admin.command({"serverStatus": 1, "repl": 0, "metrics": 0, "wiredTiger": 0})
    return int(status.get("pid", 0)), Path(options.get("storage", {}).get("dbPath", ""))


def advance(client: MongoClient[dict[str, Any]], port: int, key: str) -> bool:
    """Take the next step towards a writable primary that knows our user; True once it is one.
    Raises PyMongoError.

    A set whose port changed never becomes primary by itself: its only member is not found at the
    old address, so the new one is forced upon it.
    """
    hello = client.admin.command("hello")
    if hello.get("isWritablePrimary"):
        _ensure_user(client, port, keys.password(key))
        return True
    if "setName" in hello:
        return False  # the election is under way
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        client.admin.command(
            "replSetInitiate", {"_id": NAME, "members": [{"_id": 0, "host": host(port)}]}
        )
        return False
    member = config["members"][0]
    if member["host"] != host(port) or len(config["members"]) > 1:
        config["members"] = [{**member, "host": host(port)}]
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
    return False


def _ensure_user(client: MongoClient[dict[str, Any]], port: int, password: str) -> None:
    """Make our user, or give it the password of this key, where it cannot log in with it."""
    login = {"username": USER, "password": password, "authSource": "admin"}
    try:
        with _client(port, login) as user:
            user.admin.command("connectionStatus")
    except OperationFailure as error:
        if error.code != _AUTHENTICATION_FAILED:
            raise
        facts = {"pwd": password, "roles": ["root"]}
        try:
            client.admin.command({"createUser": USER, **facts})
        except OperationFailure as refusal:
            if refusal.code != _USER_EXISTS:
                raise
            client.admin.command({"updateUser": USER, **facts})
