"""Of a refused token or password nothing is kept but a hash, by which it is recognised later."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.processes import Serving, run, serving
from tests.support.service import (
    SECRET,
    Client,
    dead_letters,
    eventually,
    running_service,
)

Db = Database[dict[str, Any]]

RIGHT = "the right token of voice"
PREVIOUS = "the token of voice before"
PASSWORD = "the password of the desk"
EXPERT = "a secret for expert"
VOICE = f"""
[sources.voice]
proof = "token"
header = "X-Api-Key"
secret = "{RIGHT}"
secret_previous = "{PREVIOUS}"
"""
OTHERS = f"""
[sources.desk]
proof = "basic"
secret = "{PASSWORD}"

[sources.expert]
header = "X-Nexus-Signature-256"
encoding = "hex"
prefix = "sha256="
secret = "{EXPERT}"
"""
BODY = {"id": "1", "type": "call"}
SWEEP = {"cxone_sweep_interval": "1s"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sources.toml"
    path.write_text(VOICE + OTHERS, encoding="utf-8")
    return path


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"desk:{password}".encode()).decode()


def post(client: Client, source: str, headers: dict[str, str], body: Any = BODY) -> Any:
    path = "/webhook/cxone-dataaction" if source == "main" else f"/webhook/{source}"
    return client.request("POST", path, client.encoded(body), headers)


def one_letter(database: Db) -> dict[str, Any]:
    eventually(lambda: dead_letters(database))
    (letter,) = dead_letters(database)
    return letter


@pytest.mark.parametrize("main", [{}, {"cxone_shared_secret": "another", "previous": SECRET}])
@pytest.mark.parametrize("token", [RIGHT, PREVIOUS])
def test_a_repaired_setting_recognises_what_was_refused(
    mongod_uri: str, database: Db, config: Path, token: str, main: dict[str, str]
) -> None:
    repaired = config.read_text()
    config.write_text(
        repaired.replace(RIGHT, "entered wrongly at first").replace(PREVIOUS, "x" * 16)
    )
    with running_service(mongod_uri, database.name, cxone_config=str(config)) as client:
        assert post(client, "voice", {"X-Api-Key": token}).status == 401
        letter = one_letter(database)
    assert (letter["source"], letter["reason"]) == ("voice", "signature_invalid")
    assert len(letter["signatures"][0]["presented"][0]) == 64

    config.write_text(repaired)
    given = {"cxone_config": str(config), **SWEEP}
    if main:
        given["cxone_shared_secret"] = main["cxone_shared_secret"]
        given["cxone_shared_secret_previous"] = main["previous"]
    with running_service(mongod_uri, database.name, **given):
        eventually(lambda: one_letter(database)["status"] == "resolved")

    (stored,) = database["events"].find()
    assert stored["_meta"]["source"] == "voice"


def test_a_wrong_token_stays_refused_whatever_is_set(
    mongod_uri: str, database: Db, config: Path
) -> None:
    with running_service(mongod_uri, database.name, cxone_config=str(config)) as client:
        assert post(client, "voice", {"X-Api-Key": "a token that is wrong"}).status == 401
        one_letter(database)
    config.write_text(config.read_text().replace(RIGHT, "another token of voice"))
    given = {"cxone_config": str(config), **SWEEP}
    with running_service(mongod_uri, database.name, **given):
        eventually(lambda: one_letter(database)["history"])

    assert one_letter(database)["history"][0]["result"] == "signature_invalid"
    assert database["events"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("at", "headers", "right_for"),
    [
        ("desk", {"X-Api-Key": RIGHT}, "voice"),
        ("main", {"Authorization": basic(PASSWORD)}, "desk"),
        ("voice", {"Authorization": basic(PASSWORD)}, "desk"),
        ("main", {}, "expert"),
        ("voice", {"X-Api-Key": "right for nobody here"}, None),
    ],
)
def test_it_is_told_for_which_source_a_proof_would_have_been_right_but_not_to_the_sender(
    mongod_uri: str,
    database: Db,
    config: Path,
    at: str,
    headers: dict[str, str],
    right_for: str | None,
) -> None:
    with running_service(mongod_uri, database.name, cxone_config=str(config)) as client:
        given = headers or client.signed(client.encoded(BODY), EXPERT, hexadecimal=True)
        answer = post(client, at, given)
        letter = one_letter(database)

    assert answer.status == 401
    assert letter["right_for"] == right_for
    if right_for:
        assert f"/webhook/{right_for}" in letter["diagnosis"]
        assert right_for not in str(answer)
    assert RIGHT not in str(letter)
    assert PASSWORD not in str(letter)


def test_a_person_gives_a_letter_to_another_source(
    mongod_uri: str, database: Db, config: Path, tmp_path: Path
) -> None:
    with running_service(mongod_uri, database.name, cxone_config=str(config)) as client:
        assert post(client, "voice", {"X-Api-Key": "a token that is wrong"}).status == 401
        letter = one_letter(database)
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_CONFIG": str(config),
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
    }

    nobody = run(["dlq", "retry", letter["_id"], "--as-source", "phone"], tmp_path, given)
    alone = run(["dlq", "retry", letter["_id"]], tmp_path, given)
    done = run(["dlq", "retry", letter["_id"], "--as-source", "desk"], tmp_path, given)

    assert (nobody.returncode, alone.returncode, done.returncode) == (2, 1, 0), done.stderr
    assert "main, voice, desk, expert" in " ".join(nobody.stderr.decode().replace("│", "").split())
    (stored,) = database["events"].find()
    assert stored["_meta"]["source"] == "desk"
    ended = one_letter(database)
    assert (ended["source"], ended["status"]) == ("voice", "resolved")
    assert ended["history"][-1]["as_source"] == "desk"
    deeds = list(database["audit"].find({"what": "dlq retry"}).sort("at"))
    assert [deed.get("as_source") for deed in deeds] == [None, "desk"]


def test_a_letter_given_to_another_source_stays_its_own_while_it_waits(
    mongod_uri: str, database: Db, config: Path, tmp_path: Path
) -> None:
    with running_service(mongod_uri, database.name, cxone_config=str(config)) as client:
        assert (
            post(client, "voice", {"X-Api-Key": "a token that is wrong"}, {"id": "1"}).status == 401
        )
        letter = one_letter(database)
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_CONFIG": str(config),
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
    }
    stays = run(["dlq", "retry", letter["_id"], "--as-source", "desk"], tmp_path, given)
    typed = config.read_text().replace("[sources.desk]", '[sources.desk]\ntype = "const:note"')
    config.write_text(typed)
    with running_service(mongod_uri, database.name, cxone_config=str(config), **SWEEP):
        eventually(lambda: one_letter(database)["status"] == "resolved")

    assert stays.returncode == 1
    (stored,) = database["events"].find()
    assert (stored["_meta"]["source"], stored["_meta"]["subject"]) == ("desk", "note")


WRONG = "a wrong token, which nobody keeps"
NEVER = {RIGHT, PREVIOUS, PASSWORD, EXPERT, WRONG, SECRET}


def post_all(running: Serving) -> None:
    body = json.dumps(BODY).encode()
    for path, headers, status in (
        ("voice", {"X-Api-Key": RIGHT}, 202),
        ("voice", {"X-Api-Key": WRONG}, 401),
        ("desk", {"X-Api-Key": RIGHT}, 401),
        ("desk", {"Authorization": basic(WRONG)}, 401),
        ("desk", {"Authorization": basic(PASSWORD), "X-Api-Key": RIGHT}, 202),
        ("expert", {"Authorization": basic(PASSWORD)}, 401),
        ("cxone-dataaction", {"X-Api-Key": RIGHT, "Authorization": f"Bearer {WRONG}"}, 401),
    ):
        connection = running.connect()
        connection.request("POST", f"/webhook/{path}", body, headers)
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.slow
def test_no_secret_right_or_wrong_is_in_any_store_log_or_export(
    mongod_uri: str, database: Db, config: Path, tmp_path: Path
) -> None:
    given = {
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_CONFIG": str(config),
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_DATA_DIR": str(tmp_path / "data"),
        "LOG_LEVEL": "debug",
        "CXONE_SWEEP_INTERVAL": "1s",
    }
    # Beside it what comes by other sources is spooled.
    database["instances"].insert_one({"_id": "old", "host": "there", "version": "1.0.0"})
    pages = []
    with serving(tmp_path, given) as running:
        post_all(running)
        spool = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert run(["spool", "export", "waits.jsonl"], tmp_path, given).returncode == 0
        exported = (tmp_path / "waits.jsonl").read_bytes()
        database["instances"].delete_one({"_id": "old"})
        eventually(lambda: database["events"].count_documents({}) == 2)
        post_again = {"X-Api-Key": WRONG}
        assert running.post(json.dumps(BODY).encode(), post_again)[0] == 401
        for path in ("voice", "desk"):
            connection = running.connect()
            headers = {"X-Api-Key": WRONG, "Authorization": basic(WRONG)}
            connection.request("POST", f"/webhook/{path}", json.dumps(BODY).encode(), headers)
            assert connection.getresponse().status == 401
            connection.close()
        eventually(lambda: database["dead_letter_queue"].count_documents({}) >= 3)
        for page in ("/metrics", "/readyz"):
            connection = running.connect()
            connection.request("GET", page)
            pages.append(connection.getresponse().read())
            connection.close()
        running.terminate()
    commands = [
        ["dlq", "list", "--json"],
        ["dlq", "export", "-"],
        ["status", "--json"],
        ["doctor", "--json"],
        *(["dlq", "show", str(each["_id"]), "--json"] for each in dead_letters(database)),
    ]
    said = [run(command, tmp_path, given) for command in commands]

    stored = [
        repr(list(database[name].find())).encode() for name in database.list_collection_names()
    ]
    looked = {
        "logs": "".join(running.lines).encode(),
        "collections": b"".join(stored),
        "spool": b"".join(spool),
        "spool export": exported,
        "pages": b"".join(pages),
        "commands": b"".join(each.stdout + each.stderr for each in said),
    }
    assert all(looked.values())
    forms = [
        form
        for secret in NEVER
        for form in (
            secret.encode(),
            base64.b64encode(secret.encode()).rstrip(b"="),
            basic(secret).split()[1].rstrip("=").encode(),
        )
    ]
    found = {(where, form) for where, text in looked.items() for form in forms if form in text}
    assert found == set()
    presented = [s["presented"] for e in dead_letters(database) for s in e.get("signatures", ())
                 if "presented" in s]  # fmt: skip
    assert presented
