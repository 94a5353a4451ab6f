"""Registrations with Windows, through pywin32's own win32serviceutil."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from config.environment import install_command
from config.loading import SettingsError, load
from consumer.cli.context import SettingsFiles
from consumer.core.errors import SetupError
from tests.windows.machine import (
    RUNNING,
    START_PENDING,
    STOP,
    STOP_PENDING,
    STOPPED,
    ApiError,
    Status,
    Windows,
)

SETTINGS = "CXONE_SHARED_SECRET=top-secret\nMONGODB_URI=mongodb://u:pw@db/\n"
NAME = "cxone-consumer"


@pytest.fixture
def command(windows: Windows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """`service install` and `uninstall`, on a machine with settings in the current directory."""
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path / "ProgramData"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path(".env").write_text(SETTINGS)
    module = importlib.import_module("consumer.cli.service.windows")

    def runs() -> None:
        windows.set_status(1, (0x10, 4, 1, 0, 0, 0, 0))

    windows.on_start = runs
    return module


def running() -> ModuleType:
    """The commands for a service that is there."""
    return importlib.import_module("consumer.cli.service.windows")


def install(command: ModuleType, files: SettingsFiles | None = None, **options: Any) -> None:
    given = {"user": None, "settings": None, "embedded": False, "dry_run": False, **options}
    command.install(files or SettingsFiles(), **given)


def stops_when_asked(windows: Windows, after: float = 0.0) -> None:
    """The running service stops, `after` seconds of draining."""

    def end() -> None:
        windows.set_status(1, (0x10, STOPPED, 0, 0, 0, 0, 0))

    def control(code: int, kind: int, data: Any) -> None:
        assert code == STOP
        windows.set_status(1, (0x10, STOP_PENDING, 0, 0, 0, 1, 20_000))
        drained = threading.Timer(after, end)
        drained.daemon = True
        drained.start()

    windows.handler = control


def root() -> Path:
    return Path.cwd().parent / "ProgramData" / NAME


def test_the_interpreter_of_this_environment_is_registered_with_our_module(
    windows: Windows, command: ModuleType
) -> None:
    install(command)

    service = windows.services[NAME]
    settings = root() / "settings.env"
    expected = f'"{sys.executable}" -I -m consumer windows-service --root "{root()}"'
    assert service.command == f'{expected} --settings "{settings}"'
    assert "pythonservice" not in service.command
    assert service.account == r"NT SERVICE\cxone-consumer"
    assert service.password is None


def test_it_starts_with_the_machine_but_after_what_it_needs(
    windows: Windows, command: ModuleType
) -> None:
    install(command)

    service = windows.services[NAME]
    assert service.display == "NICE CXone webhook consumer"
    assert service.start_type == 2
    assert service.config2[3] is True
    assert service.config2[1].startswith("Keeps every NICE CXone")
    assert windows.sources == [NAME]
    assert windows.state == 4


def test_it_is_restarted_after_every_end_that_was_not_asked_for(
    windows: Windows, command: ModuleType
) -> None:
    install(command)

    config = windows.services[NAME].config2
    assert config[2]["Actions"] == ((1, 5000), (1, 30000), (1, 60000))
    # Seconds without one after which they count anew.
    assert config[2]["ResetPeriod"] == 86_400
    # Also when it ends by itself with an error.
    assert config[4] is True


def test_a_shutdown_of_the_machine_leaves_time_for_the_drain(
    windows: Windows, command: ModuleType
) -> None:
    Path(".env").write_text(SETTINGS + "CXONE_DRAIN_TIMEOUT=90s\n")

    install(command)

    assert windows.services[NAME].config2[7] == 135_000


def test_files_are_closed_to_all_but_system_administrators_and_the_service(
    windows: Windows, command: ModuleType
) -> None:
    from consumer.os_service.windows_acl import service_sid

    install(command)

    sid = service_sid(NAME)
    closed = f"O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;{sid})"
    assert windows.descriptors[str(root())] == closed
    assert windows.descriptors[str(root() / "data")] == closed.replace("0x1200a9", "0x1301bf")
    assert windows.descriptors[str(root() / "logs")] == closed.replace("0x1200a9", "0x1301bf")
    assert windows.descriptors[str(root() / "settings.env")] == closed.replace("OICI", "")
    assert windows.services[NAME].config2[5] == 1


def test_secrets_are_written_only_into_a_folder_that_is_closed_already(
    windows: Windows, command: ModuleType
) -> None:
    install(command)

    assert windows.held_when_closed[str(root())] == []
    assert (root() / "settings.env").is_file()


def test_the_identity_of_a_service_is_that_which_windows_makes_of_its_name(
    windows: Windows,
) -> None:
    from consumer.os_service.windows_acl import service_sid

    # Well known: the owner of the system's own files.
    assert (
        service_sid("TrustedInstaller")
        == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    )


def test_a_folder_that_somebody_else_made_first_is_not_trusted(
    windows: Windows, command: ModuleType
) -> None:
    root().mkdir(parents=True)
    (root() / "settings.env").write_text("planted=1\n")
    windows.owners[str(root())] = "S-1-5-21-1-2-3-1001"

    with pytest.raises(SetupError, match="S-1-5-21-1-2-3-1001"):
        install(command)

    assert not windows.services


def test_an_empty_folder_of_somebody_else_is_taken_over(
    windows: Windows, command: ModuleType
) -> None:
    root().mkdir(parents=True)
    windows.owners[str(root())] = "S-1-5-21-1-2-3-1001"

    install(command)

    assert windows.owners[str(root())] == "S-1-5-32-544"
    assert windows.state == RUNNING


def test_settings_go_along_with_files_in_their_places(
    windows: Windows, command: ModuleType
) -> None:
    install(command)

    settings = load({}, {}, root() / "settings.env")
    assert settings.cxone_data_dir == root() / "data"
    assert settings.cxone_shared_secret is not None
    assert settings.cxone_shared_secret.get_secret_value() == "top-secret"


def test_a_config_file_of_the_command_line_is_that_of_the_service(
    windows: Windows, command: ModuleType
) -> None:
    Path("old.toml").write_text('dd_env = "old"\n')
    Path("it's mine.toml").write_text('dd_env = "prod"\n')
    Path(".env").write_text(SETTINGS + "CXONE_CONFIG=old.toml\n")

    install(command, SettingsFiles(config_file=Path("it's mine.toml")))

    settings = load({}, {}, root() / "settings.env")
    assert settings.cxone_config == Path("it's mine.toml").absolute()
    assert settings.dd_env == "prod"


def test_code_that_the_account_may_not_read_is_told_with_the_way_out(
    windows: Windows,
    command: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(command)
    assert "profile of a person" not in capsys.readouterr().out
    monkeypatch.setattr(command, "people", lambda: Path(sys.prefix).parent)
    windows.statuses.clear()

    install(command)

    said = " ".join(capsys.readouterr().out.split())
    assert f"in the profile of a person ({sys.prefix}" in said
    assert "--user" in said


def test_installing_again_brings_it_up_to_date(windows: Windows, command: ModuleType) -> None:
    install(command)
    windows.statuses.clear()
    windows.services[NAME].config2.clear()
    windows.services[NAME].display = "a title of an earlier release"

    install(command, embedded=True)

    assert windows.services[NAME].display == "NICE CXone webhook consumer"
    assert windows.services[NAME].command.endswith(" --embedded")
    assert set(windows.services[NAME].config2) == {1, 2, 3, 4, 5, 7}


def test_an_earlier_registration_is_known_and_brought_up_to_date(
    windows: Windows, command: ModuleType
) -> None:
    install(command)
    service = windows.services[NAME]
    new = service.command
    service.command = new.replace("consumer windows-service", "consumer.service.windows_main")
    assert service.command != new
    assert running().status(False) == 0
    stops_when_asked(windows)

    install(command)

    assert service.command == new
    assert running().status(False) == 0


def test_installing_again_has_a_running_service_begin_anew(
    windows: Windows, command: ModuleType
) -> None:
    install(command)
    stops_when_asked(windows)

    install(command)

    states = [status.state for status in windows.statuses]
    assert states == [START_PENDING, RUNNING, STOP_PENDING, STOPPED, START_PENDING, RUNNING]


def test_stopping_returns_when_the_drain_has_ended(windows: Windows, command: ModuleType) -> None:
    install(command)
    stops_when_asked(windows, after=0.5)

    running().stop()

    assert windows.state == STOPPED


def test_a_drain_that_takes_too_long_is_not_waited_for(
    windows: Windows, command: ModuleType
) -> None:
    install(command)
    stops_when_asked(windows, after=8.0)
    scm = importlib.import_module("consumer.os_service.windows_scm")

    with pytest.raises(SetupError, match=r"still stopping after 1 s.*service logs"):
        scm.end_run(1.0)


def starts_slowly(windows: Windows, seconds: float, *, failing: bool = False) -> None:
    """A start takes so long, and then runs or ends with an error."""
    end = (STOPPED, 0, 1066) if failing else (RUNNING, 1, 0)

    def run() -> None:
        threading.Event().wait(seconds)
        windows.set_status(1, (0x10, *end, 0x20000001 if failing else 0, 0, 0))

    windows.on_start = run


@pytest.fixture
def impatient(windows: Windows, command: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A manager that starts a service anew half a second after an end with an error."""
    scm = importlib.import_module("consumer.os_service.windows_scm")
    monkeypatch.setattr(scm, "_RESTARTS", (500,))
    monkeypatch.setattr(scm, "OUTLAST", 1.5)
    return scm


def states(windows: Windows) -> list[int]:
    return [status.state for status in windows.statuses]


def test_a_service_that_is_starting_is_stopped_once_it_runs(
    windows: Windows, command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install(command)
    windows.statuses.clear()
    starts_slowly(windows, 0.7)
    stops_when_asked(windows)
    windows.start(NAME)
    with pytest.raises(ApiError, match="cannot accept controls"):
        windows.control(STOP)

    running().stop()

    assert states(windows) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    assert windows.services[NAME].start_type == 2
    assert "It is starting" in capsys.readouterr().err


def test_a_service_that_is_starting_is_installed_again(
    windows: Windows, command: ModuleType
) -> None:
    install(command)
    windows.statuses.clear()
    starts_slowly(windows, 0.7)
    stops_when_asked(windows)
    windows.start(NAME)

    install(command, embedded=True)

    one = [START_PENDING, RUNNING]
    assert states(windows) == [*one, STOP_PENDING, STOPPED, *one]
    assert windows.services[NAME].command.endswith(" --embedded")


def test_a_service_that_is_starting_is_uninstalled(windows: Windows, command: ModuleType) -> None:
    install(command)
    windows.statuses.clear()
    starts_slowly(windows, 0.7)
    stops_when_asked(windows)
    windows.start(NAME)

    command.uninstall()

    assert states(windows) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    assert not windows.services


def test_a_restart_stops_it_and_has_it_begin_anew(windows: Windows, command: ModuleType) -> None:
    install(command)
    windows.await_state(RUNNING)
    before = len(windows.statuses)
    stops_when_asked(windows)

    said = running().restart()

    assert states(windows)[before:] == [STOP_PENDING, STOPPED, START_PENDING, RUNNING]
    assert said == "Started, and ready."


def test_the_restart_after_an_error_does_not_win_over_a_stop(
    windows: Windows,
    command: ModuleType,
    impatient: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(command)
    service = windows.services[NAME]
    windows.statuses.clear()
    service.config2[3] = False
    starts_slowly(windows, 0.3, failing=True)
    windows.start(NAME)

    stopped = running().stop()
    threading.Event().wait(1.0)

    assert states(windows) == [START_PENDING, STOPPED]
    # As it was registered.
    assert (service.start_type, service.config2[3]) == (2, True)
    assert stopped == "Stopped."
    assert "disabled for 2 s" in capsys.readouterr().err


def test_the_restart_after_an_error_does_not_win_over_an_uninstall(
    windows: Windows, command: ModuleType, impatient: ModuleType
) -> None:
    install(command)
    windows.statuses.clear()
    starts_slowly(windows, 0.3, failing=True)
    windows.start(NAME)

    command.uninstall()
    threading.Event().wait(1.0)

    assert states(windows) == [START_PENDING, STOPPED]
    assert not windows.services


def test_an_uninstall_that_fails_leaves_the_service_as_it_was_registered(
    windows: Windows, command: ModuleType, impatient: ModuleType
) -> None:
    install(command)
    service = windows.services[NAME]
    service.config2[3] = False
    windows.handler = lambda *_: windows.set_status(1, (0x10, STOP_PENDING, 0, 0, 0, 1, 20_000))

    with pytest.raises(SetupError, match="still stopping"):
        impatient.remove(0.0)

    assert (service.start_type, service.config2[3]) == (2, True)


def test_a_restart_by_windows_just_before_the_start_is_as_good(
    windows: Windows, command: ModuleType, impatient: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(command)
    stops_when_asked(windows)
    running().stop()
    utilities = importlib.import_module("win32serviceutil")
    start = utilities.StartService

    def second(name: str) -> None:
        windows.start(name)
        start(name)

    monkeypatch.setattr(utilities, "StartService", second)

    running().start()

    assert windows.state == RUNNING


def test_a_service_that_was_disabled_is_told_with_the_way_out(
    windows: Windows, command: ModuleType
) -> None:
    install(command)
    stops_when_asked(windows)
    running().stop()
    windows.services[NAME].start_type = 4

    with pytest.raises(SetupError, match=r"disabled.*service install"):
        running().start()


def test_it_says_how_to_upgrade(
    windows: Windows, command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install(command)

    said = " ".join(capsys.readouterr().out.split())
    assert "`cxone-consumer service stop`, then install the new version, then" in said


def test_missing_settings_leave_it_installed_but_not_started(
    windows: Windows, command: ModuleType
) -> None:
    Path(".env").write_text("CXONE_SHARED_SECRET=top-secret\n")

    with pytest.raises(SetupError, match="MONGODB_URI"):
        install(command)

    assert NAME in windows.services
    assert not windows.statuses


def test_another_account_has_a_password_unless_windows_knows_it(
    windows: Windows, command: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.prompt", lambda text, hide_input: "pass")

    install(command, user=r".\svc")
    assert windows.services[NAME].password == "pass"

    windows.statuses.clear()
    install(command, user="DOMAIN\\managed$")
    assert windows.services[NAME].password is None


def test_a_dry_run_changes_nothing(
    windows: Windows, command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install(command, dry_run=True)

    said = capsys.readouterr().out
    assert "windows-service" in said
    assert "top-secret" not in said
    assert not windows.services
    assert not root().exists()


def test_without_rights_it_says_what_to_do(windows: Windows, command: ModuleType) -> None:
    windows.denied = True

    with pytest.raises(SetupError, match="administrator"):
        install(command)


def test_wrong_settings_stop_it_before_anything_is_registered(
    windows: Windows, command: ModuleType
) -> None:
    Path(".env").write_text("CXONE_THREADS=many\n")

    with pytest.raises(SettingsError):
        install(command)

    assert not windows.services


def test_without_pywin32_it_says_what_to_install(
    windows: Windows, command: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "win32service", None)

    with pytest.raises(SetupError, match=re.escape(install_command("windows"))):
        install(command)


def test_without_pywin32_the_commands_are_still_there(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pywintypes", "servicemanager", "win32security", "win32service"):
        monkeypatch.setitem(sys.modules, name, None)

    importlib.import_module("consumer.cli.service.windows")
    importlib.import_module("consumer.os_service.windows_main")


def test_a_start_that_fails_is_told_with_its_code(windows: Windows, command: ModuleType) -> None:
    def fails() -> None:
        windows.set_status(1, (0x10, STOPPED, 0, 1066, 0x20000001, 0, 0))

    windows.on_start = fails

    with pytest.raises(SetupError, match=r"0x20000001.*service logs"):
        install(command)


def test_uninstalling_leaves_the_files_and_says_where(
    windows: Windows, command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install(command)
    (root() / "data" / "waiting").write_text("a delivery")
    stops_when_asked(windows)

    command.uninstall()

    assert not windows.services
    assert windows.state == STOPPED
    assert (root() / "data" / "waiting").exists()
    assert (root() / "settings.env").exists()
    assert str(root()) in capsys.readouterr().out.replace("\n", "")


def test_commands_on_a_service_that_is_not_there_say_so(
    windows: Windows, command: ModuleType
) -> None:
    here = running()
    for call in (here.start, here.stop, command.uninstall, lambda: here.status(False)):
        with pytest.raises(SetupError, match="service install"):
            call()


def test_status_tells_state_and_last_exit(
    windows: Windows, command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install(command)
    assert running().status(False) == 0
    windows.statuses.append(Status(0, STOPPED, 0, 1066, 0x20000001, 0, 0))

    assert running().status(False) == 1
    assert "0x20000001" in capsys.readouterr().out
