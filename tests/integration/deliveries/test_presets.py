"""Each preset takes the deliveries of its sender, signed and laid out here by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pymongo.database import Database

from config.presets import PRESETS
from tests.support.service import Client, running_service

Db = Database[dict[str, Any]]
DFO = Path("tests/payloads/eventId-eventType/MessageCreated/01-first.json")
SECRET = "5f0c6f9c8d0b4e9f8a7d6c5b4a392817"
KEY = base64.b64encode(b"a key of 24 bytes at all").decode()
FORM = "application/x-www-form-urlencoded"
Prove = Callable[[Client, bytes, str], dict[str, str]]


def mac(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def data_action(_client: Client, body: bytes, _source: str) -> dict[str, str]:
    return {"X-Nice-Webhook-Signature": base64.b64encode(mac(SECRET.encode(), body)).decode()}


def api_key(_client: Client, _body: bytes, _source: str) -> dict[str, str]:
    return {"X-Api-Key": SECRET}


def expert(_client: Client, body: bytes, _source: str) -> dict[str, str]:
    stamp = str(int(time.time()))
    return {
        "X-Nexus-Signature-256": "sha256="
        + mac(SECRET.encode(), f"{stamp}.".encode() + body).hex(),
        "X-Nexus-Timestamp": stamp,
        "X-Nexus-Event-Type": "Page_Create",
        "X-Nexus-Delivery-Id": "0d4a2f6e-8f0b-4f7e-b7a8-5f9a53f0a001",
        "Authorization": "Bearer a-token-that-expert-was-given",
    }


def standard(_client: Client, body: bytes, _source: str) -> dict[str, str]:
    stamp, key = str(int(time.time())), base64.b64decode(KEY)
    signature = base64.b64encode(mac(key, f"msg_1.{stamp}.".encode() + body)).decode()
    old = base64.b64encode(mac(b"the key before", body)).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{old} v1,{signature}",
    }


def oauth(client: Client, _body: bytes, source: str) -> dict[str, str]:
    form = {
        "grant_type": "client_credentials",
        "client_id": source,
        "client_secret": SECRET,
    }
    answer = client.request(
        "POST", "/oauth2/token", urlencode(form).encode(), {"Content-Type": FORM}
    )
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


@dataclass(frozen=True)
class Sent:
    """One delivery of a sender, and the parts of its document."""

    prove: Prove
    payload: dict[str, Any]
    key: str
    subject: str
    unsigned: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    secret: str = SECRET


SENT = {
    "data-action": Sent(
        data_action,
        {"id": "e-1", "type": "contact.created", "contactId": 4711, "skill": {"id": 9}},
        "e-1",
        "contact.created",
    ),
    "dfo": Sent(
        api_key,
        json.loads(DFO.read_text(encoding="utf-8")),
        "4cd1d3f4-77a9-4c6b-9a54-4d8f3c11c003",
        "MessageCreated",
    ),
    "studio": Sent(
        api_key,
        {"id": "4711-2", "type": "call.rated", "contactId": "4711", "stars": "5"},
        "4711-2",
        "call.rated",
        # An older action names its JSON so.
        headers={"Content-Type": FORM},
    ),
    "integration-hub": Sent(
        oauth,
        {"id": "r-1", "type": "order.asked", "order": {"number": "A-17"}},
        "r-1",
        "order.asked",
    ),
    "expert": Sent(
        expert,
        {"page": {"id": 812, "path": "Guides/Refunds", "revision": 3}, "user": {"id": 44}},
        "0d4a2f6e-8f0b-4f7e-b7a8-5f9a53f0a001",
        "Page_Create",
        unsigned=("id", "type"),
    ),
    "ivr-log": Sent(
        api_key,
        {
            "contactId": "58120937",
            "actionSequence": 14,
            "actionName": "MENU",
            "label": "Main menu",
            "branch": "2",
            "startDate": "2026-11-27T09:14:03.120Z",
        },
        '["58120937", 14]',
        "ivr.log",
    ),
    "standard-webhooks": Sent(
        standard,
        {"type": "invoice.paid", "timestamp": "2026-11-27T09:14:03Z", "data": {"id": "in_1"}},
        "msg_1",
        "invoice.paid",
        secret=f"whsec_{KEY}",
    ),
}


def test_every_preset_is_tried() -> None:
    assert SENT.keys() == PRESETS.keys()


def check(client: Client, database: Db, path: str, sent: Sent, source: str) -> None:
    body = json.dumps(sent.payload).encode()

    answer = client.request(
        "POST", path, body, {**sent.prove(client, body, source), **sent.headers}
    )

    assert (answer.status, answer.json["status"]) == (200, "processed")
    stored = database["events"].find_one() or {}
    meta = stored["_meta"]
    assert (meta["key"], meta["subject"]) == (sent.key, sent.subject)
    assert tuple(meta.get("unsigned", ())) == sent.unsigned
    assert meta.get("source", "main") == source
    assert {name: stored[name] for name in sent.payload} == sent.payload


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_of_the_main_source(mongod_uri: str, database: Db, name: str) -> None:
    sent = SENT[name]
    given = {"cxone_preset": name, "cxone_shared_secret": sent.secret}
    with running_service(mongod_uri, database.name, **given) as client:
        check(client, database, "/webhook/cxone-dataaction", sent, "main")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_of_a_source_of_its_own(
    mongod_uri: str, database: Db, tmp_path: Path, name: str
) -> None:
    sent, source = SENT[name], name.replace("-", "_")
    path = tmp_path / "cxone.toml"
    path.write_text(f'[sources.{source}]\npreset = "{name}"\nsecret = "{sent.secret}"\n')
    with running_service(mongod_uri, database.name, cxone_config=str(path)) as client:
        check(client, database, f"/webhook/{source}", sent, source)


def test_what_is_set_beside_a_preset_wins(mongod_uri: str, database: Db) -> None:
    given = {"cxone_preset": "ivr-log", "cxone_type_field": "actionName"}
    sent = SENT["ivr-log"]
    with running_service(mongod_uri, database.name, **given, cxone_shared_secret=SECRET) as client:
        client.request(
            "POST",
            "/webhook/cxone-dataaction",
            json.dumps(sent.payload).encode(),
            {"X-Api-Key": SECRET},
        )

    assert (database["events"].find_one() or {})["_meta"]["subject"] == "MENU"
