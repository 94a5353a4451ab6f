"""Read secrets from files: `NAME_FILE` and the credentials directory of systemd."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from config.faults import Fault
from config.sources import Entry, Layer, read_text

_MAX_BYTES = 64 * 1024


def read_secret(path: Path) -> str:
    """The content without one trailing newline. Raises ValueError with the reason in words."""
    try:
        text = read_text(path, _MAX_BYTES)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    for newline in ("\r\n", "\n"):
        if text.endswith(newline):
            text = text.removesuffix(newline)
            break
    if not text:
        raise ValueError("empty")
    return text


def from_credentials(folder: str | None, names: Iterable[str]) -> Layer:
    """The secrets systemd hands over (`LoadCredential=NAME:…`): a file each, named like the
    setting in capitals or lower case."""
    layer = Layer()
    if not folder:
        return layer
    for name in names:
        for spelling in (name, name.lower()):
            path = Path(folder, spelling)
            try:
                if path.exists():
                    layer.entries.append(Entry(spelling, read_secret(path), f"credential {path}"))
            except (ValueError, OSError) as error:
                problem = str(error) if isinstance(error, ValueError) else "cannot be read"
                layer.faults.append(Fault(name, f"credential {path}", problem))
    return layer
