"""Commands beside a service that was set up with another config file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from pymongo.database import Database

from config import loading as configuration
from config.loading import Settings
from config.settings import MASK
from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.monitoring.instances import Instances, this_process
from consumer.runtime.fleet import differences, facts, masks_of_all
from consumer.spool.spool import Spool
from consumer.spool.survey import directory_in
from tests.support.processes import run, serving
from tests.support.service import eventually

Db = Database[dict[str, Any]]
SECRET = "a secret of the fleet, long enough"


def settings(toml: str, tmp_path: Path, **given: str) -> Settings:
    file = tmp_path / f"{abs(hash(toml))}.toml"
    file.write_text(toml)
    return configuration.load(given, {}, None, file)


def running(database: Db, theirs: Settings, said_version: str | None = None) -> None:
    process = this_process(said_version or version("cxone-consumer"), "elsewhere")
    Instances(database["instances"]).beat(process, facts(theirs))


def processes(database: Db) -> list[dict[str, Any]]:
    return Instances(database["instances"]).all()


def test_what_any_process_of_the_service_masks_is_masked(tmp_path: Path, database: Db) -> None:
    theirs = 'cxone_redact = ["**.email"]\n[subjects."a.$b"]\nredact = ["name", "x.y"]'
    running(database, settings(theirs, tmp_path))
    ours = settings('cxone_redact = ["phone"]', tmp_path)

    masks = masks_of_all(ours, processes(database))

    payload = {"phone": 1, "c": {"email": 2}, "name": 3, "x": {"y": 4}, "z": 5}
    assert masks.value(payload, "a.$b") == {
        "phone": MASK,
        "c": {"email": MASK},
        "name": MASK,
        "x": {"y": MASK},
        "z": 5,
    }
    assert masks.value(payload, "other")["name"] == 3


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ('cxone_on_new_field = "hold"', "contracts"),
        ('[subjects."t"]\non_type_conflict = "hold"', "contracts"),
        ('[subjects."t"]\nmaps = ["a.b"]', "contracts"),
        ('[subjects."t"]\ndefaults = {a = 1}', "defaults"),
        ('cxone_defaults = "typed"', "defaults"),
        ('cxone_dedupe = "id"', "dedupe"),
        ('cxone_type_field = "/data/type"', "dedupe"),
        ('[sources.voice]\nsecret = "a secret of a source"', "sources"),
        ('[subjects."t"]\nredact = ["a"]', None),
        ("cxone_threads = 4", None),
        ("", None),
    ],
)
def test_settings_that_differ_from_those_of_the_service_are_named_by_group(
    tmp_path: Path, database: Db, theirs: str, named: str | None
) -> None:
    running(database, settings(theirs, tmp_path))

    said = list(differences(settings("", tmp_path), processes(database)))

    assert [re.match(r"the (\w+) of these settings", each)[1] for each in said] == (  # type: ignore[index]
        [] if named is None else [named]
    )


def test_a_process_of_another_version_or_a_silent_one_is_no_difference(
    tmp_path: Path, database: Db
) -> None:
    other = settings('cxone_dedupe = "id"', tmp_path)
    running(database, other, "0.0.1")
    rows = processes(database)
    running(database, other)
    silent = [{**row, "silent": 60.0} for row in processes(database)]

    assert not list(differences(settings("", tmp_path), rows + silent))


def test_rules_beyond_the_bound_are_not_carried_in_each_sign_of_life_and_said_so(
    tmp_path: Path, database: Db
) -> None:
    names = json.dumps([f"field{number}" for number in range(101)])
    tables = "\n".join(f"[subjects.t{number}]\nredact = {names}" for number in range(5))
    running(database, settings(tables, tmp_path))

    (said,) = differences(settings("", tmp_path), processes(database))

    assert "masks more than 500 fields" in said


def command(arguments: list[str], tmp_path: Path, uri: str, database: Db) -> tuple[str, str]:
    given: Mapping[str, str] = {
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_SHARED_SECRET": SECRET,
    }
    ended = run(arguments, tmp_path, given)
    return ended.stdout.decode(), ended.stderr.decode()


@pytest.mark.slow
def test_a_command_without_the_config_of_the_running_service_masks_and_says_so(
    tmp_path: Path, mongod_uri: str, database: Db
) -> None:
    toml = tmp_path / "cxone.toml"
    toml.write_text('cxone_redact = ["customer.email"]\ncxone_dedupe = "id"\n')
    here = tmp_path / "here"
    (here / "data").mkdir(parents=True)
    given = {
        "MONGODB_URI": mongod_uri,
        "MONGODB_DATABASE": database.name,
        "CXONE_SHARED_SECRET": SECRET,
        "CXONE_LISTEN": "127.0.0.1:0",
        "CXONE_DATA_DIR": str(tmp_path / "service"),
        "CXONE_CONFIG": str(toml),
    }
    body = b'{"id":"1","customer":{"email":"ann@example.com","n":17}}'
    verdict = Verdict("current", utc_now())
    directory = directory_in(here / "data")
    spool = Spool(directory, 1 << 20)
    spool.append(Delivery("d", body, Headers({}), utc_now(), verdict))
    spool.close()
    with serving(tmp_path, given):
        eventually(lambda: processes(database), 30)
        said, noted = command(["schema", "list"], here, mongod_uri, database)
        exported, _ = command(["spool", "export", "out.jsonl"], here, mongod_uri, database)

    assert "the dedupe of these settings" in noted, said
    assert "--config" in noted
    copied = (here / "out.jsonl").read_text()
    assert "ann@example.com" not in copied, exported


def test_init_names_the_config_file_for_service_and_commands(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('cxone_on_new_field = "hold"\n')

    ended = run(["--config", "my.toml", "init"], tmp_path)
    again = run(["init", "--force"], tmp_path)

    assert ended.returncode == again.returncode == 0, ended.stderr + again.stderr
    written = dotenv_values(tmp_path / ".env", interpolate=False)
    assert written["CXONE_CONFIG"] == str(tmp_path / "my.toml")
    loaded = configuration.load({}, {}, tmp_path / ".env")
    assert loaded.cxone_on_new_field == "hold"
