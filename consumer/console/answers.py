"""End a request of the console other than with a template: an action done, a file, or a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import falcon

from consumer.core.errors import ConsumerError

Tone = Literal["good", "bad", "info"]


@dataclass(frozen=True, slots=True)
class Done:
    """An action that ended: go to `where` (a path of the console), which shows the message."""

    where: str
    message: str
    tone: Tone = "good"


@dataclass(frozen=True, slots=True)
class Download:
    """A file instead of a page."""

    name: str
    content_type: str
    body: bytes


class Missing(Exception):
    """Nothing is there under what was asked for: 404 with this text."""


class Invalid(Exception):
    """The request cannot be taken: 400 with this text."""


class Misdirected(Exception):
    """The request's host is no name of ours."""


class Busy(Exception):
    """Too many pages are being made already."""


class Foreign(Exception):
    """An action that no page of ours asked for."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An exception as people are shown it."""

    status: str
    title: str
    text: str


_HOST = (
    "The console is asked for under a name it does not know. If the name is yours, add it to"
    " CXONE_CONSOLE_HOSTS and start the service again."
)
_BUSY = "Too many pages are being made at the same time. Try again in a moment."
_FOREIGN = "The form is too old, or this console did not make it. Go back, reload and try again."
_FAULT = "The page could not be made. The log of the service says where it went wrong."

# How each is shown; None: with its own text.
_KNOWN: tuple[tuple[type[Exception], str, str, str | None], ...] = (
    (Misdirected, "421 Misdirected Request", "Unknown host", _HOST),
    (Busy, falcon.HTTP_503, "Busy", _BUSY),
    (Foreign, falcon.HTTP_403, "Not allowed", _FOREIGN),
    (Missing, falcon.HTTP_404, "Not found", None),
    (Invalid, falcon.HTTP_400, "That cannot be done", None),
    (ConsumerError, falcon.HTTP_503, "Not available just now", None),
)
FAULT = Problem(falcon.HTTP_503, "Something went wrong", _FAULT)


def known(error: Exception) -> Problem | None:
    """The problem that an exception means; None for a fault of ours."""
    if isinstance(error, falcon.HTTPError):
        # Falcon found the request wrong.
        return Problem(str(error.status), "That cannot be read", error.title or "")
    for kind, status, title, text in _KNOWN:
        if isinstance(error, kind):
            return Problem(status, title, text or str(error))
    return None
