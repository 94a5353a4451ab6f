"""A sender is told what it always was; people are told where id and type stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.support.processes import run
from tests.support.service import SECRET, dead_letters, eventually, running_service

Db = Database[dict[str, Any]]
DFO = {"eventId": "e-1", "eventType": "CaseCreated"}
ADVICE = "CXONE_ID_FIELD=id finds none, but eventId is there"


def test_the_letter_and_the_commands_say_which_setting_would_do(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    with running_service(mongod_uri, database.name) as client:
        plain, answer = client.post({"a": 1}), client.post(DFO)
        eventually(lambda: len(dead_letters(database)) == 2)
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
    }
    letter = dead_letters(database)[-1]
    show = run(["dlq", "show", letter["_id"]], tmp_path, given)
    doctor = run(["doctor", "--json"], tmp_path, given)

    assert (answer.status, answer.body) == (plain.status, plain.body)
    assert ADVICE in letter["error_message"]
    assert f"now: {letter['error_message']}; next:" in show.stdout.decode()
    assert ADVICE in doctor.stdout.decode()

    # As it says; then the sweep takes it in.
    fields = {"cxone_id_field": "eventId", "cxone_type_field": "eventType"}
    with running_service(mongod_uri, database.name, cxone_sweep_interval="1s", **fields):
        eventually(lambda: database["events"].count_documents({}) == 1)
