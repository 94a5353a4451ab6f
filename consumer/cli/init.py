"""`init`: write a settings file with a new secret, and say what to enter at CXone and do next."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from dotenv import dotenv_values
from pydantic import SecretStr

from config.layers import read_text
from config.presets import PRESETS, Preset
from config.settings import MAIN_FIELDS, rows
from config.sources import MAIN_PATH, TOKEN_PATH, SourceSettings, unfit
from consumer.cli.console import print_json
from consumer.cli.context import AsJson, SettingsFiles
from consumer.cli.settings_text import (
    CONFIG,
    PRESET,
    PREVIOUS,
    SECRET,
    SharedSecrets,
    fresh_secret,
    settings_text,
)
from consumer.core.delivery import MAIN
from consumer.core.errors import SetupError
from consumer.os_service import secret_rotation
from consumer.os_service.files import File, replace

_MAX_FILE = 1024 * 1024


def init(
    ctx: typer.Context,
    *,
    file: Annotated[
        Path | None, typer.Option(help="The file to write; .env unless told.", metavar="FILE")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace the file (kept as FILE.bak); its secret stays in force."
        ),
    ] = False,
    new_secret: Annotated[
        bool,
        typer.Option(
            "--new-secret",
            help="With --force, change only the secrets of the file: a new one, and the old one"
            " stays valid as the previous one.",
        ),
    ] = False,
    public_url: Annotated[
        str | None,
        typer.Option(help="Where CXone reaches this service, like https://hooks.example.com."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"The way the sender sends: {', '.join(PRESETS)}.", metavar="NAME", parser=_preset
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show/--no-show", help="Print the secret, to enter it at CXone.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Write a settings file with a generated secret and print what to enter at CXone, or, with
    --preset, at another sender."""
    named = ctx.find_object(SettingsFiles) or SettingsFiles()
    path = file or named.env_file or Path(".env")
    url = webhook_url(public_url)
    signing, preset = write(
        path, force=force, new_secret=new_secret, config=named.config_file, preset=preset
    )
    row, hidden_in = PRESETS[preset or "data-action"], None if show else path
    if as_json:
        enter = [{"name": n, "value": text} for n, text in to_enter(row, signing, url, hidden_in)]
        told = {"remarks": row.remarks, "unconfirmed": row.unconfirmed}
        print_json({"file": path, "preset": preset, "at": row.sender, "enter": enter, **told})
        return
    typer.echo(f"Wrote {path}.\n\n{for_sender(row, signing, url, hidden_in)}")
    if preset is not None:
        typer.echo(in_full(preset))
    typer.echo(next_steps(path, url))


def write(
    path: Path,
    *,
    force: bool,
    new_secret: bool,
    config: Path | None = None,
    preset: str | None = None,
) -> tuple[SharedSecrets, str | None]:
    """Write the settings file whole or not at all, readable by its owner alone. It names the TOML
    file `config`, or the one that the file before it named, so that every command has the same; and
    likewise the `preset`. The secrets and the preset that hold then.

    With `new_secret` only the secrets of one that exists are changed. Raises SetupError when it
    exists without `force`, cannot be read or written, or has a secret that the preset cannot use.
    """
    old = _existing(path)
    if old is not None and not force:
        raise SetupError(
            f"{path} exists: use --force to replace it (its secret is kept), or --file to write"
            " another"
        )
    kept = (old or {}).get(PRESET) or None
    if kept is not None and kept not in PRESETS:
        raise SetupError(f"{PRESET} in {path} is none of {', '.join(PRESETS)}: correct it")
    if old is not None and new_secret:
        if preset is not None:
            raise typer.BadParameter(
                "--new-secret changes nothing but secrets: use --force --preset without it",
                param_hint="--preset",
            )
        found = secret_rotation.read(path)
        fresh = fresh_secret(found.current)
        secret_rotation.rotate(found, fresh.current)
        return fresh, kept
    preset = preset or kept
    signing = _secrets(path, old or {}, preset)
    named = (old or {}).get(CONFIG)
    config = config.absolute() if config is not None else Path(named) if named else None
    text = settings_text(signing, config, preset)
    try:
        replace(File(path, text), backup=old is not None)
    except OSError as error:
        raise SetupError(
            f"cannot write {path} ({error.strerror}): check the directory and its permissions"
        ) from error
    return signing, preset


def _existing(path: Path) -> Mapping[str, str | None] | None:
    """The assignments of the file; None when there is none."""
    try:
        text = read_text(path, _MAX_FILE)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SetupError(f"{path}: {error}; or use --file") from error
    return dotenv_values(stream=io.StringIO(text), interpolate=False)


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise typer.BadParameter(f"there are {', '.join(PRESETS)}")
    return name


def _secrets(path: Path, old: Mapping[str, str | None], preset: str | None) -> SharedSecrets:
    current = old.get(SECRET) or old.get("SHARED_SECRET")
    if current is None and f"{SECRET}_FILE" in old:
        raise SetupError(
            f"{path} reads its secret from {SECRET}_FILE: edit it by hand, or use --new-secret"
        )
    values = PRESETS[preset].values if preset else {}
    if current is None:
        fresh = fresh_secret()
        whsec = "whsec_" if values.get("secret_format") == "whsec" else ""
        return SharedSecrets(f"{whsec}{fresh.current}", None, fresh=True)
    previous = old.get(PREVIOUS) or None
    held = {"secret": SecretStr(current), "secret_previous": previous and SecretStr(previous)}
    source = SourceSettings.model_validate(dict(values)).model_copy(update=held)
    for key, problem, _ in unfit(source):
        raise SetupError(
            f"{MAIN_FIELDS[key].upper()} in {path} does not fit the preset {preset} ({problem}):"
            f" make a new one with `init --force --new-secret`, remove {PREVIOUS}, and try again"
        )
    return SharedSecrets(current, previous, fresh=False)


def webhook_url(public_url: str | None) -> str:
    """The address CXone posts to: `public_url` with the webhook's path where it has none."""
    if public_url is None:
        return f"https://YOUR-HOST{MAIN_PATH}"
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter("begin the URL with https://", param_hint="--public-url")
    return public_url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{MAIN_PATH}"


def to_enter(
    preset: Preset, signing: SharedSecrets, url: str, hidden_in: Path | None
) -> list[tuple[str, str]]:
    """Names and values to enter at the sender; the secret unless it stays `hidden_in` a file."""
    from consumer.runtime.proving import url_beside

    secret = signing.current if hidden_in is None else f"(see {SECRET} in {hidden_in})"
    kept = "" if signing.fresh else "  (unchanged)"
    yours = {
        "{url}": url,
        "{token_url}": url_beside(url, MAIN_PATH, TOKEN_PATH),
        "{source}": MAIN,
        "{secret}": f"{secret}{kept}",
    }
    return [
        (name, re.sub(r"\{\w+\}", lambda place: yours[place[0]], value))
        for name, value in preset.enter
    ]


def for_sender(preset: Preset, signing: SharedSecrets, url: str, hidden_in: Path | None) -> str:
    """The same as text."""
    rows = to_enter(preset, signing, url, hidden_in)
    width = max(len(name) for name, _ in rows)
    lines = [f"Enter at {preset.sender}:", "", *(f"  {n:<{width}}  {text}" for n, text in rows)]
    lines += _paragraphs("", preset.remarks)
    lines += _paragraphs("Not confirmed: ", preset.unconfirmed)
    return "\n".join(lines) + "\n"


def _paragraphs(lead: str, texts: tuple[str, ...]) -> list[str]:
    found = []
    for text in texts:
        found += ["", *textwrap.wrap(f"{lead}{text}", 78)]
    return found


def in_full(name: str) -> str:
    """The preset as settings, and as a source of its own."""
    by_field = {row.field: row for row in rows()}
    values = PRESETS[name].values
    lines = [f"{PRESET}={name} stands for these; what is set beside it wins:", ""]
    lines += [
        f"  {by_field[MAIN_FIELDS[key]].name}={by_field[MAIN_FIELDS[key]].show(value)}"
        for key, value in values.items()
    ] or ["  nothing that differs from what holds without it"]
    source = name.replace("-", "_")
    lines += [
        "",
        f"As a source beside the main one, in the TOML file that {CONFIG} names:",
        "",
        f"  [sources.{source}]  # posts to /webhook/{source}",
        f'  preset = "{name}"',
        '  secret_file = "…"  # with a secret of its own',
    ]
    return "\n".join(lines) + "\n"


def next_steps(path: Path, url: str) -> str:
    """The commands to go on with."""
    option = "" if path == Path(".env") else f" --env-file {path}"
    check = url if "YOUR-HOST" not in url else "https://YOUR-HOST"
    return f"""Next:

  cxone-consumer{option} serve --embedded    to try it out, with a MongoDB of its own

or set MONGODB_URI in {path}, then

  cxone-consumer{option} doctor              to check everything it needs
  cxone-consumer{option} serve               to take webhooks
  cxone-consumer{option} doctor --url {check}   to check the way from outside
"""
