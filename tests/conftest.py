"""Give tests one real mongod a session, fresh databases on it, and further ones they may kill."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from pymongo import MongoClient, monitoring
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from tests.support.deadlines import DeadlineRule
from tests.support.sharding import ShardingRules, shard

Document = dict[str, Any]
# How long one example takes says how busy the machine is, and nothing about the code. Where tests
# decide about a landing they try the same examples each time; who works on the code tries new ones.
hypothesis.settings.register_profile("patient", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("patient")

# Of each client of this process, however it is made.
sharding_rules = ShardingRules()
monitoring.register(sharding_rules)
deadline_rule = DeadlineRule()
monitoring.register(deadline_rule)

MongodFactory = Callable[..., EmbeddedMongo]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count a test at full size among the slow: `-m "not slow"` takes the place of the `-m` that
    pyproject.toml gives, which leaves these out."""
    for item in items:
        if item.get_closest_marker("faults_full"):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape halves of surrogate pairs in what a test printed: processes that share the work
    cannot send them to each other."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """Each test begins with a log that tells everything, on standard error, a line a write: what
    one sets up must not decide what the next one sees, nor stand amid what a command printed."""
    root, configure = logging.getLogger(), structlog.configure
    before, level = structlog.get_config(), root.level

    def without_cache(**given: Any) -> None:
        configure(**{**given, "cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        # A cached logger would write past the set-up of the next test.
        patch.setattr(structlog, "configure", without_cache)
        structlog.configure(logger_factory=lambda *_: structlog.WriteLogger(sys.stderr))
        yield
    configure(**before)
    root.setLevel(level)
    for handler in [each for each in root.handlers if type(each).__module__ == "config.logs"]:
        root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _would_run_on_a_sharded_cluster() -> Iterator[None]:
    """Fail where the product sent what a sharded cluster would refuse, or make more than once."""
    sharding_rules.broken.clear()
    yield
    assert not sharding_rules.broken


@pytest.fixture(autouse=True)
def _ends_in_time() -> Iterator[None]:
    """Fail where the product asked MongoDB within a deadline, and did not tell the driver of it."""
    deadline_rule.broken.clear()
    yield
    assert not deadline_rule.broken


@pytest.fixture(scope="session")
def mongod() -> Iterator[EmbeddedMongo]:
    """The session's own mongod. Tests fail where none can be had: skipping would hide them."""
    # Killed rather than stopped at the end: its files are deleted anyway.
    with tempfile.TemporaryDirectory(prefix="cxone-mongod-", dir=_in_memory()) as directory:
        server = EmbeddedMongo(Path(directory), cache_gb=0.5).start()
        with MongoClient[Document](server.uri) as client:
            # Documents of tests are dated as they like: none goes because a test takes its time.
            client.admin.command("setParameter", 1, ttlMonitorEnabled=False)
        try:
            yield server
        finally:
            server.stop(grace=0)


def _in_memory() -> str | None:
    """A file system in memory, where there is one with room. Each test makes the indexes of a new
    database, and on a disk waits a second for the journal to be synced."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    return str(memory) if roomy else None


@pytest.fixture(scope="session")
def mongod_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """The session's own mongod, or the cluster of CXONE_TEST_MONGODB_URI."""
    given = os.environ.get("CXONE_TEST_MONGODB_URI")
    uri = given or request.getfixturevalue("mongod").uri
    with MongoClient[Document](uri) as sharding_rules.again:
        yield uri


@pytest.fixture(scope="session")
def mongo_client(mongod_uri: str) -> Iterator[MongoClient[Document]]:
    with MongoClient[Document](
        mongod_uri, tz_aware=True, serverSelectionTimeoutMS=10_000
    ) as client:
        yield client


@pytest.fixture
def database(mongo_client: MongoClient[Document]) -> Iterator[Database[Document]]:
    """An empty database of this test alone, acknowledged by majority and journal, dropped after."""
    name = f"test_{uuid.uuid4().hex}"
    shard(mongo_client, name)
    yield mongo_client.get_database(name, write_concern=WriteConcern(w="majority", j=True))
    mongo_client.drop_database(name)


@pytest.fixture
def mongod_dir() -> Iterator[Path]:
    """A directory for a mongod's files, deleted after the test. Not `tmp_path`: pytest keeps those
    of the last three sessions, and a journal takes 300 MB."""
    with tempfile.TemporaryDirectory(prefix="cxone mongod ", ignore_cleanup_errors=True) as path:
        yield Path(path).resolve()


@pytest.fixture
def mongod_factory(mongod_dir: Path) -> Iterator[MongodFactory]:
    """Start further mongods that a test may kill: `mongod_factory()`, or with the arguments of
    EmbeddedMongo; `data_dir` defaults to a new directory. All are killed after the test."""
    servers: list[EmbeddedMongo] = []

    def start(data_dir: Path | None = None, **options: Any) -> EmbeddedMongo:
        directory = data_dir or mongod_dir / f"mongod-{len(servers)}"
        server = EmbeddedMongo(directory, **options)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop(grace=0)
