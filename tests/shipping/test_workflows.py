"""Files for other programs, held to the schemas that are published for them."""

from __future__ import annotations

import subprocess
import sys

from tests.support.places import ROOT


def check(schema: str, *files: object) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    ended = subprocess.run(
        [*command, *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_workflows_are_what_github_takes() -> None:
    check("github-workflows", *(ROOT / ".github" / "workflows").glob("*.yml"))
