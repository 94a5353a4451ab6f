"""An export that is killed at any moment goes on without a gap and without a double."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.mongodb.indexes import create_indexes

COUNT = 40_000
KILLS = 4
COMMAND = (sys.executable, "-m", "consumer", "events", "export", "out.jsonl")


@pytest.mark.slow
def test_killed_at_random_moments_it_writes_each_event_once(
    mongod_uri: str, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    create_indexes(database)
    begin, mixed = utc_now() - timedelta(hours=1), random.Random()
    database["events"].insert_many(
        {
            "_id": f"{number * 7919 % COUNT:05}",
            "n": number,
            "schema_version": 0,
            # Dozens in a millisecond.
            "processed_at": begin + timedelta(milliseconds=number // 30),
            "_meta": {"subject": "t", "key": number},
        }
        for number in range(COUNT)
    )
    order = [("processed_at", 1), ("_id", 1)]
    expected = [each["n"] for each in database["events"].find({}, {"n": 1}).sort(order)]
    out, position = tmp_path / "out.jsonl", tmp_path / "out.jsonl.position"
    environ = {**os.environ, "MONGODB_URI": mongod_uri, "MONGODB_DATABASE": database.name}
    killed = []

    for _ in range(KILLS):
        before = position.read_bytes() if position.exists() else b""
        running = subprocess.Popen(COMMAND, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 120
        while running.poll() is None and time.monotonic() < ends:
            if position.exists() and position.read_bytes() != before and out.exists():
                break
        time.sleep(mixed.random() * 0.3)
        running.kill()
        killed.append(running.wait())
        if not position.exists():
            break
    last = subprocess.run(COMMAND, cwd=tmp_path, env=environ, capture_output=True, check=False)

    lines = [json.loads(line)["n"] for line in out.read_bytes().splitlines()]
    print(f"killed {killed}, random state {mixed.getstate()[1][0]}")
    # One that was killed after its end left a whole file, which is not begun again.
    assert last.returncode == 0 or not position.exists(), last.stderr
    assert killed[0] != 0
    assert lines == expected
