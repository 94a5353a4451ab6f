"""Write the systemd unit from its template, config/cxone-consumer.service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from consumer.os_service.layout import DESCRIPTION, NAME

_CONFIG = "config.toml"


@dataclass(frozen=True, slots=True)
class Unit:
    """The parts of a unit that differ from one installation to another.

    `credentials` are files by setting; `hidden_code` is code in home directories, which the
    service must still read; times are seconds; `user` None: an account made up at each start.
    """

    interpreter: Path
    settings: Path
    state: Path
    credentials: Mapping[str, Path]
    drain_timeout: float
    stop_timeout: float
    config: Path | None = None
    user: str | None = None
    hidden_code: tuple[Path, ...] = ()
    embedded: bool = False


def render(unit: Unit) -> str:
    """The text of the unit file."""
    text = files("config").joinpath(f"{NAME}.service").read_text(encoding="utf-8")
    for name, value in _values(unit).items():
        text = text.replace(f"@{name}@", value)
    return text


def _values(unit: Unit) -> dict[str, str]:
    return {
        "description": DESCRIPTION.rstrip("."),
        "command": _command(unit),
        "drain": f"{unit.drain_timeout:g}",
        "stop": f"{unit.stop_timeout:g}",
        "settings": _escaped(str(unit.settings)),
        "credentials": _credentials(unit),
        "identity": f"User={unit.user}" if unit.user else "DynamicUser=yes",
        "data": _escaped(str(unit.state)),
        "home": _home(unit.hidden_code),
        "memory": _memory(unit.embedded),
    }


def _command(unit: Unit) -> str:
    # -I: nothing from the environment or the working directory is imported.
    words = [str(unit.interpreter), "-I", "-m", "consumer"]
    if unit.config is not None:
        words += ["--config", f"${{CREDENTIALS_DIRECTORY}}/{_CONFIG}"]
    words.append("serve")
    if unit.embedded:
        words.append("--embedded")
    return " ".join([_word(words[0]), *words[1:]])


def _credentials(unit: Unit) -> str:
    given = dict(unit.credentials)
    lines = [f"LoadCredential={name}:{_escaped(str(path))}" for name, path in given.items()]
    if given:
        # In the settings file for the other commands; these paths are not for the service.
        lines.append(f"UnsetEnvironment={' '.join(f'{name}_FILE' for name in given)}")
    if unit.config is not None:
        lines.append(f"LoadCredential={_CONFIG}:{_escaped(str(unit.config))}")
    return "\n".join(lines or ["# (none are set)"])


def _home(hidden_code: Sequence[Path]) -> str:
    if not hidden_code:
        return "ProtectHome=yes"
    paths = " ".join(_word(str(path).replace(":", "\\:")) for path in hidden_code)
    why = "# The program itself is in a home directory."
    return f"{why}\nProtectHome=tmpfs\nBindReadOnlyPaths={paths}"


def _memory(embedded: bool) -> str:
    if embedded:
        # mongod 6.0 was seen to exit with status 100 under it: it compiles JavaScript.
        return "# Not MemoryDenyWriteExecute=: mongod does not start under it."
    return "MemoryDenyWriteExecute=yes"


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    text = _escaped(text)
    if not any(character in text for character in " \t\"'\\"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
