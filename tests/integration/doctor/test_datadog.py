"""doctor on the key of Datadog."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from consumer.doctor import datadog
from tests.support.doctor import one, target
from tests.support.senders import web_server


@pytest.mark.parametrize(
    ("status", "judged"), [(200, "ok"), (403, "fail"), (302, "warn"), (500, "warn")]
)
def test_datadogs_answer_about_the_key_is_judged(status: int, judged: str) -> None:
    asked: list[Mapping[str, str]] = []

    def reply(headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        asked.append(headers)
        return status, {"Location": "http://127.0.0.1:1/elsewhere"}, b"{}"

    with web_server(reply) as port:
        check = datadog.validate(f"http://127.0.0.1:{port}", "api-key-4711", 2)

    assert check.status == judged
    assert [headers["DD-API-KEY"] for headers in asked] == ["api-key-4711"]
    assert "api-key-4711" not in repr(check)


def test_datadog_out_of_reach_is_a_warning() -> None:
    assert datadog.validate("http://127.0.0.1:1", "api-key-4711", 1).status == "warn"


def test_no_key_needs_no_datadog() -> None:
    assert one(datadog.examine(target())).status == "skip"
