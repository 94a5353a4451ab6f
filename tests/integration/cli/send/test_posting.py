"""Posts of `send`: which bytes, where, and how signed."""

from __future__ import annotations

import base64
import hmac
import json
from pathlib import Path

import pytest
import typer

from consumer.ingest.signature import SignatureScheme
from consumer.ingest.signature import sign as signed_headers
from tests.support.places import PAYLOADS
from tests.support.senders import NOW, SCHEME, Receiver, counts, is_signed, ran, sent
from tests.support.service import SECRET, STANDARD_WEBHOOKS


def test_files_arrive_byte_for_byte_signed_and_in_order(receiver: Receiver, tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(b'{"id": 1}\r\n\n{"id":2}\n')
    document = PAYLOADS / "contact.created" / "03-custom-fields.json"

    status, figures = sent(str(document), str(lines), "--url", receiver.url)

    assert status == 0
    assert receiver.bodies == [document.read_bytes(), b'{"id": 1}', b'{"id":2}']
    assert all(is_signed(delivery) for delivery in receiver.got)
    assert receiver.got[0].headers["content-type"] == "application/json"
    assert receiver.paths == {"/webhook/cxone-dataaction"}
    assert counts(figures) == {(200, "processed"): 3}
    assert figures["posts"] == figures["accepted"] == figures["intended"] == 3


def test_standard_input_is_sent(receiver: Receiver) -> None:
    status, _ = sent("-", "--url", receiver.url, stdin=b'{"id":1}\n{"id":2}\n')

    assert status == 0
    assert receiver.bodies == [b'{"id":1}', b'{"id":2}']


def test_the_url_follows_from_the_settings(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXONE_LISTEN", receiver.url.removeprefix("http://"))

    status, figures = sent("-", stdin=b"{}")

    assert status == 0
    assert figures["url"] == f"{receiver.url}/webhook/cxone-dataaction"


def test_connections_are_kept_alive(receiver: Receiver) -> None:
    status, _ = sent("-", "--url", receiver.url, "--repeat", "40", stdin=b"{}")
    assert (status, len(receiver.connections)) == (0, 1)

    status, _ = sent(
        "-", "--url", receiver.url, "--repeat", "200", "--concurrency", "4", stdin=b"{}"
    )
    assert status == 0
    assert len(receiver.got) == 240
    assert len(receiver.connections) <= 5


def test_repeats_are_the_same_bytes_and_with_fresh_ids_new_events(receiver: Receiver) -> None:
    body = b'{"id": "a", "type": "t", "n": 1.0}'

    sent("-", "--url", receiver.url, "--repeat", "3", stdin=body)
    assert receiver.bodies == [body] * 3

    receiver.got.clear()
    sent("-", "--url", receiver.url, "--repeat", "3", "--fresh-ids", stdin=body)
    assert len({json.loads(found)["id"] for found in receiver.bodies}) == 3
    assert all(b'"type":"t","n":1.0' in found for found in receiver.bodies)
    assert all(is_signed(delivery) for delivery in receiver.got)


def test_fresh_ids_need_an_id(receiver: Receiver) -> None:
    with pytest.raises(typer.BadParameter, match="body 2 has no id in 'id'"):
        sent("-", "--url", receiver.url, "--fresh-ids", stdin=b'{"id":1}\n{"eventId":1}\n')
    assert receiver.got == []


def test_other_signature_settings_are_followed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = SignatureScheme(
        header="X-Hub-Signature-256",
        encoding="hex",
        prefix="sha256=",
        signed="timestamp.body",
        timestamp_header="X-Time",
    )
    monkeypatch.setenv("CXONE_SIGNATURE_HEADER", scheme.header)
    monkeypatch.setenv("CXONE_SIGNATURE_ENCODING", scheme.encoding)
    monkeypatch.setenv("CXONE_SIGNATURE_PREFIX", scheme.prefix)
    monkeypatch.setenv("CXONE_SIGNED_CONTENT", scheme.signed)
    monkeypatch.setenv("CXONE_TIMESTAMP_HEADER", "X-Time")

    sent("-", "--url", receiver.url, stdin=b"{}")

    assert is_signed(receiver.got[0], scheme)


def test_standard_webhooks_are_signed_each_with_an_id_of_its_own(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in STANDARD_WEBHOOKS.items():
        monkeypatch.setenv(name.upper(), value)

    sent("-", "--url", receiver.url, "--repeat", "2", stdin=b"{}")

    assert len({delivery.headers["webhook-id"] for delivery in receiver.got}) == 2
    for delivery in receiver.got:
        number, stamp = (delivery.headers[f"webhook-{name}"] for name in ("id", "timestamp"))
        mac = hmac.new(SECRET.encode(), f"{number}.{stamp}.{{}}".encode(), "sha256").digest()
        assert delivery.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


def test_a_bad_signature_is_well_formed_but_wrong_and_needs_no_secret(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXONE_SHARED_SECRET")
    receiver.answer = lambda body: (401, b'{"title":"Invalid webhook signature"}')

    result = ran("send", "-", "--url", receiver.url, "--bad-signature", stdin=b"{}")

    assert result.return_value == 1
    assert "401 Invalid webhook signature" in result.stdout
    assert "CXONE_SHARED_SECRET" in result.stderr
    right = signed_headers(SCHEME, SECRET.encode(), b"{}", NOW)[SCHEME.header]
    given = receiver.got[0].headers[SCHEME.header]
    assert len(given) == len(right)
    assert given != right
