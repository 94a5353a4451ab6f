"""Wrong usage of `send`, and what `sign` prints."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
import typer

from consumer.core.delivery import Delivery, Headers
from consumer.ingest.signature import SignatureScheme
from tests.support.senders import NOW, is_signed, ran


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["missing.json"], "missing.json: cannot be read: No such file"),
        (["-"], "-: there is nothing in it"),
        (["-", "--url", "nonsense"], "--url must look like http"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        ran("send", *arguments)


def test_sign_writes_lines_for_curl_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="curl -H @FILE"):
        ran("sign", "-", "--json", "--out", str(tmp_path / "headers"), stdin=b"{}")

    assert not list(tmp_path.iterdir())


def test_sign_prints_the_header_for_the_exact_bytes(tmp_path: Path) -> None:
    body = b'{"id": 1}\r\n'
    (tmp_path / "a.json").write_bytes(body)

    result = ran("sign", "a.json")

    name, _, value = result.stdout.rstrip("\n").partition(": ")
    assert name == "X-Nice-Webhook-Signature"
    assert is_signed(Delivery("d", body, Headers({name: value}), NOW))
    assert result.return_value == 0
    assert ran("sign", "-", stdin=body).stdout == result.stdout
    assert json.loads(ran("sign", "a.json", "--json").stdout) == {name: value}
    assert ran("sign", "-", stdin=b'{"id": 1}\n').stdout != result.stdout


def test_sign_prints_the_timestamp_where_it_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXONE_SIGNED_CONTENT", "timestamp.body")
    monkeypatch.setenv("CXONE_TIMESTAMP_HEADER", "X-Time")
    scheme = SignatureScheme(signed="timestamp.body", timestamp_header="X-Time")

    result = ran("sign", "-", stdin=b"{}")

    headers = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert set(headers) == {"X-Time", "X-Nice-Webhook-Signature"}
    now = datetime.now(timezone.utc)
    assert is_signed(Delivery("d", b"{}", Headers(headers), now), scheme)
