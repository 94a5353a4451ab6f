"""The DD_ settings become the account, the tags and the host of every point."""

from __future__ import annotations

import socket

from config.loading import Settings, load
from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.monitoring.datadog.sink import open_sink
from consumer.runtime.service_options import datadog_account, report_common

KEY = "a key of tests"


def settings(**given: str) -> Settings:
    return load({}, {name.upper(): value for name, value in given.items()})


def test_without_a_key_there_is_no_account() -> None:
    assert datadog_account(settings()) is None


def test_account_is_at_the_site() -> None:
    account = datadog_account(settings(dd_api_key=KEY, dd_site="datadoghq.eu"))

    assert account is not None
    assert (account.url, account.key) == ("https://api.datadoghq.eu", KEY)


def test_another_intake_wins_over_the_site() -> None:
    account = datadog_account(settings(dd_api_key=KEY, dd_url="http://127.0.0.1:1/"))

    assert account is not None
    assert account.url == "http://127.0.0.1:1"


def test_key_is_not_shown_by_accident() -> None:
    assert KEY not in repr(datadog_account(settings(dd_api_key=KEY)))


def test_points_of_a_process_carry_the_unified_tags_its_port_and_ours() -> None:
    common = report_common(
        settings(
            dd_env="Prod",
            dd_version="1.2",
            dd_tags="team:care,host:elsewhere",
            dd_hostname="web-1",
            cxone_listen="0.0.0.0:8081",
            cxone_report_interval="30s",
        )
    )

    assert common.host == "web-1"
    assert common.interval == 30
    assert common.tags == (
        "env:prod",
        "instance:port-8081",
        "service:cxone-consumer",
        "team:care",
        "version:1.2",
    )


def test_points_of_the_fleet_name_no_process() -> None:
    common = report_common(settings(), fleet=True)

    assert not any(tag.startswith("instance") for tag in common.tags)
    assert common.host == socket.gethostname()


def test_outlet_without_a_key_says_that_it_is_the_log() -> None:
    assert "DD_API_KEY is not set" in open_sink(None, 1000, Metrics(), utc_now).status.text
    assert open_sink(None, 1000, Metrics(), utc_now).status.ok


def test_outlet_with_a_key_says_how_much_waits() -> None:
    account = datadog_account(settings(dd_api_key=KEY, dd_url="http://127.0.0.1:1"))

    state = open_sink(account, 1000, Metrics(), utc_now).status

    assert state.text == "nothing sent yet, 0 point(s) waiting"
