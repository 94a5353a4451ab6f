"""Read how senders sign: what is signed, as a template, and the formats that secrets come in. And
the words of sources that settings and service share."""

from __future__ import annotations

import base64
import re
from typing import Literal

from config.faults import Wrong

# The source that the settings without a table of their own describe.
MAIN = "main"
# Before the name of a header, and before a text that is the same for every event.
HEADER, CONST = "header:", "const:"
Encoding = Literal["base64", "base64-unpadded", "base64url", "hex"]
SecretFormat = Literal["text", "base64", "hex", "whsec"]

_WORDS = {"body": "{body}", "timestamp.body": "{timestamp}.{body}"}
_FIELD = re.compile(r"\{(timestamp|id)\}")
_MAX_TEMPLATE = 256
_FORMATS: dict[str, str] = {
    "base64": "base64, with or without = at its end",
    "hex": "hexadecimal digits, two for each byte",
    "whsec": "whsec_ and base64",
}


def template(signed: str) -> str:
    """The template of what is signed, also where a word says it."""
    return _WORDS.get(signed, signed)


def signed_parts(signed: str) -> tuple[str, ...]:
    """The parts before the body of `body`, `timestamp.body` or a template like
    `{id}.{timestamp}.{body}`: literal texts, with `id` or `timestamp` between each two. Raises
    Wrong.

    No Python format string: those reach into objects. What stands behind a field is what ends it,
    so that the same bytes can be read in one way only.
    """
    text = template(signed)
    if not text.endswith("{body}"):
        raise Wrong("{body} must stand at its end")
    parts = _FIELD.split(text.removesuffix("{body}"))
    literals = "".join(parts[0::2])
    if len(text) > _MAX_TEMPLATE or not (literals.isascii() and literals.isprintable()):
        raise Wrong(f"it must be one line of at most {_MAX_TEMPLATE} ASCII characters")
    if "{" in literals or "}" in literals:
        raise Wrong("braces stand around timestamp, id and, once at the end, body only")
    if any(not behind or behind[0].isalnum() for behind in parts[2::2]):
        raise Wrong(
            "behind {timestamp} and {id} must stand text that begins with no letter or digit"
        )
    return tuple(parts)


def signed_content(value: object) -> str:
    """The template of a setting; the two words in any case of letters."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004
    text = value.strip()
    text = text.lower() if text.lower() in _WORDS else text
    signed_parts(text)
    return text


def secret_key(text: str, written: SecretFormat) -> bytes:
    """The bytes of a secret that is written as text, base64, hex or `whsec_` and base64 (Standard
    Webhooks). Raises Wrong, which holds nothing of it."""
    if written == "text":
        return text.encode()
    try:
        if written == "hex":
            # fromhex passes over blanks.
            key = bytes.fromhex(text) if text.isalnum() else b""
        else:
            bare = text.removeprefix("whsec_") if written == "whsec" else text
            bare = bare.translate({ord("-"): "+", ord("_"): "/"})
            # A prefix that nobody took off would be read as six characters of base64url.
            bare = "" if text.startswith("whsec_") and written != "whsec" else bare
            key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise Wrong(f"it cannot be read as {_FORMATS[written]}")
    return key
