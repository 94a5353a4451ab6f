"""Plan what a service under systemd needs, and put it in place."""

from __future__ import annotations

import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

from config import loading as configuration
from config.environment import requirement
from consumer.core.errors import SetupError
from consumer.os_service import files, systemctl
from consumer.os_service.files import File
from consumer.os_service.layout import NAME, Layout
from consumer.os_service.settings_file import Fitted, fit
from consumer.os_service.systemd_unit import Unit, render
from consumer.runtime.settings_map import longest_stop, needed

if sys.platform == "win32":
    raise ImportError("for Windows there is consumer.os_service.windows_scm")


@dataclass(frozen=True, slots=True)
class Request:
    """A service as it was asked for. `source` is the settings file to start from and `text` its
    contents; None where it exists no longer or not yet, and `text` is a fresh one."""

    source: Path | None
    text: str
    config: Path | None = None
    user: str | None = None
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`files` begin with the unit; `missing` are settings without which it cannot start."""

    files: tuple[File, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def unit(self) -> File:
        return self.files[0]


def plan(request: Request, layout: Layout) -> Plan:
    """The files that installing would write. Raises SettingsError for wrong settings, SetupError
    for a file that cannot be read."""
    settings = configuration.load({}, {}, request.source, request.config)
    source = request.source or layout.settings
    fitted = fit(request.text, source, layout.credentials, layout.state, request.config)
    hidden = files.within(files.of_this_program(), files.HIDDEN)
    unit = Unit(
        interpreter=Path(sys.executable),
        settings=layout.settings,
        state=layout.state,
        credentials=fitted.credentials,
        drain_timeout=settings.cxone_drain_timeout,
        stop_timeout=longest_stop(settings),
        config=fitted.config,
        user=request.user,
        hidden_code=hidden,
        embedded=request.embedded,
    )
    wanted = needed(embedded=request.embedded)
    # A fresh file was not read: the one secret it holds is that which is needed.
    given = {name for name in wanted if getattr(settings, name.lower()) is not None}
    return Plan(
        files=(
            File(layout.unit, render(unit), 0o644, show_changes=True),
            *_settings_files(fitted, layout),
        ),
        notes=(*fitted.notes, *_about_code(hidden), *_about_user(request.user)),
        missing=tuple(name for name in wanted if name not in given | set(fitted.credentials)),
    )


def _settings_files(fitted: Fitted, layout: Layout) -> list[File]:
    secrets = [File(path, text, secret=True) for path, text in fitted.secrets.items()]
    # The secrets first: a settings file that names them must not outlive a failure between.
    return [*secrets, File(layout.settings, fitted.text)]


def _about_code(hidden: tuple[Path, ...]) -> list[str]:
    if not hidden:
        return []
    return [
        f"the program itself is in a home directory ({', '.join(map(str, hidden))}): the service"
        " may read it there, and whoever owns it can change what the service does. Better:"
        f" python3 -m venv /opt/{NAME} && /opt/{NAME}/bin/pip install '{requirement()}'"
        f" && /opt/{NAME}/bin/{NAME} service install"
    ]


def _about_user(user: str | None) -> list[str]:
    if user is None:
        return []
    try:
        pwd.getpwnam(user)
    except KeyError:
        return [_no_such_user(user)]
    return []


def _no_such_user(user: str) -> str:
    return (
        f"there is no user {user}: create it with `useradd --system --no-create-home {user}`, or"
        " leave out --user for an account that exists only while the service runs"
    )


def check_user(user: str | None) -> None:
    """Raises SetupError for a user that does not exist."""
    for fault in _about_user(user):
        raise SetupError(fault)


def check_systemd(layout: Layout) -> None:
    """Raises SetupError where systemd runs and is too old to hand over secrets."""
    if layout.systemd_runs and (found := systemctl.version()) < systemctl.OLDEST:
        raise SetupError(
            f"systemd {found} is too old: LoadCredential= needs {systemctl.OLDEST} or newer"
            " (Debian 11, Ubuntu 22.04, RHEL 9)"
        )


def put(planned: Plan) -> bool:
    """Write what differs; whether anything did. Raises SetupError."""
    changed = [file for file in planned.files if files.change_of(file) != "unchanged"]
    files.write(changed)
    return bool(changed)


def bring_up(*, changed: bool) -> bool:
    """Enable it, and start it or have it take what changed; returns when it is ready, and whether
    it was (re)started. Raises SetupError with what systemd said."""
    systemctl.call("daemon-reload")
    systemctl.call("enable", systemctl.UNIT)
    if not changed and systemctl.state().active == "active":
        return False
    systemctl.call("restart", systemctl.UNIT)
    return True


def remove(layout: Layout) -> bool:
    """Stop and forget the service; settings and data stay. Whether there was one."""
    if not layout.unit.exists():
        return False
    if layout.systemd_runs:
        systemctl.call("disable", "--now", systemctl.UNIT)
    try:
        layout.unit.unlink()
    except OSError as error:
        raise SetupError(f"cannot remove {layout.unit}: {error.strerror}") from error
    if layout.systemd_runs:
        systemctl.call("daemon-reload")
    return True
