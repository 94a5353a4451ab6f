"""Have people edit a body whose masked values they may not see.

A masked value stands in the text as a numbered placeholder, and what it stands for is put back
afterwards. It may stand in masked fields alone: moved elsewhere it would come to light.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumer.redaction import MaskedBody, Redaction

Bodies = Callable[[bytes], Sequence[MaskedBody]]

_PLACEHOLDER = re.compile(rb'"\[masked ([1-9][0-9]{0,5})\]"')
_MARK = b"[masked "


class NotEditable(Exception):
    """The body cannot be edited without being seen; the text says why."""


class Misplaced(Exception):
    """A placeholder is none of the body's, or stands where its value would be seen."""


@dataclass(frozen=True, slots=True)
class Editable:
    """A body as text that may be shown: `values` are what its placeholders stand for."""

    text: bytes
    values: Mapping[int, bytes]


def editable(body: MaskedBody) -> Editable:
    """The body with placeholders for what is masked; raises NotEditable."""
    if body.spans and body.fault is not None:
        raise NotEditable(
            "It cannot be read to its end, so that no value is known to be one that may be seen."
        )
    if body.spans and _MARK in body.raw:
        raise NotEditable("Its text looks like the placeholder of a masked value.")
    parts: list[bytes] = []
    values: dict[int, bytes] = {}
    at = 0
    for number, span in enumerate(body.spans, start=1):
        values[number] = body.raw[span.start : span.end]
        parts += [body.raw[at : span.start], b'"[masked %d]"' % number]
        at = span.end
    return Editable(b"".join([*parts, body.raw[at:]]), values)


def put_back(text: bytes, values: Mapping[int, bytes], bodies: Bodies) -> bytes:
    """The edited text with the values in place of their placeholders; raises Misplaced unless each
    will be masked there, in all the `bodies` that the whole one may be."""
    parts: list[bytes] = []
    places: list[tuple[int, int]] = []
    at = length = 0
    for found in _PLACEHOLDER.finditer(text) if values else ():
        value = values.get(int(found[1]))
        if value is None:
            raise Misplaced(f"There is no masked value {int(found[1])}.")
        parts += [text[at : found.start()], value]
        start = length + found.start() - at
        length = start + len(value)
        places.append((start, length))
        at = found.end()
    body = b"".join([*parts, text[at:]])
    # Masked once, for a body may have thousands of them.
    if places and not all(each.hides(*place) for each in bodies(body) for place in places):
        raise Misplaced("A masked value may only stand where it is masked: put it back there.")
    return body


def masker(masks: Redaction, known: str | None, type_of: Callable[[bytes], str | None]) -> Bodies:
    """A body as it is masked for events of the type that is `known` of the entry, and for those of
    the type that the body has."""
    return lambda body: [masks.body(body, each) for each in {known, type_of(body)}]
