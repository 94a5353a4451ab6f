"""Reading of .env files, TOML files and files with secrets."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from config.loading import Settings, SettingsError, load


def secret_of(settings: Settings) -> str | None:
    secret = settings.cxone_shared_secret
    return secret.get_secret_value() if secret else None


def faults_of(
    environ: dict[str, str], env_file: Path | None = None, config_file: Path | None = None
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load({}, environ, env_file, config_file)
    return [str(fault) for fault in caught.value.faults]


# -- .env -----------------------------------------------------------------------------------------


def test_an_env_file_knows_quotes_comments_export_and_a_byte_order_mark(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_bytes(
        b"\xef\xbb\xbfCXONE_THREADS=2 # two\r\n\r\n"
        b"export CXONE_ID_FIELD='a b'\r\n"
        b'CXONE_TYPE_FIELD="c # d"\r\n'
        b"OTHER_PROGRAM=1\r\n"
        b"CXONE_SHARED_SECRET=a${HOME}$HOME\\n\r\n"
    )

    settings = load({}, {}, env_file)

    assert settings.cxone_threads == 2
    assert settings.cxone_id_field == "a b"
    assert settings.cxone_type_field == "c # d"
    assert secret_of(settings) == "a${HOME}$HOME\\n"


def test_an_env_file_does_not_reach_the_environment(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("CXONE_THREADS=2")

    load({}, {}, env_file)

    assert "CXONE_THREADS" not in os.environ


def test_a_line_that_cannot_be_read_is_a_fault_with_its_number(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("A=1\n\n\nCXONE_SHARED_SECRET='hunter2\nCXONE_THREADS\nUNKNOWN\n")

    found = faults_of({}, env_file)

    assert [fault.partition(";")[0] for fault in found] == [
        f".env ({env_file} line 4): cannot be read",
        f"CXONE_THREADS ({env_file} line 5): no value",
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_faults_have_the_numbers_of_their_lines_whatever_ends_a_line(
    tmp_path: Path, end: str
) -> None:
    lines = ["# a", "no line", "also none", "", "  CXONE_THREADS=x", "OTHER='a", "b'", "no more"]
    env_file = tmp_path / "env"
    env_file.write_bytes(end.join(lines).encode())

    found = faults_of({}, env_file)

    assert sorted(re.findall(r" line (\d+)\)", "".join(found))) == ["2", "3", "5", "8"]


@pytest.mark.parametrize(
    "line",
    [
        r'CXONE_DATA_DIR="C:\apps\new"',
        r'export CXONE_DATA_DIR="C:\Users\x\temp" # here',
        r'CXONE_DATA_DIR="C:\data\"',
        r'CXONE_DATA_DIR="\\server\share"',
        r"CXONE_DATA_DIR='\\server\share'",
        r'CXONE_CONFIG="C:\apps\new.toml"',
        r'CXONE_SHARED_SECRET_FILE="D:\new\secret"',
        r'DATADOG_API_KEY_FILE="\\server\share\key"',
        r'MONGODB_URI="mongodb://db/?tls=true&tlsCAFile=C:\certs\new.pem"',
    ],
)
def test_a_path_that_quotes_made_another_one_is_a_fault_that_names_them(
    tmp_path: Path, line: str
) -> None:
    env_file = tmp_path / "env"
    env_file.write_text(line)

    (found,) = faults_of({}, env_file)

    assert f"({env_file} line 1)" in found
    assert found.endswith("in quotes \\ begins an escape; allowed: / or \\\\ for each \\")
    assert found.isprintable()


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (r"CXONE_DATA_DIR=C:\apps\new folder", r"C:\apps\new folder"),
        (r"CXONE_DATA_DIR='C:\apps\new folder'", r"C:\apps\new folder"),
        (r'CXONE_DATA_DIR="C:\Program Files\x"', r"C:\Program Files\x"),
        (r'CXONE_DATA_DIR="C:\\apps\\new"', r"C:\apps\new"),
        (r'CXONE_DATA_DIR="C:/apps/new"', "C:/apps/new"),
        (r"CXONE_DATA_DIR=\\server\share", r"\\server\share"),
        (r'CXONE_DATA_DIR="\\\\server\\share"', r"\\server\share"),
        (r'CXONE_DATA_DIR="\\data\\x"', r"\data\x"),
    ],
)
def test_a_windows_path_is_read_as_it_was_meant(tmp_path: Path, line: str, path: str) -> None:
    env_file = tmp_path / "env"
    env_file.write_text(line)

    assert load({}, {}, env_file).cxone_data_dir == Path(path)


def test_a_uri_with_a_line_end_behind_it_is_taken_from_where_there_are_no_quotes() -> None:
    assert load({}, {"MONGODB_URI": "mongodb://db/?replicaSet=rs0\n"}).mongodb_uri is not None


def test_a_secret_in_quotes_has_its_escapes(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text(r'CXONE_SHARED_SECRET="\\a\b\n"')

    assert secret_of(load({}, {}, env_file)) == "\\a\b\n"


@pytest.mark.parametrize("which", ["env", "toml"])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "no such file"),
        ("CXONE_THREADS=2".encode("utf-16"), "not UTF-8 text: save it as UTF-8"),
        (b"#" * (1 << 20) + b"#", "larger than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_fault(
    tmp_path: Path, which: str, content: bytes | None, fault: str
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)

    (found,) = faults_of({}, path) if which == "env" else faults_of({}, None, path)

    assert found.endswith(f" ({path}): {fault}")


# -- TOML -----------------------------------------------------------------------------------------


def test_a_config_file_holds_typed_values_in_small_or_capital_names(tmp_path: Path) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_bytes(
        b'\xef\xbb\xbfMONGODB_URI = "mongodb://db"\ncxone_threads = 4\ncxone_store_timeout = 0.5\n'
        b'cxone_reject_status = 202\ndd_tags = ["team:care", "a"]\ncxone_data_dir = "x/y"\n'
    )

    settings = load({}, {}, None, config_file)

    assert settings.mongodb_uri is not None
    assert settings.cxone_threads == 4
    assert settings.cxone_store_timeout == 0.5
    assert settings.cxone_reject_status == 202
    assert settings.dd_tags == ("team:care", "a")
    assert settings.cxone_data_dir == Path("x/y")


@pytest.mark.parametrize(
    "line",
    [
        "cxone_threads = true",
        "cxone_threads = 4.0",
        "cxone_threads = [4]",
        "cxone_threads = 0x" + "f" * 20_000,
        "cxone_threads" + ".a" * 100 + " = 1",
        "cxone_store_timeout = nan",
        "cxone_reject_status = 202.0",
        "cxone_reject_status = true",
        "cxone_shared_secret = 123456",
        "cxone_id_field = 1",
        "cxone_data_dir = 1",
        "cxone_config = 'other.toml'",
        "dd_tags = [1]",
        "dd_env = 2024-01-01",
        "log_level = 20",
        "[cxone_listen]",
        "[other]",
        "unknown = 1",
        "subjects = 1",
    ],
)
def test_a_value_of_the_wrong_type_or_an_unknown_key_is_a_fault(tmp_path: Path, line: str) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_text(line)

    (found,) = faults_of({}, None, config_file)

    assert str(config_file) in found
    assert len(found) < 500


def test_broken_toml_is_told_by_position_and_not_by_content(tmp_path: Path) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_text('cxone_threads = 1\ncxone_shared_secret = "hunter2\n')

    (found,) = faults_of({}, None, config_file)

    assert found == f"config file ({config_file}): not valid TOML at line 2, column 31"


@pytest.mark.parametrize(
    "path",
    [
        r"C:\temp\new",
        r"C:\apps\new",
        r"C:\Users\x",
        r"C:\data\x41",
        r"\\server\share",
    ],
)
@pytest.mark.parametrize("name", ["cxone_data_dir", "CXONE_SHARED_SECRET_FILE"])
def test_a_path_in_toml_that_quotes_made_another_one_is_a_fault_that_names_them(
    tmp_path: Path, name: str, path: str
) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_text(f'{name} = "{path}"\n')

    (found,) = faults_of({}, None, config_file)

    assert found.endswith("in quotes \\ begins an escape; allowed: / or \\\\ for each \\")
    assert found.isprintable()


def test_the_secret_file_of_a_source_that_quotes_made_another_one_is_a_fault(
    tmp_path: Path,
) -> None:
    config_file, env_file = tmp_path / "c.toml", tmp_path / "env"
    config_file.write_text('[sources.a]\nsecret_file = "C:\\temp\\new"\n[sources.b]\n')
    env_file.write_text(r'CXONE_SOURCE_B_SECRET_FILE="\\server\share"')

    found = [fault for fault in faults_of({}, env_file, config_file) if "escape" in fault]

    assert [fault.partition(" (")[0] for fault in found] == [
        "CXONE_SOURCE_B_SECRET_FILE",
        "sources.a.secret_file",
    ]


def test_the_home_of_nobody_is_a_fault_and_holds_nothing_of_the_path() -> None:
    (found,) = faults_of({"CXONE_SHARED_SECRET_FILE": "~nobody-knows-them/hunter2"})

    assert found.startswith("CXONE_SHARED_SECRET_FILE (environment): the file it names: ")
    assert "hunter2" not in found


def test_a_path_in_toml_between_single_quotes_is_read_as_written(tmp_path: Path) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_text(r"cxone_data_dir = '\\server\new'")

    assert load({}, {}, None, config_file).cxone_data_dir == Path(r"\\server\new")


@pytest.mark.skipif(
    sys.platform == "win32", reason="Python takes the home of another for a folder beside ours"
)
def test_a_config_file_of_a_user_nobody_knows_is_a_fault() -> None:
    (found,) = faults_of({}, None, Path("~nobody-knows-them/c.toml"))

    # Windows takes the name for that of a folder beside the home of the user.
    assert "nobody-knows-them" in found


def test_toml_nested_without_end_is_a_fault(tmp_path: Path) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_text("a = " + "[" * 100_000)

    (found,) = faults_of({}, None, config_file)

    assert "not valid TOML" in found


# -- secrets in files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s3cret\n\n", "s3cret\n"),
        (b" s3cret \r\n\r\n", " s3cret \r\n"),
        (b"\xef\xbb\xbfs3cret\n", "s3cret"),
        ("pässwörd\n".encode(), "pässwörd"),
    ],
)
@pytest.mark.parametrize("name", ["CXONE_SHARED_SECRET_FILE", "SHARED_SECRET_FILE"])
def test_a_secret_in_a_file_loses_one_newline_and_its_byte_order_mark(
    tmp_path: Path, name: str, content: bytes, secret: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)

    assert secret_of(load({}, {name: str(path)})) == secret


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"\n", "empty"),
        (b"x" * (64 * 1024 + 1), "larger than 65536 bytes"),
        (b"\xff\xfe", "not UTF-8 text: save it as UTF-8"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_a_fault(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    found = faults_of({"DD_API_KEY_FILE": str(path)})

    assert found == [f"DD_API_KEY_FILE (environment): the file it names: {fault}"]


def test_a_folder_in_place_of_a_secret_file_is_a_fault(tmp_path: Path) -> None:
    (found,) = faults_of({"DD_API_KEY_FILE": str(tmp_path)})

    assert "cannot be read" in found


def test_a_secret_and_its_file_in_one_place_must_agree(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one\n")
    both = {"CXONE_SHARED_SECRET_FILE": str(path), "CXONE_SHARED_SECRET": "one"}

    (found,) = faults_of({**both, "CXONE_SHARED_SECRET": "two"})

    assert secret_of(load({}, both)) == "one"
    assert "disagrees with CXONE_SHARED_SECRET_FILE (environment)" in found
    assert "two" not in found.replace("one of the two", "")


def test_what_is_no_secret_has_no_file() -> None:
    (found,) = faults_of({"CXONE_LISTEN_FILE": "/etc/listen"})

    assert "no such setting; did you mean CXONE_LISTEN?" in found


@pytest.mark.parametrize("name", ["CXONE_SHARED_SECRET", "cxone_shared_secret", "SHARED_SECRET"])
def test_a_credential_is_a_file_named_like_the_secret(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("s3cret\n")
    (tmp_path / "of_another_program").write_text("x")

    assert secret_of(load({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)})) == "s3cret"


def test_credentials_under_two_names_must_agree(tmp_path: Path) -> None:
    (tmp_path / "mongo_uri").write_text("mongodb://a")
    (tmp_path / "MONGODB_URI").write_text("mongodb://b")

    (found,) = faults_of({"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert "disagrees with" in found


def test_a_credential_on_a_disk_that_ignores_case_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "DD_API_KEY").write_text("\n")
    if not (tmp_path / "dd_api_key").exists():
        # Both spellings are one file, as there.
        (tmp_path / "dd_api_key").hardlink_to(tmp_path / "DD_API_KEY")

    (found,) = faults_of({"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert found == f"DD_API_KEY (credential {tmp_path / 'DD_API_KEY'}): empty"


def test_an_empty_credential_is_a_fault_and_no_directory_is_none(tmp_path: Path) -> None:
    (tmp_path / "dd_api_key").write_text("\n")

    (found,) = faults_of({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    nowhere = load({}, {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")})

    assert found.startswith("DD_API_KEY (credential ")
    assert found.endswith("): empty")
    assert nowhere.dd_api_key is None


def test_a_secret_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    # A file where a directory should be: unlike mode bits, that stops root and Windows too.
    (tmp_path / "file").write_text("s")

    (found,) = faults_of({"DD_API_KEY_FILE": str(tmp_path / "file" / "secret")})

    assert found.startswith("DD_API_KEY_FILE (environment)")
