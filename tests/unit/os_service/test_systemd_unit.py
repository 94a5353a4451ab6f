"""The systemd unit, as systemd's own checks judge it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from consumer.os_service.systemd_unit import Unit, render
from tests.support.systemd import analyze, exposure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is on Linux alone")

PLAIN = Unit(
    interpreter=Path(sys.executable),
    settings=Path("/etc/cxone-consumer/cxone-consumer.env"),
    state=Path("/var/lib/cxone-consumer"),
    credentials={
        "CXONE_SHARED_SECRET": Path("/etc/cxone-consumer/credentials/CXONE_SHARED_SECRET"),
        "MONGODB_URI": Path("/srv/100% safe/mongo uri"),
    },
    drain_timeout=30.0,
    stop_timeout=75.0,
)
UNITS = {
    "plain": PLAIN,
    "user": dataclasses.replace(PLAIN, user="daemon"),
    "embedded": dataclasses.replace(PLAIN, embedded=True),
    "home": dataclasses.replace(PLAIN, hidden_code=(Path("/home/a b/venv"), Path("/root/py:3"))),
    "config": dataclasses.replace(PLAIN, config=Path("/etc/my settings.toml")),
    "bare": dataclasses.replace(PLAIN, credentials={}),
}


@pytest.fixture(params=UNITS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "cxone-consumer.service"
    path.write_text(render(UNITS[request.param]))
    return path


def lines(unit: Unit) -> list[str]:
    return render(unit).splitlines()


def test_systemd_has_nothing_to_say_against_the_unit(written: Path) -> None:
    assert analyze("verify", str(written)) == ""


def test_an_unknown_key_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "cxone-consumer.service"
    path.write_text(render(PLAIN).replace("ProtectClock=", "ProtectClocks="))

    assert "ProtectClocks" in analyze("verify", str(path))


def test_exposure_is_at_most_1_5(written: Path) -> None:
    assert exposure(written) <= 1.5


def test_nothing_of_the_template_is_left_unfilled(written: Path) -> None:
    places = [line for line in written.read_text().splitlines() if line.count("@") > 1]

    assert places == ["SystemCallFilter=~@privileged @resources"]


def test_systemd_waits_longer_than_the_drain() -> None:
    assert "TimeoutStopSec=75s" in lines(PLAIN)
    assert "Type=notify" in lines(PLAIN)
    assert "WatchdogSec=30s" in lines(PLAIN)


def test_secrets_come_as_credentials_and_their_paths_stay_out_of_the_environment() -> None:
    assert "LoadCredential=MONGODB_URI:/srv/100%% safe/mongo uri" in lines(PLAIN)
    assert "UnsetEnvironment=CXONE_SHARED_SECRET_FILE MONGODB_URI_FILE" in lines(PLAIN)


def test_the_config_file_comes_as_a_credential_too() -> None:
    assert "LoadCredential=config.toml:/etc/my settings.toml" in lines(UNITS["config"])


def test_it_is_restarted_after_failures_that_trying_again_can_help() -> None:
    assert "Restart=on-failure" in lines(PLAIN)
    assert "RestartPreventExitStatus=2" in lines(PLAIN)


def test_its_data_has_a_directory_of_its_own() -> None:
    assert "StateDirectory=cxone-consumer" in lines(PLAIN)
    assert "WorkingDirectory=/var/lib/cxone-consumer" in lines(PLAIN)


def test_an_account_of_its_own_or_one_for_the_run_alone() -> None:
    assert "User=daemon" in lines(UNITS["user"])
    assert "DynamicUser=yes" not in lines(UNITS["user"])
    assert "DynamicUser=yes" in lines(PLAIN)


def test_a_mongodb_of_its_own_may_compile_and_outlives_the_first_signal() -> None:
    assert "MemoryDenyWriteExecute=yes" in lines(PLAIN)
    assert "MemoryDenyWriteExecute=yes" not in lines(UNITS["embedded"])
    assert any(line.endswith("consumer serve --embedded") for line in lines(UNITS["embedded"]))
    assert "KillMode=mixed" in lines(UNITS["embedded"])


def test_code_in_a_home_directory_stays_readable_and_nothing_else_there() -> None:
    assert "ProtectHome=yes" in lines(PLAIN)
    assert "ProtectHome=tmpfs" in lines(UNITS["home"])
    assert r'BindReadOnlyPaths="/home/a b/venv" "/root/py\\:3"' in lines(UNITS["home"])
