"""Pins of the settings that the database contradicts are named, with the command that helps."""

from __future__ import annotations

import json
import logging
from typing import Any

import structlog
from structlog.testing import capture_logs

from config import loading as configuration
from consumer.cli.main import run
from consumer.doctor.schemas import pinned
from consumer.mongodb.client import connect
from tests.support.doctor import target
from tests.support.schema_shell import Shell, event, post
from tests.support.service import Client, eventually, running_service

BY_ID = event(1, "a b", m={"4711": 1, "4712": 2}, o={"x": 1})
PINNED = '[subjects."a b"]\nobjects = ["m", "o", "absent"]\n'
COMMAND = "cxone-consumer schema unmap 'a b' m"


def status(shell: Shell, *options: str) -> str:
    assert run(["--config", str(shell.config), "status", *options]) == 0
    return shell.capsys.readouterr().out


def doctor(shell: Shell, uri: str) -> list[tuple[str, str]]:
    given = {"MONGODB_DATABASE": shell.database.name}
    settings = configuration.load(given, {}, None, shell.config)
    with connect(uri, timeout=30) as client:
        checks = list(pinned(target(settings, client=client)))
    return [(each.status, each.finding + each.advice) for each in checks]


def test_a_map_that_the_settings_pin_as_an_object_is_named_until_it_is_undone(
    service: Client, shell: Shell, mongod_uri: str
) -> None:
    post(service, BY_ID)
    shell.config.write_text(PINNED)

    found: list[Any] = doctor(shell, mongod_uri)
    told, plain = status(shell), json.loads(status(shell, "--json"))["contradictions"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = {"cxone_config": str(shell.config)}
    with (
        capture_logs() as lines,
        running_service(mongod_uri, shell.database.name, **settings) as at,
    ):
        assert at.post(event(2, "a b", m={"4713": 1})).status == 200
        eventually(lambda: any("that is a map" in line["event"] for line in lines))

    assert [each[0] for each in found] == ["warn"]
    (line,) = [line for line in lines if "that is a map" in line["event"]]
    for text in (found[0][1], told, str(plain), str(line)):
        # A screen may break a line within the command.
        words = " ".join(text.split())
        assert COMMAND.replace("'", "\\'") in words or COMMAND in words
    assert len(plain) == 1

    assert shell("unmap", "a b", "m")[0] == 0

    assert [each[0] for each in doctor(shell, mongod_uri)] == ["ok"]
    assert COMMAND not in status(shell)
