"""Whatever bytes come, none breaks the ingest, none is accepted unsigned, none accepted is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.places import ROOT
from tests.support.processes import environment

Db = Database[dict[str, Any]]


def fuzz(uri: str, database: str, count: int, seed: int) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.faults.fuzz", uri, database, str(count), str(seed)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        timeout=3600,
        check=False,
    )
    print(finished.stdout.decode(), finished.stderr.decode()[-3000:])
    assert finished.returncode == 0
    figures: dict[str, Any] = json.loads(finished.stdout)
    return figures


@pytest.mark.slow
def test_mutated_deliveries_break_nothing_and_are_accepted_only_when_signed(
    mongod_uri: str, database: Db
) -> None:
    figures = fuzz(mongod_uri, database.name, 6000, seed=1)

    assert figures["faults"] == []
    ends = set(figures["ends"])
    assert ends >= {"processed", "signature_invalid", "malformed_json", "unstorable", "too_deep"}


@pytest.mark.faults_full
@pytest.mark.parametrize("seed", range(100, 108))
def test_a_million_mutated_deliveries_break_nothing(
    mongod_uri: str, database: Db, seed: int
) -> None:
    assert fuzz(mongod_uri, database.name, 125_000, seed)["faults"] == []
