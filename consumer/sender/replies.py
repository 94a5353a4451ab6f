"""Read a reply of bounded size, and put replies and network faults into few words."""

from __future__ import annotations

import json
import re

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

REFUSED = "connection refused"

# The most special first.
_FAULTS: tuple[tuple[type[HTTPError], str], ...] = (
    (NameResolutionError, "the host name is not known"),
    (NewConnectionError, "the host cannot be reached"),
    (ConnectTimeoutError, "no connection within {connect:g} s"),
    (ReadTimeoutError, "nothing came within {read:g} s"),
    (SSLError, "TLS failed: is it https, and its certificate trusted?"),
    (ProtocolError, "the connection closed before the answer"),
)

_MAX_REPLY_BYTES = 64 * 1024
_MAX_WORD = 60
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u1fff\u2070-\ud7ff]")


def read_word(response: BaseHTTPResponse) -> str:
    """The word that names the reply, its connection ready for the next post.

    Raises urllib3's HTTPError when the reply breaks off or does not come in time.
    """
    data = response.read(_MAX_REPLY_BYTES + 1, decode_content=False)
    if len(data) > _MAX_REPLY_BYTES:
        # The rest would have to be read before the connection could be used again.
        response.close()
    else:
        response.release_conn()
    return word_of(data, response.reason or "")


def word_of(data: bytes, reason: str) -> str:
    """`status` or `title` of a JSON reply, else the reason phrase; one short printable line."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        reply = None
    word = reason
    if isinstance(reply, dict):
        told = (reply.get("status"), reply.get("title"))
        word = next((text for text in told if isinstance(text, str) and text), reason)
    return _UNPRINTABLE.sub("?", word)[:_MAX_WORD]


def fault_text(error: HTTPError, timeout: Timeout) -> str:
    """Why there was no answer, the same text for the same cause so that it can be counted."""
    if isinstance(error.__cause__, ConnectionRefusedError):
        return REFUSED
    text = next((text for kind, text in _FAULTS if isinstance(error, kind)), type(error).__name__)
    return text.format(connect=timeout.connect_timeout, read=timeout.read_timeout)
