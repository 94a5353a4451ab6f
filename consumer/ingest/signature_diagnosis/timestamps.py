"""List the timestamps that may be signed beside the body: from any header, in the usual places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from config.signing import template
from consumer.ingest.signature import SignatureScheme, unix_time
from consumer.ingest.signature_diagnosis.claims import canonical, ordered
from consumer.ingest.signature_diagnosis.findings import Remark

_MAX_TIMES = 3
_MAX_IDS = 2
_TIME_NAME = re.compile(r"timestamp|date|time|(?:^|-)ts$", re.IGNORECASE)
_ID_NAME = re.compile(r"(?:delivery|event|message|svix|webhook)-id$", re.IGNORECASE)
_IN_LIST = re.compile(r"(?:^|[,;\s])t(?:s|imestamp)?=([0-9]{9,17})(?:[,;\s]|$)")
_FIELD = re.compile(r"\{(timestamp|id)\}")

# How time, id and body are joined, the commonest first; in words where no setting exists for it.
_FORMS = (
    ("timestamp.body", ""),
    ("{id}.{timestamp}.{body}", ""),
    ("{timestamp}{body}", "timestamp and body without a dot between"),
    ("{timestamp}:{body}", ""),
    ("v0:{timestamp}:{body}", ""),
    ("{id}.{body}", ""),
    ("{timestamp}.{id}.{body}", ""),
    ("{timestamp}\n{body}", "timestamp, line end, body"),
    ("{body}.{timestamp}", "body.timestamp"),
    ("{body}{timestamp}", "body and timestamp without a dot between"),
)
_NONE = ("", "")


@dataclass(frozen=True, slots=True)
class SignedTime:
    """Bytes signed before and after the body, a time or an id, with the settings and remarks that
    go with them."""

    before: bytes = b""
    after: bytes = b""
    settings: tuple[tuple[str, str], ...] = ()
    remarks: tuple[Remark, ...] = ()


def signed_times(
    headers: Mapping[str, str], scheme: SignatureScheme, received_at: datetime
) -> list[SignedTime]:
    """The configured one first, where its headers are there, then the rest by form."""
    times = list(islice(_times(headers, scheme), _MAX_TIMES))
    ids = list(islice(_ids(headers, scheme), _MAX_IDS))
    found: dict[tuple[bytes, bytes], SignedTime] = {}
    for form in ((scheme.signed, ""), ("body", ""), *_FORMS):
        text = template(form[0])
        for time in times if "{timestamp}" in text else [_NONE]:
            for number in ids if "{id}" in text else [_NONE]:
                signed = _signed_time(form, time, number, scheme, received_at)
                found.setdefault((signed.before, signed.after), signed)
    return list(found.values())


def _times(headers: Mapping[str, str], scheme: SignatureScheme) -> Iterator[tuple[str, str]]:
    """(header, timestamp); the header is empty for one that stands beside the signature."""
    for name, value in ordered(headers, scheme.timestamp_header or scheme.header):
        is_time = name.lower() == (scheme.timestamp_header or "").lower() or _TIME_NAME.search(name)
        if is_time and 0 < len(value) <= 40:
            yield canonical(name), value
        elif found := _IN_LIST.search(value):
            yield "", found.group(1)


def _ids(headers: Mapping[str, str], scheme: SignatureScheme) -> Iterator[tuple[str, str]]:
    for name, value in ordered(headers, scheme.id_header or scheme.header):
        is_id = name.lower() == (scheme.id_header or "").lower() or _ID_NAME.search(name)
        if is_id and 0 < len(value) <= 128:
            yield canonical(name), value


def _signed_time(
    form: tuple[str, str],
    time: tuple[str, str],
    number: tuple[str, str],
    scheme: SignatureScheme,
    at: datetime,
) -> SignedTime:
    signed, words = form
    text = template(signed)
    settings: list[tuple[str, str]] = []
    remarks: list[Remark] = []
    if words:
        what = f"the sender signs {words}: let it sign timestamp.body or the body alone"
        remarks.append(Remark("unsupported", what))
    else:
        if text != template(scheme.signed):
            settings.append(("CXONE_SIGNED_CONTENT", signed))
        for setting, header, ours in (
            ("CXONE_TIMESTAMP_HEADER", time[0], scheme.timestamp_header),
            ("CXONE_SIGNED_ID_HEADER", number[0], scheme.id_header),
        ):
            if header and header.lower() != (ours or "").lower():
                settings.append((setting, header))
    if time[1] and not time[0]:
        remarks.append(_IN_ONE_HEADER)
    if "." in number[1]:
        what = f"the id in {number[0]} is signed and holds a dot: let the sender use ids without"
        remarks.append(Remark("unsupported", what))
    if time[1]:
        what = time[0] or "the timestamp"
        remarks.extend(_clock_remarks(what, time[1], scheme.tolerance, at))
    values = {"timestamp": time[1], "id": number[1]}
    before, after = (
        _FIELD.sub(lambda found: values[found[1]], part).encode("latin-1", "replace")
        for part in text.split("{body}")
    )
    return SignedTime(before, after, tuple(settings), tuple(remarks))


_IN_ONE_HEADER = Remark(
    "unsupported",
    "the header lists t=<timestamp> and signature together, and both are signed: let the sender use"
    " one header for each",
)


def _clock_remarks(what: str, text: str, tolerance: float, at: datetime) -> Iterator[Remark]:
    signed_at = unix_time(text)
    if signed_at is None:
        yield Remark(
            "unsupported", f"{what} is signed but no Unix time: let the sender use seconds or ms"
        )
        return
    late = (at - signed_at).total_seconds()
    if abs(late) > tolerance:
        yield Remark(
            "clock",
            f"{what} is {abs(late):.0f} s {'behind' if late > 0 else 'ahead of'} this server's"
            f" clock, {tolerance:g} s are allowed: set both clocks by NTP, look for a queue on the"
            " way, or raise CXONE_TIMESTAMP_TOLERANCE",
        )
