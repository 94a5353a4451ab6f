"""Say from the raw bytes of a request alone whether a source's proof holds, and which event it is.

It shares no code with what it judges: neither parsing of HTTP, nor of settings, nor any proof.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_WHITE = b" \t"
# A header counts by so many characters.
_CUT = 1024
# Of a list of signatures.
_MOST = 16
_TOLERANCE = 300

# An event as it is known apart: source, type, id as JSON text, digest of the body.
Identity = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Sender:
    """A source, as its sender knows it. `signed` are the names of the headers in what is signed,
    and texts between them as bytes; the body stands behind. `id` and `type` are names of headers
    where they are bytes, else keys or constants of the payload."""

    name: str
    path: bytes
    proof: str
    secrets: tuple[bytes, ...]
    header: bytes = b"authorization"
    prefix: bytes = b""
    encoding: str = "base64"
    signed: tuple[bytes | str, ...] = ()
    time: str = ""
    several: bool = False
    user: bytes = b""
    id: bytes | tuple[tuple[str, ...], ...] = (("id",),)
    type: bytes | tuple[str, str] = ("key", "type")
    before_type: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """`why` a request is refused, "" where its proof holds; `event` where it then is one."""

    why: str
    event: Identity | None = None


class Oracle:
    """Judges requests to `senders`; `tokens` are the access tokens that hold, by source."""

    def __init__(self, senders: Sequence[Sender]) -> None:
        self._senders = {sender.path: sender for sender in senders}
        self.tokens: set[tuple[str, bytes]] = set()

    def judge(self, raw: bytes) -> Judged:
        """The verdict on the bytes of one whole request."""
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not (colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
                return Judged("framing")
            if b"_" not in name:
                key, value = name.lower(), value.strip(_WHITE)
                headers[key] = headers[key] + b", " + value if key in headers else value
        headers = {name: value[:_CUT] for name, value in headers.items()}
        method, target, _ = first.split(b" ")
        sender = self._senders.get(_path(target))
        if method != b"POST" or sender is None:
            return Judged("no route")
        if not self._proves(sender, headers, body):
            return Judged("unproven")
        return Judged("", _event(sender, headers, body))

    def _proves(self, sender: Sender, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        given = headers.get(sender.header, b"").strip(_WHITE)
        if sender.proof == "hmac":
            return _signs(sender, headers, given, body)
        prefix = {"basic": b"basic ", "oauth2": b"bearer "}.get(sender.proof, sender.prefix.lower())
        if given[: len(prefix)].lower() != prefix:
            return False
        value = given[len(prefix) :].strip(_WHITE)
        if sender.proof == "oauth2":
            return (sender.name, value) in self.tokens
        if sender.proof == "basic":
            if not _BASE64.fullmatch(value) or len(value) % 4:
                return False
            value = base64.b64decode(value)
            return value in [sender.user + b":" + secret for secret in sender.secrets]
        return value in sender.secrets


def _path(target: bytes) -> bytes:
    bare = re.split(rb"[?#]", re.sub(rb"^http://[^/]*", b"", target))[0]
    path = unquote_to_bytes(b"/" + bare.lstrip(b"/"))
    return path[:-1] if path.endswith(b"/") else path


def _signs(sender: Sender, headers: Mapping[bytes, bytes], given: bytes, body: bytes) -> bool:
    content = b""
    for position, part in enumerate(sender.signed):
        if isinstance(part, bytes):
            content += part
            continue
        value = headers.get(part.encode(), b"").strip(_WHITE)
        if not value or (part == sender.time and not _is_now(value)):
            return False
        if part != sender.time and set(value) & {*b".", sender.signed[position + 1][0]}:
            return False
        content += value
    texts = [given]
    if sender.several:
        texts = _listed(given, sender.prefix)
    macs = [hmac.new(key, content + body, hashlib.sha256).digest() for key in sender.secrets]
    return len(texts) <= _MOST and any(_is_mac(sender, text, mac) for text in texts for mac in macs)


def _listed(given: bytes, prefix: bytes) -> list[bytes]:
    """Each signature of a list, with its prefix."""
    found = []
    for start in range(len(given)):
        rest = given[start:]
        if rest.startswith(prefix) and (start == 0 or given[start - 1] in b" \t,"):
            own = re.split(rb"[ \t,]", rest[len(prefix) :])[0]
            if own:
                found.append(prefix + own)
    return found


def _is_mac(sender: Sender, text: bytes, mac: bytes) -> bool:
    if not text.startswith(sender.prefix):
        return False
    own = text[len(sender.prefix) :]
    if sender.encoding == "hex":
        return own.lower() == mac.hex().encode()
    if sender.encoding == "base64url":
        full = base64.urlsafe_b64encode(mac)
        return own in (full, full.rstrip(b"="))
    return own == base64.b64encode(mac)


def _is_now(value: bytes) -> bool:
    if not re.fullmatch(rb"[0-9]{1,17}", value):
        return False
    stamp = int(value)
    return abs(time.time() - (stamp / 1000 if stamp >= 10**11 else stamp)) <= _TOLERANCE


def _event(sender: Sender, headers: Mapping[bytes, bytes], body: bytes) -> Identity | None:
    try:
        payload: Any = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict):
        return None
    ids: list[Any] = (
        [_from_header(headers, sender.id)]
        if isinstance(sender.id, bytes)
        else [_at(payload, steps) for steps in sender.id]
    )
    kind: Any = (
        _from_header(headers, sender.type)
        if isinstance(sender.type, bytes)
        else sender.type[1]
        if sender.type[0] == "const"
        else payload.get(sender.type[1])
    )
    if not all(map(_is_id, ids)):
        return None
    if isinstance(kind, bool) or not isinstance(kind, str | int) or kind == "":
        return None
    own = ids if len(ids) > 1 else ids[0]
    digest = hashlib.sha256(body).hexdigest()
    return sender.name, f"{sender.before_type}{kind}", json.dumps(own), digest


def _from_header(headers: Mapping[bytes, bytes], name: bytes) -> str:
    """Its value; none where it may have been cut, for two would be taken for one."""
    value = headers.get(name, b"")
    return value.strip(_WHITE).decode("latin-1") if len(value) < _CUT else ""


def _at(payload: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        payload = payload.get(step) if isinstance(payload, dict) else None
    return payload


def _is_id(value: object) -> bool:
    return value != "" and isinstance(value, str | int | float) and not isinstance(value, bool)


def _refuse(_: str) -> None:
    raise ValueError


def minted(source: str, secret: bytes, issued: int, expires: int, version: str = "v1") -> bytes:
    """An access token as the service makes them: v1.payload.mac, by HKDF-SHA256 (RFC 5869)."""
    payload = {"source": source, "issued": issued, "expires": expires, "nonce": f"{issued}{source}"}
    encoded = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    signed = version.encode() + b"." + encoded
    pseudorandom = hmac.new(b"\0" * 32, secret, hashlib.sha256).digest()
    info = b"oauth2 token" + source.encode() + b"\x01"
    key = hmac.new(pseudorandom, info, hashlib.sha256).digest()
    mac = hmac.new(key, signed, hashlib.sha256).digest()
    return signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")
