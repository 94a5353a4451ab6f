"""List the timestamps that may be signed beside the body: from any header, in the usual places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from consumer.ingest.signature import SignatureScheme, unix_time
from consumer.ingest.signature_diagnosis.claims import canonical, ordered
from consumer.ingest.signature_diagnosis.findings import Remark

_MAX_TIMES = 3
_TIME_NAME = re.compile(r"timestamp|date|time|(?:^|-)ts$", re.IGNORECASE)
_IN_LIST = re.compile(r"(?:^|[,;\s])t(?:s|imestamp)?=([0-9]{9,17})(?:[,;\s]|$)")

# How timestamp {t} and body are joined; a setting exists for the first alone.
_FORMS = (
    ("{t}.", "", "timestamp.body"),
    ("{t}", "", "timestamp and body without a dot between"),
    ("{t}:", "", "timestamp:body"),
    ("v0:{t}:", "", "v0:timestamp:body"),
    ("{t}\n", "", "timestamp, line end, body"),
    ("", ".{t}", "body.timestamp"),
    ("", "{t}", "body and timestamp without a dot between"),
)


@dataclass(frozen=True, slots=True)
class SignedTime:
    """Bytes signed before and after the body, with the settings and remarks that go with them."""

    before: bytes = b""
    after: bytes = b""
    settings: tuple[tuple[str, str], ...] = ()
    remarks: tuple[Remark, ...] = ()


def signed_times(
    headers: Mapping[str, str], scheme: SignatureScheme, received_at: datetime
) -> list[SignedTime]:
    """The configured one first, then the rest by form, the commonest first."""
    is_timed = scheme.signed == "timestamp.body"
    settings = (("CXONE_SIGNED_CONTENT", "body"),) if is_timed else ()
    body_alone = SignedTime(settings=settings)
    values = list(_values(headers, scheme))[:_MAX_TIMES]
    signed = [
        _signed_time(header, text, form, scheme, received_at)
        for form in _FORMS
        for header, text in values
    ]
    # The configured header, where it is there, comes first of the values, and so does its time.
    if is_timed and values and values[0][0].lower() == (scheme.timestamp_header or "").lower():
        return [signed[0], body_alone, *signed[1:]]
    return [body_alone, *signed]


def _values(headers: Mapping[str, str], scheme: SignatureScheme) -> Iterator[tuple[str, str]]:
    """(header, timestamp); the header is empty for one that stands beside the signature."""
    for name, value in ordered(headers, scheme.timestamp_header or scheme.header):
        is_time = name.lower() == (scheme.timestamp_header or "").lower() or _TIME_NAME.search(name)
        if is_time and 0 < len(value) <= 40:
            yield canonical(name), value
        elif found := _IN_LIST.search(value):
            yield "", found.group(1)


def _signed_time(
    header: str, text: str, form: tuple[str, str, str], scheme: SignatureScheme, at: datetime
) -> SignedTime:
    before, after, words = form
    settings: list[tuple[str, str]] = []
    remarks: list[Remark] = []
    if words != "timestamp.body":
        what = f"the sender signs {words}: let it sign timestamp.body or the body alone"
        remarks.append(Remark("unsupported", what))
    elif header:
        if scheme.signed != "timestamp.body":
            settings.append(("CXONE_SIGNED_CONTENT", "timestamp.body"))
        if header.lower() != (scheme.timestamp_header or "").lower():
            settings.append(("CXONE_TIMESTAMP_HEADER", header))
    else:
        # The claim remarks on the list; this one stops the time from counting as configured.
        what = "the timestamp is signed too: it needs a header of its own"
        remarks.append(Remark("unsupported", what))
    remarks.extend(_clock_remarks(header or "the timestamp", text, scheme.tolerance, at))
    time = text.encode("latin-1", "replace")
    return SignedTime(
        before.encode("ascii").replace(b"{t}", time),
        after.encode("ascii").replace(b"{t}", time),
        tuple(settings),
        tuple(remarks),
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
