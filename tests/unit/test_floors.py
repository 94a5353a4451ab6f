"""import-linter holds floors and faces by pyproject.toml; a room without them would be unheld."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.support.places import ROOT

# By name, because 3.10 has only the package of the same interface.
toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
SETTINGS = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = SETTINGS["tool"]["importlinter"]["contracts"]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for top in ("consumer", "jobs", "config")
    for path in (ROOT / top).rglob("*.py")
}


def room(module: str) -> str:
    """`consumer.PACKAGE`, or the package beside `consumer`."""
    first, *rest = module.split(".")
    return ".".join((first, *rest[:1])) if first == "consumer" else first


# The forwarder of a release ago has no face.
ROOMS = {
    module for module in MODULES if module == room(module) and MODULES[module].name == "__init__.py"
} - {"consumer", "consumer.service"}


def imports(path: Path) -> Iterator[str]:
    """The modules of ours that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                if (found := inner if inner in MODULES else node.module) in MODULES:
                    yield found


def test_every_room_of_the_consumer_stands_on_a_floor() -> None:
    floors, *_ = CONTRACTS
    placed = [room.strip() for floor in floors["layers"] for room in floor.split("|")]

    inside = (ROOT / "consumer").iterdir()
    rooms = {
        f"consumer.{path.stem}"
        for path in inside
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.stem != "__init__"
    }

    assert rooms == {room for room in placed if room.startswith("consumer.")}


def face(package: str) -> set[str]:
    """The public modules of a package: the list in the docstring of its `__init__`, and of those
    packages below that it names."""
    docstring = ast.get_docstring(ast.parse(MODULES[package].read_text(encoding="utf-8"))) or ""
    _, _, listed = docstring.partition("Public:\n")
    found: set[str] = set()
    for names in re.findall(r"^- ([a-z0-9_.]+):", listed, re.MULTILINE):
        module = f"{package}.{names}"
        found |= face(module) if MODULES[module].name == "__init__.py" else {module}
    return found


def test_packages_import_from_each_other_just_what_their_faces_list() -> None:
    crossed = {
        target
        for module, path in MODULES.items()
        for target in imports(path)
        if room(target) != room(module)
    }

    assert crossed == set().union(*map(face, ROOMS))


def test_import_linter_keeps_all_other_modules_inside() -> None:
    protected = {
        contract["allowed_importers"][0]: set(contract["protected_modules"])
        for contract in CONTRACTS
        if contract["type"] == "protected"
    }
    inside = {
        package: {
            module
            for module, path in MODULES.items()
            if room(module) == package and path.name != "__init__.py"
        }
        - face(package)
        for package in ROOMS
    }

    assert protected == {package: modules for package, modules in inside.items() if modules}
