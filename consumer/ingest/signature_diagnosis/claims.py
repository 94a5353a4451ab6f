"""Read the digests that headers claim, however written: header, encoding, prefix, list."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import unquote

from config.signing import Encoding
from consumer.ingest.signature import MAX_SIGNATURES, SignatureScheme
from consumer.ingest.signature_diagnosis.findings import Remark

_MAX_HEADERS = 16
_MAX_VALUE = 1024
_MAX_CLAIMS = 12

# HMAC algorithm by the length of its digest in bytes.
ALGORITHMS: Mapping[int, str] = {32: "sha256", 20: "sha1", 48: "sha384", 64: "sha512"}

_RUN = re.compile(r"([A-Za-z0-9+/_-]{27,})(={0,2})")
# `sha256=`, `v1,`, `HMAC `: what CXONE_SIGNATURE_PREFIX can hold, and the end of what is before it.
_LABEL = re.compile(r"(?:^|[,;\s])((?:[A-Za-z][A-Za-z0-9_.-]{0,31}[=:,_ -] ?)?)$")
_LONGEST_LABEL = 34
_GLUED_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,15}[-_]")


@dataclass(frozen=True, slots=True)
class Claim:
    """A digest that a header claims and how it is written there.

    `settings` are the signature settings that would read it; `remarks` what no setting can.
    """

    digest: bytes
    settings: tuple[tuple[str, str], ...]
    remarks: tuple[Remark, ...]


def claims(headers: Mapping[str, str], scheme: SignatureScheme) -> list[Claim]:
    """The claims that may be a signature, the configured header's first; at most 12."""
    found = (
        claim
        for name, value in ordered(headers, scheme.header)
        for claim in _in_header(name, value, scheme)
    )
    return list(islice(found, _MAX_CLAIMS))


def ordered(headers: Mapping[str, str], first: str) -> list[tuple[str, str]]:
    """Header names and values, bounded in number and length; the one named `first` first."""
    names = sorted(headers, key=lambda name: name.lower() != first.lower())[:_MAX_HEADERS]
    return [(name, headers[name][:_MAX_VALUE].strip(" \t")) for name in names]


def canonical(name: str) -> str:
    """`x-hub-signature` as people write it: X-Hub-Signature."""
    return "-".join(part.capitalize() for part in name[:64].split("-"))


def _in_header(name: str, value: str, scheme: SignatureScheme) -> Iterator[Claim]:
    escaped = "%" in value
    text = unquote(value, errors="replace") if escaped else value
    runs = [read for run in _RUN.finditer(text) for read in _readings(text, run, scheme.encoding)]
    is_doubled = len(runs) > 1 and len({reading[3] for reading in runs}) == 1
    for before, after, encoding, digest, remarks in runs:
        settings: list[tuple[str, str]] = []
        if name.lower() != scheme.header.lower():
            settings.append(("CXONE_SIGNATURE_HEADER", canonical(name)))
        if encoding != scheme.encoding:
            settings.append(("CXONE_SIGNATURE_ENCODING", encoding))
        own = list(remarks)
        place = _place(text, before, after, scheme, is_doubled=is_doubled)
        if isinstance(place, Remark):
            own.append(place)
        else:
            settings.extend(place)
        if escaped:
            own.append(Remark("unsupported", "the signature is percent-encoded: send it as it is"))
        yield Claim(digest, tuple(settings), tuple(own))


def _place(
    text: str, before: str, after: str, scheme: SignatureScheme, *, is_doubled: bool
) -> Remark | list[tuple[str, str]]:
    """The settings that would find the signature where it stands, or why none does."""
    signature = text[len(before) : len(text) - len(after)]
    if _is_read(text, before, signature, scheme):
        return []
    found = _LABEL.search(before[-_LONGEST_LABEL - 2 :])
    if found is None or after[:1] in ('"', "'"):
        return _QUOTED if after[:1] in ('"', "'") else _SURROUNDED
    label = found[1]
    settings = [("CXONE_SIGNATURE_PREFIX", label)] if label != scheme.prefix else []
    if before == label and not after:
        return settings
    if is_doubled:
        return _DOUBLED
    if not _is_read(text, before, signature, replace(scheme, prefix=label, several=True)):
        return _SEVERAL
    return settings if scheme.several else [*settings, ("CXONE_SEVERAL_SIGNATURES", "on")]


def _is_read(text: str, before: str, signature: str, scheme: SignatureScheme) -> bool:
    """True where the scheme finds the signature in its place, alone or in a list."""
    if scheme.several:
        found = list(scheme.item.finditer(text))
        places = {each.end() for each in found if each[0] == scheme.prefix + signature}
        return len(found) <= MAX_SIGNATURES and len(before) + len(signature) in places
    return text == scheme.prefix + signature


_Reading = tuple[str, str, Encoding, bytes, tuple[Remark, ...]]


def _readings(text: str, run: re.Match[str], configured: Encoding) -> Iterator[_Reading]:
    """(before, after, encoding, digest, remarks) for each way the run can be a digest."""
    letters, padding = run.group(1), run.group(2)
    for size in ALGORITHMS:
        for is_hex, width in ((True, 2 * size), (False, -(-4 * size // 3))):
            glued = letters[:-width]
            if len(letters) < width or (glued and not _GLUED_LABEL.fullmatch(glued)):
                continue
            before, after = text[: run.start() + len(glued)], text[run.end() :]
            if is_hex:
                digest = _hex(letters[-width:])
                if digest is not None and not padding:
                    yield before, after, "hex", digest, ()
                continue
            encodings = _encodings(letters[-width:], padding)
            digest = _base64(letters[-width:])
            if len(digest) != size or not encodings:
                continue
            encoding = configured if configured in encodings else encodings[0]
            yield before, after, encoding, digest, ()
            spelled = _hex(digest.decode("latin-1")) if len(digest) == 64 else None
            if spelled is not None:
                yield before, after, encoding, spelled, (_HEX_IN_BASE64,)


def _encodings(letters: str, padding: str) -> Sequence[Encoding]:
    """The base64 that these can be, the likeliest first: what lacks = mostly is base64url."""
    full = "=" * (-len(letters) % 4)
    if padding not in ("", full):
        return ()
    found: list[Encoding] = ["base64"] if padding == full else []
    found += ["base64url", "base64-unpadded"]
    if set("-_") & set(letters):
        found = [each for each in found if each == "base64url"]
    if set("+/") & set(letters):
        found = [each for each in found if each != "base64url"]
    return found


_HEX_IN_BASE64 = Remark(
    "unsupported",
    "the sender encodes the hex text of the digest as base64: let it encode the digest itself",
)


def _hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) if text.isalnum() else None
    except ValueError:
        return None


def _base64(letters: str) -> bytes:
    """The digest spelled by base64 or base64url letters; empty when they spell none."""
    standard = letters.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4))
    except binascii.Error:
        return b""


_DOUBLED = Remark(
    "doubled",
    "the signature is doubled: two equal headers were joined on the way, or it is set twice at the"
    " sender; remove one",
)
_SEVERAL = Remark("doubled", "the header lists several values: let it carry the signature alone")
_QUOTED = Remark("unsupported", "the signature stands in quotes: send it without")
_SURROUNDED = Remark(
    "unsupported", "other text surrounds the signature: let the header carry it alone"
)
