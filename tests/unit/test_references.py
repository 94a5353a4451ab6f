"""References in words: a module, file or heading that a comment or a document names is there.

Nothing else fails when a file moves and a sentence stays behind. And docstrings begin as they must.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.places import ROOT

_PACKAGES = ("consumer", "jobs", "config", "tests")
_TEXTS = (".md", ".yml", ".toml", ".cfg", ".html", ".conf", ".config", ".service", "")
_TOP = ("README.md", "CHANGELOG.md", "setup.cfg", "pyproject.toml")

# MongoDB's own database `config` has a collection of this name.
_FOREIGN = {"config.collections"}
# A name to be chosen, as in `screens/NAME.py`.
_PLACEHOLDER = re.compile(r"\b(?:NAME|PACKAGE|NNNN)\b")

_DOTTED = re.compile(rf"(?<![\w./-])(?:{'|'.join(_PACKAGES)})(?:\.[A-Za-z_]\w*)+(?!\()")
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(_PACKAGES)}|\.github|\.ci)/[\w./*-]*[\w*]")
# Also without their folder, where it is the name of a file of ours alone.
_FILE = re.compile(r"(?<![\w./*%-])[\w-]+(?:/[\w-]+)*\.(?:py|md|cfg)(?![\w.])")
# A module by its package in `consumer`; a class or constant by a module beside the one that speaks.
_SHORT = re.compile(r"`([a-z_]+)\.(\w+)(?=[`(]|\.[A-Z])")
_LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([\w-]+))?\)")
_HEADING = re.compile(r"(?<!\]\()(?<![\w./-])([\w./-]+\.md)#([\w-]+)")
_SECTION = re.compile(r"\b([A-Z]{4,}),? section \d")


def words() -> Iterator[tuple[Path, str]]:
    """Every text that refers to others: documents, settings, templates; of code what is no code."""
    for name in _TOP:
        yield ROOT / name, (ROOT / name).read_text(encoding="utf-8")
    for folder in (".github", ".ci", *_PACKAGES):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".py":
                yield path, comments(path)
            elif path.is_file() and path.suffix in _TEXTS and folder != "tests":
                yield path, path.read_text(encoding="utf-8")


def comments(path: Path) -> str:
    """Comments and docstrings of a module."""
    source = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return "\n".join([*found, *docstrings(source)])


def docstrings(source: str) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


def dangling(path: Path, text: str) -> Iterator[str]:
    """All that a text names and is not there."""
    text = _PLACEHOLDER.sub("*", text)
    yield from (name for name in _DOTTED.findall(text) if not is_there(name))
    for first, name in _SHORT.findall(text if path.suffix == ".py" else ""):
        beside = path.parent / f"{first}.py"
        if (ROOT / "consumer" / first).is_dir():
            short = is_there(f"consumer.{first}.{name}")
        else:
            short = not beside.is_file() or name[0].islower() or name in names(beside)
        if not short:
            yield f"{first}.{name}"
    for name in _PATH.findall(text):
        if not any(ROOT.glob(name)) and not any(ROOT.glob(f"{name}.py")):
            yield name
    yield from (name for name in _FILE.findall(text) if not is_file(name))
    yield from (f"{name} section" for name in _SECTION.findall(text) if not is_file(f"{name}.md"))
    named = [(ROOT / file, heading) for file, heading in _HEADING.findall(text)]
    if path.suffix == ".md":
        links = _LINK.findall(text)
        named += [(path.parent / file if file else path, heading) for file, heading in links]
    for file, heading in named:
        if not file.exists() or (heading and heading not in headings(file)):
            yield f"{file.name}#{heading}"


def is_there(name: str) -> bool:
    """Tell whether a dotted name is a module, or stands at the top of one."""
    if name in _FOREIGN:
        return True
    module = ROOT
    rest = name.split(".")
    while rest and (module / rest[0]).is_dir():
        module /= rest.pop(0)
    if rest and (module / f"{rest[0]}.py").is_file():
        return not rest[1:] or rest[1] in names(module / f"{rest[0]}.py")
    return not rest or rest[0] in names(module / "__init__.py")


@cache
def names(module: Path) -> frozenset[str]:
    found: set[str] = set()
    if module.is_file():
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return frozenset(found)


def is_file(name: str) -> bool:
    return any(f"/{file}".endswith(f"/{name}") for file in files())


@cache
def files() -> tuple[str, ...]:
    folders = (ROOT / folder for folder in (".github", ".ci", *_PACKAGES))
    inside = (path for folder in folders for path in folder.rglob("*"))
    return (*_TOP, *(path.relative_to(ROOT).as_posix() for path in inside))


@cache
def headings(document: Path) -> frozenset[str]:
    """Anchors of the headings of a document, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", line.lower()) for line in lines)
    return frozenset(line.strip().replace(" ", "-") for line in kept)


def test_no_comment_and_no_document_names_what_is_not_there() -> None:
    faults = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in words()
        for name in dangling(path, text)
    ]

    assert faults == []


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("README.md", "see consumer.web.app"),
        ("README.md", "made by `config.settings.rosw`"),
        ("README.md", "tests/bench/bench_nothing.py"),
        ("README.md", ".github/decisions/0000-*.md"),
        ("README.md", "kept by test_nothing.py"),
        ("README.md", "[what it promises](#no-such-heading)"),
        ("README.md", "[the picture](config/nothing.png)"),
        ("pyproject.toml", "by DESIGN section 5"),
        ("consumer/events/store.py", ".github/ARCHITECTURE.md#no-such-heading"),
        ("consumer/events/store.py", "`events.nothing` appends"),
        ("consumer/events/store.py", "see `filling.Nothing`"),
    ],
)
def test_a_reference_that_dangles_is_found(where: str, text: str) -> None:
    assert list(dangling(ROOT / where, text))


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    faults = [
        f"{path.relative_to(ROOT)}: {text[:60]}"
        for package in _PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for text in docstrings(path.read_text(encoding="utf-8"))
        if text.startswith(("What ", "How ", "Which ", "Whether ", "Where ", "Why "))
    ]

    assert faults == []
