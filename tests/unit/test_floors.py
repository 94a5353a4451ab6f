"""Import-linter holds the floors of pyproject.toml; a room that stands on none would be unheld."""

from __future__ import annotations

import sys
from importlib import import_module

from tests.support.places import ROOT

# By name, because 3.10 has only the package of the same interface.
toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def test_every_room_of_the_consumer_stands_on_a_floor() -> None:
    settings = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    floors, *_ = settings["tool"]["importlinter"]["contracts"]
    placed = [room.strip() for floor in floors["layers"] for room in floor.split("|")]

    inside = (ROOT / "consumer").iterdir()
    rooms = {
        f"consumer.{path.stem}"
        for path in inside
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.stem != "__init__"
    }

    assert rooms == {room for room in placed if room.startswith("consumer.")}
