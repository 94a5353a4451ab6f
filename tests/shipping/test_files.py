"""Files for other programs, held to the schemas that are published for them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from ruamel.yaml import YAML

from config.loading import rows
from tests.support.places import ROOT


def check(schema: str, *files: object) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    ended = subprocess.run(
        [*command, *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_workflows_are_what_github_takes() -> None:
    check("github-workflows", *(ROOT / ".github" / "workflows").glob("*.yml"))


CONTAINER = ROOT / "config" / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")


def instructions(name: str) -> list[str]:
    return re.findall(rf"^ *{name} +(.*)$", DOCKERFILE, re.MULTILINE)


def test_compose_file_is_what_its_specification_takes() -> None:
    check("compose-spec", CONTAINER / "compose.yaml")


def test_container_runs_without_a_shell_and_without_rights() -> None:
    [health] = instructions("HEALTHCHECK")
    commands = [*instructions("RUN"), *instructions("ENTRYPOINT"), *instructions("CMD")]

    assert all(isinstance(json.loads(command), list) for command in commands)
    assert "/healthz" in json.loads(health.partition("CMD ")[2])[-1]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", instructions("USER")[-1])
    for sources in instructions("COPY"):
        if not sources.startswith("--from"):
            assert all((ROOT / source).exists() for source in sources.split()[:-1]), sources


def test_compose_runs_the_image_as_it_is_meant() -> None:
    composed: dict[str, Any] = YAML(typ="safe").load(CONTAINER / "compose.yaml")
    consumer = composed["services"]["consumer"]
    [[volume]] = map(json.loads, instructions("VOLUME"))

    assert f"CXONE_DATA_DIR={volume} " in DOCKERFILE
    assert consumer["volumes"] == [f"spool:{volume}"]
    assert consumer["read_only"] is True
    assert consumer["cap_drop"] == ["ALL"]
    known = {name for row in rows() for name in row.names}
    named = {*consumer["environment"], *re.findall(r"\b((?:CXONE|LOG)_[A-Z_]+)=", DOCKERFILE)}
    assert {name.removesuffix("_FILE") for name in named} <= known
    for name, value in consumer["environment"].items():
        if name.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in composed["secrets"]
    members = {name for name in composed["services"] if name.startswith("mongo-")}
    assert len(members) == 3
    assert all(name in consumer["environment"]["MONGODB_URI"] for name in members)
    assert all(
        f'"{name}:27017"' in composed["services"]["replica-set"]["command"][-1] for name in members
    )
