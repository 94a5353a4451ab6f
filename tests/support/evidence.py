"""Refused deliveries, and what the detective finds in them."""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from consumer.core.delivery import Delivery
from consumer.ingest.signature import Secret, SignatureScheme
from consumer.ingest.signature_diagnosis.findings import Finding
from consumer.ingest.signature_diagnosis.search import investigate

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
STAMP = str(int(NOW.timestamp()))
KEY = b"Kq3v-1_secret.text"  # with it, the base64 of b"{}" holds + and /
SECRETS = (Secret("current", KEY), Secret("previous", b"the-one-before"))
SCHEME = SignatureScheme()
HEADER = "x-nice-webhook-signature"
BODY = (
    '{"id": "7", "type": "contact.ended", "note": "Zoë said <hi>/", "w": 1.0, "n": [1.10]}'.encode()
)


def mac(body: bytes = BODY, key: bytes = KEY, algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, body, algorithm)


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def found(
    headers: dict[str, str], body: bytes = BODY, scheme: SignatureScheme = SCHEME
) -> Finding | None:
    return investigate(Delivery("d", body, headers, NOW), scheme, SECRETS)


def by(headers: dict[str, str], scheme: SignatureScheme = SCHEME) -> str:
    finding = found(headers, scheme=scheme)
    assert finding is not None
    assert finding.kind == "settings"
    return finding.advice


def with_settings(scheme: SignatureScheme, finding: Finding) -> SignatureScheme:
    fields: dict[str, Any] = {
        "CXONE_SIGNATURE_HEADER": "header",
        "CXONE_SIGNATURE_ENCODING": "encoding",
        "CXONE_SIGNATURE_PREFIX": "prefix",
        "CXONE_SIGNED_CONTENT": "signed",
        "CXONE_TIMESTAMP_HEADER": "timestamp_header",
        "CXONE_SIGNED_ID_HEADER": "id_header",
        "CXONE_SEVERAL_SIGNATURES": "several",
    }
    changed: dict[str, Any] = {
        fields[name]: value == "on" if fields[name] == "several" else value
        for name, value in finding.settings
        if name in fields
    }
    return replace(scheme, **changed)


class Caseless(dict[str, str]):
    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
