"""Write files whole, with their rights; say beforehand what changes, and where our code is."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Literal

import consumer
from consumer.core.errors import SetupError

Change = Literal["new", "changed", "unchanged"]

# What ProtectHome= hides.
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))


@dataclass(frozen=True, slots=True)
class File:
    """A file to be. What is `secret` is never shown; `show_changes` only for a file that never held
    a secret."""

    path: Path
    text: str
    mode: int = 0o600
    secret: bool = False
    show_changes: bool = False


def change_of(file: File) -> Change:
    """The change that writing it would make. Raises SetupError where that cannot be seen."""
    old = read(file.path)
    if old is None:
        return "new"
    # Windows keeps rights in access lists, which are set on the directory.
    same_mode = os.name == "nt" or stat.S_IMODE(file.path.stat().st_mode) == file.mode
    return "unchanged" if old == file.text and same_mode else "changed"


def difference(file: File) -> Iterator[str]:
    """The lines of a unified diff between what is there and what will be."""
    old = read(file.path) or ""
    if not file.show_changes or old == file.text:
        return iter(())
    name = str(file.path)
    return unified_diff(
        old.splitlines(), file.text.splitlines(), f"{name} (now)", name, lineterm=""
    )


def read(path: Path) -> str | None:
    """Its text, None where there is none. Raises SetupError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SetupError(f"cannot read {path}: {reason}") from error


def write(files: Sequence[File]) -> None:
    """Each whole or not at all; a new directory is as closed as its file. Raises SetupError."""
    for file in files:
        try:
            if not file.path.parent.is_dir():
                file.path.parent.mkdir(mode=0o755 if file.mode & 0o044 else 0o700, parents=True)
            replace(file)
        except OSError as error:
            raise SetupError(f"cannot write {file.path}: {error.strerror or error}") from error


def replace(file: File, *, backup: bool = False) -> None:
    """Put it in its place whole or not at all; what was there stays as NAME.bak with `backup`.
    Raises OSError."""
    draft = file.path.with_name(f".{file.path.name}.{secrets.token_hex(4)}.tmp")
    # 0600 from the first byte on; Windows takes the rights of the directory instead.
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as out:
            out.write(file.text)
            out.flush()
            os.fsync(out.fileno())
        draft.chmod(file.mode)
        _copy_owner(draft, file.path)
        if backup:
            file.path.replace(file.path.with_name(f"{file.path.name}.bak"))
        draft.replace(file.path)
    finally:
        draft.unlink(missing_ok=True)


def _copy_owner(draft: Path, path: Path) -> None:
    """Give it to the owner of what it replaces: root may run a command for others."""
    if sys.platform != "win32" and path.exists():
        old, new = path.stat(), draft.stat()
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.chown(draft, old.st_uid, old.st_gid)


def of_this_program() -> tuple[Path, ...]:
    """The environment, the interpreter it is made from, and the package itself."""
    package = Path(consumer.__file__).resolve().parent.parent
    # An editable installation has its code elsewhere; an installed one within its environment.
    places = [Path(sys.prefix), Path(sys.base_prefix), package]
    return tuple(
        place
        for index, place in enumerate(places)
        if not any(place.is_relative_to(other) for other in places[:index])
    )


def within(places: Iterable[Path], folders: Iterable[Path]) -> tuple[Path, ...]:
    """The `places` that lie in one of `folders`."""
    folders = tuple(folders)
    return tuple(place for place in places if any(place.is_relative_to(one) for one in folders))
