"""doctor on a MongoDB that cannot be reached: why, and without its password."""

from __future__ import annotations

import ctypes
import socket
import sys
import threading
from contextlib import suppress

import pytest

from consumer.cli.doctor import examine
from consumer.doctor import mongodb
from consumer.doctor.check import exit_status
from consumer.mongodb.client import connect
from tests.support.doctor import one, settings_of, target

# Its registry names no resolver, which the driver tells as a file that is not found.
wine = pytest.mark.skipif(
    sys.platform == "win32" and hasattr(ctypes.windll.ntdll, "wine_get_version"),
    reason="no resolver in Wine's registry",
)
UNREACHABLE = [
    ("mongodb://user:pa55word@127.0.0.1:1/", "refused", "127.0.0.1:1"),
    ("mongodb://user:pa55word@no-such-host.invalid/", "DNS", "no-such-host.invalid:27017"),
    ("mongodb://user:pa55word@127.0.0.1:1/?replicaSet=rs0", "refused", "127.0.0.1:1"),
    pytest.param(
        "mongodb+srv://user:pa55word@no-such-host.invalid/",
        "DNS",
        "no-such-host.invalid",
        marks=wine,
    ),
]


@pytest.mark.parametrize(("uri", "words", "where"), UNREACHABLE)
def test_why_mongodb_cannot_be_reached_is_said_without_the_password(
    uri: str, words: str, where: str
) -> None:
    checks = list(examine(settings_of(mongodb_uri=uri, cxone_store_timeout="300ms"), None))

    check = next(check for check in checks if check.name == "MongoDB")
    assert check.status == "fail"
    assert words in check.finding
    assert f" at {where}: " in check.finding
    assert "pa55word" not in repr(checks)
    assert exit_status(checks) == 3
    skipped = {check.name for check in checks if check.status == "skip"}
    assert "MongoDB version" in skipped


def test_another_replica_set_than_the_named_one_is_told(mongod_uri: str) -> None:
    uri = mongod_uri.split("?", maxsplit=1)[0] + "?replicaSet=another"
    with connect(uri, timeout=0.5) as client:
        check = one(mongodb.reachable(target(client=client)))

    assert check.status == "fail"
    assert "replicaSet=" in check.advice


def test_a_server_without_tls_is_told_from_one_that_is_down(mongod_uri: str) -> None:
    uri = f"{mongod_uri}&tls=true" if "?" in mongod_uri else f"{mongod_uri}?tls=true"
    with connect(uri, timeout=0.5) as client:
        check = one(mongodb.reachable(target(client=client)))

    assert check.status == "fail"
    assert "TLS" in check.finding + check.advice


def test_a_server_that_never_answers_is_told_from_one_that_refuses() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/"
        with connect(uri, timeout=0.3) as client:
            check = one(mongodb.reachable(target(client=client)))

    assert "no answer in time" in check.finding


def test_a_server_that_hangs_up_is_told_from_a_slow_one() -> None:
    with socket.socket() as rude:
        rude.bind(("127.0.0.1", 0))
        rude.listen()
        rude.settimeout(0.1)
        done = threading.Event()

        def hang_up() -> None:
            while not done.is_set():
                with suppress(OSError):
                    rude.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            uri = f"mongodb://127.0.0.1:{rude.getsockname()[1]}/"
            with connect(uri, timeout=0.5) as client:
                check = one(mongodb.reachable(target(client=client)))
        finally:
            done.set()
            thread.join()

    assert "closes the connection" in check.finding
