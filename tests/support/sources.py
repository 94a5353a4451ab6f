"""Settings with sources beside the main one, and what their senders add to a request."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.support.service import Client, running_service

ONE_SOURCE = """
[sources.voice]
proof = "token"
header = "X-Api-Key"
secret = "a token for voice only"
id = ["contactId", "/call/sequence"]
type = "const:ivr.log"
subject_prefix = "voice."
"""
SOURCES = f"""{ONE_SOURCE}
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


@contextmanager
def with_sources(
    uri: str,
    database: Database[Any],
    config: Path,
    sources: str = SOURCES,
    *prepare_every: float,
    **settings: str,
) -> Iterator[Client]:
    """`running_service` with the tables of `sources`, which stand in the file `config`."""
    config.write_text(sources, encoding="utf-8")
    with running_service(
        uri, database.name, *prepare_every, cxone_config=str(config), **settings
    ) as client:
        yield client


def basic(password: str, user: str = "desk") -> dict[str, str]:
    value = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {value}", "X-Event-Id": "e-1", "X-Event-Type": "desk.note"}
