"""A MongoDB that takes only clients which declare the version of its API."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.cli.main import run
from consumer.mongodb.embedded import port
from consumer.mongodb.embedded.binary import candidates, locate
from consumer.mongodb.embedded.replica_set import listens
from tests.support.service import running_service


@pytest.fixture
def strict(mongod_dir: Path) -> Iterator[str]:
    """The URI of such a MongoDB."""
    at = port.choose(None)
    command = [str(locate(candidates())), "--dbpath", str(mongod_dir), "--port", str(at)]
    command += ["--bind_ip", "127.0.0.1", "--logpath", str(mongod_dir / "log")]
    # At the start it may be set in tests alone; managed servers set it later.
    command += ["--setParameter", "enableTestCommands=1", "--wiredTigerCacheSizeGB", "0.25"]
    command += ["--setParameter", "requireApiVersion=true"]
    if sys.platform != "win32":
        command += ["--nounixsocket"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not listens(at):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield f"mongodb://127.0.0.1:{at}/"
        finally:
            process.kill()


def test_a_service_that_declares_it_stores_and_commands_read(
    strict: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with running_service(strict, "api", mongodb_server_api="1") as client:
        answer = client.post({"id": "1", "type": "contact.created"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", strict)
    monkeypatch.setenv("MONGODB_DATABASE", "api")
    refused = run(["schema", "list"])
    monkeypatch.setenv("MONGODB_SERVER_API", "1")
    capsys.readouterr()
    taken = run(["schema", "list"])

    assert (answer.status, answer.json["status"]) == (200, "processed")
    assert (refused, taken) == (3, 0)
    assert "contact.created" in capsys.readouterr().out
