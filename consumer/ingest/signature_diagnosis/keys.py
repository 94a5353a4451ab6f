"""List the keys a sender may really sign with, given the configured secrets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from config.signing import SecretFormat, secret_key
from consumer.ingest.signature import Secret
from consumer.ingest.signature_diagnosis.findings import Remark

_BLANKS = b" \t\r\n"
# The settings that hold the secrets, by their names.
SETTINGS = {"current": "CXONE_SHARED_SECRET", "previous": "CXONE_SHARED_SECRET_PREVIOUS"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key to try; no settings and no remarks means that it is a configured secret as it is."""

    value: bytes
    remarks: tuple[Remark, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


def keys(secrets: Sequence[Secret]) -> list[Key]:
    """The secrets as they are, then each variant of each."""
    found = {secret.key: Key(secret.key) for secret in secrets}
    for written in get_args(SecretFormat):
        read = [_read(secret, written) for secret in secrets]
        for value in read:
            # One format is that of all secrets.
            if value is not None and None not in read:
                found.setdefault(value, Key(value, (), (("CXONE_SECRET_FORMAT", written),)))
    for make, text in _VARIANTS:
        for secret in secrets:
            value = make(secret.key)
            if value is not None:
                remark = Remark("secret", text.format(name=SETTINGS[secret.name]))
                found.setdefault(value, Key(value, (remark,)))
    return list(found.values())


def _read(secret: Secret, written: SecretFormat) -> bytes | None:
    try:
        return secret_key(secret.text or secret.key.decode(), written)
    except ValueError:
        return None


def _unquoted(key: bytes) -> bytes | None:
    bare = key.strip(_BLANKS)
    return bare[1:-1] if len(bare) > 2 and bare[:1] == bare[-1:] and bare[:1] in b"\"'" else None


def _from_base64(key: bytes) -> bytes | None:
    text = key.strip(_BLANKS).removeprefix(b"whsec_").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(
            text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4), None, True
        )
    except binascii.Error:
        return None


def _from_hex(key: bytes) -> bytes | None:
    try:
        return bytes.fromhex(key.decode("ascii"))
    except ValueError:
        return None


def _as_utf16(key: bytes) -> bytes | None:
    try:
        return key.decode("utf-8").encode("utf-16-le")
    except UnicodeError:
        return None


_ENDS = "the secret in {name} seems to end with a newline or blank that CXone's does not have"
_LACKS = "the secret at CXone seems to end with {what} that {{name}} does not have"
_DECODED = "the sender decodes the secret in {name} from {what} first: let it use the text as it is"

_VARIANTS: Sequence[tuple[Callable[[bytes], bytes | None], str]] = (
    (lambda key: key.rstrip(_BLANKS), f"{_ENDS}: remove it"),
    (lambda key: key + b"\n", _LACKS.format(what="a newline") + ": enter it there again"),
    (lambda key: key + b"\r\n", _LACKS.format(what="CR and LF") + ": enter it there again"),
    (lambda key: key + b" ", _LACKS.format(what="a blank") + ": enter it there again"),
    (_from_base64, _DECODED.replace("{what}", "base64")),
    (_from_hex, _DECODED.replace("{what}", "hex")),
    (lambda key: key.strip(_BLANKS), "blanks surround the secret in {name}: remove them"),
    (_unquoted, "quotes surround the secret in {name}: remove them"),
    (lambda key: key.removeprefix(b"\xef\xbb\xbf"), "a byte order mark begins {name}: remove it"),
    (lambda key: b" " + key, "the secret at CXone begins with a blank: enter it there again"),
    (_as_utf16, "the sender uses the secret in {name} as UTF-16: let it use UTF-8"),
    (lambda _key: b"", "the sender signs with an empty secret: enter that of {name} there"),
)
