"""Give tests of `schema` a terminal and, where they ask, the running service."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pymongo.database import Database

from tests.support.schema_shell import RULES, Document, Shell
from tests.support.service import Client, running_service


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mongod_uri: str,
    database: Database[Document],
) -> Shell:
    config = tmp_path / "rules.toml"
    config.write_text(RULES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", mongod_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database.name)
    return Shell(capsys, config, database, monkeypatch)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """`main`, which is not run here, keeps the log away from standard output."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture
def service(shell: Shell, mongod_uri: str) -> Iterator[Client]:
    with running_service(mongod_uri, shell.database.name, cxone_config=str(shell.config)) as client:
        yield client
