"""doctor as a whole: settings, order, and how it is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config import loading as configuration
from consumer.cli.doctor import examine, settings_faults, show, understood
from consumer.doctor import secrets
from consumer.doctor.check import Check, Row, Target, exit_status, run
from tests.support.doctor import settings_of, target


def test_wrong_settings_are_one_fault_each_and_the_rest_is_skipped() -> None:
    given = {"CXONE_THREADS": "none", "CXONE_DEDUPE": "x"}
    with pytest.raises(configuration.SettingsError) as wrong:
        configuration.load(given, {})

    checks = settings_faults(wrong.value)

    faults = [check for check in checks if check.status == "fail"]
    assert len(faults) == 2
    assert {check.status for check in checks} == {"fail", "skip"}
    assert exit_status(checks) == 2


def test_a_path_in_the_config_file_that_is_none_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[subjects."contact.created"]\nmaps = ["a..b["]\n')

    good = understood(settings_of())
    wrong = understood(configuration.load({}, {}, None, file))

    assert good.status == "ok"
    assert wrong.status == "fail"
    assert exit_status([wrong]) == 2


def test_one_examination_that_breaks_does_not_cost_the_others() -> None:
    def broken(_target: Target) -> Iterator[Check]:
        raise ValueError("a payload value")

    rows = (Row("broken", broken), Row(secrets.NAME, secrets.examine))

    first, second = run(rows, target())

    assert (first.status, second.name) == ("fail", secrets.NAME)
    assert "payload" not in repr(first)


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ([Check("a", "ok", ""), Check("b", "warn", ""), Check("c", "skip", "")], 0),
        ([Check("a", "fail", "")], 1),
        ([Check("a", "fail", ""), Check("MongoDB", "fail", "")], 3),
        ([Check("settings", "fail", ""), Check("MongoDB", "skip", "")], 2),
    ],
)
def test_the_exit_status_tells_what_failed(checks: list[Check], status: int) -> None:
    assert exit_status(checks) == status


def test_without_mongodb_uri_the_embedded_one_is_pointed_to(tmp_path: Path) -> None:
    checks = list(examine(settings_of(cxone_data_dir=str(tmp_path)), None))

    check = next(check for check in checks if check.name == "embedded MongoDB")
    assert "serve --embedded" in check.finding


def test_a_running_embedded_mongodb_is_examined_without_mongodb_uri(
    mongod_factory: Callable[..., Any], tmp_path: Path
) -> None:
    mongod_factory(tmp_path)

    checks = list(examine(settings_of(cxone_data_dir=str(tmp_path)), None))

    by_name = {check.name: check for check in checks}
    assert by_name["MongoDB"].status == "ok"
    assert "is running" in by_name["embedded MongoDB"].finding


def test_checks_are_shown_as_json_or_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("settings", "ok", "valid"),
        Check("secret", "fail", "it is [bold]weak", "do it"),
    ]

    show(checks, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    show(checks, as_json=False)
    table = capsys.readouterr().out

    assert shown["status"] == 1
    assert shown["checks"][1]["advice"] == "do it"
    assert "it is [bold]weak" in table
    assert "1 fault, 0 warnings." in table


@pytest.mark.skipif(os.name == "nt", reason="a script stands for mongod")
def test_an_embedded_mongodb_past_its_end_of_life_is_warned_of_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "mongod"
    program.write_text('#!/bin/sh\necho "db version v6.0.5"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    checks = list(examine(settings_of(cxone_data_dir=str(tmp_path / "data")), None))

    old = next(check for check in checks if check.name == "embedded MongoDB version")
    assert old.status == "warn"
    assert "6.0.5: past its end of life (31 July 2025)" in old.finding
