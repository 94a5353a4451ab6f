"""`--source NAME`: act as the sender of a source of the settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Annotated

import typer

from config.loading import Settings
from config.sources import TOKEN_PATH, SourceSettings
from consumer.core.delivery import MAIN
from consumer.core.errors import SetupError

AsSource = Annotated[
    str,
    typer.Option("--source", metavar="NAME", help="A source of the settings: its path and proof."),
]
SECRET = "CXONE_SHARED_SECRET"  # noqa: S105  (the name of the setting)
_MOST_BYTES = 64 * 1024


def source_named(settings: Settings, name: str) -> SourceSettings:
    """The source of that name; raises typer.BadParameter (exit status 2)."""
    every = settings.every_source
    if name not in every:
        raise typer.BadParameter(f"--source {name!r} is none of {', '.join(every)}")
    return every[name]


def required(name: str) -> list[str]:
    """The settings without which nothing can be proven as that source: others need a secret by
    themselves."""
    return [SECRET] if name == MAIN else []


def token_getter(name: str, source: SourceSettings, url: str, timeout: float) -> Callable[[], str]:
    """A function that gets an access token from the service whose `source` posts to `url`, and
    again before it expires; callable from any thread. Raises SetupError."""
    from consumer.runtime.proving import url_beside

    address = url_beside(url, source.path, TOKEN_PATH)
    asking = threading.Lock()
    token, expires = "", 0.0

    def get() -> str:
        nonlocal token, expires
        with asking:
            if monotonic() >= expires:
                token, seconds = _ask(name, source, address, timeout)
                expires = monotonic() + seconds / 2
            return token

    return get


def _ask(name: str, source: SourceSettings, address: str, timeout: float) -> tuple[str, float]:
    import urllib3

    from consumer.runtime.proving import read_token, token_request

    body, headers = token_request(name, source)
    try:
        with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
            reply = pool.request(
                "POST", address, body=body, headers=headers, redirect=False, preload_content=False
            )
            found = read_token(reply.status, reply.read(_MOST_BYTES))
            reply.close()
    except urllib3.exceptions.HTTPError as error:
        raise SetupError(f"no access token from {address}: {type(error).__name__}") from error
    except ValueError as error:
        raise SetupError(f"no access token from {address}: {error}") from error
    return found
