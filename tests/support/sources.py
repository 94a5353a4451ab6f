"""Settings with sources beside the main one, and what their senders add to a request."""

from __future__ import annotations

import base64

SOURCES = """
[sources.voice]
proof = "token"
header = "X-Api-Key"
secret = "a token for voice only"
id = ["contactId", "/call/sequence"]
type = "const:ivr.log"
subject_prefix = "voice."

[sources.desk]
path = "/from/desk"
proof = "basic"
secret = "a password for the desk"
secret_previous = "the password before it"
id = "header:X-Event-Id"
type = "header:X-Event-Type"

[sources.hub]
proof = "oauth2"
secret = "a client secret for hub"
id = "contactId"
type = "const:hub.note"

[sources.expert]
header = "X-Nexus-Signature-256"
encoding = "hex"
prefix = "sha256="
secret = "a secret for expert"
"""
VOICE = {"X-Api-Key": "a token for voice only"}
CALL = {"contactId": "c1", "call": {"sequence": 7}, "text": "hello"}


def basic(password: str, user: str = "desk") -> dict[str, str]:
    value = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {value}", "X-Event-Id": "e-1", "X-Event-Type": "desk.note"}
