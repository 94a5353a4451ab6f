"""One value holds when several places name one, and everything wrong is told at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.loading import Settings, SettingsError, from_process, load


def faults_of(
    environ: dict[str, str],
    overrides: dict[str, str] | None = None,
    env_file: Path | None = None,
    config_file: Path | None = None,
    required: tuple[str, ...] = (),
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(overrides or {}, environ, env_file, config_file, required)
    assert all(str(fault) in str(caught.value) for fault in caught.value.faults)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("places", range(5))
def test_the_nearest_place_that_names_a_setting_wins(tmp_path: Path, places: int) -> None:
    env_file, config_file = tmp_path / "env", tmp_path / "c.toml"
    env_file.write_text("CXONE_THREADS=3" if places >= 2 else "")
    config_file.write_text("cxone_threads = 2" if places >= 1 else "")
    environ = {"CXONE_THREADS": "4"} if places >= 3 else {}
    overrides = {"CXONE_THREADS": "5"} if places >= 4 else {}

    settings = load(overrides, environ, env_file, config_file)

    assert settings.cxone_threads == [16, 2, 3, 4, 5][places]


def test_a_credential_wins_over_the_env_file_and_the_environment_over_both(tmp_path: Path) -> None:
    (tmp_path / "shared_secret").write_text("credential")
    env_file = tmp_path / "env"
    env_file.write_text("CXONE_SHARED_SECRET=file")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    from_credential = load({}, environ, env_file)
    from_environ = load({}, {**environ, "SHARED_SECRET": "environment"}, env_file)

    assert from_credential.cxone_shared_secret is not None
    assert from_credential.cxone_shared_secret.get_secret_value() == "credential"
    assert from_environ.cxone_shared_secret is not None
    assert from_environ.cxone_shared_secret.get_secret_value() == "environment"


def test_the_environment_or_env_file_may_name_the_config_file(tmp_path: Path) -> None:
    named, told = tmp_path / "named.toml", tmp_path / "told.toml"
    named.write_text("cxone_threads = 2")
    told.write_text("cxone_threads = 3")
    env_file = tmp_path / "env"
    env_file.write_text(f"CXONE_CONFIG='{named.as_posix()}'")

    assert load({}, {"CXONE_CONFIG": str(named)}).cxone_threads == 2
    assert load({}, {}, env_file).cxone_threads == 2
    assert load({}, {"CXONE_CONFIG": str(named)}, None, told).cxone_threads == 3
    assert load({}, {"CXONE_CONFIG": str(named)}, None, told).cxone_config == told


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_text('cxone_threads = 2\ndd_site = ""')

    settings = load({"DD_SITE": ""}, {"CXONE_THREADS": ""}, None, config_file)

    assert settings.cxone_threads == 2
    assert settings.dd_site == "datadoghq.com"


def test_names_are_read_without_regard_to_case() -> None:
    assert load({"cxone_threads": "2"}, {"Log_Level": "DEBUG"}).cxone_threads == 2
    assert load({}, {"Log_Level": "DEBUG"}).log_level == "debug"


def test_all_faults_of_all_places_come_in_one_error(tmp_path: Path) -> None:
    env_file, config_file = tmp_path / "env", tmp_path / "c.toml"
    env_file.write_text("# ours\n\nCXONE_REJECT_STATUS=404\n'broken\nCXONE_TREADS=1\n")
    config_file.write_text('cxone_dedupe = "both"\nthreads = 2\n')

    found = faults_of(
        {"CXONE_MAX_BODY_BYTES": "3MiB", "CXONE_THREADS": "17"},
        {"CXONE_THREADS": "0", "NONSENSE": "1"},
        env_file,
        config_file,
        required=("MONGODB_URI", "CXONE_SHARED_SECRET"),
    )

    assert [fault.partition(")")[0] for fault in found] == [
        "NONSENSE (command line",
        "CXONE_THREADS (command line",
        "CXONE_MAX_BODY_BYTES (environment",
        f".env ({env_file} line 4",
        f"CXONE_TREADS ({env_file} line 5",
        f"CXONE_REJECT_STATUS ({env_file} line 3",
        f"threads ({config_file}",
        f"cxone_dedupe ({config_file}",
        "MONGODB_URI (not set",
        "CXONE_SHARED_SECRET (not set",
    ]


def test_a_wrong_value_is_a_fault_even_where_another_place_overrides_it(tmp_path: Path) -> None:
    config_file = tmp_path / "c.toml"
    config_file.write_text("cxone_threads = 0")

    (fault,) = faults_of({"CXONE_THREADS": "4"}, None, None, config_file)

    assert fault == (
        f"cxone_threads ({config_file}): 0 is not allowed; allowed: a whole number, from 1 to 256"
    )


def test_unknown_names_of_ours_get_a_suggestion_and_those_of_others_pass() -> None:
    found = faults_of({"CXONE_SHARED_SECRT": "hunter2", "CXONE_X": "1", "PATH": "/bin"})

    assert found == [
        "CXONE_SHARED_SECRT (environment): no such setting; did you mean CXONE_SHARED_SECRET?",
        "CXONE_X (environment): no such setting",
    ]


def test_an_unknown_name_cannot_write_to_the_terminal() -> None:
    (fault,) = faults_of({"CXONE_\x1b[2J" + "x" * 500: "1"})

    assert "\x1b" not in fault
    assert len(fault) < 200


def test_aliases_that_agree_are_one_and_that_disagree_are_a_fault() -> None:
    agreed = load({}, {"MONGO_URI": "mongodb://a", "MONGODB_URI": "mongodb://a"})
    found = faults_of({"MONGODB_URI": "mongodb://u:one@a", "MONGO_URI": "mongodb://u:two@a"})

    assert agreed.mongodb_uri is not None
    assert found == [
        "MONGO_URI (environment): disagrees with MONGODB_URI (environment); "
        "allowed: one of the two, or the same"
    ]


def test_a_higher_place_wins_over_an_alias_in_a_lower_one(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("DATADOG_API_KEY=lower")

    settings = load({}, {"DD_API_KEY": "higher"}, env_file)

    assert settings.dd_api_key is not None
    assert settings.dd_api_key.get_secret_value() == "higher"


def test_what_a_command_needs_is_required_and_says_how_to_give_it() -> None:
    (fault,) = faults_of({}, required=("CXONE_SHARED_SECRET",))

    assert fault.startswith("CXONE_SHARED_SECRET (not set): required here")
    assert "CXONE_SHARED_SECRET_FILE" in fault
    assert load({}, {"SHARED_SECRET": "s"}, required=("CXONE_SHARED_SECRET",))


def test_a_required_setting_that_is_wrong_is_reported_once(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")

    found = faults_of({"CXONE_SHARED_SECRET_FILE": missing}, required=("CXONE_SHARED_SECRET",))

    assert found == ["CXONE_SHARED_SECRET_FILE (environment): the file it names: no such file"]


def test_a_signed_timestamp_needs_the_name_of_its_header() -> None:
    signed = {"CXONE_SIGNED_CONTENT": "timestamp.body"}

    (fault,) = faults_of(signed)

    assert fault.startswith(
        "CXONE_TIMESTAMP_HEADER (settings): required with CXONE_SIGNED_CONTENT = "
    )
    assert load({}, {**signed, "CXONE_TIMESTAMP_HEADER": "X-Time"}).cxone_timestamp_header


def test_a_template_needs_the_names_of_its_headers_and_no_others() -> None:
    signed = {"CXONE_SIGNED_CONTENT": "{id}.{timestamp}.{body}"}

    time, number = faults_of(signed)

    assert time.startswith("CXONE_TIMESTAMP_HEADER (settings): required with")
    assert number.startswith("CXONE_SIGNED_ID_HEADER (settings): required with")
    assert faults_of({**signed, "CXONE_TIMESTAMP_HEADER": "a b"})[1:] == [number]
    named = {"CXONE_TIMESTAMP_HEADER": "X-Time", "CXONE_SIGNED_ID_HEADER": "X-Id"}
    assert load({}, {**signed, **named}).cxone_signed_content == "{id}.{timestamp}.{body}"
    assert load({}, {"CXONE_SIGNED_CONTENT": "v0:{body}"})


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("base64", "hunter2!"),
        ("hex", "aa bb"),
        ("hex", "abc"),
        ("whsec", "whsec_"),
        ("hex", "é"),
    ],
)
def test_a_secret_that_its_format_cannot_read_is_a_fault_that_does_not_quote_it(
    written: str, text: str
) -> None:
    given = {"CXONE_SECRET_FORMAT": written, "CXONE_SHARED_SECRET_PREVIOUS": text}

    (fault,) = faults_of({**given, "CXONE_SHARED_SECRET": "aabb"})

    begin = "CXONE_SHARED_SECRET_PREVIOUS (settings): CXONE_SECRET_FORMAT"
    begin += f" = {written}: it cannot be read as"
    assert fault.startswith(begin)
    assert text not in fault.removeprefix(begin).replace("whsec_ and base64", "")


@pytest.mark.parametrize("name", ["CXONE_SHARED_SECRET", "MONGODB_URI", "DD_API_KEY", "DD_APP_KEY"])
def test_no_secret_is_ever_shown(tmp_path: Path, name: str) -> None:
    value = "mongodb://user:hunter2@db" if name == "MONGODB_URI" else "hunter2"
    settings = load({}, {name: value})

    shown = [repr(settings), str(settings), str(settings.masked()), str(settings.model_dump())]
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({name.lower(): ["hunter2"], "cxone_threads": "hunter2"})

    assert getattr(settings, name.lower()).get_secret_value() == value
    assert not [text for text in [*shown, str(caught.value)] if "hunter2" in text]
    assert settings.masked()[name] == "********"


@pytest.mark.parametrize(
    "environ",
    [
        {"MONGODB_URI": "http://user:hunter2@db"},
        {"MONGODB_URI": "hunter2"},
        {"CXONE_SHARED_SECRET": "hunter2\udce9"},
        {"SHARED_SECRET": "hunter2", "CXONE_SHARED_SECRET": "hunter22"},
        {"DD_URL": "https://user:hunter2@proxy"},
        {"CXONE_SHARED_SECRET_FILE": "hunter2"},
        {"CXONE_SHARED_SECRET_FILE": "hunter2\0"},
        {"CXONE_HUNTER": "hunter2"},
    ],
)
def test_no_fault_shows_a_secret(environ: dict[str, str]) -> None:
    found = faults_of(environ)

    assert len(found) == 1
    assert "hunter2" not in found[0]


def test_a_wrong_value_is_shown_bounded_and_on_one_line() -> None:
    (fault,) = faults_of({"CXONE_THREADS": "a\nb\x1b" + "x" * 5000})

    assert r"'a\nb\x1bxxx" in fault
    assert len(fault) < 200
    assert "\n" not in fault


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load({}, {}).cxone_threads = 4  # type: ignore[misc]


def test_the_process_reads_its_environment_and_the_env_file_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXONE_DEDUPE", "id")
    Path(".env").write_text("CXONE_THREADS=3\nCXONE_DEDUPE=content\n")
    Path("other").write_text("CXONE_THREADS=4\n")

    beside = from_process({})
    told = from_process({}, env_file=Path("other"))

    assert (beside.cxone_threads, beside.cxone_dedupe) == (3, "id")
    assert told.cxone_threads == 4


def test_a_folder_called_dot_env_is_no_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").mkdir()

    assert from_process({}).cxone_data_dir == Path("data")


@pytest.mark.parametrize("blank", [" ", "\t", "\n\n", "\u00a0 ", "\u200b", "\ufeff \u2060"])
@pytest.mark.parametrize(
    "name",
    ["CXONE_SHARED_SECRET", "CXONE_SHARED_SECRET_PREVIOUS", "CXONE_CONSOLE_PASSWORD", "DD_API_KEY"],
)
def test_a_blank_secret_is_refused_wherever_it_stands(
    tmp_path: Path, name: str, blank: str
) -> None:
    (tmp_path / "held").write_text(blank, encoding="utf-8")
    (tmp_path / "config.toml").write_text(
        f"{name.lower()} = {json.dumps(blank)}\n", encoding="utf-8"
    )

    by_value = faults_of({name: blank})
    by_file = faults_of({f"{name}_FILE": str(tmp_path / "held")})
    by_config = faults_of({"CXONE_CONFIG": str(tmp_path / "config.toml")})

    for found in (by_value, by_file, by_config):
        assert len(found) == 1
        assert name in found[0].upper()


def test_a_short_secret_is_taken(tmp_path: Path) -> None:
    assert load({}, {"CXONE_SHARED_SECRET": " x "}).cxone_shared_secret is not None
