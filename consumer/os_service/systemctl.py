"""Ask systemd to do something, through its own command."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from consumer.core.errors import SetupError
from consumer.os_service.layout import NAME

UNIT = f"{NAME}.service"
# The first release with LoadCredential=.
OLDEST = 247
# Seconds: starting waits for the service to be ready, and stopping for its drain.
_TIMEOUT = 3900


@dataclass(frozen=True, slots=True)
class State:
    """The service as systemd knows it; `text` is the last status that it sent."""

    active: str
    sub: str
    enabled: str
    pid: int
    since: str
    restarts: int
    text: str


def version() -> int:
    """The release of systemd; raises SetupError where there is none."""
    found = re.search(r"systemd (\d+)", _run(["--version"]).stdout)
    return int(found[1]) if found else 0


def call(*arguments: str) -> None:
    """`systemctl ARGUMENTS`; raises SetupError with what it said."""
    done = _run(arguments)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise SetupError(
            f"`systemctl {' '.join(arguments)}` failed: {said or f'status {done.returncode}'};"
            f" `{NAME} service logs` shows what the service said"
        )


def state() -> State:
    """The state that `systemctl show` gives; a unit that does not exist is inactive."""
    names = "ActiveState,SubState,UnitFileState,MainPID,ActiveEnterTimestamp,NRestarts,StatusText"
    done = _run(["show", UNIT, f"--property={names}"])
    if done.returncode:
        raise SetupError(f"systemd does not answer: {' '.join(done.stderr.split())}")
    values = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return State(
        active=values.get("ActiveState", "unknown"),
        sub=values.get("SubState", ""),
        enabled=values.get("UnitFileState", ""),
        pid=int(values.get("MainPID") or 0),
        since=values.get("ActiveEnterTimestamp", ""),
        restarts=int(values.get("NRestarts") or 0),
        text=values.get("StatusText", ""),
    )


def _run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemctl")
    if program is None:
        raise SetupError("there is no systemctl on this machine: is systemd installed?")
    return subprocess.run(  # noqa: S603
        [program, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_TIMEOUT,
        check=False,
    )
