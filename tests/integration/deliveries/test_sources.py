"""Several sources: each with its own path, proof, and places of id and type."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from structlog.testing import capture_logs

from consumer.events.keys import document_id
from consumer.ingest.signature import fingerprint
from tests.support.service import SECRET, UNSIGNED, Client, eventually, running_service
from tests.support.sources import CALL, VOICE, basic, with_sources

Db = Database[dict[str, Any]]


@pytest.fixture
def client(mongod_uri: str, database: Db, tmp_path: Path) -> Iterator[Client]:
    with with_sources(mongod_uri, database, tmp_path / "sources.toml") as client:
        yield client


def post(client: Client, path: str, headers: dict[str, str], body: Any = CALL) -> Any:
    return client.request("POST", path, client.encoded(body), headers)


def test_an_event_of_a_source_is_stored_as_its_own(client: Client, database: Db) -> None:
    answer = post(client, "/webhook/voice", VOICE)

    assert answer.json == {"status": "processed", "schema_version": 1}
    stored = database["events"].find_one() or {}
    meta = stored["_meta"]
    assert (meta["source"], meta["subject"], meta["key"]) == (
        "voice",
        "voice.ivr.log",
        '["c1", 7]',
    )
    assert stored["_id"] == document_id("voice.ivr.log", ("c1", 7), meta["digest"], "voice")
    assert "unsigned" not in meta


def test_the_main_source_stays_as_it_was(client: Client, database: Db) -> None:
    client.post({"id": "1", "type": "t"})

    stored = database["events"].find_one() or {}
    assert "source" not in stored["_meta"]
    assert stored["_id"] == document_id("t", "1", stored["_meta"]["digest"])


def test_id_and_type_may_stand_in_headers(client: Client, database: Db) -> None:
    for password in ("a password for the desk", "the password before it"):
        assert post(client, "/from/desk/", basic(password)).status == 200

    stored = database["events"].find_one() or {}
    assert (stored["_meta"]["subject"], stored["_meta"]["key"]) == ("desk.note", "e-1")
    assert database["events"].count_documents({}) == 1


def test_metrics_and_the_use_of_secrets_tell_the_source(client: Client, database: Db) -> None:
    post(client, "/webhook/voice", VOICE)
    post(client, "/from/desk", basic("the password before it"))
    post(client, "/from/desk", basic("a wrong password"))
    client.post({"id": "1", "type": "t"})

    shown = client.get("/metrics").body.decode()
    for line in (
        'deliveries_total{outcome="processed",source="main"} 1.0',
        'deliveries_total{outcome="processed",source="voice"} 1.0',
        'rejected_total{reason="signature_invalid",source="desk"} 1.0',
        'signature_matched_total{secret="previous",source="desk"} 1.0',
        'request_duration_seconds_count{outcome="refused",source="desk"} 1.0',
    ):
        assert line in shown, line
    before = fingerprint(b"the password before it")
    found = {"_id": before, "deliveries": 1}
    eventually(lambda: database["secret_use"].find_one(found), timeout=25)


def test_log_lines_name_the_source_beside_the_main_one(client: Client, database: Db) -> None:
    with capture_logs() as lines:
        post(client, "/webhook/voice", VOICE, b'{"contactId":')
        client.post(b'{"id":')
        post(client, "/from/desk", basic("a wrong password"))
        eventually(lambda: database["dead_letter_queue"].count_documents({}) == 3)

    told = [(line["event"], line.get("source")) for line in lines if "delivery" in line]
    assert told == [("dead letter", "voice"), ("dead letter", None), ("refused", "desk")]


UNSIGNED_IDENTITY = """
[sources.nexus]
header = "X-Nexus-Signature-256"
encoding = "hex"
secret = "a secret for nexus"
id = ["header:X-Nexus-Delivery-Id", "contactId"]
type = "header:X-Nexus-Event-Type"
"""


def test_an_identity_that_is_not_signed_is_told_at_the_start_and_in_the_event(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    config = tmp_path / "nexus.toml"
    config.write_text(UNSIGNED_IDENTITY, encoding="utf-8")
    with (
        capture_logs() as lines,
        running_service(mongod_uri, database.name, cxone_config=str(config)) as client,
    ):
        body = client.encoded(CALL)
        mac = hmac.new(b"a secret for nexus", body, "sha256").hexdigest()
        identity = {"X-Nexus-Delivery-Id": "d-1", "X-Nexus-Event-Type": "page.changed"}
        answer = post(client, "/webhook/nexus", {"X-Nexus-Signature-256": mac, **identity}, body)

    assert answer.status == 200
    (warned,) = [line for line in lines if "unsigned" in line]
    assert (warned["source"], warned["unsigned"]) == ("nexus", ["id", "type"])
    stored = database["events"].find_one() or {}
    assert stored["_meta"]["unsigned"] == ["id", "type"]
    assert stored["_meta"]["key"] == '["d-1", "c1"]'


PROOFS = {
    "voice": ("/webhook/voice", VOICE),
    "desk": ("/from/desk", basic("a password for the desk")),
    "main": ("/webhook/cxone-dataaction", None),
    "expert": ("/webhook/expert", None),
}


@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("at", PROOFS)
def test_no_proof_of_a_source_is_valid_for_another(client: Client, proof: str, at: str) -> None:
    headers = PROOFS[proof][1]
    if headers is None:
        key = SECRET if proof == "main" else "a secret for expert"
        headers = client.signed(client.encoded(CALL), key, hexadecimal=at == "expert")

    assert (post(client, PROOFS[at][0], headers).status == 401) == (proof != at)


TOKEN_FORM = b"grant_type=client_credentials&client_id=voice&client_secret=a+wrong+secret"
TOKEN_JSON = b'{"grant_type":"client_credentials","client_secret":"a+wrong+secret"}'


def test_a_refused_credential_is_kept_nowhere(client: Client, database: Db) -> None:
    wrong = "a wrong token of voice"
    answers = [
        post(client, "/webhook/voice", {"X-Api-Key": wrong}),
        post(client, "/webhook/cxone-dataaction", {"X-Api-Key": wrong}),
        post(client, "/from/desk", basic(wrong)),
        post(client, "/webhook/voice", dict(UNSIGNED)),
    ]

    assert [answer.status for answer in answers] == [401] * 4
    assert answers[2].headers["www-authenticate"].startswith("Basic ")
    eventually(lambda: database["dead_letter_queue"].count_documents({}) == 4)
    for entry in database["dead_letter_queue"].find():
        assert wrong not in str(entry)
        headers = str([entry["headers"], *entry["signatures"]]).lower()
        assert "api-key" not in headers
        assert "authorization" not in headers


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (TOKEN_FORM, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}),
        (TOKEN_FORM, {}),
        (TOKEN_JSON, {"Content-Type": "application/json"}),
    ],
)
def test_a_client_secret_that_is_sent_to_a_source_is_kept_nowhere(
    client: Client, database: Db, body: bytes, kind: dict[str, str]
) -> None:
    answers = [post(client, path, kind, body) for path, _ in PROOFS.values()]

    assert [answer.status for answer in answers] == [401] * 4
    eventually(lambda: database["dead_letter_queue"].count_documents({}) == 4)
    for entry in database["dead_letter_queue"].find():
        assert "/oauth2/token" in entry["diagnosis"]
        assert "wrong+secret" not in str(entry)


def test_a_signature_in_authorization_is_kept_for_another_secret(
    mongod_uri: str, database: Db
) -> None:
    given = {"cxone_signature_header": "Authorization", "cxone_signature_prefix": "HMAC "}
    body = b'{"id":"1","type":"t"}'
    with running_service(mongod_uri, database.name, **given) as client:
        client.post(body, client.signed(body, "the secret to come"))
        eventually(lambda: database["dead_letter_queue"].count_documents({}) == 1)

    kept = database["dead_letter_queue"].find_one() or {}
    assert kept["headers"]["authorization"].startswith("HMAC ")
