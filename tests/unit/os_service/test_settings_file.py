"""Settings files as a service gets them: no secret in them, and read alike by everybody."""

from __future__ import annotations

import io
import re
import string
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.core.errors import SetupError
from consumer.os_service.settings_file import Fitted, fit, quoted

# Absolute, which on Windows takes a drive.
SOURCE = Path("/srv/app/.env").absolute()
FOLDER = Path("/etc/cxone-consumer/credentials").absolute()
STATE = Path("/var/lib/cxone-consumer").absolute()


def fitted(text: str, source: Path = SOURCE) -> Fitted:
    return fit(text, source, FOLDER, STATE)


def values(text: str) -> dict[str, str | None]:
    return dotenv_values(stream=io.StringIO(text), interpolate=False)


def test_secrets_move_into_files_and_leave_their_names() -> None:
    done = fitted("# mine\nexport SHARED_SECRET='it\\'s $ecret'\nMONGO_URI=mongodb://u:p@db\n")

    assert done.secrets == {
        FOLDER / "CXONE_SHARED_SECRET": "it's $ecret",
        FOLDER / "MONGODB_URI": "mongodb://u:p@db",
    }
    assert values(done.text) == {
        "CXONE_SHARED_SECRET_FILE": str(FOLDER / "CXONE_SHARED_SECRET"),
        "MONGODB_URI_FILE": str(FOLDER / "MONGODB_URI"),
        "CXONE_DATA_DIR": str(STATE),
    }
    assert done.text.startswith("# mine\n")
    assert "ecret'" not in done.text + "".join(done.notes)


def test_secrets_already_in_files_stay_there() -> None:
    done = fitted("CXONE_SHARED_SECRET_FILE=secrets/cxone\nDD_API_KEY_FILE=/run/dd\n")

    assert not done.secrets
    assert done.credentials == {
        "CXONE_SHARED_SECRET": SOURCE.parent / "secrets" / "cxone",
        "DD_API_KEY": Path("/run/dd").absolute(),
    }


def test_the_data_directory_is_that_of_the_service_and_a_change_is_told() -> None:
    assert values(fitted("DD_ENV=prod\n").text)["CXONE_DATA_DIR"] == str(STATE)

    moved = fitted("CXONE_DATA_DIR=./data\n")
    assert values(moved.text)["CXONE_DATA_DIR"] == str(STATE)
    assert "./data" in moved.notes[0]


def test_a_config_file_is_found_from_anywhere() -> None:
    done = fitted("CXONE_CONFIG=more.toml\n")

    assert done.config == SOURCE.with_name("more.toml")
    assert values(done.text)["CXONE_CONFIG"] == str(done.config)


def test_of_two_config_files_it_is_the_last_as_for_every_reader() -> None:
    done = fitted("CXONE_CONFIG=one.toml\nCXONE_CONFIG=two.toml\n")

    assert done.config == SOURCE.with_name("two.toml")
    assert values(done.text)["CXONE_CONFIG"] == str(done.config)


@pytest.mark.parametrize("text", ["", "CXONE_CONFIG=more.toml\n", "DD_ENV=prod\n"])
def test_a_config_file_that_is_named_elsewhere_goes_before_it(text: str) -> None:
    other = Path("/srv/it's other.toml").absolute()
    done = fit(text, SOURCE, FOLDER, STATE, other)

    assert done.config == other
    assert values(done.text)["CXONE_CONFIG"] == str(other)
    assert done.text.count("CXONE_CONFIG") == 1
    assert fitted(done.text).text == done.text


@pytest.mark.parametrize("text", ["", "\n\n# only words", "CXONE_SHARED_SECRET=\nDD_ENV\n"])
def test_what_is_not_set_stays_as_it_is(text: str) -> None:
    done = fitted(text)

    assert done.text.startswith(text)
    assert not done.credentials


def test_what_systemd_would_read_otherwise_is_written_so_that_both_agree() -> None:
    done = fitted("DD_TAGS=a:b # a remark\nexport DD_ENV = 'two words'\n")

    assert done.text == f'DD_TAGS=a:b\nDD_ENV="two words"\nCXONE_DATA_DIR={quoted(str(STATE))}\n'


def test_a_line_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SetupError, match=re.escape(f"{SOURCE} line 4")):
        fitted("DD_ENV=prod\n\n\nDD_TAGS='open\n")


_TEXT = st.text(string.printable.replace("\r", "").replace("\x0b", "").replace("\x0c", ""))
_VALUES = st.dictionaries(
    st.sampled_from(["DD_ENV", "DD_TAGS", "MONGODB_URI", "FOREIGN"]), _TEXT.filter(bool)
)


@settings(deadline=None)
@given(_VALUES)
def test_fitting_keeps_every_value_and_fitting_again_changes_nothing(given: dict[str, str]) -> None:
    text = "".join(
        "{}='{}'\n".format(name, value.replace("\\", "\\\\").replace("'", "\\'"))
        for name, value in given.items()
    )
    once = fitted(text)
    again = fitted(once.text, FOLDER.parent / "cxone-consumer.env")

    kept = {name: value for name, value in values(once.text).items() if name in given}
    moved = once.secrets.get(FOLDER / "MONGODB_URI")
    assert {**kept, **({"MONGODB_URI": moved} if moved else {})} == given
    assert (again.text, again.credentials, again.notes) == (once.text, once.credentials, ())
    assert not again.secrets
