"""Reports go to Datadog through the proxy that is set, and straight where it is told so."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from config.loading import Settings, load
from consumer.core.clock import utc_now
from consumer.doctor import datadog
from consumer.monitoring.datadog.intake import Intake
from consumer.monitoring.datadog.replies import is_exempt
from consumer.monitoring.datadog.version_events import VersionEvent
from consumer.runtime.service_options import datadog_account, datadog_proxy
from tests.support.doctor import target

EVENT = VersionEvent(title="t", text="x", tags=(), host="h", key="k", second=1, alert="info")


@contextmanager
def gateway() -> Iterator[tuple[int, list[bytes]]]:
    """A port, and the first bytes of each connection to it, which is closed then."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(10)
                    heard.append(connection.recv(4096))
                    connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield listening.getsockname()[1], heard
        finally:
            # POSIX ends `accept` so; Windows refuses it, and ends `accept` on closing.
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            thread.join(10)


def given(**more: str) -> Settings:
    values = {"DD_API_KEY": "0" * 32, **{name.upper(): text for name, text in more.items()}}
    return load({}, values)


def reported(settings: Settings) -> str:
    account = datadog_account(settings)
    assert account is not None
    intake = Intake(account, utc_now)
    try:
        return intake.post(EVENT).meaning
    finally:
        intake.close()


@pytest.mark.parametrize("name", ["dd_proxy_https", "https_proxy"])
def test_datadog_is_reached_through_the_proxy(name: str) -> None:
    with gateway() as (port, heard):
        how = reported(given(**{name: f"http://some%40body:hush@127.0.0.1:{port}"}))

    login = base64.b64encode(b"some@body:hush")
    assert how == "busy"
    assert heard[0].startswith(b"CONNECT api.datadoghq.com:443 HTTP/1.")
    assert b"proxy-authorization: basic " + login.lower() in heard[0].lower()
    assert b"0" * 32 not in heard[0]


def test_the_doctor_asks_through_the_proxy_and_names_it_without_its_login() -> None:
    with gateway() as (port, heard):
        settings = given(dd_proxy_https=f"http://somebody:hush@127.0.0.1:{port}")
        (check,) = datadog.examine(target(settings))

    assert heard[0].startswith(b"CONNECT api.datadoghq.com:443 ")
    assert f"through the proxy 127.0.0.1:{port}" in check.finding
    assert "hush" not in repr(check)


def test_an_exempt_host_is_reached_without_the_proxy() -> None:
    with gateway() as (port, heard), gateway() as (straight, spoken):
        reported(
            given(
                dd_url=f"https://127.0.0.1:{straight}",
                https_proxy=f"http://127.0.0.1:{port}",
                no_proxy="localhost, 127.0.0.0/8",
            )
        )

    assert heard == []
    # The first byte of TLS.
    assert spoken[0][:1] == b"\x16"


@pytest.mark.parametrize(
    ("more", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://a:1", "dd_proxy_https": "https://b:2/"}, "https://b:2"),
        ({"https_proxy": "http://a:1", "no_proxy": "*"}, None),
        ({"dd_proxy_https": "http://a:1", "no_proxy": "datadoghq.com"}, None),
        ({"https_proxy": "http://a:1", "dd_url": "http://intake:8080"}, None),
        # Set for other programs: what we cannot speak must not stop the start.
        ({"https_proxy": "socks5://a:1"}, None),
        ({"https_proxy": "http://a:port"}, None),
    ],
)
def test_the_proxy_is_chosen_as_by_other_programs(more: dict[str, str], proxy: str | None) -> None:
    assert datadog_proxy(given(**more)) == proxy


def test_names_of_all_programs_may_be_set_in_both_cases_of_letters() -> None:
    environment = {
        "https_proxy": "http://a:1",
        "HTTPS_PROXY": "http://a:1/",
        "no_proxy": "localhost",
        "NO_PROXY": "localhost,127.0.0.1",
    }

    assert datadog_proxy(load({}, environment)) == "http://a:1"


@pytest.mark.parametrize(
    ("no_proxy", "exempt"),
    [
        ("", False),
        ("api.datadoghq.com", True),
        ("API.DataDogHQ.com", True),
        (".datadoghq.com", True),
        ("*.datadoghq.com", True),
        ("datadoghq.com", True),
        ("api.datadoghq.com:443", True),
        ("api.datadoghq.com:8443", False),
        ("hq.com", False),
        ("localhost,10.0.0.0/8 .example.com", False),
        ("localhost, *", True),
        (",", False),
    ],
)
def test_no_proxy_is_read_as_by_other_programs(no_proxy: str, exempt: bool) -> None:
    assert is_exempt("https://api.datadoghq.com", no_proxy) is exempt


@pytest.mark.parametrize("no_proxy", ["10.0.0.0/8", "10.1.2.3", "10.1.2.3:8443"])
def test_addresses_are_exempt_by_network(no_proxy: str) -> None:
    assert is_exempt("https://10.1.2.3:8443", no_proxy)
    assert not is_exempt("https://11.1.2.3:8443", no_proxy)
