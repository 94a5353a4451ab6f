"""Write the text of a new settings file, and find the settings to install a service with."""

from __future__ import annotations

import io
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from consumer.cli.context import SettingsFiles
from consumer.core.errors import SetupError
from consumer.os_service import files

SECRET, PREVIOUS = "CXONE_SHARED_SECRET", "CXONE_SHARED_SECRET_PREVIOUS"
CONFIG = "CXONE_CONFIG"
PRESET = "CXONE_PRESET"
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

# What is kept on this machine. Paths need no quotes, in which a backslash begins an escape.
#CXONE_DATA_DIR=./data

# The console in the browser, at /console: there is one where it has a password, a long one.
#CXONE_CONSOLE_PASSWORD=
# The name browsers ask for, where a proxy stands before it.
#CXONE_CONSOLE_HOSTS=console.example.com

# Contracts, defaults and masks of single event types, for the service and for every command.
{config}

# A known way of sending: `cxone-consumer init --preset NAME` says what it stands for.
{preset}

# How CXone signs, where it differs; `cxone-consumer doctor` says what would verify.
#CXONE_SIGNATURE_HEADER=X-Nice-Webhook-Signature
#CXONE_SIGNATURE_ENCODING=base64
#CXONE_SIGNATURE_PREFIX=sha256=
#CXONE_SEVERAL_SIGNATURES=off
#CXONE_SIGNED_CONTENT=body
#CXONE_TIMESTAMP_HEADER=X-Timestamp
#CXONE_SIGNED_ID_HEADER=X-Id
#CXONE_SECRET_FORMAT=text

# Where id and type stand in the payload: a key, or a JSON Pointer that begins with /.
#CXONE_ID_FIELD=id
#CXONE_TYPE_FIELD=type

# Schema adoption on Datadog; without a key it is at /metrics.
#DD_API_KEY=
#DD_SITE=datadoghq.com
#DD_ENV=
"""


@dataclass(frozen=True, slots=True)
class SharedSecrets:
    """The secrets a file holds; `fresh`: CXone does not know the current one yet."""

    current: str
    previous: str | None
    fresh: bool


def fresh_secret(previous: str | None = None) -> SharedSecrets:
    """A new secret; `previous` is the one that CXone signs with until it learns the new one."""
    # Hex can be read in every format of secrets.
    return SharedSecrets(secrets.token_hex(32), previous, fresh=True)


def settings_text(
    signing: SharedSecrets, config: Path | None = None, preset: str | None = None
) -> str:
    """The text of the file, which names the TOML file `config` and the `preset`; raises SetupError
    for a secret or path that no line of it can hold."""
    lines = [f"{SECRET}={_quoted(signing.current)}"]
    if signing.previous:
        lines.append("# Remove it when CXone signs with the new one.")
        lines.append(f"{PREVIOUS}={_quoted(signing.previous)}")
    named = f"#{CONFIG}=cxone.toml" if config is None else f"{CONFIG}={_quoted(str(config))}"
    way = f"#{PRESET}=data-action" if preset is None else f"{PRESET}={_quoted(preset)}"
    text = _TEMPLATE.replace("{config}", named).replace("{preset}", way)
    text = text.replace("{secrets}", "\n".join(lines))
    written = dotenv_values(stream=io.StringIO(text), interpolate=False)
    if written.get(SECRET) != signing.current or written.get(PREVIOUS) != signing.previous:
        raise SetupError("the old secret cannot be written as it is: use --new-secret")
    if config is not None and not (written.get(CONFIG) == str(config) and named.isprintable()):
        raise SetupError(f"{config} cannot be named in the file: choose a plainer path")
    return text


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def settings_to_install(named: SettingsFiles, place: Path) -> tuple[Path | None, str]:
    """The settings file to start from and its text; `place` is where the service has its own.

    Where there is none, None and a new text with a new secret; so too for the text of a named file
    that is not there. Raises SetupError for one that cannot be read.
    """
    source = named.env_file or next(
        (path for path in (place, Path(".env")) if path.is_file()), None
    )
    text = files.read(source) if source else None
    return source, text or settings_text(fresh_secret())
