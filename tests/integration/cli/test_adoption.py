"""The command `adoption` as a user runs it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from consumer.core.clock import utc_now
from tests.support.adoption import Db, document, registered
from tests.support.processes import run

HOUR = timedelta(hours=1)


def stored(db: Db, uri: str) -> dict[str, str]:
    now = utc_now()
    registered(db, ["contact.created", "contact.ended"], versions=2)
    db["events"].insert_many(
        [
            *(document(now - 3 * HOUR, "contact.created", 1, 1, 1) for _ in range(3)),
            document(now, "contact.created", 2, 2, 2),
            document(now, "contact.ended", 2, 1, 2),
        ]
    )
    return {"MONGODB_URI": uri, "MONGODB_DATABASE": db.name}


def adoption(tmp_path: Path, settings: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = run(["adoption", *arguments], tmp_path, settings)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_adoption_tells_programs_the_figures_and_who_sends_what(
    database: Db, mongod_uri: str, tmp_path: Path
) -> None:
    settings = stored(database, mongod_uri)

    status, text = adoption(tmp_path, settings, "--json", "--subject", "contact.created")

    found: dict[str, Any] = json.loads(text)
    assert status == 0
    (figures,) = found["figures"]
    assert figures == {
        "subject": "contact.created",
        "total": 4,
        "adopted": 1,
        "adoption_rate": 25.0,
        "producer_adoption_rate": 100.0,
        "conforming_rate": 25.0,
        "latest_version": 2,
        "unfilled": 0,
    }
    assert found["versions"] == {
        "contact.created": [{"version": 1, "documents": 3}, {"version": 2, "documents": 1}]
    }
    assert [(each["exhibited_version"], each["events"]) for each in found["hours"]] == [
        (1, 3),
        (2, 1),
    ]


def test_adoption_shows_people_a_table_and_bars(
    database: Db, mongod_uri: str, tmp_path: Path
) -> None:
    status, text = adoption(tmp_path, stored(database, mongod_uri))

    assert status == 0
    assert "contact.ended" in text
    assert "75.0 %" in text
    assert "█" in text


def test_adoption_of_an_unknown_subject_says_where_the_known_ones_are(
    database: Db, mongod_uri: str, tmp_path: Path
) -> None:
    status, text = adoption(tmp_path, stored(database, mongod_uri), "--subject", "nobody")

    assert status == 1
    assert "nobody" in text
    assert "cxone-consumer adoption" in text


def test_rebuild_counts_what_the_service_goes_on_with(
    database: Db, mongod_uri: str, tmp_path: Path
) -> None:
    settings = stored(database, mongod_uri)

    status, text = adoption(tmp_path, settings, "rebuild")

    assert status == 0
    assert "again" in text
    assert sum(sum(e["slices"].values()) for e in database["adoption_counts"].find()) == 3
