"""Settings in the words of the server."""

from __future__ import annotations

import sys

import pytest

from config.loading import load
from config.settings import Settings
from consumer.http.server.server import MOST_ON_WINDOWS
from consumer.runtime.service_options import configured_conditions, server_options


@pytest.mark.parametrize(("platform", "connections"), [("win32", MOST_ON_WINDOWS), ("linux", 1000)])
def test_shipped_settings_ask_for_no_more_connections_than_the_system_has(
    monkeypatch: pytest.MonkeyPatch, platform: str, connections: int
) -> None:
    monkeypatch.setattr(sys, "platform", platform)

    assert server_options(Settings()).max_connections == connections
    assert server_options(Settings(cxone_max_connections=1000)).max_connections == 1000


def test_another_proof_wakes_what_waits_for_a_signature() -> None:
    """A refused token is recognised once the proof is mended: its header alone does not tell."""
    given = {"CXONE_SHARED_SECRET": "a secret of 16 bytes", "CXONE_SIGNATURE_HEADER": "X-Api-Key"}
    ways = ("hmac", "token", "basic", "oauth2")

    signing = [
        configured_conditions(load({}, {**given, "CXONE_PROOF": way})).signing for way in ways
    ]

    assert len(set(map(tuple, signing))) == len(ways)
    assert configured_conditions(load({}, given)).signing == signing[0]
