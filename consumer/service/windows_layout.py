"""Where the Windows service keeps its files: its working directory would be System32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.windows import program_data
from consumer.service.names import NAME


@dataclass(frozen=True, slots=True)
class WindowsLayout:
    """Everything below one folder, %ProgramData%\\cxone-consumer."""

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


def of_this_machine() -> WindowsLayout:
    return WindowsLayout(program_data() / NAME)
