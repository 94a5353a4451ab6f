"""Names of the service and places of its files, under systemd and under Windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.environment import program_data

NAME = "cxone-consumer"
TITLE = "NICE CXone webhook consumer"
DESCRIPTION = "Keeps every NICE CXone Data Action webhook in MongoDB and watches its schema evolve."

# Seconds until the service must be ready under Windows; afterwards it ends with an error and is
# started anew. A MongoDB of its own may take a minute.
LONGEST_START = 180.0

# An account that Windows makes for the service alone: no password, no rights of persons.
WINDOWS_ACCOUNT = f"NT SERVICE\\{NAME}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Absolute paths. `state` is what `StateDirectory=` makes of the name of the service; `booted`
    exists where systemd runs, see sd_booted(3)."""

    unit: Path = Path("/etc/systemd/system") / f"{NAME}.service"
    settings: Path = Path("/etc") / NAME / f"{NAME}.env"
    credentials: Path = Path("/etc") / NAME / "credentials"
    state: Path = Path("/var/lib") / NAME
    booted: Path = Path("/run/systemd/system")

    @property
    def systemd_runs(self) -> bool:
        return self.booted.is_dir()


@dataclass(frozen=True, slots=True)
class WindowsLayout:
    """Everything below one folder: the working directory of a service would be System32."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "settings.env"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def log(self) -> Path:
        return self.logs / "service.log"


def windows_layout() -> WindowsLayout:
    """The layout of this machine: below %ProgramData%\\cxone-consumer."""
    return WindowsLayout(program_data() / NAME)
