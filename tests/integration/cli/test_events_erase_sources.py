"""A person's events, letters and spooled deliveries go whatever source they came by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.core.errors import Rejected
from consumer.events.matching import read_value
from consumer.events.search import EventFilter, EventSearch
from tests.support.processes import run
from tests.support.service import SECRET
from tests.support.spool import spooling

Db = Database[dict[str, Any]]

SOURCES = """
[sources.voice]
secret = "a secret of voice"
id = ["contactId", "/call/sequence"]
type = "const:log"
subject_prefix = "voice."
[sources.desk]
secret = "a secret of the desk"
id = "header:X-Event-Id"
"""


def by(source: str, body: Any, **headers: str) -> Delivery:
    now = utc_now()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery("d", data, Headers(headers), now, Verdict("current", now), source=source)


def fill(uri: str, name: str, folder: Path) -> dict[str, str]:
    config = folder / "c.toml"
    config.write_text(SOURCES, encoding="utf-8")
    with spooling(uri, name, folder, cxone_config=str(config)) as parts:
        for ann in ("ann", "bob"):
            deliveries = [
                by("voice", {"contactId": ann, "call": {"sequence": 7}, "x": 1}),
                by("desk", {"type": "note", "id": "ann"}, **{"X-Event-Id": ann}),
                by("main", {"type": "t", "id": ann, "contactId": "ann"}),
            ]
            for each in deliveries:
                assert parts.ingest.store(each).status == "processed"
                parts.spool.append(each)
            for letter in (
                by(
                    "voice",
                    {
                        "contactId": ann,
                        "call": {"sequence": None},
                        "n": json.loads("[" * 150 + "]" * 150),
                    },
                ),
                by("desk", {"no": "type"}, **{"X-Event-Id": ann}),
            ):
                with pytest.raises(Rejected):
                    parts.ingest.store(letter)
    return {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_CONFIG": str(config),
        "CXONE_DATA_DIR": str(folder),
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": name,
    }


@pytest.mark.parametrize(
    ("options", "events", "letters", "spooled"),
    [
        (["--id", "ann"], 3, 2, 3),
        (["--id", "ann", "--type", "voice.log"], 1, 1, 1),
        (["--id", "ann", "--type", "note"], 1, 0, 1),
        (["--id", '["ann", 7]'], 1, 0, 1),
        (["--id", "an"], 0, 0, 0),
        (["--id", "7"], 2, 0, 2),
        (["--where", "contactId=ann", "--type", "voice.log"], 1, 1, 1),
    ],
)
def test_ids_are_found_at_the_places_of_each_source(
    mongod_uri: str,
    database: Db,
    tmp_path: Path,
    options: list[str],
    events: int,
    letters: int,
    spooled: int,
) -> None:
    given = fill(mongod_uri, database.name, tmp_path)

    done = run(["events", "erase", *options, "--yes", "--json"], tmp_path, given)

    assert done.returncode == 0, done.stderr
    assert database["events"].count_documents({}) == 6 - events
    assert database["dead_letter_queue"].count_documents({}) == 4 - letters
    places = {row["place"]: row["removed"] for row in json.loads(done.stdout)["places"]}
    assert places.get("spool of this machine", 0) == spooled


def test_joined_ids_are_found_by_their_list(mongod_uri: str, database: Db, tmp_path: Path) -> None:
    fill(mongod_uri, database.name, tmp_path)
    search = EventSearch(database["events"])

    found = {key: len(search.page(EventFilter(key=key), 10).rows) for key in ('["ann", 7]', "ann")}

    assert found == {'["ann", 7]': 1, "ann": 2}


@pytest.mark.parametrize(
    ("text", "key", "fits"),
    [
        ("a", '["a"]', True),
        ("7", "[7]", True),
        ("7", "[1, 7.0]", True),
        ("7", '["7"]', True),
        ('"7"', "[7]", False),
        ("a", '["ba", "ab"]', False),
        ("a", "[", False),
        ("a", "[" * 100_000, False),
        ("a", "a", True),
    ],
)
def test_a_value_fits_a_key_or_a_part_of_it(text: str, key: str, fits: bool) -> None:
    assert read_value(text).fits_key(key) is fits
