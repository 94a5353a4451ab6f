from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
import typer
from dotenv import dotenv_values
from typer.testing import CliRunner

from config.layers import from_dotenv
from consumer.cli.init import init, webhook_url, write
from consumer.cli.settings_text import fresh_secret, settings_text
from consumer.core.errors import SetupError

SECRET = "CXONE_SHARED_SECRET"


def values(path: Path) -> dict[str, str | None]:
    return dotenv_values(path, interpolate=False)


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(init)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_init_writes_a_strong_secret_and_says_what_to_enter_at_cxone(tmp_path: Path) -> None:
    path = tmp_path / "my.env"

    status, said = run("--file", str(path), "--public-url", "https://hooks.example.com/")

    secret = values(path)[SECRET]
    assert status == 0
    assert secret is not None
    assert len(secret) >= 43
    assert secret in said
    assert "https://hooks.example.com/webhook/cxone-dataaction" in said
    assert "X-Nice-Webhook-Signature" in said
    assert "serve --embedded" in said


def test_no_show_hides_the_secret(tmp_path: Path) -> None:
    path = tmp_path / ".env"

    _, said = run("--file", str(path), "--no-show")

    assert str(values(path)[SECRET]) not in said


def test_only_the_secret_is_in_force_in_a_new_file(tmp_path: Path) -> None:
    write(tmp_path / ".env", force=False, new_secret=False)

    assert list(values(tmp_path / ".env")) == [SECRET]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps rights in access lists")
def test_the_file_is_for_its_owner_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write(path, force=False, new_secret=False)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_not_touched_without_force(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("MONGODB_URI=mongodb://db\n")

    with pytest.raises(SetupError, match="--force"):
        write(path, force=False, new_secret=False)

    assert path.read_text() == "MONGODB_URI=mongodb://db\n"


@pytest.mark.parametrize("secret", ["plain-1_x", 'it\'s \\ odd # "$HOME" ', "zwei\nzeilen", "a=b="])
@pytest.mark.parametrize("name", [SECRET, "SHARED_SECRET"])
def test_force_keeps_the_secret_and_the_old_file(tmp_path: Path, secret: str, name: str) -> None:
    path = tmp_path / ".env"
    escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
    path.write_bytes(f"{name}='{escaped}'\nDD_ENV=prod\n".encode())

    shared, _ = write(path, force=True, new_secret=False)

    assert shared.current == secret
    assert values(path)[SECRET] == secret
    assert "DD_ENV=prod" in (tmp_path / ".env.bak").read_text()


def test_a_new_secret_leaves_the_old_one_valid_as_the_previous(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    old = write(path, force=False, new_secret=False)[0].current

    new = write(path, force=True, new_secret=True)[0].current

    assert new != old
    assert values(path) == {SECRET: new, "CXONE_SHARED_SECRET_PREVIOUS": old}


def test_a_file_that_keeps_its_preset_is_told_of_that_preset(tmp_path: Path) -> None:
    path = str(tmp_path / ".env")
    run("--file", path, "--preset", "dfo")

    _, replaced = run("--file", path, "--force")
    _, rotated = run("--file", path, "--force", "--new-secret")

    for said in (replaced, rotated):
        assert "CXone Digital (DFO)" in said
        assert "X-Nice-Webhook-Signature" not in said
        assert "CXONE_PRESET=dfo stands for" in said
    assert values(tmp_path / ".env")["CXONE_PRESET"] == "dfo"


def test_a_new_secret_alone_changes_no_preset(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write(path, force=False, new_secret=False)
    before = path.read_text()

    status, said = run(
        "--file", str(path), "--force", "--new-secret", "--preset", "standard-webhooks"
    )

    assert (status, path.read_text()) == (2, before)
    assert "--preset" in said


@pytest.mark.parametrize("name", [SECRET, "CXONE_SHARED_SECRET_PREVIOUS"])
@pytest.mark.parametrize(
    ("preset", "secret"),
    [("standard-webhooks", "no base64!"), ("dfo", "hunter2"), ("dfo", "x" * 999)],
)
def test_a_secret_that_the_preset_cannot_use_is_not_kept(
    tmp_path: Path, preset: str, secret: str, name: str
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{SECRET}={'6f' * 32}\n{name}={secret}\n")
    before = path.read_text()

    with pytest.raises(SetupError, match=f"{name}.*{preset}.*--new-secret") as refused:
        write(path, force=True, new_secret=False, preset=preset)

    assert path.read_text() == before
    assert secret not in str(refused.value)


def test_a_proxy_s_part_of_the_address_is_before_that_of_tokens_too(tmp_path: Path) -> None:
    url = "https://hooks.example.com/cx/webhook/cxone-dataaction"

    _, said = run(
        "--file", str(tmp_path / ".env"), "--preset", "integration-hub", "--public-url", url
    )

    assert "https://hooks.example.com/cx/oauth2/token" in said


def test_a_secret_kept_in_another_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("CXONE_SHARED_SECRET_FILE=/run/secrets/cxone\n")

    with pytest.raises(SetupError, match="--new-secret"):
        write(path, force=True, new_secret=False)


def test_a_path_that_quotes_made_another_one_is_not_written_anew(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f'{SECRET}=s\nCXONE_CONFIG="C:\\apps\\new.toml"\n')

    with pytest.raises(SetupError, match="choose a plainer path"):
        write(path, force=True, new_secret=False)


@pytest.mark.parametrize("config", [r"C:\apps\new.toml", r"\\server\share\new.toml", "/a b/c.toml"])
def test_every_reader_finds_the_path_that_init_wrote(tmp_path: Path, config: str) -> None:
    path = tmp_path / ".env"
    path.write_text(settings_text(fresh_secret(), Path(config)))
    layer = from_dotenv(path)

    (found,) = (entry for entry in layer.entries if entry.name == "CXONE_CONFIG")

    assert (found.value, found.escaped, layer.faults) == (str(Path(config)), False, [])


def test_a_missing_directory_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="check the directory"):
        write(tmp_path / "nowhere" / ".env", force=False, new_secret=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "https://YOUR-HOST/webhook/cxone-dataaction"),
        ("https://a.example", "https://a.example/webhook/cxone-dataaction"),
        ("https://a.example:8443/", "https://a.example:8443/webhook/cxone-dataaction"),
        ("https://a.example/hooks/cxone", "https://a.example/hooks/cxone"),
    ],
)
def test_the_webhooks_address(given: str | None, expected: str) -> None:
    assert webhook_url(given) == expected


def test_a_public_url_without_scheme_is_wrong_usage(tmp_path: Path) -> None:
    status, _ = run("--file", str(tmp_path / ".env"), "--public-url", "hooks.example.com")

    assert status == 2
    assert not (tmp_path / ".env").exists()


def test_commented_settings_are_ones_that_exist(tmp_path: Path) -> None:
    settings = pytest.importorskip("config.loading")
    write(tmp_path / ".env", force=False, new_secret=False)

    names = re.findall(r"^#([A-Z_]+)=", (tmp_path / ".env").read_text(), re.MULTILINE)

    assert names
    assert set(names) <= {row.name for row in settings.rows()}


def test_a_file_that_cannot_be_read_as_text_keeps_its_secret(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    # As `>` of Windows PowerShell writes it.
    path.write_text(f"{SECRET}={'6f' * 32}\n", encoding="utf-16")
    before = path.read_bytes()

    with pytest.raises(SetupError, match="save it as UTF-8"):
        write(path, force=True, new_secret=False)

    assert path.read_bytes() == before
