"""`sign`: print the headers that prove the bytes of a file, for curl and for other senders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated

import typer

from config.loading import Settings
from consumer.cli.bodies import read_body
from consumer.cli.console import print_json
from consumer.cli.context import AsJson, load_settings
from consumer.core.clock import utc_now
from consumer.ingest.signature import sign as signed_headers
from consumer.runtime.settings_map import shared_secrets, signature_scheme

SECRET = "CXONE_SHARED_SECRET"  # noqa: S105  (the name of the setting)


def sign(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="The file whose bytes to sign; - is standard input.")],
    as_json: AsJson = False,
) -> int:
    """Print the signature headers for the exact bytes of FILE.

    A line break at the end of the file is signed too: post it with `curl --data-binary`.
    """
    settings = load_settings(ctx, [SECRET])
    headers = signer(settings, utc_now)(read_body(file))
    if as_json:
        print_json(headers)
    else:
        for name, value in headers.items():
            typer.echo(f"{name}: {value}")
    return 0


def signer(
    settings: Settings, clock: Callable[[], datetime], key: bytes | None = None
) -> Callable[[bytes], Mapping[str, str]]:
    """Make a function that signs as the settings say, with the current secret or a given `key`."""
    scheme = signature_scheme(settings.main)
    signing_key = shared_secrets(settings.main)[0].key if key is None else key
    return lambda body: signed_headers(scheme, signing_key, body, clock())
