"""`init`: write a settings file with a new secret and say what to enter at CXone."""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from dotenv import dotenv_values

from consumer.cli.context import Sources
from consumer.errors import SetupError
from consumer.signature import SignatureScheme
from consumer.web.webhook import ROUTE

_SECRET, _PREVIOUS = "CXONE_SHARED_SECRET", "CXONE_SHARED_SECRET_PREVIOUS"
_MAX_FILE = 1024 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9_./+:@-]+=*")

_TEMPLATE = """\
# Settings of cxone-consumer. Lines that begin with # are not in force; the environment and the
# command line override this file. It holds secrets: keep it out of version control.

# What CXone signs with. Enter the same text there, without a line end.
{secrets}

# Where events are kept (MongoDB 5.0 or newer; best a replica set). Without it there is
# `cxone-consumer serve --embedded`, which runs a MongoDB of its own.
#MONGODB_URI=mongodb://localhost:27017/?replicaSet=rs0
#MONGODB_DATABASE=cxone_events

# Where this service listens: behind a proxy that speaks HTTPS.
#CXONE_LISTEN=127.0.0.1:8080
#CXONE_DATA_DIR=./data

# How CXone signs, where it differs; `cxone-consumer doctor` says what would verify.
#CXONE_SIGNATURE_HEADER=X-Nice-Webhook-Signature
#CXONE_SIGNATURE_ENCODING=base64
#CXONE_SIGNATURE_PREFIX=sha256=
#CXONE_SIGNED_CONTENT=body
#CXONE_TIMESTAMP_HEADER=X-Timestamp

# Where id and type stand in the payload: a key, or a JSON Pointer that begins with /.
#CXONE_ID_FIELD=id
#CXONE_TYPE_FIELD=type

# Schema adoption on Datadog; without a key it goes to the log and to /metrics.
#DD_API_KEY=
#DD_SITE=datadoghq.com
#DD_ENV=
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """The secrets a file holds; `fresh` tells that CXone does not know the current one yet."""

    current: str
    previous: str | None
    fresh: bool


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
            help="With --force, make a new secret; the old one stays valid as the previous one.",
        ),
    ] = False,
    public_url: Annotated[
        str | None,
        typer.Option(help="Where CXone reaches this service, like https://hooks.example.com."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show/--no-show", help="Print the secret, to enter it at CXone.")
    ] = True,
) -> None:
    """Write a settings file with a generated secret and print what to enter at CXone."""
    sources = ctx.find_object(Sources) or Sources()
    path = file or sources.env_file or Path(".env")
    url = webhook_url(public_url)
    shared = write(path, force=force, new_secret=new_secret)
    typer.echo(f"Wrote {path}.\n\n{for_cxone(shared, url, path if not show else None)}")
    typer.echo(next_steps(path, url))


def webhook_url(public_url: str | None) -> str:
    """The address CXone posts to: `public_url` with the webhook's path where it has none."""
    if public_url is None:
        return f"https://YOUR-HOST{ROUTE}"
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter("begin the URL with https://", param_hint="--public-url")
    return public_url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{ROUTE}"


def write(path: Path, *, force: bool, new_secret: bool) -> Shared:
    """Write the settings file whole or not at all, readable by its owner alone.

    Raises SetupError when it exists without `force`, or cannot be read or written.
    """
    old = _existing(path)
    if old is not None and not force:
        raise SetupError(
            f"{path} exists: use --force to replace it (its secret is kept), or --file to write"
            " another"
        )
    shared = _shared(path, old or {}, new_secret)
    text = _rendered(shared)
    try:
        _replace(path, text, keep_old=old is not None)
    except OSError as error:
        raise SetupError(
            f"cannot write {path} ({error.strerror}): check the directory and its permissions"
        ) from error
    return shared


def _existing(path: Path) -> Mapping[str, str | None] | None:
    """The assignments of the file; None when there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SetupError(f"cannot read {path} ({error.strerror}): use --file") from error
    if len(text) > _MAX_FILE:
        raise SetupError(f"{path} is over 1 MiB, so no settings file: use --file")
    decoded = text.decode("utf-8-sig", "replace")
    return dotenv_values(stream=io.StringIO(decoded), interpolate=False)


def _shared(path: Path, old: Mapping[str, str | None], new_secret: bool) -> Shared:
    current = old.get(_SECRET) or old.get("SHARED_SECRET")
    if current is None and f"{_SECRET}_FILE" in old and not new_secret:
        raise SetupError(
            f"{path} reads its secret from {_SECRET}_FILE: edit it by hand, or use --new-secret"
        )
    if current is not None and not new_secret:
        return Shared(current, old.get(_PREVIOUS), fresh=False)
    return Shared(secrets.token_urlsafe(32), current, fresh=True)


def fresh_settings() -> str:
    """The text of a settings file with a new secret, which CXone does not know yet."""
    return _rendered(Shared(secrets.token_urlsafe(32), None, fresh=True))


def _rendered(shared: Shared) -> str:
    lines = [f"{_SECRET}={_quoted(shared.current)}"]
    if shared.previous:
        lines.append("# Remove it when CXone signs with the new one.")
        lines.append(f"{_PREVIOUS}={_quoted(shared.previous)}")
    text = _TEMPLATE.replace("{secrets}", "\n".join(lines))
    written = dotenv_values(stream=io.StringIO(text), interpolate=False)
    if written.get(_SECRET) != shared.current or written.get(_PREVIOUS) != shared.previous:
        raise SetupError("the old secret cannot be written as it is: use --new-secret")
    return text


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _replace(path: Path, text: str, keep_old: bool) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    # 0600 from the first byte on; Windows takes the rights of the directory instead.
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if keep_old:
            path.replace(path.with_name(f"{path.name}.bak"))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def for_cxone(shared: Shared, url: str, hidden_in: Path | None) -> str:
    """What to enter at CXone; the secret itself unless it stays `hidden_in` a file."""
    secret = shared.current if hidden_in is None else f"(see {_SECRET} in {hidden_in})"
    scheme = SignatureScheme()
    kept = "" if shared.fresh else "  (unchanged)"
    return f"""Enter at CXone, in the Data Action:

  URL           {url}
  Method        POST
  Content type  application/json
  Header        {scheme.header}: base64 of HMAC-SHA256 over the raw body
  Secret        {secret}{kept}
"""


def next_steps(path: Path, url: str) -> str:
    """What to do now."""
    option = "" if path == Path(".env") else f" --env-file {path}"
    check = url if "YOUR-HOST" not in url else "https://YOUR-HOST"
    return f"""Next:

  cxone-consumer{option} serve --embedded    to try it out, with a MongoDB of its own

or set MONGODB_URI in {path}, then

  cxone-consumer{option} doctor              to check everything it needs
  cxone-consumer{option} serve               to take webhooks
  cxone-consumer{option} doctor --url {check}   to check the way from outside
"""
