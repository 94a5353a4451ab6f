"""Facts known on this machine while MongoDB says nothing: the process, and its spool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import urllib3

from config.settings import Settings
from consumer.cli.status_view import Section, spool_words
from consumer.data_dir import owner_of
from consumer.errors import SetupError
from consumer.spool import directory_in, survey

_TIMEOUT = 2.0
# Of an answer to /readyz; whatever else listens there may say more.
_MOST_BYTES = 64 * 1024


def here(settings: Settings) -> dict[str, Any]:
    """The owner of the data directory, what its service says at /readyz, and the spool; None for
    what cannot be known."""
    return {
        "data_dir": str(settings.cxone_data_dir.resolve()),
        "owner": owner_of(settings.cxone_data_dir),
        "ready": _ready(settings.cxone_listen),
        "spool": _spool(settings),
    }


def sections_here(found: dict[str, Any]) -> Iterator[Section]:
    """The same for people."""
    yield Section("MongoDB does not tell; what this machine knows:")
    user = found["owner"] or "nobody"
    yield Section(f"The data directory {found['data_dir']} is used by {user}.")
    ready = found["ready"]
    if ready is not None:
        parts = {name: part for name, part in ready.items() if isinstance(part, dict)}
        rows = [
            f"{name}: {'ok' if part.get('ok') else 'not ok'}, {part.get('detail', '')}"
            for name, part in sorted(parts.items(), key=lambda item: bool(item[1].get("ok")))
        ]
        yield Section(f"The service says at /readyz that it is {ready.get('status')}.", rows)
    yield Section(f"Spool: {spool_words(found['spool']) or 'cannot be read'}")


def _spool(settings: Settings) -> dict[str, Any] | None:
    try:
        found = survey(directory_in(settings.cxone_data_dir))
    except SetupError:
        return None
    fault = f"{found.damaged} damaged set aside" if found.damaged else None
    return {"depth": found.depth, "bytes": found.bytes, "oldest": found.oldest, "fault": fault}


def _ready(listen: str) -> dict[str, Any] | None:
    host, _, port = listen.rpartition(":")
    # A service that listens everywhere answers on loopback too.
    local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    try:
        with urllib3.PoolManager(timeout=_TIMEOUT, retries=False) as pool:
            reply = pool.request(
                "GET", f"http://{local}:{port}/readyz", redirect=False, preload_content=False
            )
            told = json.loads(reply.read(_MOST_BYTES))
            reply.close()
    except (urllib3.exceptions.HTTPError, ValueError):
        return None
    return told if isinstance(told, dict) and "status" in told else None
