"""Break an event the ways real senders do, each with the answer that it gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from consumer.demo.samples.payloads import Payload

Signature = Literal["good", "wrong", "missing"]
Expect = Literal[
    "processed",
    "duplicate",
    "malformed_json",
    "missing_fields",
    "signature_invalid",
    "signature_missing",
]

_FEWEST_WITH_MISHAPS = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One delivery: its bytes, how it is to be signed, and what a fresh service makes of it.

    `expect` is an outcome's status or the reason of a refusal; `note` is for people.
    """

    body: bytes
    note: str
    signature: Signature
    expect: Expect


def encode(payload: Payload) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def positions(count: int) -> dict[int, str]:
    """The mishaps of a stream by position; in one of 20 they are all apart."""
    if count < _FEWEST_WITH_MISHAPS:
        return {}
    shares = (
        (0.30, "duplicate"),
        (0.40, "raw_control"),
        (0.50, "wrong"),
        (0.55, "cut_off"),
        (0.65, "duplicate"),
        (0.70, "missing"),
        (0.80, "no_id"),
        (0.95, "duplicate"),
    )
    return {int(share * count + 0.5): mishap for share, mishap in shares}


def _raw_control(payload: Payload) -> Sample:
    # What a hand-made template does with a note that somebody typed on two lines.
    payload["comment"] = "first line\nsecond line"
    body = encode(payload).replace(b"first line\\n", b"first line\n")
    return Sample(body, "a raw line break inside a JSON string", "good", "malformed_json")


def _cut_off(payload: Payload) -> Sample:
    body = encode(payload)
    return Sample(body[: len(body) * 2 // 3], "JSON that is cut off", "good", "malformed_json")


def _no_id(payload: Payload) -> Sample:
    del payload["id"]
    return Sample(encode(payload), "an event without id", "good", "missing_fields")


def _wrong(payload: Payload) -> Sample:
    return Sample(encode(payload), "signed with another secret", "wrong", "signature_invalid")


def _missing(payload: Payload) -> Sample:
    return Sample(encode(payload), "not signed at all", "missing", "signature_missing")


BREAK: Mapping[str, Callable[[Payload], Sample]] = MappingProxyType(
    {
        "raw_control": _raw_control,
        "cut_off": _cut_off,
        "no_id": _no_id,
        "wrong": _wrong,
        "missing": _missing,
    }
)
