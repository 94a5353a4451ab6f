"""`secret rotate` changes the secrets where they stand, and nothing else."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from pymongo.database import Database

from consumer.cli.init import write
from consumer.ingest.signature import fingerprint
from consumer.os_service.settings_file import fit
from tests.support.processes import run

Db = Database[dict[str, Any]]
SECRET, PREVIOUS = "CXONE_SHARED_SECRET", "CXONE_SHARED_SECRET_PREVIOUS"
OLD, OLDER = "the-old-secret-of-cxone", "the-one-before-that-one"


def values(path: Path) -> dict[str, str | None]:
    return dotenv_values(path, interpolate=False)


def rotate(path: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    ended = run(["--env-file", str(path), "secret", "rotate", *arguments], path.parent, settings)
    return ended.returncode, (ended.stdout + ended.stderr).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# mine\n{s}={o}\nDD_ENV=prod  # why\n", "# mine\n{s}={n}\n{p}={o}\nDD_ENV=prod  # why\n"),
        ("{s}={o}", "{s}={n}\n{p}={o}\n"),
        ("\n\n  export {s}='{o}'\nX=$Y\n", "\n\n  export {s}={n}\nexport {p}={o}\nX=$Y\n"),
        ("A=1\r\n{s}={o}\r\nB=2\r\n", "A=1\r\n{s}={n}\r\n{p}={o}\r\nB=2\r\n"),
        ("\ufeff{s}={o}\n", "\ufeff{s}={n}\n{p}={o}\n"),
        ("SHARED_SECRET={o}\n", "SHARED_SECRET={n}\n{p}={o}\n"),
        ("{s}={o}\nSHARED_SECRET={o}\n", "{s}={n}\nSHARED_SECRET={n}\n{p}={o}\n"),
        ("{p}=\n{s}={o}\n#{p}=x\n", "{p}={o}\n{s}={n}\n#{p}=x\n"),
        ("{s}={o}\n{s}={o}\n", "{s}={n}\n{s}={n}\n{p}={o}\n"),
    ],
)
def test_only_the_lines_of_the_secrets_change(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "my.env"
    names = {"s": SECRET, "p": PREVIOUS, "o": OLD}
    path.write_bytes(before.format(**names).encode())

    status, said = rotate(path)

    assert status == 0, said
    fresh = values(path).get(SECRET) or values(path)["SHARED_SECRET"]
    assert fresh is not None
    assert len(fresh) >= 43
    assert fresh in said
    assert path.read_bytes() == after.format(**names, n=fresh).encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("written", ["base64", "hex", "whsec"])
def test_a_new_secret_can_be_read_as_the_format_says(tmp_path: Path, written: str) -> None:
    path = tmp_path / "my.env"
    path.write_text(f"{SECRET}={'6f' * 20}\nCXONE_SECRET_FORMAT={written}\n")

    status, said = rotate(path)
    signed = run(["--env-file", str(path), "sign", str(path)], tmp_path, {})

    assert status == 0, said
    assert signed.returncode == 0, signed.stderr


def test_secrets_in_files_of_their_own_are_changed_there(tmp_path: Path) -> None:
    path, place = tmp_path / "service.env", tmp_path / "credentials" / SECRET
    place.parent.mkdir()
    place.write_text(OLD)
    path.write_text(f"{SECRET}_FILE={place}\nDD_ENV=prod\n")

    status, said = rotate(path, "--no-show")

    before = place.with_name(PREVIOUS)
    assert status == 0, said
    assert list(values(path).items()) == [
        (f"{SECRET}_FILE", str(place)),
        (f"{PREVIOUS}_FILE", str(before)),
        ("DD_ENV", "prod"),
    ]
    assert before.read_text() == OLD
    assert len(place.read_text()) >= 43
    assert place.read_text() not in said
    if os.name != "nt":
        assert stat.S_IMODE(before.stat().st_mode) == 0o600
    fitted = fit(path.read_text(), path, place.parent, tmp_path / "data")
    assert set(fitted.credentials) == {SECRET, PREVIOUS}


def test_what_the_environment_overrides_is_not_rotated_in_vain(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{SECRET}={OLD}\n")

    status, said = rotate(path, **{SECRET: "another secret, of the environment"})

    assert status == 1
    assert "environment" in said
    assert path.read_text() == f"{SECRET}={OLD}\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps rights in access lists")
def test_a_link_and_the_rights_of_the_file_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path, real = tmp_path / ".env", tmp_path / "real" / "settings"
    real.write_text(f"{SECRET}={OLD}\n")
    real.chmod(0o640)
    path.symlink_to(real)

    status, said = rotate(path)

    assert status == 0, said
    assert path.is_symlink()
    assert values(real)[PREVIOUS] == OLD
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("previous_used", "current_used", "goes"),
    [
        (timedelta(hours=1), timedelta(minutes=1), False),
        (timedelta(hours=30), timedelta(minutes=1), True),
        pytest.param(timedelta(hours=30), None, False, marks=pytest.mark.slow),
        pytest.param(None, timedelta(minutes=1), False, marks=pytest.mark.slow),
    ],
)
def test_a_previous_secret_that_may_still_sign_is_not_given_up(
    tmp_path: Path,
    mongod_uri: str,
    database: Db,
    previous_used: timedelta | None,
    current_used: timedelta | None,
    goes: bool,
) -> None:
    now = datetime.now(timezone.utc)
    for secret, used in ((OLDER, previous_used), (OLD, current_used)):
        if used is not None:
            use = {"since": now - timedelta(days=9), "last_used": now - used, "deliveries": 5}
            database["secret_use"].insert_one({"_id": fingerprint(secret.encode()), **use})
    path = tmp_path / ".env"
    text = f"{SECRET}={OLD}\n{PREVIOUS}={OLDER}\n"
    path.write_text(text + f"MONGODB_URI={mongod_uri}\nMONGODB_DATABASE={database.name}\n")

    status, said = rotate(path)

    assert status == (0 if goes else 1), said
    assert values(path)[PREVIOUS] == (OLD if goes else OLDER)
    if not goes:
        assert "--force" in said
        assert rotate(path, "--force")[0] == 0
        assert values(path)[PREVIOUS] == OLD


def test_where_nobody_can_tell_whether_the_previous_secret_signs_it_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    text = f"{SECRET}={OLD}\n{PREVIOUS}={OLDER}\nMONGODB_URI=mongodb://127.0.0.1:1\n"
    path.write_text(text + "CXONE_STORE_TIMEOUT=300ms\n")

    status, said = rotate(path)

    assert status == 3
    assert "--force" in said
    assert values(path)[PREVIOUS] == OLDER


def test_init_with_a_new_secret_leaves_every_other_setting_in_force(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{SECRET}={OLD}\nMONGODB_URI=mongodb://db\n")

    shared, _ = write(path, force=True, new_secret=True)

    assert shared.previous == OLD
    assert values(path) == {
        SECRET: shared.current,
        PREVIOUS: OLD,
        "MONGODB_URI": "mongodb://db",
    }
