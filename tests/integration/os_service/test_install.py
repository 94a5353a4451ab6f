"""`service` on Linux: what it writes, what it asks of systemctl, and what it says."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.loading import SettingsError, load
from consumer.cli.context import SettingsFiles
from consumer.core.errors import SetupError
from consumer.os_service import files
from consumer.os_service.layout import NAME, Layout
from tests.support.processes import run
from tests.support.systemd import analyze, exposure

if sys.platform != "linux":
    pytest.skip("systemd is on Linux alone", allow_module_level=True)

from consumer.cli.service import linux as installing
from consumer.cli.service import linux as service

# A program in the place of systemctl and journalctl: it writes down what it was asked.
_STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "{calls}"
case "$1" in
  --version) echo "systemd {version} ({version}-1)" ;;
  show) printf 'ActiveState={active}\\nSubState=running\\nUnitFileState=enabled\\nMainPID=42\\n'
        printf 'ActiveEnterTimestamp=today\\nNRestarts=0\\nStatusText=taking webhooks\\n' ;;
  restart) {restart} ;;
esac
"""
SETTINGS = "CXONE_SHARED_SECRET=top-secret\nMONGODB_URI=mongodb://u:pw@db/\nDD_ENV=prod\n"


class Machine:
    """A machine in a directory; `calls` is what was asked of systemd."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layout = Layout(
            unit=root / "systemd" / f"{NAME}.service",
            settings=root / "etc" / f"{NAME}.env",
            credentials=root / "etc" / "credentials",
            state=root / "state",
            booted=root / "booted",
        )
        (root / "systemd").mkdir()
        (root / "work").mkdir()
        monkeypatch.chdir(root / "work")
        self._programs = root / "bin"
        self._programs.mkdir()
        self._calls = root / "calls"
        monkeypatch.setenv("PATH", f"{self._programs}:{os.environ['PATH']}")

    def boot(self, version: int = 252, active: str = "active", restart: str = "exit 0") -> None:
        self.layout.booted.mkdir(exist_ok=True)
        for name in ("systemctl", "journalctl"):
            program = self._programs / name
            program.write_text(
                _STAND_IN.format(calls=self._calls, version=version, active=active, restart=restart)
            )
            program.chmod(0o755)

    def calls(self) -> list[str]:
        found = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return found

    def install(self, files: SettingsFiles | None = None, **options: Any) -> None:
        given: dict[str, Any] = {
            "user": None,
            "settings": None,
            "embedded": False,
            "dry_run": False,
            **options,
        }
        installing.install(files or SettingsFiles(), layout=self.layout, **given)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_installing_writes_closed_files_enables_and_starts(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.boot()
    Path(".env").write_text(SETTINGS)

    machine.install()

    layout = machine.layout
    assert mode(layout.unit) == 0o644
    assert mode(layout.settings) == mode(layout.credentials / "MONGODB_URI") == 0o600
    assert mode(layout.credentials) == 0o700
    assert (layout.credentials / "CXONE_SHARED_SECRET").read_text() == "top-secret"
    assert "top-secret" not in layout.settings.read_text() + layout.unit.read_text()
    assert [call for call in machine.calls() if " show " not in call] == [
        "systemctl --version",
        "systemctl daemon-reload",
        f"systemctl enable {NAME}.service",
        f"systemctl restart {NAME}.service",
    ]
    said = capsys.readouterr().out
    assert "ready: taking webhooks" in said
    assert "top-secret" not in said
    assert "u:pw" not in said


def test_no_file_can_be_read_by_others_before_it_is_whole(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text(SETTINGS)
    modes: list[int] = []
    monkeypatch.setattr(
        os, "fsync", lambda number: modes.append(stat.S_IMODE(os.fstat(number).st_mode))
    )
    before = os.umask(0)
    try:
        machine.install()
    finally:
        os.umask(before)

    # Two secrets, the settings and the unit, which everybody may read in its place.
    assert modes == [0o600] * 4


def test_the_installed_unit_passes_the_checks_of_systemd(machine: Machine) -> None:
    Path(".env").write_text(SETTINGS)

    machine.install()

    assert analyze("verify", str(machine.layout.unit)) == ""
    assert exposure(machine.layout.unit) <= 1.5


def test_what_was_installed_can_be_loaded_as_systemd_hands_it_over(machine: Machine) -> None:
    Path(".env").write_text(SETTINGS)
    machine.install()

    # What EnvironmentFile=, UnsetEnvironment= and LoadCredential= leave.
    pairs = [line.partition("=") for line in machine.layout.settings.read_text().splitlines()]
    environ = {name: value for name, _, value in pairs if not name.endswith("_FILE")}
    as_service = load({}, {**environ, "CREDENTIALS_DIRECTORY": str(machine.layout.credentials)})
    by_hand = load({}, {}, machine.layout.settings)

    # Where each came from differs.
    assert as_service.model_dump() == by_hand.model_dump()
    assert as_service.cxone_shared_secret is not None
    assert as_service.cxone_shared_secret.get_secret_value() == "top-secret"
    assert as_service.cxone_data_dir == machine.layout.state


def test_a_config_file_of_the_command_line_is_that_of_the_service(machine: Machine) -> None:
    Path("old.toml").write_text('dd_env = "old"\n')
    Path("new.toml").write_text('dd_env = "staging"\n')
    Path(".env").write_text(f"{SETTINGS.replace('DD_ENV=prod', '')}CXONE_CONFIG=old.toml\n")

    machine.install(SettingsFiles(config_file=Path("new.toml")))

    unit = machine.layout.unit.read_text()
    assert f"LoadCredential=config.toml:{Path('new.toml').absolute()}\n" in unit
    assert " --config ${CREDENTIALS_DIRECTORY}/config.toml serve\n" in unit
    # Other commands find it where the service does.
    assert load({}, {}, machine.layout.settings).dd_env == "staging"


def test_code_in_a_home_directory_is_told_with_the_way_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_text(SETTINGS)
    monkeypatch.setattr(files, "HIDDEN", (Path(sys.prefix).parent,))

    machine.install()

    said = capsys.readouterr().out
    assert f"in a home directory ({sys.prefix}" in said
    assert "python3 -m venv /opt/" in said


def test_installing_again_changes_nothing_and_disturbs_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.boot()
    Path(".env").write_text(SETTINGS)
    machine.install()
    machine.calls()
    capsys.readouterr()

    machine.install()

    assert not [call for call in machine.calls() if "restart" in call]
    assert "Nothing changed." in capsys.readouterr().out


def test_installing_again_starts_a_service_that_was_stopped(machine: Machine) -> None:
    machine.boot()
    Path(".env").write_text(SETTINGS)
    machine.install()
    machine.calls()
    machine.boot(active="inactive")

    machine.install()

    assert f"systemctl restart {NAME}.service" in machine.calls()


def test_installing_again_closes_files_that_were_opened(machine: Machine) -> None:
    Path(".env").write_text(SETTINGS)
    machine.install()
    machine.layout.settings.chmod(0o644)

    machine.install()

    assert mode(machine.layout.settings) == 0o600


def test_the_account_that_was_asked_for_is_that_of_the_unit(machine: Machine) -> None:
    Path(".env").write_text(SETTINGS)

    machine.install(user="daemon")

    assert "User=daemon\n" in machine.layout.unit.read_text()


def test_installing_again_shows_and_applies_what_changed(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.boot()
    Path(".env").write_text(SETTINGS)
    machine.install()
    with machine.layout.settings.open("a") as file:
        file.write("CXONE_DRAIN_TIMEOUT=90s\nDD_API_KEY=a-key\n")
    machine.calls()
    capsys.readouterr()

    machine.install()

    said = capsys.readouterr().out
    assert "-TimeoutStopSec=75s" in said
    assert "+TimeoutStopSec=135s" in said
    assert "a-key" not in said
    assert (machine.layout.credentials / "DD_API_KEY").read_text() == "a-key"
    assert f"systemctl restart {NAME}.service" in machine.calls()


def test_a_named_settings_file_is_used_where_it_is_and_closed(machine: Machine) -> None:
    own = Path("own.env").absolute()
    own.write_text(SETTINGS)
    own.chmod(0o644)

    machine.install(settings=own)

    assert mode(own) == 0o600
    assert f"EnvironmentFile={own}\n" in machine.layout.unit.read_text()
    assert not machine.layout.settings.exists()


def test_without_any_settings_a_secret_is_made_and_told_where(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.install()

    secret = machine.layout.credentials / "CXONE_SHARED_SECRET"
    said = capsys.readouterr().out
    assert len(secret.read_text()) >= 32
    assert str(secret) in said
    assert "MONGODB_URI" in said


def test_without_systemd_it_says_how_to_start_by_hand_and_that_works(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_text(SETTINGS)

    machine.install()

    said = capsys.readouterr().out
    assert "systemd does not run here" in said
    command = next(line for line in said.splitlines() if line.startswith("  /")).split()
    assert command[-1] == "serve"
    checked = subprocess.run([*command, "--help"], capture_output=True, check=False)
    assert checked.returncode == 0


def test_by_hand_it_has_the_settings_of_the_config_file_too(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("more.toml").write_text('dd_env = "staging"\n')
    Path(".env").write_text(SETTINGS.replace("DD_ENV=prod", ""))

    machine.install(SettingsFiles(config_file=Path("more.toml")))

    said = capsys.readouterr().out
    command = next(line for line in said.splitlines() if line.startswith("  /")).split()
    # Only systemd knows of its credentials.
    assert "$" not in " ".join(command)
    assert load({}, {}, Path(command[command.index("--env-file") + 1])).dd_env == "staging"


def test_only_who_may_write_there_may_try(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text(SETTINGS)
    machine.layout.unit.parent.rmdir()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(SetupError, match=r"only root may install .* --dry-run"):
        machine.install()
    with pytest.raises(SetupError, match="only root may uninstall"):
        installing.uninstall(machine.layout)
    machine.install(dry_run=True)

    assert not machine.layout.settings.exists()


def test_a_dry_run_prints_a_whole_unit_and_changes_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    machine.boot()
    Path(".env").write_text(SETTINGS)

    machine.install(dry_run=True)

    said = capsys.readouterr().out
    printed = tmp_path / f"{NAME}.service"
    printed.write_text(said)
    assert analyze("verify", str(printed)) == ""
    assert "#   DD_ENV=prod" in said
    assert "top-secret" not in said
    assert not machine.layout.unit.exists()
    assert not machine.layout.settings.exists()
    assert machine.calls() == []


def test_wrong_settings_stop_it_before_anything_is_written(machine: Machine) -> None:
    Path(".env").write_text(SETTINGS + "CXONE_THREADS=many\n")

    with pytest.raises(SettingsError, match="CXONE_THREADS"):
        machine.install()

    assert not machine.layout.unit.exists()


def test_missing_settings_leave_it_installed_but_not_started(machine: Machine) -> None:
    machine.boot()
    Path(".env").write_text("CXONE_SHARED_SECRET=top-secret\n")

    with pytest.raises(SetupError, match="MONGODB_URI"):
        machine.install()

    assert machine.layout.unit.exists()
    assert not [call for call in machine.calls() if "restart" in call]

    machine.install(embedded=True)
    assert f"systemctl restart {NAME}.service" in machine.calls()


def test_a_start_that_fails_is_an_error_that_says_where_to_look(machine: Machine) -> None:
    machine.boot(restart="echo Job failed >&2; exit 1")
    Path(".env").write_text(SETTINGS)

    with pytest.raises(SetupError, match=r"Job failed.*service logs"):
        machine.install()


def test_a_systemd_that_cannot_hand_over_secrets_is_refused(machine: Machine) -> None:
    machine.boot(version=239)
    Path(".env").write_text(SETTINGS)

    with pytest.raises(SetupError, match="247"):
        machine.install()

    assert not machine.layout.unit.exists()


def test_a_user_who_does_not_exist_is_refused_with_the_way_out(machine: Machine) -> None:
    Path(".env").write_text(SETTINGS)

    with pytest.raises(SetupError, match="useradd"):
        machine.install(user="nobody-of-this-name")

    assert not machine.layout.unit.exists()


def test_uninstalling_leaves_settings_and_data_and_says_where(machine: Machine) -> None:
    machine.boot()
    Path(".env").write_text(SETTINGS)
    machine.install()
    machine.calls()
    machine.layout.state.mkdir()

    said = installing.uninstall(machine.layout)

    assert not machine.layout.unit.exists()
    assert machine.layout.settings.exists()
    assert (machine.layout.credentials / "CXONE_SHARED_SECRET").exists()
    assert machine.layout.state.exists()
    assert str(machine.layout.state) in said
    assert machine.calls() == [
        f"systemctl disable --now {NAME}.service",
        "systemctl daemon-reload",
    ]
    with pytest.raises(SetupError, match="not installed"):
        installing.uninstall(machine.layout)


def test_where_systemd_does_not_run_uninstalling_asks_nothing_of_it(machine: Machine) -> None:
    machine.boot()
    machine.layout.unit.write_text("")
    machine.layout.booted.rmdir()

    installing.uninstall(machine.layout)

    assert not machine.layout.unit.exists()
    assert machine.calls() == []


Command = Callable[[Layout], object]
COMMANDS: Mapping[str, Command] = {
    "start": service.start,
    "stop": service.stop,
    "status": lambda layout: service.status(False, layout),
    "logs": lambda layout: service.logs(10, False, layout),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_say_what_is_missing(machine: Machine, name: str) -> None:
    with pytest.raises(SetupError, match="service install"):
        COMMANDS[name](machine.layout)

    machine.layout.unit.write_text("")
    with pytest.raises(SetupError, match="systemd does not run here"):
        COMMANDS[name](machine.layout)


@pytest.mark.parametrize(("active", "status"), [("active", 0), ("failed", 1), ("activating", 1)])
def test_status_is_that_of_systemd(
    machine: Machine, capsys: pytest.CaptureFixture[str], active: str, status: int
) -> None:
    machine.boot(active=active)
    machine.layout.unit.write_text("")

    assert service.status(False, machine.layout) == status
    assert active in capsys.readouterr().out


def test_logs_are_those_of_the_journal(machine: Machine) -> None:
    machine.boot()
    machine.layout.unit.write_text("")

    assert service.logs(7, True, machine.layout) == 0
    assert machine.calls() == [f"journalctl --unit={NAME}.service --lines=7 --no-pager --follow"]


def test_the_command_itself_prints_a_unit(tmp_path: Path) -> None:
    done = run(["service", "install", "--dry-run", "--embedded"], tmp_path)

    assert done.returncode == 0
    assert b"Type=notify" in done.stdout
    assert list(tmp_path.iterdir()) == []
