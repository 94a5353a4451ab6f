"""Read the digests that headers claim, however written: header, encoding, prefix, list."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from consumer.ingest.signature import SignatureScheme
from consumer.ingest.signature_diagnosis.findings import Remark

_MAX_HEADERS = 16
_MAX_VALUE = 1024
_MAX_CLAIMS = 12

# HMAC algorithm by the length of its digest in bytes.
ALGORITHMS: Mapping[int, str] = {32: "sha256", 20: "sha1", 48: "sha384", 64: "sha512"}

_RUN = re.compile(r"([A-Za-z0-9+/_-]{27,})(={0,2})")
# `sha256=`, `v1:`, `HMAC `: what CXONE_SIGNATURE_PREFIX can hold.
_LABEL = re.compile(r"(?:[A-Za-z][A-Za-z0-9_.-]{0,31}[=:_ -] ?)?")
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
    found: list[Claim] = []
    for name, value in ordered(headers, scheme.header):
        found.extend(_in_header(name, value, scheme))
    return found[:_MAX_CLAIMS]


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
    runs = [read for run in _RUN.finditer(text) for read in _readings(text, run)]
    for before, after, encoding, digest, remarks in runs:
        label = re.split(r"[,;]\s*", before)[-1]
        listed = _list_remark(text, before != label or after[:1] in (",", ";"), runs)
        # A list says for itself what is wrong; in any other case what surrounds it must be empty.
        around = listed or _surroundings_remark(label, after, scheme.prefix)
        settings: list[tuple[str, str]] = []
        if name.lower() != scheme.header.lower():
            settings.append(("CXONE_SIGNATURE_HEADER", canonical(name)))
        if encoding != scheme.encoding:
            settings.append(("CXONE_SIGNATURE_ENCODING", encoding))
        if label != scheme.prefix and _LABEL.fullmatch(label) and not _is_timed_list(text):
            settings.append(("CXONE_SIGNATURE_PREFIX", label))
        own = list(remarks)
        if around:
            own.append(around)
        if escaped:
            own.append(Remark("unsupported", "the signature is percent-encoded: send it as it is"))
        yield Claim(digest, tuple(settings), tuple(own))


_Reading = tuple[str, str, str, bytes, tuple[Remark, ...]]


def _readings(text: str, run: re.Match[str]) -> Iterator[_Reading]:
    """(before, after, encoding, digest, remarks) for each way the run can be a digest."""
    letters, padding = run.group(1), run.group(2)
    for size in ALGORITHMS:
        for encoding, width in (("hex", 2 * size), ("base64", -(-4 * size // 3))):
            glued = letters[:-width]
            if len(letters) < width or (glued and not _GLUED_LABEL.fullmatch(glued)):
                continue
            before, after = text[: run.start() + len(glued)], text[run.end() :]
            if encoding == "hex":
                digest = _hex(letters[-width:])
                if digest is not None and not padding:
                    yield before, after, encoding, digest, ()
            else:
                digest = _base64(letters[-width:])
                if len(digest) != size:
                    continue
                yield before, after, encoding, digest, _alphabet_remarks(letters[-width:], padding)
                spelled = _hex(digest.decode("latin-1")) if len(digest) == 64 else None
                if spelled is not None:
                    yield before, after, encoding, spelled, (_HEX_IN_BASE64,)


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


def _alphabet_remarks(letters: str, padding: str) -> tuple[Remark, ...]:
    remarks = []
    if "-" in letters or "_" in letters:
        text = "the signature is base64url (- and _): let the sender use base64 or hex"
        remarks.append(Remark("unsupported", text))
    if len(padding) != -len(letters) % 4:
        text = "the signature's base64 lacks its = at the end: let the sender keep it, or use hex"
        remarks.append(Remark("unsupported", text))
    return tuple(remarks)


def _is_timed_list(text: str) -> bool:
    return re.search(r"(?:^|[,;\s])t(?:s|imestamp)?=[0-9]", text) is not None


def _list_remark(text: str, in_list: bool, runs: list[_Reading]) -> Remark | None:
    if not in_list:
        return None
    if _is_timed_list(text):
        return Remark(
            "unsupported",
            "the header lists t=<timestamp> and signature together: let the sender use one header"
            " for each",
        )
    if len(runs) > 1 and len({reading[3] for reading in runs}) == 1:
        return Remark(
            "doubled",
            "the signature is doubled: two equal headers were joined on the way, or it is set twice"
            " at the sender; remove one",
        )
    return Remark("doubled", "the header lists several values: let it carry the signature alone")


def _surroundings_remark(label: str, after: str, prefix: str) -> Remark | None:
    if after == "" and (label == prefix or _LABEL.fullmatch(label)):
        return None
    if after[:1] in ('"', "'"):
        return Remark("unsupported", "the signature stands in quotes: send it without")
    return Remark(
        "unsupported", "other text surrounds the signature: let the header carry it alone"
    )
