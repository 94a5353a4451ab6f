"""Tables of sources: where their secrets may stand, and what is a fault at the start."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from config.loading import Settings, SettingsError, load
from consumer.runtime.sources import build_sources

MAIN = "the secret of main, 123"
VOICE = "the secret of voice, 1"
DESK = "the secret of desk, 12"
SECRETS = (MAIN, VOICE, DESK)


def settings(
    tmp_path: Path,
    toml: str,
    environ: dict[str, str] | None = None,
    dotenv: str = "",
    main: str = MAIN,
) -> Settings:
    config, env_file = tmp_path / "c.toml", tmp_path / "env"
    config.write_text(toml, encoding="utf-8")
    env_file.write_text(dotenv, encoding="utf-8")
    return load({}, {"CXONE_SHARED_SECRET": main, **(environ or {})}, env_file, config)


def faults_of(
    tmp_path: Path,
    toml: str,
    environ: dict[str, str] | None = None,
    dotenv: str = "",
    main: str = MAIN,
) -> list[str]:
    """The faults, none of which may quote a secret."""
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, toml, environ, dotenv, main)
    for secret in SECRETS:
        assert secret not in str(caught.value)
    return [str(fault) for fault in caught.value.faults]


def voice(more: str = "", secret: str = VOICE) -> str:
    return f'[sources.voice]\nproof = "token"\nsecret = "{secret}"\n{more}\n'


def secrets_of(found: Settings) -> list[str | None]:
    source = found.sources["voice"]
    given = (source.secret, source.secret_previous)
    return [secret.get_secret_value() if secret else None for secret in given]


BARE = '[sources.voice]\nproof = "token"\n'


def test_a_secret_may_stand_in_the_table_or_in_a_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(VOICE + "\n")
    path = (tmp_path / "s").as_posix()

    assert secrets_of(settings(tmp_path, voice(f'secret_previous = "{DESK}"'))) == [VOICE, DESK]
    assert secrets_of(settings(tmp_path, f'{BARE}secret_file = "{path}"')) == [VOICE, None]


@pytest.mark.parametrize("place", ["environment", ".env", "credentials", "lower-case credentials"])
@pytest.mark.parametrize("as_file", [False, True])
def test_variables_come_from_the_places_of_all_secrets(
    tmp_path: Path, place: str, as_file: bool
) -> None:
    given = {"CXONE_SOURCE_VOICE_SECRET": VOICE, "CXONE_SOURCE_VOICE_SECRET_PREVIOUS": DESK}
    environ, dotenv = {}, ""
    if "credentials" in place:
        folder = tmp_path / "credentials"
        folder.mkdir()
        for name, value in given.items():
            (folder / (name.lower() if "lower" in place else name)).write_text(value + "\n")
        environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    else:
        if as_file:
            for name, value in given.items():
                (tmp_path / name).write_text(value)
            given = {f"{name}_FILE": (tmp_path / name).as_posix() for name in given}
        if place == "environment":
            environ = given
        else:
            dotenv = "\n".join(f"{name}='{value}'" for name, value in given.items())

    # What stands beside the table wins over it.
    found = settings(tmp_path, voice(secret="in the table, long enough"), environ, dotenv)

    assert secrets_of(found) == [VOICE, DESK]


def test_the_nearest_place_of_a_variable_wins(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "CXONE_SOURCE_VOICE_SECRET").write_text("from the credentials")
    environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    dotenv = "CXONE_SOURCE_VOICE_SECRET='from the dotenv file'"

    assert secrets_of(settings(tmp_path, BARE, environ, dotenv))[0] == "from the credentials"
    environ["CXONE_SOURCE_VOICE_SECRET"] = "from the environment"
    assert secrets_of(settings(tmp_path, BARE, environ, dotenv))[0] == "from the environment"


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({"CXONE_SOURCE_PHONE_SECRET": VOICE}, "there is no [sources.phone] in the config file"),
        ({"CXONE_SOURCE_VOICE_SECRET_FILE": VOICE}, "the file it names: no such file"),
        ({"CXONE_SOURCE_VOICE_SECRET_FILE": "a\0b"}, "the file it names: not a path"),
        ({"CXONE_SOURCE_VOICE_SECRET": "\udcff" * 16}, "not UTF-8 text"),
        ({"CXONE_SOURCE_VOICE_SECERT": VOICE}, "no such setting"),
        (
            {"CXONE_SOURCE_VOICE_SECRET": VOICE, "CXONE_SOURCE_VOICE_SECRET_FILE": "s"},
            "disagrees with CXONE_SOURCE_VOICE_SECRET",
        ),
    ],
)
def test_a_variable_that_cannot_be_meant_is_a_fault(
    tmp_path: Path, environ: dict[str, str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s").write_text("another secret, of a file")
    monkeypatch.chdir(tmp_path)

    found = faults_of(tmp_path, voice(), environ)

    assert len(found) == 1
    assert fault in found[0]
    assert next(reversed(environ)) in found[0]


def test_a_path_of_windows_in_quotes_and_a_name_alone_are_faults(tmp_path: Path) -> None:
    dotenv = 'CXONE_SOURCE_VOICE_SECRET_FILE="C:\\new\\secret"\nCXONE_SOURCE_VOICE_SECRET_PREVIOUS'

    found = faults_of(tmp_path, voice(), dotenv=dotenv)

    assert "in quotes \\ begins an escape" in found[0]
    assert "no value" in found[1]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (f'secret = "{DESK}"', f'secret = "{DESK}"'),
        (f'secret = "{DESK}"', f'secret = "{VOICE}"\nsecret_previous = "{DESK}"'),
        (f'secret = "{VOICE}"\nsecret_previous = "{DESK}"', f'secret = "{DESK}"'),
        (f'secret = "{MAIN}"', f'secret = "{DESK}"'),
        (f'secret = "{VOICE}"\nsecret_previous = "{MAIN}"', f'secret = "{DESK}"'),
    ],
)
def test_no_two_sources_share_a_secret_current_or_previous(
    tmp_path: Path, mine: str, theirs: str
) -> None:
    (found,) = faults_of(tmp_path, f"[sources.one]\n{mine}\n[sources.two]\n{theirs}\n")

    assert "shares a secret with" in found


def test_the_previous_secret_of_main_is_no_other_s(tmp_path: Path) -> None:
    (found,) = faults_of(tmp_path, voice(), {"CXONE_SHARED_SECRET_PREVIOUS": VOICE})

    assert found.startswith("sources.voice.secret")
    assert "shares a secret with main" in found


@pytest.mark.parametrize(("form", "first"), [("base64", True), ("hex", True), ("whsec", False)])
def test_no_two_sources_share_the_bytes_of_a_secret(tmp_path: Path, form: str, first: bool) -> None:
    written = base64.b64encode(DESK.encode()).decode()
    coded = {"base64": written, "hex": DESK.encode().hex(), "whsec": f"whsec_{written}"}[form]
    tables = [
        f'[sources.one]\nsecret_format = "{form}"\nsecret = "{coded}"\n',
        f'[sources.two]\nsecret = "{DESK}"\n',
    ]

    (found,) = faults_of(tmp_path, "".join(tables if first else reversed(tables)))

    assert "shares a secret with" in found
    assert coded not in found


@pytest.mark.parametrize(
    ("toml", "environ", "named"),
    [
        ("", {"CXONE_ID_FIELD": '["n", "header:x-api-key"]'}, "CXONE_ID_FIELD (settings)"),
        ("", {"CXONE_SIGNATURE_HEADER": "X-API-Key"}, "CXONE_SIGNATURE_HEADER (settings)"),
        (f'[sources.desk]\nsecret = "{DESK}"\ntype = "header:X-Api-Key"', {}, "sources.desk.type"),
    ],
)
def test_a_header_that_carries_a_secret_has_no_other_meaning_and_its_setting_is_named(
    tmp_path: Path, toml: str, environ: dict[str, str], named: str
) -> None:
    (found,) = faults_of(tmp_path, voice(f'header = "X-Api-Key"\n{toml}'), environ)

    assert found.startswith(named)
    assert "x-api-key carries the secret" in found


def test_one_s_own_previous_secret_may_be_its_current_one(tmp_path: Path) -> None:
    assert secrets_of(settings(tmp_path, voice(f'secret_previous = "{VOICE}"'))) == [VOICE, VOICE]


@pytest.mark.parametrize(
    "path",
    [
        "/webhook/cxone-dataaction",
        "/webhook/CXone-DataAction/",
        "/healthz",
        "/readyz/",
        "/METRICS",
        "/console",
        "/console/login",
        "/oauth2/token",
        "/webhook/desk",
        "/webhook/desk/",
        "/Webhook/Desk",
    ],
)
def test_a_path_that_is_taken_is_a_fault(tmp_path: Path, path: str) -> None:
    toml = f'[sources.desk]\nsecret = "{DESK}"\n' + voice(f'path = "{path}"')

    (found,) = faults_of(tmp_path, toml)

    assert found.startswith("sources.voice.path")
    assert "a path of its own" in found


@pytest.mark.parametrize(
    "path", ["webhook", "/web hook", "/a/../b", "/a//b", "/%77ebhook/desk", "/a?b", "/a#b", "/é"]
)
def test_a_path_is_of_plain_characters_alone(tmp_path: Path, path: str) -> None:
    (found,) = faults_of(tmp_path, voice(f'path = "{path}"'))

    assert found.startswith("sources.voice.path")


@pytest.mark.parametrize("name", ["main", "Voice", "1st", "a-b", "a.b", "a" * 33, "", "é"])
def test_a_name_is_a_plain_word_and_not_main(tmp_path: Path, name: str) -> None:
    found = faults_of(tmp_path, f"[sources.{name!r}]\nsecret = '{VOICE}'\n")

    assert "not a name of a source" in found[0]


def test_the_longest_name_is_one(tmp_path: Path) -> None:
    assert settings(tmp_path, f"[sources.{'a' * 32}]\nsecret = '{VOICE}'\n").sources


@pytest.mark.parametrize("proof", ["token", "basic", "oauth2"])
@pytest.mark.parametrize("secret", ["fifteen bytes..", "a" * 513])
def test_a_secret_that_is_sent_has_16_to_512_bytes(tmp_path: Path, proof: str, secret: str) -> None:
    (found,) = faults_of(tmp_path, f'[sources.a]\nproof = "{proof}"\nsecret = "{secret}"\n')
    again = faults_of(tmp_path, "", {"CXONE_PROOF": proof}, main=secret)

    assert "too short or too long" in found
    assert secret not in found
    assert "CXONE_SHARED_SECRET" in again[0]
    assert settings(tmp_path, f'[sources.a]\nsecret = "{secret[:15]}"\n').sources


@pytest.mark.parametrize("proof", ["token", "basic", "oauth2"])
def test_a_secret_that_is_sent_is_its_text(tmp_path: Path, proof: str) -> None:
    written = f'proof = "{proof}"\nsecret_format = "base64"\nsecret = "{"QUJD" * 8}"\n'
    (found,) = faults_of(tmp_path, f"[sources.a]\n{written}")
    again = faults_of(
        tmp_path, "", {"CXONE_PROOF": proof, "CXONE_SECRET_FORMAT": "hex"}, main="ab" * 16
    )

    assert found.startswith("sources.a.secret_format")
    assert "sent as it is written; allowed: text" in found
    assert len(again) == 1
    assert again[0].startswith("CXONE_SECRET_FORMAT")


@pytest.mark.parametrize(
    "more", ['header = "X-Api-Key"', 'id = "header:x-api-key"', 'type = "header:X-API-KEY"']
)
def test_nothing_that_is_kept_stands_in_a_header_that_carries_a_secret(
    tmp_path: Path, more: str
) -> None:
    toml = voice('header = "X-Api-Key"') + f'[sources.desk]\nsecret = "{DESK}"\n{more}\n'

    (found,) = faults_of(tmp_path, toml)

    assert found.startswith("sources.desk")
    assert "x-api-key" in found


@pytest.mark.parametrize("ids", ['"const:1"', '["const:1", "const:2"]'])
def test_a_constant_id_is_refused_where_the_id_alone_decides(tmp_path: Path, ids: str) -> None:
    by_id = {"CXONE_DEDUPE": "id"}

    (found,) = faults_of(tmp_path, voice(f"id = {ids}"), by_id)
    (main,) = faults_of(tmp_path, "", {**by_id, "CXONE_ID_FIELD": ids.strip('"')})

    assert found.startswith("sources.voice.id")
    assert main.startswith("CXONE_ID_FIELD")
    assert settings(tmp_path, voice(f"id = {ids}")).sources
    assert settings(tmp_path, voice('id = ["const:1", "x"]'), by_id).sources


def test_many_faults_are_told_together_each_where_it_is(tmp_path: Path) -> None:
    toml = f"""
[sources.voice]
proof = "tokn"
sekret = "{VOICE}"
secret = 5
id = ["a", ""]
[sources.desk]
secret = "{DESK}"
secret_file = "/nowhere"
tolerance = "soon"
[sources.Wrong]
[sources.none]
preset = "unheard-of"
"""
    found = faults_of(tmp_path, toml)

    assert {fault.split(" (")[0].split(":")[0] for fault in found} == {
        "sources.voice.proof",
        "sources.voice.'sekret'",
        "sources.voice.secret",
        "sources.voice.id",
        "sources.desk.secret",
        "sources.Wrong",
        "sources.none.preset",
        "sources.desk.tolerance",
    }
    assert all(fault.isprintable() and len(fault) < 500 for fault in found)


@pytest.mark.parametrize("other", ["CXONE_SOURCE_VOICE_SECRET", "cxone_source_voice_secret"])
def test_two_secrets_of_one_env_file_are_a_fault(tmp_path: Path, other: str) -> None:
    env_file, toml = tmp_path / "env", tmp_path / "cxone.toml"
    env_file.write_text(f"CXONE_SOURCE_VOICE_SECRET={VOICE}\n{other}={DESK}\n")
    toml.write_text("[sources.voice]\n")

    with pytest.raises(SettingsError) as caught:
        load({}, {}, env_file, toml)

    assert [str(fault) for fault in caught.value.faults] == [
        f"{other} ({env_file} line 2): disagrees with CXONE_SOURCE_VOICE_SECRET ({env_file} line 1)"
        "; allowed: one of the two"
    ]


def test_a_token_comes_in_the_header_that_is_set_whatever_its_name(tmp_path: Path) -> None:
    """Else it would be looked for elsewhere, and kept with what was refused as a signature is."""
    signature = "X-Nice-Webhook-Signature"
    toml = tmp_path / "cxone.toml"
    toml.write_text(
        f'[sources.voice]\nproof = "token"\nheader = "{signature}"\nsecret = "{VOICE}"\n'
    )
    proven = {"CXONE_PROOF": "token", "CXONE_SHARED_SECRET": DESK}

    default, told = load({}, proven), load({"CXONE_SIGNATURE_HEADER": signature}, proven)

    assert (default.main.header_name, told.main.header_name) == ("Authorization", signature)
    assert load({}, proven, None, toml).sources["voice"].header_name == signature
    assert signature.lower() in build_sources(told).main.hidden
