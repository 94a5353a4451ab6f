"""Programs of others read config/openapi.json: a validator, and one that tries what it allows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.places import ROOT
from tests.support.sources import ONE_SOURCE, with_sources

DOCUMENT = ROOT / "config" / "openapi.json"
HUB = f"""{ONE_SOURCE}
[sources.hub]
proof = "oauth2"
secret = "a client secret for hub"
"""


def run(module: str, *arguments: str | Path, cwd: Path) -> None:
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_it_is_an_openapi_document(tmp_path: Path) -> None:
    run("openapi_spec_validator", DOCUMENT, cwd=tmp_path)


@pytest.mark.parametrize("proven", [False, True], ids=["strangers", "the sender"])
def test_whatever_is_sent_is_answered_as_it_says(
    mongod_uri: str, database: Database[Any], tmp_path: Path, proven: bool
) -> None:
    """The main source takes a token here, which any request can carry."""
    token = {"cxone_proof": "token", "cxone_signature_header": "X-Nice-Webhook-Signature"}
    with with_sources(mongod_uri, database, tmp_path / "s.toml", HUB, **token) as client:
        host, port = client.service.server.address
        header = ("-H", "X-Nice-Webhook-Signature: a secret for tests") if proven else ()
        run(
            "schemathesis.cli",
            "run",
            DOCUMENT,
            *("--url", f"http://{host}:{port}", "--max-examples", "100", "--seed", "1"),
            # Not every JSON object can be kept: not one with a number beyond Decimal128.
            *("--exclude-checks", "positive_data_acceptance", *header),
            cwd=tmp_path,
        )
